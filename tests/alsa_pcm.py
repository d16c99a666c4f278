"""For the audio tests: a sound card in virtual time with pyalsaaudio's contract, and real alsa-lib in a subprocess.

FakeCard's samples say when they were captured, so a test can tell from the sound alone whether anything moved in time
or between channels.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

alsaaudio = pytest.importorskip("alsaaudio", reason="pyalsaaudio is not installed (Linux only)")

CODES = 32000
"""period of the coded capture signal in frames; code 0 is never sent, so that it can only be inserted silence"""
XRUN = -errno.EPIPE
FORMATS = {getattr(alsaaudio, "PCM_FORMAT_" + n): n for n in ("S16_LE", "S24_3LE", "S32_LE", "FLOAT_LE")}
BYTES = {"S16_LE": 2, "S24_3LE": 3, "S32_LE": 4, "FLOAT_LE": 4}


def alsa_error(number: int, device: str = "hw:CARD=Fake") -> Exception:
    return alsaaudio.ALSAAudioError(f"{os.strerror(number)} [{device}]")


class VirtualClock:
    """Time that passes only when somebody sleeps, waits, or a test says so."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.poll_ms = 1
        """how long every wait for a device takes, if it is not told less"""

    def now_ns(self) -> int:
        return self.ns

    def sleep_until_ns(self, when_ns: int) -> None:
        self.ns = max(self.ns, when_ns)

    def poll(self, poller, timeout_ms: int):
        self.ns += min(timeout_ms, self.poll_ms) * 1_000_000
        return [(0, 1)]

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


class FakeCard:
    """A sound card that keeps its own time: ppm faster or slower than the clock."""

    def __init__(self, clock: VirtualClock, ppm: float = 0.0, **limits) -> None:
        self.clock = clock
        self.ppm = ppm
        self.limits = limits
        """what info() says instead of what was asked: rate, channels, format_name, period_size, buffer_size"""
        self.present = True
        self.silent = False
        """gives nothing although it is there"""
        self.stuck = False
        """says at every read that it lost frames"""
        self.reads = 0
        self.always_dry = False
        """says at every write that it ran dry"""
        self.largest_read = 10**9
        self.tear_bytes = 0
        self.fail_with = 0
        self.opened: list[FakePcm] = []
        self.attempts_ns: list[int] = []

    def open(self, **asked):
        self.attempts_ns.append(self.clock.ns)
        if not self.present:
            raise alsa_error(errno.ENODEV, asked["device"])
        pcm = FakePcm(self, asked)
        self.opened.append(pcm)
        return pcm

    def unplug(self) -> None:
        self.present = False

    def plug(self) -> None:
        self.present = True
        for pcm in self.opened:
            pcm.dead = True


class FakePcm:
    """alsaaudio.PCM of version 0.11, non-blocking, on a FakeCard."""

    def __init__(self, card: FakeCard, asked: dict) -> None:
        self.card = card
        self.device = asked["device"]
        self.capture = asked["type"] == alsaaudio.PCM_CAPTURE
        self.rate = card.limits.get("rate", asked["rate"])
        self.channels = card.limits.get("channels", asked["channels"])
        self.format = card.limits.get("format_name", FORMATS[asked["format"]])
        self.period = card.limits.get("period_size", asked["periodsize"])
        self.buffer = card.limits.get("buffer_size", self.period * asked["periods"])
        self.dead = self.closed = self.running = False
        self.at = 0
        """capture: next frame of the card to read; playback: frames written since the start"""
        self.start = 0
        self.sound: list[np.ndarray] = []
        """playback: every sample written, int16"""
        self.dry_frames = 0

    def _card_frame(self) -> int:
        return int(self.card.clock.ns * self.rate * (1.0 + self.card.ppm * 1e-6) / 1e9)

    def _check(self) -> None:
        if self.closed:
            raise alsaaudio.ALSAAudioError("PCM device is closed")
        if not self.card.present or self.dead:
            raise alsa_error(errno.ENODEV, self.device)
        if self.card.fail_with:
            number, self.card.fail_with = self.card.fail_with, 0
            self.dead = True
            raise alsa_error(number, self.device)

    def info(self) -> dict:
        assert not self.closed, "info() on a closed PCM aborts the process"
        return {
            "rate": self.rate,
            "channels": self.channels,
            "format_name": self.format,
            "period_size": self.period,
            "buffer_size": self.buffer,
        }

    def read(self) -> tuple[int, bytes]:
        self._check()
        self.card.reads += 1
        if self.card.stuck:
            assert self.card.reads < 100_000, "reads without end"
            return XRUN, b""
        now = self._card_frame()
        if not self.running:
            self.running, self.at = True, now
        if self.card.silent:
            self.at = now
        waiting = now - self.at
        if waiting > self.buffer:
            self.running = False
            return XRUN, b""
        frames = min(waiting, self.period, self.card.largest_read)
        data = capture_code(self.at, frames, self.channels).tobytes()
        self.at += frames
        if frames and self.card.tear_bytes:
            data, self.card.tear_bytes = data[: -self.card.tear_bytes], 0
        return frames, data

    def write(self, data) -> int:
        self._check()
        if self.card.always_dry:
            return XRUN
        frames = len(data) // (BYTES[self.format] * self.channels)
        if not self.running:
            self.running, self.at, self.start = True, 0, self._card_frame()
        played = self._card_frame() - self.start
        if played > self.at:
            self.dry_frames += played - self.at
            self.running = False
            return XRUN
        frames = min(frames, self.buffer - (self.at - played))
        self.sound.append(np.frombuffer(bytes(data), np.int16).reshape(-1, self.channels)[:frames])
        self.at += frames
        return frames

    def avail(self) -> int:
        if not self.running:
            return 0 if self.capture else self.buffer
        moved = self._card_frame()
        if self.capture:
            return moved - self.at
        queue = self.at - (moved - self.start)
        return XRUN if queue < 0 else self.buffer - queue

    def polldescriptors(self) -> list[tuple[int, int]]:
        return [(0, 1)]

    def polldescriptors_revents(self, ready) -> int:
        return 1

    def getchannels(self) -> list[int]:
        return [self.channels]

    def getrates(self):
        return [self.rate, 48000] if self.rate != 48000 else 48000

    def getformats(self) -> dict[str, int]:
        return {self.format: 0}

    def close(self) -> None:
        self.closed = True


def capture_code(first: int, frames: int, channels: int) -> np.ndarray:
    """int16 (frames, channels): frame number and channel of each captured sample, from 1 on."""
    code = (np.arange(first, first + frames) % CODES + 1)[:, None] + np.arange(channels)[None, :]
    return code.astype(np.int16)


def frame_codes(block: np.ndarray) -> np.ndarray:
    """Frame code of each row of a captured float block, 0 for silence. Fails if a row mixes frames or channels."""
    values = np.rint(block * 32768.0).astype(np.int64)
    first = values[:, :1]
    expected = np.where(first == 0, 0, first + np.arange(block.shape[1]))
    np.testing.assert_array_equal(values, expected, "channels or frames were mixed")
    return values[:, 0]


def run_alsa(script: str, asoundrc: str, folder: Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process whose alsa-lib knows the PCMs of `asoundrc` (it reads its configuration once)."""
    base = Path("/usr/share/alsa/alsa.conf")
    if not base.exists():
        pytest.skip("alsa-lib's alsa.conf is not installed (Debian: libasound2-data)")
    config = folder / "asound.conf"
    config.write_text(f"<{base}>\n{asoundrc}\n")
    root = Path(__file__).resolve().parent.parent
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ALSA_CONFIG_PATH": str(config), "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
