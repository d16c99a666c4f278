"""Estimators without a network: Wiener, spectral subtraction, and bypass. All track the noise themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.kernels import gains
from edge.mask.noise import NoiseTracker
from edge.profiles import Profile

F32 = NDArray[np.float32]


NOISE_KEEP, NOISE_KEEP_STUCK = 0.93, 0.53
"""forgetting factors of the noise power at a 16 ms hop, of both that take it off: 0.2 s, so that little speech gets
into it, and less where noise has become so much louder that all of it would pass for speech, of which at most 1 %
counts as noise there; measured, noise that is 20 dB louder at once is followed after 4 s (profile hearing: 7 s)"""
NEAR_HZ = 187.5
"""how far to both sides the power is averaged from which the Wiener filter takes the SNR of a frame"""
FALL_KEEP = 0.5
"""what is left of the way that the Wiener gain falls, at a 16 ms hop"""


class WienerMask:
    """Wiener gain with decision-directed a-priori SNR (Ephraim and Malah 1984) over a tracked noise power.

    Three things keep it from being musical without the sluggishness of much smoothing: the SNR of a frame is that of
    the bin and its neighbours, the noise is tracked over 0.2 s, and the gain rises at once but falls over some hops.

    smoothing: weight of the past frame in the a-priori SNR at a 16 ms hop; xi_min_db: its lower bound.
    noise_power (bins,) of |Y|^2 gives a fixed profile instead of the tracked one, in units of the pipeline's own
    spectra (see `Stft`).
    """

    latency_samples = 0

    def __init__(
        self,
        profile: Profile,
        smoothing: float = 0.82,
        xi_min_db: float = -25.0,
        noise_power: F32 | None = None,
    ) -> None:
        self._tracker = NoiseTracker(profile, NOISE_KEEP, NOISE_KEEP_STUCK)
        self._noise = _fixed(noise_power, profile) if noise_power is not None else self._tracker.noise
        hops_16_ms = profile.hop_ms / 16.0
        self._smoothing = np.float32(smoothing**hops_16_ms)
        self._fall = np.float32(FALL_KEEP**hops_16_ms)
        self._xi_min = np.float32(10.0 ** (xi_min_db / 10.0))
        self._reach = round(NEAR_HZ * profile.window_samples / profile.rate_hz)
        self._near: F32 = np.zeros(profile.bins, np.float32)
        self._speech: F32 = np.zeros(profile.bins, np.float32)
        self._held: F32 = np.zeros(profile.bins, np.float32)
        self.presence: F32 = self._tracker.presence

    def step(self, spectrum: NDArray[np.complex64], gain: F32) -> None:
        seen = self._tracker
        seen.update(spectrum)
        gains.around(seen.observed, self._reach, self._near)
        gains.wiener_gain(seen.observed, self._near, self._noise, self._speech, self._smoothing, self._xi_min, gain)
        gains.fall_slowly(seen.observed, gain, self._held, self._fall)

    def reset(self) -> None:
        self._tracker.reset()
        self._speech[:] = 0.0
        self._held[:] = 0.0


class SpectralSubtractionMask:
    """Power spectral subtraction (Berouti, Schwartz and Makhoul, ICASSP 1979), streaming.

    over_subtraction: factor at low SNR (1 at 20 dB). noise_power (bins,) of |Y|^2 gives a fixed profile instead of the
    tracked one, in units of the pipeline's own spectra (see `Stft`). The spectral floor is `mask.floor_db`.
    """

    latency_samples = 0

    def __init__(
        self,
        profile: Profile,
        over_subtraction: float = 3.0,
        noise_power: F32 | None = None,
    ) -> None:
        self._tracker = NoiseTracker(profile, NOISE_KEEP, NOISE_KEEP_STUCK)
        self._noise = _fixed(noise_power, profile) if noise_power is not None else self._tracker.noise
        self._keep = np.float32(0.6 ** (profile.hop_ms / 8.0))
        self.over_subtraction = over_subtraction
        self._over_max = np.float32(over_subtraction)
        self._smooth: F32 = np.zeros(profile.bins, np.float32)
        self.presence: F32 = self._tracker.presence

    def step(self, spectrum: NDArray[np.complex64], gain: F32) -> None:
        self._tracker.update(spectrum)
        gains.subtraction_gain(self._tracker.observed, self._noise, self._smooth, self._keep, self._over_max, gain)

    def reset(self) -> None:
        self._tracker.reset()
        self._smooth[:] = 0.0


class BypassMask:
    """Unit gain. Still tracks speech presence, so that MVDR and the SNR estimate work without a mask."""

    latency_samples = 0

    def __init__(self, profile: Profile) -> None:
        self._tracker = NoiseTracker(profile)
        self.presence: F32 = self._tracker.presence

    def step(self, spectrum: NDArray[np.complex64], gain: F32) -> None:
        self._tracker.update(spectrum)
        gain[:] = 1.0

    def reset(self) -> None:
        self._tracker.reset()


def _fixed(noise_power: F32, profile: Profile) -> F32:
    """A noise profile as the kernels read it, apart from the caller's. Raises ValueError on a wrong shape."""
    if noise_power.shape != (profile.bins,):
        raise ValueError(f"noise_power has shape {noise_power.shape}, expected ({profile.bins},)")
    return np.array(noise_power, np.float32)
