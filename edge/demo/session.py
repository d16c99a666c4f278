"""The live part of `edge demo`: the bundled scene through the same runtime as `edge run`, with its meter beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.calibration import uncalibrated
from edge.config.load import load_config
from edge.config.schema import BeamformerConfig, Config, InputConfig, MqttConfig, OutputConfig
from edge.decoding import read_toml
from edge.demo.broker import EmbeddedBroker
from edge.demo.bundled import MIX, Scene
from edge.errors import TelemetryError
from edge.runtime.live import LiveRuntime
from edge.runtime.summary import RunSummary

PROBE_TIMEOUT_S = 2.0
TELEMETRY_INTERVAL_S = 0.5
METER_STOP_S = 5.0


@dataclass(frozen=True)
class LiveResult:
    """What a live run left behind, beside out.wav."""

    summary: RunSummary
    hop_ms: NDArray[np.float64]
    """processing time of each hop, (hops,); of the last two minutes at most"""
    telemetry: list[dict[str, Any]]
    """every telemetry message that came back over MQTT"""
    broker: str
    """'embedded', 'found at host:port', or why there was none"""
    notes: list[str]
    """warnings of the runtime, one sentence each"""


def demo_config(scene: Scene, out_wav: Path, file: Path | None, loop: bool) -> Config:
    """The configuration of `file`, or the defaults, on the scene's array, files and local broker.

    Where the talker is, nobody tells: the beam starts forward and finds him. What is kept of `file`: profile,
    beamformer kind, mask, post, runtime, MQTT port and prefix. Raises ConfigError.
    """
    config = load_config(file) if file else Config()
    # the default beamformer depends on the array, and the array is the scene's
    given = read_toml(file, "configuration file").get("beamformer", {}) if file else {}
    kind = config.beamformer.kind if "kind" in given else BeamformerConfig().kind
    positions = tuple((float(x), float(y), float(z)) for x, y, z in scene.facts["positions_m"])
    mqtt = config.telemetry.mqtt
    return dataclasses.replace(
        config,
        array=dataclasses.replace(
            uncalibrated(config.array),
            board=scene.facts["board"],
            positions_m=positions,
            roles="M" * len(positions),
        ),
        input=InputConfig(kind="file", path=str(MIX), rate_hz=scene.rate_hz, realtime=True, loop=loop),
        output=OutputConfig(kind="file", path=str(out_wav), rate_hz=scene.rate_hz, channels=("listen", "asr")),
        beamformer=dataclasses.replace(
            config.beamformer, kind=kind, steering="track", azimuth_deg=0.0, elevation_deg=0.0, sector_deg=180.0
        ),
        telemetry=dataclasses.replace(
            config.telemetry,
            device_name=f"demo-{os.getpid()}",  # two demos on one broker must not throw each other out
            interval_s=TELEMETRY_INTERVAL_S,
            mqtt=MqttConfig(enabled=True, port=mqtt.port, topic_prefix=mqtt.topic_prefix),
        ),
    )


def run_live(config: Config, folder: Path, duration_s: float, draw: bool, say: Callable[[str], None]) -> LiveResult:
    """Run until the duration or Ctrl-C. `say` gets one sentence at a time; while the meter draws, only afterwards."""
    notes: list[str] = []
    mqtt = config.telemetry.mqtt
    log = folder / "telemetry.jsonl"
    log.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(EmbeddedBroker(mqtt.port))
            if not broker.embedded and (refused := _refused(config)):
                notes.append(f"{refused}; or leave it as it is: the demo starts a broker of its own instead")
                broker = stack.enter_context(EmbeddedBroker())
                telemetry = dataclasses.replace(config.telemetry, mqtt=dataclasses.replace(mqtt, port=broker.port))
                config = dataclasses.replace(config, telemetry=telemetry)
            told = "embedded" if broker.embedded else f"found at {mqtt.host}:{mqtt.port}"
        except TelemetryError as error:
            told = f"none: {error}"
            notes.append(str(error))
            off = dataclasses.replace(config.telemetry, mqtt=dataclasses.replace(mqtt, enabled=False))
            config = dataclasses.replace(config, telemetry=off)
        runtime = LiveRuntime(config, duration_s=duration_s, warn=notes.append if draw else say)
        if config.telemetry.mqtt.enabled:
            stack.enter_context(_meter(config, log, draw, duration_s))
        summary = runtime.run()
    for note in notes:  # those of the runtime are among them only where the meter drew
        say(note)
    durations_ns, _ = runtime.loop.clock.since(0)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    messages = [json.loads(line) for line in lines]
    return LiveResult(
        summary=summary,
        hop_ms=durations_ns.sum(axis=1) / 1e6,
        telemetry=[m for m in messages if m["type"] == "telemetry"],
        broker=told,
        notes=notes,
    )


def _refused(config: Config) -> str:
    """Why what listens on the port is no broker for the demo, in one sentence; empty if it is one."""
    from edge.telemetry.connection import probe_broker

    try:
        probe_broker(config.telemetry, PROBE_TIMEOUT_S)
    except TelemetryError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _meter(config: Config, log: Path, draw: bool, duration_s: float) -> Iterator[None]:
    """The meter process for as long as the block runs."""
    mqtt = config.telemetry.mqtt
    command = [sys.executable, "-m", "edge.demo.meter", "--host", mqtt.host, "--port", str(mqtt.port)]
    command += ["--prefix", mqtt.topic_prefix, "--device", config.telemetry.device_name]
    command += ["--roles", config.array.roles, "--log", str(log)]
    command += ["--duration", f"{duration_s:g}"] + (["--draw"] if draw else [])
    # a session of its own: Ctrl-C is for this process, and the meter still has the last telemetry to show
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=None if draw else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(METER_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
