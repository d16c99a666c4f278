"""Spectra of a whole recording, and back: evenly overlapping windows, in long segments so that memory is bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.aligned import RATES_HZ
from edge.errors import ConfigError

F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]

WINDOW_S = 0.032
OVERLAP = 4
"""windows over each sample"""
SEGMENT_S = 60.0
CONTEXT_S = 5.0
"""heard on both sides of a segment: longer than anything that the gains of a frame depend on"""


class Frames:
    """Root-Hann frames of 32 ms, a quarter apart, at any rate. Unit gain gives back the recording.

    Raises ConfigError for a rate that is none.
    """

    def __init__(self, rate_hz: int) -> None:
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise ConfigError(f"rate_hz is {rate_hz}, expected from {RATES_HZ[0]} to {RATES_HZ[1]}")
        self.hop_samples = round(WINDOW_S * rate_hz / OVERLAP)
        self.window_samples = OVERLAP * self.hop_samples
        self.hop_s = self.hop_samples / rate_hz
        self.bin_hz = rate_hz / self.window_samples
        self._window = np.sqrt(np.hanning(self.window_samples + 1)[:-1]).astype(np.float32)

    def spectra(self, samples: F32) -> C64:
        """(frames, bins) of samples (n,), n at least one window."""
        cut = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples)[:: self.hop_samples]
        return np.fft.rfft(cut * self._window, axis=1).astype(np.complex64)

    def filter(self, samples: F32, gains_of: Callable[[F32], F32]) -> F32:
        """samples (n,) through gains_of(power (frames, bins)) -> gains (frames, bins), aligned, (n,).

        gains_of hears one segment with its context at a time, always the same ones for the same recording.
        """
        if not samples.size:
            return samples
        hop, window = self.hop_samples, self.window_samples
        lead = window - hop
        count = -(-(samples.size + lead) // hop)
        padded = np.zeros((count - 1) * hop + window, np.float32)
        padded[lead : lead + samples.size] = samples
        out = np.zeros_like(padded)
        segment, context = (max(1, round(seconds / self.hop_s)) for seconds in (SEGMENT_S, CONTEXT_S))
        for first in range(0, count, segment):
            last = min(count, first + segment)
            start, stop = max(0, first - context), min(count, last + context)
            spectra = self.spectra(padded[start * hop : (stop - 1) * hop + window])
            gains = gains_of(np.abs(spectra) ** 2)
            kept = slice(first - start, last - start)
            made = np.fft.irfft(spectra[kept] * gains[kept], window, axis=1).astype(np.float32)
            self._add(made * self._window, out[first * hop : (last - 1) * hop + window])
        # the squares of the windows over a sample sum to half their number
        return out[lead : lead + samples.size] * np.float32(2.0 / OVERLAP)

    def _add(self, frames: F32, out: F32) -> None:
        """Overlap-add frames (frames, window_samples) into out, a quarter of all of them at a time."""
        hop = self.hop_samples
        for part in range(OVERLAP):
            rows = out[part * hop : part * hop + len(frames) * hop].reshape(-1, hop)
            rows += frames[:, part * hop : (part + 1) * hop]
