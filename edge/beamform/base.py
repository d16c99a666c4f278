"""The one contract of every beamformer, and the steering that all share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.geometry import ArrayGeometry
from edge.kernels import beam

F32 = NDArray[np.float32]


class Beamformer(Protocol):
    """Gives target weights per hop; the pipeline glides the weights in use towards them and applies them."""

    kind: str
    target_re: F32
    target_im: F32
    """(mics, bins) weights w of the output w^H x"""

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Steer to a far source in that direction."""

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Learn from one frame: spectra (mics, bins), speech presence (bins,) of the hop before."""

    def reset(self) -> None:
        """Forget everything learnt; keep the look direction."""


class Steering:
    """Far-field steering vectors d = exp(-2 pi i f tau) relative to the centroid of the array, float32 (mics, bins)."""

    def __init__(self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> None:
        self._geometry = geometry
        self._frequencies_hz = np.ascontiguousarray(frequencies_hz, dtype=np.float64)
        shape = (geometry.mics, len(frequencies_hz))
        self.re: F32 = np.zeros(shape, np.float32)
        self.im: F32 = np.zeros(shape, np.float32)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        delays_s = self._geometry.steering_delays_s(azimuth_deg, elevation_deg)
        beam.steering(np.ascontiguousarray(delays_s, np.float64), self._frequencies_hz, self.re, self.im)
