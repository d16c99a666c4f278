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


class SnrEstimator:
    """SNR from the gain estimator's own decision: a ratio mask is an estimate of the share of speech in each bin.

    The beam leaves the talker as he is at the microphones, so what the first microphone has beyond the speech power
    of the beam is noise at the input. Powers are sums over all bins and the recent seconds, pauses included.
    """

    def __init__(self, profile: Profile) -> None:
        self._keep = math.exp(-profile.hop_ms / (1000.0 * TIME_CONSTANT_S))
        self._sums = np.zeros(7)

    def update(self, x_re: F32, x_im: F32, beam: NDArray[np.complex64], ratio: F32, floor: np.float32) -> None:
        """One frame: reference spectrum (bins,) as two parts, beam complex64 (bins,), speech share (bins,)."""
        levels.track_snr(x_re, x_im, beam, ratio, floor, self._keep, self._sums)

    @property
    def frame_power(self) -> float:
        """Power of the latest frame of the beam, |Y|^2 summed over bins."""
        return float(self._sums[5])

    @property
    def frame_speech_power(self) -> float:
        """Speech part of `frame_power`."""
        return float(self._sums[6])

    @property
    def input_db(self) -> float | None:
        """SNR at the first microphone in dB; None before anything was heard."""
        mic, _, speech = self._sums[:3].tolist()
        return _ratio_db(speech, mic - speech)

    @property
    def output_db(self) -> float | None:
        """SNR of the listen output in dB; None before anything was heard."""
        noise, speech = self._sums[3:5].tolist()
        return _ratio_db(speech, noise)

    def reset(self) -> None:
        self._sums[:] = 0.0


def _ratio_db(speech: float, noise: float) -> float | None:
    if speech <= 0.0:
        return None
    return 10.0 * math.log10(speech / max(noise, 1e-4 * speech))
