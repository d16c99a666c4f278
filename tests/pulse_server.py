"""For the PulseAudio tests: a private, headless server with null sinks, and sound that can be recognised bit by bit."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

MAP = "front-left,front-right,rear-left,rear-right,front-center,lfe,side-left,side-right"
"""an aux map would give silence through the ALSA plugin"""
PLUGIN_FOLDERS = ["/usr/lib", "/usr/lib64"]


def _have_pulse_plugin() -> bool:
    return any(next(Path(f).glob("**/alsa-lib/libasound_module_pcm_pulse.so"), None) for f in PLUGIN_FOLDERS)


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        sinks = [("mic8", 8, MAP), ("out2", 2, "front-left,front-right"), ("mic48", 2, "front-left,front-right")]
        modules = [f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}"]
        modules += [
            f"module-null-sink sink_name={name} channels={channels} channel_map={channel_map} "
            f"rate={48000 if name == 'mic48' else 16000} format=s16le"
            for name, channels, channel_map in sinks
        ]
        # -n: no modules but these; flat volumes and resampling would change bits
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
        ]
        command += ["--high-priority=no", "--realtime=no", *(f"--load={m}" for m in modules)]
        env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
        self.log = (folder / "pulse.log").open("w")
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        for _ in range(200):
            if self.process.poll() is not None:
                break
            listed = subprocess.run(
                ["pactl", "-s", f"unix:{self.socket}", "list", "short", "sinks"], capture_output=True, text=True
            )
            if listed.stdout.count("module-null-sink") == 3:
                return
            time.sleep(0.05)
        pytest.fail("PulseAudio did not start:\n" + (self.folder / "pulse.log").read_text())

    def asoundrc(self) -> str:
        def pcm(name: str, device: str) -> str:
            return f'pcm.{name} {{ type pulse server "unix:{self.socket}" device "{device}" }}\n'

        names = {"mic8_in": "mic8.monitor", "mic8_out": "mic8", "out2": "out2", "out2_in": "out2.monitor"}
        names |= {"mic48_in": "mic48.monitor", "mic48_out": "mic48"}
        return "".join(pcm(*item) for item in names.items())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.log.close()


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server until the end of the block; skips the test where its programs are missing."""
    for program in ("pulseaudio", "pactl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian: pulseaudio, pulseaudio-utils)")
    if not _have_pulse_plugin():
        pytest.skip("alsa-lib has no pulse plugin here (Debian: libasound2-plugins)")
    running = Server(folder)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def numbered(frames: int, channels: int) -> np.ndarray:
    """Frame n, channel c: (n + 1000 c) mod 30000 + 1, as 16 bits hold it; never silence."""
    codes = (np.arange(frames)[:, None] + 1000 * np.arange(channels)[None, :]) % 30000 + 1
    return (codes / 32768.0).astype(np.float32)


def piece_of(heard: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The longest stretch of `heard` that is sound, checked to be a stretch of `data` bit by bit."""
    sound = np.flatnonzero(heard[:, 0])
    assert len(sound), "nothing but silence arrived"
    stretches = np.split(sound, np.flatnonzero(np.diff(sound) > 1) + 1)
    rows = max(stretches, key=len)
    got = heard[rows[0] : rows[-1] + 1]
    first = round(float(got[0, 0]) * 32768) - 1
    starts = range(first, len(data) - len(got) + 1, 30000)
    assert any(np.array_equal(got, data[n : n + len(got)]) for n in starts), "not what was played, bit by bit"
    return got
