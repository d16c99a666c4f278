"""What `edge doctor` looks at: each check is a function that gives findings, and changes nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.config.schema import Config, MaskConfig
from edge.errors import AudioFileError, EdgeError, ModelError, TelemetryError
from edge.profiles import PROFILES

Status = Literal["ok", "warning", "fail"]

PACKAGES = {"numpy": "numpy", "numba": "numba", "onnxruntime": "onnxruntime", "soxr": "soxr", "soundfile": "soundfile"}
PACKAGES |= {"paho-mqtt": "paho.mqtt.client"}
"""distribution -> module that has to be importable"""
HOT_C = 75.0
"""a Raspberry Pi slows down at 80"""
SHARE_OF_DEADLINE = 0.5
"""a p95 above this share of a hop leaves too little for everything else on the machine; on a busy machine p99 shows
what else runs"""
_FILES = ("file", "null")


@dataclass(frozen=True)
class Finding:
    check: str
    status: Status
    found: str
    remedy: str = ""
    exit_code: int = 0
    """of the class of failure; 0 unless status is fail"""


def diagnose(config: Config, configured: bool, sys_root: Path = Path("/sys")) -> Iterator[Finding]:
    """All findings in the order of dependence. `configured`: a file was given, so its devices and broker are tried."""
    yield from _python()
    yield from _packages()
    yield from _kernels()
    yield from _models(config)
    yield from _speed(config)
    yield from _realtime(config)
    yield from _memory_lock(config)
    yield from _governor(sys_root)
    yield from _temperature(sys_root)
    if not configured or config.input.kind not in _FILES or config.output.kind not in _FILES:
        yield from _sound()
    if configured:
        yield from _devices(config)
        yield from _broker(config)


def _python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Finding("python", "ok", f"{version} on {sys.platform}, {os.cpu_count()} cores")
    else:
        yield Finding("python", "fail", version, "install Python 3.10 to 3.13 and make a new virtual environment", 1)


def _packages() -> Iterator[Finding]:
    missing = []
    versions = []
    for distribution, module in PACKAGES.items():
        try:
            importlib.import_module(module)
            versions.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except (ImportError, OSError) as error:
            missing.append(f"{distribution} ({error})")
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "pip install mic-edge", 1)
    else:
        yield Finding("packages", "ok", ", ".join(versions))


def _kernels() -> Iterator[Finding]:
    from edge.runtime.kernels import load_kernels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unwritable cache is told about below
        state = load_kernels()
    found = f"{state.count} kernels, {state.compiled} of them compiled just now"
    folder = state.cache_folder
    if folder and os.access(folder, os.W_OK):
        yield Finding("kernels", "ok", f"{found}; cache {folder}")
    elif folder:
        yield Finding(
            "kernels", "warning", f"{found}; cache {folder} is read-only", "set NUMBA_CACHE_DIR to a writable folder"
        )
    else:
        yield Finding(
            "kernels",
            "warning",
            f"{found}; there is no cache, so every start compiles them",
            "set NUMBA_CACHE_DIR to a writable folder, then run edge warmup",
        )


def _models(config: Config) -> Iterator[Finding]:
    from edge.mask.choice import PICK, choose, mics_in_beam
    from edge.mask.manifest import load_manifest

    for name, profile in PROFILES.items():
        wanted = config.mask if name == config.profile else MaskConfig()
        try:
            chosen = choose(wanted, profile, mics_in_beam(config))
            manifest = chosen.open(profile)
            manifests = [manifest]
            if manifest.listener:
                manifests.append(load_manifest(manifest.path.with_name(f"{manifest.listener}.json"), profile))
            for each in manifests:
                for precision in each.files:
                    each.network_file(precision)
        except ModelError as error:
            needed = name == config.profile and config.mask.kind == "network"
            yield Finding(
                "model",
                "fail" if needed else "warning",
                str(error),
                'install the model again, or set mask.kind = "wiener"',
                error.exit_code if needed else 0,
            )
        else:
            listener = f" with {manifest.listener} as listener" if manifest.listener else ""
            precisions = " and ".join(manifest.files)
            yield Finding("model", "ok", f"{name}: {manifest.name}{listener}, {precisions}, checksums right")
            if name == config.profile and config.mask.kind == "network":
                stale = chosen.source == "default" and chosen.note
                found = f"{manifest.name} {chosen.precision}: {chosen.why}"
                remedy = f"{PICK}, then restart or reload" if stale else ""
                yield Finding("network", "warning" if stale else "ok", found, remedy)


def _speed(config: Config) -> Iterator[Finding]:
    from edge.bench import measure

    try:
        result = measure(config, seconds=2.0, warm_up_s=0.2)
    except EdgeError as error:
        yield Finding("speed", "fail", str(error), "mend this first", error.exit_code)
        return
    cost, deadline_ms = result["hop_ms"], result["deadline_ms"]
    found = f"{cost['p50']:.3f} ms per hop of {deadline_ms:g} ms, p95 {cost['p95']:.3f} ms"
    if cost["p95"] > SHARE_OF_DEADLINE * deadline_ms:
        remedy = 'stop what else runs, or choose mask.kind = "wiener" or beamformer.kind = "delay_sum"'
        yield Finding("speed", "warning", found, remedy)
    else:
        yield Finding("speed", "ok", found)


def _realtime(config: Config) -> Iterator[Finding]:
    from edge.runtime.realtime import raise_priority

    wanted = config.runtime.realtime_priority
    if not wanted:
        yield Finding("real time", "ok", "not wanted (runtime.realtime_priority = 0)")
        return
    # tried in a thread of its own, whose priority ends with it
    refused: list[str | None] = []
    trial = threading.Thread(target=lambda: refused.append(raise_priority(wanted)))
    trial.start()
    trial.join()
    yield _allowed("real time", f"SCHED_FIFO {wanted} is allowed", refused[0])


def _memory_lock(config: Config) -> Iterator[Finding]:
    from edge.runtime.realtime import memory_lock_refusal

    if not config.runtime.lock_memory:
        yield Finding("memory lock", "ok", "not wanted (runtime.lock_memory = false)")
    else:
        yield _allowed("memory lock", "unlimited", memory_lock_refusal())


def _allowed(check: str, found: str, refused: str | None) -> Finding:
    """A warning of edge.runtime.realtime, "what; remedy", as a finding."""
    if not refused:
        return Finding(check, "ok", found)
    what, _, remedy = refused.partition("; ")
    return Finding(check, "warning", what, remedy)


def _governor(sys_root: Path) -> Iterator[Finding]:
    files = sorted((sys_root / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = sorted({file.read_text().strip() for file in files})
    if not governors:
        yield Finding("governor", "ok", "this machine does not tell")
    elif "powersave" in governors and "intel_pstate" not in _driver(files[0]):
        remedy = "sudo cpupower frequency-set -g schedutil (or performance)"
        yield Finding("governor", "warning", f"{', '.join(governors)}: the slowest clock at all times", remedy)
    else:
        yield Finding("governor", "ok", ", ".join(governors))


def _driver(governor_file: Path) -> str:
    file = governor_file.with_name("scaling_driver")
    return file.read_text().strip() if file.is_file() else ""


def _temperature(sys_root: Path) -> Iterator[Finding]:
    from edge.telemetry.host import HostSensors

    sensors = HostSensors(sys_root)
    celsius, throttled = sensors.temperature_c(), sensors.throttled()
    if throttled:
        remedy = "better cooling, or a stronger power supply (under-voltage throttles too)"
        yield Finding("temperature", "warning", "the processor is throttled now", remedy)
    elif celsius is None:
        yield Finding("temperature", "ok", "this machine does not tell")
    else:
        hot = celsius > HOT_C
        found = f"{celsius:.0f} degrees Celsius"
        yield Finding("temperature", "warning" if hot else "ok", found, "better cooling" if hot else "")


def _sound() -> Iterator[Finding]:
    from edge.audio.devices import find_devices
    from edge.audio.loopback import read_state, unavailable_sentence

    devices = find_devices(with_portaudio=False)
    cards = [card.id for card in devices.cards if card.capture]
    if cards:
        yield Finding("sound cards", "ok", f"can record: {', '.join(cards)}")
    else:
        remedy = "plug the array in, load its driver, and join the group audio; edge devices shows what there is"
        yield Finding("sound cards", "warning", "; ".join(("none can record", *devices.notes)), remedy)
    state = read_state()
    if state.card:
        yield Finding("loopback", "ok", f"card {state.card}, clock of {state.timer_source or 'the system'}")
    elif state.available:
        yield Finding("loopback", "warning", "not loaded", "edge loopback explains it and sets it up (--setup)")
    else:
        why, _, remedy = unavailable_sentence().partition("; ")
        yield Finding("loopback", "warning", why, remedy)


def _devices(config: Config) -> Iterator[Finding]:
    from edge.audio.factory import make_sink, make_source

    # a file would be emptied by being opened for writing
    sides: list[tuple[str, str, Callable[[Config], object]]] = [("input", config.input.kind, make_source)]
    if config.output.kind != "file":
        sides.append(("output", config.output.kind, make_sink))
    for name, kind, make in sides:
        try:
            device = make(config)
            device.open()  # type: ignore[attr-defined]
            device.close()  # type: ignore[attr-defined]
        except EdgeError as error:
            remedy = "edge devices lists what there is; a running edge keeps its devices to itself"
            if kind == "file":
                remedy = "set input.path and array.roles to what the file is (edge check FILE shows both)"
            yield Finding(name, "fail", str(error), remedy, error.exit_code)
        else:
            yield Finding(name, "ok", f"{kind} opens")
    if config.output.kind == "file":
        yield _output_file(Path(config.output.path))


def _output_file(path: Path) -> Finding:
    """Whether an output file could be written, found out without touching it."""
    code = AudioFileError.exit_code
    remedy = "make the folder and let this user write to it, or set output.path to another file"
    if not path.parent.is_dir():
        return Finding("output", "fail", f"{path}: the folder {path.parent} does not exist", remedy, code)
    if path.is_dir():
        return Finding("output", "fail", f"{path} is a folder, expected a file", "name a file in output.path", code)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return Finding("output", "fail", f"{path} cannot be written", remedy, code)
    return Finding("output", "ok", f"{path} can be written")


def _broker(config: Config) -> Iterator[Finding]:
    if not config.telemetry.mqtt.enabled:
        yield Finding("broker", "ok", "not wanted (telemetry.mqtt.enabled = false)")
        return
    from edge.telemetry.connection import probe_broker

    try:
        probe_broker(config.telemetry)
    except TelemetryError as error:
        yield Finding("broker", "fail", str(error), "audio runs without it", error.exit_code)
    else:
        yield Finding("broker", "ok", f"{config.telemetry.mqtt.host}:{config.telemetry.mqtt.port} lets us in")
