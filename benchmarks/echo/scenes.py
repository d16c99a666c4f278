"""Seeded scenes for the echo canceller: a loudspeaker playing speech or music, a talker, a square of four microphones.

Time goes alike in all: the loudspeaker alone, from DOUBLE_S on the talker too, from AFTER_S on the loudspeaker alone,
which at CHANGE_S jumps to another place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.rooms import Room, propagate
from benchmarks.mixtures import RATE_HZ, continuous_speech, talkers

F64 = NDArray[np.float64]

DOUBLE_S, AFTER_S, CHANGE_S, END_S = 12.0, 20.0, 24.0, 32.0
ECHO_DBFS, NOISE_DBFS = -26.0, -60.0
SQUARE = np.array([[0.029, 0.029, 0.0], [-0.029, 0.029, 0.0], [-0.029, -0.029, 0.0], [0.029, -0.029, 0.0]])
ROOM_M = np.array([5.2, 4.1, 2.7])
ARRAY_M = np.array([2.3, 1.9, 1.1])
TALKER_M = ARRAY_M + np.array([1.3, 0.9, 0.3])
LOUDSPEAKERS_M = {
    "near": ARRAY_M + np.array([0.0, 0.0, -0.12]),
    "far": ARRAY_M + np.array([1.2, -0.6, 0.2]),
}
"""in the same case, and across the table"""
ELSEWHERE_M = ARRAY_M + np.array([-0.8, 1.0, 0.1])
RIGHT_M = ARRAY_M + np.array([0.1, -0.5, 0.0])
"""where the second loudspeaker of a stereo pair is"""
FILTER_DELAY = 40
"""samples before the direct path in responses of pyroomacoustics; a reference would have them too"""


@dataclass(frozen=True)
class Scene:
    """Everything apart; the microphones hear echo + talker + noise."""

    name: str
    echo: F64
    """float64 (samples, mics)"""
    talker: F64
    noise: F64
    references: F64
    """float64 (samples, references), what the canceller is told"""


@dataclass(frozen=True)
class Spec:
    """One scene in words."""

    playback: str = "speech"
    """speech or music"""
    loudspeaker: str = "near"
    rt60_s: float = 0.4
    seed: int = 1
    delay_ms: float = 0.0
    """of the echo against the reference, on top of the way through the air"""
    distortion: float = 0.0
    """of the loudspeaker: third harmonic of a full-scale sine, relative"""
    stereo: bool = False
    muted: bool = False
    """the reference plays, the loudspeaker does not"""
    ratio_db: float = 0.0
    """talker to echo"""

    @property
    def name(self) -> str:
        parts = [self.playback, self.loudspeaker, f"RT60 {self.rt60_s:g} s", f"seed {self.seed}"]
        parts += [f"delay {self.delay_ms:g} ms"] if self.delay_ms else []
        parts += [f"distortion {100 * self.distortion:g} %"] if self.distortion else []
        parts += ["stereo"] if self.stereo else []
        parts += ["muted"] if self.muted else []
        parts += [f"talker {self.ratio_db:+g} dB"] if self.ratio_db else []
        return ", ".join(parts)


def specs() -> Iterator[Spec]:
    """All that is measured."""
    for playback in ("speech", "music"):
        for loudspeaker in LOUDSPEAKERS_M:
            for rt60_s in (0.3, 0.4):
                for seed in (1, 2):
                    yield Spec(playback, loudspeaker, rt60_s, seed)
    for playback in ("speech", "music"):
        yield Spec(playback, delay_ms=100.0)
        yield Spec(playback, delay_ms=200.0)
        yield Spec(playback, distortion=0.01)
        yield Spec(playback, distortion=0.05)
        yield Spec(playback, stereo=True)
        yield Spec(playback, muted=True)
        yield Spec(playback, ratio_db=10.0)


def music(samples: int, rng: np.random.Generator) -> F64:
    """Chords of plucked strings and a drum, RMS 1."""
    out = np.zeros(samples + 2 * RATE_HZ)
    time_s = np.arange(int(1.2 * RATE_HZ)) / RATE_HZ
    start = 0
    while start < samples:
        root_hz = 110.0 * 2.0 ** (rng.integers(12) / 12.0)
        chord = np.zeros(time_s.size)
        for interval in (0, 4, 7, 12):
            for harmonic in range(1, 14):
                tone_hz = root_hz * 2.0 ** (interval / 12.0) * harmonic
                if tone_hz < 7600.0:
                    chord += np.sin(2 * np.pi * tone_hz * time_s + rng.uniform(0, 2 * np.pi)) / harmonic**1.2
        out[start : start + time_s.size] += chord * np.exp(-time_s / 0.3)
        hit = np.arange(RATE_HZ // 4) / RATE_HZ
        out[start : start + hit.size] += 1.5 * rng.standard_normal(hit.size) * np.exp(-hit / 0.03)
        start += int(rng.uniform(0.15, 0.5) * RATE_HZ)
    out = out[:samples]
    return out / np.sqrt(np.mean(out**2))


def render(spec: Spec, data: Path) -> Scene:
    """Make one scene. Needs pyroomacoustics and the folder of evaluation speech."""
    rng = np.random.default_rng(spec.seed)
    samples = int(END_S * RATE_HZ)
    voices = [talkers(data)[i][1] for i in rng.permutation(len(talkers(data)))[:3]]
    room = Room(ROOM_M, spec.rt60_s, ARRAY_M + SQUARE)
    places = [LOUDSPEAKERS_M[spec.loudspeaker], ELSEWHERE_M, TALKER_M, RIGHT_M]
    first, elsewhere, talking, right = room.responses(np.array(places))[..., FILTER_DELAY:]

    def source(voice: int) -> F64:
        return (
            continuous_speech(voices[voice], samples).astype(np.float64)
            if spec.playback == "speech"
            else music(samples, rng)
        )

    played = [source(0)]
    if spec.stereo:
        # a common part in the middle, and parts of their own
        sides = source(2)
        played = [played[0] + 0.5 * sides, played[0] - 0.5 * sides]
    played = [0.1 * signal / np.sqrt(np.mean(signal**2)) for signal in played]
    heard = [_distorted(np.roll(signal, int(spec.delay_ms / 1000.0 * RATE_HZ)), spec.distortion) for signal in played]
    before, after = propagate(heard[0], first), propagate(heard[0], elsewhere)
    after *= np.sqrt(np.mean(before**2) / np.mean(after**2))
    if spec.stereo:
        before, after = before + propagate(heard[1], right), after + propagate(heard[1], right)
    change = int(CHANGE_S * RATE_HZ)
    echo = np.concatenate([before[:change], after[change:]])
    echo *= 10.0 ** (ECHO_DBFS / 20.0) / np.sqrt(np.mean(echo[:, 0] ** 2))
    talker = propagate(continuous_speech(voices[1], samples).astype(np.float64), talking)
    speaks = slice(int(DOUBLE_S * RATE_HZ), int(AFTER_S * RATE_HZ))
    if not spec.muted:
        talker[: speaks.start] = 0.0
        talker[speaks.stop :] = 0.0
    talker *= 10.0 ** (spec.ratio_db / 20.0) * np.sqrt(np.mean(echo[speaks, 0] ** 2) / np.mean(talker[speaks, 0] ** 2))
    noise = 10.0 ** (NOISE_DBFS / 20.0) * rng.standard_normal(echo.shape)
    return Scene(spec.name, 0.0 * echo if spec.muted else echo, talker, noise, np.stack(played, axis=1))


def _distorted(signal: F64, third_harmonic: float) -> F64:
    """Soft saturation: a full-scale sine (the loudest peak) gets this much third harmonic."""
    if not third_harmonic:
        return signal
    peak = np.abs(signal).max()
    x = signal / peak
    return peak * (x - 4.0 * third_harmonic / (1.0 + 3.0 * third_harmonic) * x**3)
