"""Tracked noise power and speech presence, shared by the classical estimators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.kernels import gains
from edge.profiles import Profile

F32 = NDArray[np.float32]


class NoiseTracker:
    """Noise power per bin by soft speech presence (Gerkmann and Hendriks, IEEE TASLP 2012).

    The paper's forgetting factors (0.8 and 0.9 at a 16 ms hop) are kept as time constants for any hop. keep: another
    one for the noise power, at a 16 ms hop; more leaves out more of the speech and follows noise later. keep_stuck:
    where an estimate is far below noise that has become louder; None is `keep`, as in the paper.
    Results: `observed` |Y|^2, `noise` and `presence`, float32 (bins,).
    """

    def __init__(self, profile: Profile, keep: float = 0.8, keep_stuck: float | None = None) -> None:
        hops_16_ms = profile.hop_ms / 16.0
        self._keep = np.float32(keep**hops_16_ms)
        self._keep_stuck = np.float32((keep if keep_stuck is None else keep_stuck) ** hops_16_ms)
        self._keep_mean = np.float32(0.9**hops_16_ms)
        self.observed: F32 = np.zeros(profile.bins, np.float32)
        self.noise: F32 = np.zeros(profile.bins, np.float32)
        self.presence: F32 = np.zeros(profile.bins, np.float32)
        self._presence_mean: F32 = np.zeros(profile.bins, np.float32)
        self._age: F32 = np.zeros(profile.bins, np.float32)
        self.reset()

    def update(self, spectrum: NDArray[np.complex64]) -> None:
        """Take in one spectrum complex64 (bins,)."""
        gains.power(spectrum, self.observed)
        gains.track_noise(
            self.observed,
            self.noise,
            self.presence,
            self._presence_mean,
            self._age,
            self._keep,
            self._keep_stuck,
            self._keep_mean,
        )

    def reset(self) -> None:
        self.noise[:] = 0.0
        self.presence[:] = 0.5
        self._presence_mean[:] = 0.5
        self._age[:] = 0.0
