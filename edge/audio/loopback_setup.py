"""Setting up the loopback card: the commands, shown before each is run, and a proof that sound goes through."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from edge.audio.loopback import (
    CARD,
    MODPROBE_FILE,
    MODULES_LOAD_FILE,
    Roots,
    modprobe_text,
    read_state,
    sample_text,
    timer_source_of,
)
from edge.errors import DeviceError

Say = Callable[[str], None]
Run = Callable[[list[str]], None]


def run_command(command: list[str]) -> None:
    """Run one command, with sudo when not root. Raises DeviceError with what it printed."""
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise DeviceError(f"`{shlex.join(command)}` needs root and there is no sudo; run `edge loopback` as root")
        command = ["sudo", *command]
    try:
        subprocess.run(command, check=True, text=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise DeviceError(f"`{shlex.join(command)}` failed ({said[-1] if said else 'no reason given'})") from error


class LoopbackSetup:
    """Installs or removes the two files in /etc and loads or unloads the module; every command is said first."""

    def __init__(self, roots: Roots, say: Say, run: Run = run_command, samples: Path | None = None) -> None:
        self._roots = roots
        self._say = say
        self._run = run
        self._samples = samples

    def _do(self, command: list[str]) -> None:
        self._say(f"  {shlex.join(command)}")
        self._run(command)

    def _install(self, text: str, target: Path) -> None:
        if target.is_file() and target.read_text() == text:
            self._say(f"  {target} is as it should be")
            return
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(text)
            file.flush()
            self._say(f"  {target} becomes:")
            for line in text.splitlines():
                self._say(f"    {line}")
            self._do(["install", "-D", "-m", "644", file.name, str(target)])

    def setup(self, timer: str = "") -> None:
        """Files, module, clock. timer: id of the card whose clock to follow, empty for the system's."""
        etc = self._roots.etc
        source = timer_source_of(timer) if timer else ""
        self._install(modprobe_text(source, self._samples), etc / MODPROBE_FILE)
        self._install(sample_text(MODULES_LOAD_FILE, self._samples), etc / MODULES_LOAD_FILE)
        state = read_state(self._roots)
        if not state.loaded:
            self._do(["modprobe", "snd-aloop"])
        elif state.card and state.timer_source != source:
            target = self._roots.proc_asound / state.card / "timer_source"
            self._do(["sh", "-c", f"echo {shlex.quote(source)} > {shlex.quote(str(target))}"])
            self._say("  (counts from the next time the loopback is opened)")

    def undo(self) -> None:
        """Remove the files and unload the module."""
        for name in (MODPROBE_FILE, MODULES_LOAD_FILE):
            if (self._roots.etc / name).exists():
                self._do(["rm", str(self._roots.etc / name)])
        if read_state(self._roots).loaded:
            self._do(["modprobe", "-r", "snd-aloop"])


def sound_goes_through(seconds: float = 1.0, rate_hz: int = 16000) -> str:
    """Play noise into the loopback and record it at the other end. Empty when it came through, else why not."""
    import numpy as np

    from edge.audio.alsa_sink import AlsaSink
    from edge.audio.alsa_source import AlsaSource

    hop = 128
    sink = AlsaSink(f"hw:CARD={CARD},DEV=0", rate_hz, 2, period_frames=hop)
    source = AlsaSource(f"hw:CARD={CARD},DEV=1", rate_hz, 2, period_frames=hop)
    rng = np.random.default_rng(0)
    sent = (rng.integers(-16384, 16384, (int(seconds * rate_hz) // hop * hop, 2)) / 32768).astype(np.float32)
    heard = np.zeros(sent.shape, np.float32)
    try:
        sink.open()
        source.open()
        for first in range(0, len(sent), hop):
            sink.write(sent[first : first + hop])
            source.read(heard[first : first + hop])
    except DeviceError as error:
        return str(error)
    finally:
        source.close()
        sink.close()
    # wherever a piece of the sent noise turns up, unchanged in both channels, the rest is a matter of delay
    piece = sent[:16]
    starts = np.flatnonzero(heard[:-16, 0] == piece[0, 0])
    if any(np.array_equal(heard[n : n + 16], piece) for n in starts):
        return ""
    return "what was played on one end did not come out at the other"
