"""Speech-to-noise ratio while running, without a reference: at the first microphone and in the listen output."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.kernels import levels
from edge.profiles import Profile

F32 = NDArray[np.float32]

TIME_CONSTANT_S = 3.0
"""memory of the estimate"""
SLOPE, OFFSET_DB = 1.0, 0.0
"""straight line from the raw ratio to dB, fitted on mixtures of the training data (benchmarks/snr_estimate.py checks it
on held-out ones)"""
RANGE_DB = (-20.0, 40.0)
"""estimates beyond are not to be told apart"""


class SnrEstimator:
    """SNR from the gain estimator's own decision, bin by bin, over the recent seconds, pauses included.

    A gain G on a bin of power P is taken to mean speech power G P and noise power (1 - G)^2 P: at high SNR the noise is
    what matters, and there 1 - G is the noise's share in amplitude. The beam leaves the talker as he is at the
    microphones, so the power it removed from the first microphone was noise as well.
    """

    def __init__(self, profile: Profile) -> None:
        self._keep = math.exp(-profile.hop_ms / (1000.0 * TIME_CONSTANT_S))
        self._sums = np.zeros(8)

    def update(self, x_re: F32, x_im: F32, beam: NDArray[np.complex64], ratio: F32, floor: np.float32) -> None:
        """One frame: reference spectrum (bins,) as two parts, beam complex64 (bins,), estimator gain (bins,)."""
        levels.track_snr(x_re, x_im, beam, ratio, floor, self._keep, self._sums)

    @property
    def frame_power(self) -> float:
        """Power of the latest frame of the beam, |Y|^2 summed over bins."""
        return float(self._sums[6])

    @property
    def frame_speech_power(self) -> float:
        """Speech part of `frame_power`."""
        return float(self._sums[7])

    @property
    def input_db(self) -> float | None:
        """SNR at the first microphone in dB; None before anything was heard."""
        mic, beam, speech, noise = self._sums[:4].tolist()
        return _estimate_db(speech, noise + max(mic - beam, 0.0))

    @property
    def output_db(self) -> float | None:
        """SNR of the listen output in dB; None before anything was heard."""
        speech, noise = self._sums[4:6].tolist()
        return _estimate_db(speech, noise)

    def reset(self) -> None:
        self._sums[:] = 0.0


def _estimate_db(speech: float, noise: float) -> float | None:
    if speech + noise <= 0.0:
        return None
    raw_db = 10.0 * math.log10(max(speech, 1e-12) / max(noise, 1e-12))
    return min(max(SLOPE * raw_db + OFFSET_DB, RANGE_DB[0]), RANGE_DB[1])
