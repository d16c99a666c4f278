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
SPEECH_MIN_DB = -15.0
"""an estimate below is no speech that could be told from the noise"""
HIDDEN_NOISE = 10.0**0.25
"""how much more noise there is in the output than the gains tell: they pass the noise below speech as speech. Mixtures
of the training data say 2 to 5 dB, more with one microphone than with a beam; this is 2.5"""
ESTIMATE_MAX_DB = 40.0
"""estimates above are not to be told apart"""


class SnrEstimator:
    """SNR from the network's own decision, bin by bin, over the recent seconds, pauses included.

    A gain G on power P is taken to mean speech power G P and noise power (1 - G)^2 P in the beam: at high SNR the noise
    is what matters, and there 1 - G is its share in amplitude. At the microphone the talker's reverberation, which
    lowers G as well, is stronger, hence (1 - G)^2.5; and speech is read half from the microphone, half from the beam.
    benchmarks/snr_estimate.py compares with known mixtures.

    Only a network decides well enough for that: a classical estimator misses noise that changes as fast as speech, and
    its reading was found 6 dB off on average. With `trusted` False both estimates are None.
    """

    def __init__(self, profile: Profile) -> None:
        self._keep = math.exp(-profile.hop_ms / (1000.0 * TIME_CONSTANT_S))
        self._sums = np.zeros(6)
        self.trusted = True

    def update(self, x_re: F32, x_im: F32, beam: NDArray[np.complex64], gain: F32, floor: np.float32) -> None:
        """One frame: reference spectrum (bins,) as two parts, beam complex64 (bins,), estimator gain (bins,)."""
        levels.track_snr(x_re, x_im, beam, gain, floor, self._keep, self._sums)

    @property
    def frame_power(self) -> float:
        """Power of the latest frame of the beam, |Y|^2 summed over bins."""
        return float(self._sums[4])

    @property
    def frame_speech_power(self) -> float:
        """Speech part of `frame_power`."""
        return float(self._sums[5])

    @property
    def input_db(self) -> float | None:
        """SNR at the first microphone in dB; None while there was no speech, or no network to tell."""
        return self._estimate_db(*self._sums[0:2].tolist())

    @property
    def output_db(self) -> float | None:
        """SNR of the listen output in dB; None while there was no speech, or no network to tell."""
        speech, noise = self._sums[2:4].tolist()
        return self._estimate_db(speech, HIDDEN_NOISE * noise)

    def reset(self) -> None:
        self._sums[:] = 0.0

    def _estimate_db(self, speech: float, noise: float) -> float | None:
        if not self.trusted or speech + noise <= 0.0:
            return None
        estimate_db = 10.0 * math.log10(max(speech, 1e-12) / max(noise, 1e-12))
        return None if estimate_db < SPEECH_MIN_DB else min(estimate_db, ESTIMATE_MAX_DB)
