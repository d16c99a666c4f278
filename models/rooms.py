"""Synthetic rooms: impulse responses with a direct sound, sparse early reflections and an exponential tail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data import RATE_HZ

EARLY_S = 0.050
FADE_S = 0.020
"""The target keeps the first EARLY_S of a response and fades out over FADE_S, so no edge is audible in it."""


def room_response(rng: np.random.Generator, longest_s: float = 0.7) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One random response and its early part, float32 of equal length; the direct sound is sample 0 with gain 1.

    RT60 0.12 to 0.9 s, shorter at high frequencies; direct-to-reverberant ratio -4 to 14 dB.
    """
    rt60 = rng.uniform(0.12, 0.9)
    n = int(min(longest_s, rt60) * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    low = rng.standard_normal(n) * 10.0 ** (-3.0 * t / rt60)
    high = rng.standard_normal(n) * 10.0 ** (-3.0 * t / (rt60 * rng.uniform(0.35, 0.9)))
    # a one-pole split: slow part decays with rt60, fast part sooner
    tail = 0.6 * np.convolve(low, np.full(4, 0.25), "same") + 0.5 * (high - np.convolve(high, np.full(4, 0.25), "same"))
    gap = int(rng.uniform(0.0015, 0.012) * RATE_HZ)
    tail[:gap] = 0.0
    count = int(rng.integers(3, 12))
    where = rng.integers(gap, min(n, gap + int(0.04 * RATE_HZ)), count)
    # sparse wall reflections stand out of the tail in the first 40 ms
    tail[where] += rng.standard_normal(count) * 3.0 * np.std(tail[gap : gap + 800])
    energy = float(np.sum(tail**2))
    ratio_db = rng.uniform(-4.0, 14.0)
    tail *= np.sqrt(10.0 ** (-ratio_db / 10.0) / max(energy, 1e-12))
    tail[0] = 1.0
    early = tail.copy()
    keep, fade = int(EARLY_S * RATE_HZ), int(FADE_S * RATE_HZ)
    if n > keep:
        ramp = 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
        m = min(fade, n - keep)
        early[keep : keep + m] *= ramp[:m]
        early[keep + m :] = 0.0
    return tail.astype(np.float32), early.astype(np.float32)


class RoomBank:
    """A fixed number of random responses, stored as spectra so that a segment is convolved by one transform.

    segment: samples of the segments to be convolved.
    """

    def __init__(self, seed: int, segment: int, rooms: int) -> None:
        import scipy.fft

        rng = np.random.default_rng(seed)
        made = [room_response(rng) for _ in range(rooms)]
        self.segment = segment
        self.length = scipy.fft.next_fast_len(segment + max((r.size for r, _ in made), default=1), real=True)
        shape = (rooms, self.length // 2 + 1)
        self.wet = np.empty(shape, np.complex64)
        self.early = np.empty(shape, np.complex64)
        for i, (response, early) in enumerate(made):
            self.wet[i] = scipy.fft.rfft(response, self.length)
            self.early[i] = scipy.fft.rfft(early, self.length)

    def filter(
        self, audio: NDArray[np.float32], equaliser: NDArray[np.float32], room: int | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(reverberant, early) float32 (segment,) of `audio` float32 (segment,), both through the same equaliser.

        equaliser: float32 (length // 2 + 1,), real gains (zero phase). room None: dry, both are the same.
        """
        import scipy.fft

        spectrum = scipy.fft.rfft(audio, self.length) * equaliser
        if room is None:
            dry = scipy.fft.irfft(spectrum, self.length)[: self.segment]
            return dry, dry
        wet = scipy.fft.irfft(spectrum * self.wet[room], self.length)[: self.segment]
        early = scipy.fft.irfft(spectrum * self.early[room], self.length)[: self.segment]
        return wet, early


def random_equaliser(rng: np.random.Generator, bins: int, spread_db: float) -> NDArray[np.float32]:
    """Smooth random gain curve float32 (bins,): six points on a logarithmic axis, now and then a telephone band."""
    hz = np.linspace(1.0, RATE_HZ / 2.0, bins)
    points = np.geomspace(60.0, RATE_HZ / 2.0, 6)
    gain_db = np.interp(np.log(hz), np.log(points), rng.uniform(-spread_db, spread_db, 6))
    if rng.random() < 0.05:
        top = rng.uniform(3000.0, 6500.0)
        gain_db -= np.clip((hz - top) / 300.0, 0.0, 1.0) * 40.0
    if rng.random() < 0.15:
        gain_db -= np.clip((rng.uniform(60.0, 200.0) - hz) / 40.0, 0.0, 1.0) * 24.0
    return (10.0 ** (gain_db / 20.0)).astype(np.float32)
