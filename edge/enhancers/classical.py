"""Wiener filter and spectral subtraction that see the whole recording.

What they do better than their streaming namesakes (edge.mask.classical): noise is tracked from both ends and then
smoothed over what comes before and after, and so is the signal-to-noise ratio that the gain follows. They work at the
rate of the recording, so nothing above 8 kHz is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import CLASSICAL_FLOOR_DB
from edge.enhancers.base import digest, one_channel, within_limits
from edge.enhancers.frames import Frames
from edge.enhancers.noise import NoiseProfile, mean_power
from edge.enhancers.tracking import both_ways, smoothed, track_noise
from edge.kernels import gains as kernels

F32 = NDArray[np.float32]

VERSION = "2"
"""of both algorithms: raise it whenever the same options give another output"""


NEAR_S, NEAR_HZ = 0.02, 31.0
"""standard deviations of the window over which spectral subtraction smooths what it subtracts from"""


class _Classical:
    """What both share: frames, noise, floor. See edge.enhancers.base.OfflineEnhancer."""

    name: str

    def __init__(self, noise: NoiseProfile | None = None, floor_db: float = CLASSICAL_FLOOR_DB) -> None:
        within_limits("the floor in dB", floor_db, "mask.floor_db")
        self._noise = noise or NoiseProfile()
        self.floor_db = floor_db

    @property
    def identity(self) -> str:
        return digest(self.name, VERSION, noise=self._noise.about(), floor_db=self.floor_db, **self._rules())

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        samples = one_channel(samples, self.name)
        frames = Frames(rate_hz)
        given: F32 | None = None
        if self._noise.given:
            sound = self._noise.sound(samples, rate_hz)
            given = mean_power(
                sound, frames.window_samples, frames.hop_samples, lambda frame: np.abs(frames.spectra(frame)[0]) ** 2
            )

        def gains_of(power: F32) -> F32:
            if given is None:
                noise = track_noise(power, frames.hop_s, frames.bin_hz)
            else:
                noise = np.broadcast_to(np.maximum(given, np.float32(kernels.POWER_FLOOR)), power.shape)
            gain = self._gains(power, np.ascontiguousarray(noise), frames)
            return np.clip(gain, np.float32(10.0 ** (self.floor_db / 20.0)), np.float32(1.0))

        return frames.filter(samples, gains_of)

    def _rules(self) -> dict[str, float]:
        """What decides the gains, for the identity."""
        raise NotImplementedError

    def _gains(self, power: F32, noise: F32, frames: Frames) -> F32:
        """(frames, bins) of power |Y|^2 and the power of the noise, both (frames, bins)."""
        raise NotImplementedError


class OfflineWiener(_Classical):
    """Wiener gain from an a-priori SNR that is decided both from the past and from the future.

    Decision-directed (Ephraim and Malah, IEEE TASSP 1984) once forwards and once backwards, their geometric mean: the
    one is late where speech begins, the other where it ends. noise: see `NoiseProfile`; floor_db: least gain;
    smoothing: weight of the neighbouring frame at a hop of 8 ms; xi_min_db: least a-priori SNR; exponent: of the gain
    (parametric Wiener filter, Lim and Oppenheim, Proc. IEEE 67(12), 1979), below 1 it keeps more of weak speech.
    """

    name = "wiener_offline"

    def __init__(
        self,
        noise: NoiseProfile | None = None,
        floor_db: float = CLASSICAL_FLOOR_DB,
        smoothing: float = 0.985,
        xi_min_db: float = -25.0,
        exponent: float = 0.8,
    ) -> None:
        super().__init__(noise, floor_db)
        self._smoothing, self._xi_min_db, self._exponent = smoothing, xi_min_db, exponent

    def _rules(self) -> dict[str, float]:
        return {"smoothing": self._smoothing, "xi_min_db": self._xi_min_db, "exponent": self._exponent}

    def _gains(self, power: F32, noise: F32, frames: Frames) -> F32:
        smoothing = np.float32(self._smoothing ** (frames.hop_s / 0.008))
        xi_min = np.float32(10.0 ** (self._xi_min_db / 10.0))

        def wiener(power: F32, noise: F32) -> F32:
            speech = np.zeros(power.shape[1], np.float32)
            gain = np.empty_like(power)
            for seen, silent, given in zip(power, noise, gain, strict=True):
                kernels.wiener_gain(seen, seen, silent, speech, smoothing, xi_min, given)
            return gain

        forward, backward = both_ways(wiener, power, noise)
        # 1 / xi = (1 - g) / g, which is 0 and not infinite where digital silence has a gain of 1
        inverse = np.sqrt((1.0 - forward) * (1.0 - backward) / (forward * backward))
        return np.asarray((1.0 + inverse) ** -self._exponent, np.float32)


class OfflineSpectralSubtraction(_Classical):
    """Power spectral subtraction (Berouti, Schwartz and Makhoul, ICASSP 1979) from a power smoothed both ways.

    noise: see `NoiseProfile`; floor_db: spectral floor, the least gain; over_subtraction: how many times the noise is
    taken off at and below -5 dB, falling to once at 20 dB.
    """

    name = "spectral_subtraction_offline"

    def __init__(
        self,
        noise: NoiseProfile | None = None,
        floor_db: float = CLASSICAL_FLOOR_DB,
        over_subtraction: float = 3.0,
    ) -> None:
        super().__init__(noise, floor_db)
        self.over_subtraction = over_subtraction

    def _rules(self) -> dict[str, float]:
        return {"over_subtraction": self.over_subtraction}

    def _gains(self, power: F32, noise: F32, frames: Frames) -> F32:
        seen = np.maximum(
            smoothed(power, NEAR_S / frames.hop_s, NEAR_HZ / frames.bin_hz), np.float32(kernels.POWER_FLOOR)
        )
        ratio = noise / seen
        snr_db = -10.0 * np.log10(ratio)
        most = np.float32(self.over_subtraction)
        over = np.clip(most + (1.0 - most) * (snr_db + 5.0) / 25.0, 1.0, most)
        return np.asarray(np.sqrt(np.maximum(1.0 - over * ratio, 0.0)), np.float32)
