"""The one contract of every beamformer, and the steering that all share."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.kernels import beam

F32 = NDArray[np.float32]


class Beamformer(Protocol):
    """Gives target weights per hop; the pipeline glides the weights in use towards them and applies them."""

    kind: str
    target_re: F32
    target_im: F32
    """(mics, bins) weights w of the output w^H x, zero at microphones left out"""
    look_re: F32
    look_im: F32
    """(mics, bins) transfer function h that passes undistorted, w^H h = 1: in phase with the first microphone in use,
    as loud as the mean of all"""

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Steer to a far source in that direction."""

    def set_active(self, active: NDArray[np.bool_]) -> None:
        """Use these microphones from now on, bool (mics,), at least one; the targets follow with the next update."""

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Learn from one frame: spectra (mics, bins), speech presence (bins,) of the hop before."""

    def reset(self) -> None:
        """Forget everything learnt; keep the look direction and the microphones in use."""


class Steering:
    """Far-field steering vectors d = exp(-2 pi i f tau), float32 (mics, bins).

    tau is relative to the reference, the first microphone in use, so the output of a beam is what that one hears.
    Microphones left out have zeros.
    """

    def __init__(self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> None:
        self._arrival_s = -(geometry.positions_m - geometry.centroid_m) / SPEED_OF_SOUND_M_S
        self._frequencies_hz = np.ascontiguousarray(frequencies_hz, dtype=np.float64)
        self._direction = (0.0, 0.0)
        self.active: NDArray[np.bool_] = np.ones(geometry.mics, np.bool_)
        self.reference = 0
        self.unit: NDArray[np.float64] = np.zeros(3)
        """points to where the look is"""
        shape = (geometry.mics, len(frequencies_hz))
        self.re: F32 = np.zeros(shape, np.float32)
        self.im: F32 = np.zeros(shape, np.float32)
        # scratch
        self._delays_s: NDArray[np.float64] = np.zeros(geometry.mics)
        self.set_look(0.0, 0.0)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Steer to a far source in that direction; allocates no arrays, for a beam that follows somebody."""
        self._direction = (azimuth_deg, elevation_deg)
        azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
        self.unit[0] = math.cos(elevation) * math.cos(azimuth)
        self.unit[1] = math.cos(elevation) * math.sin(azimuth)
        self.unit[2] = math.sin(elevation)
        np.dot(self._arrival_s, self.unit, out=self._delays_s)
        beam.steering(self._delays_s, self.active, self.reference, self._frequencies_hz, self.re, self.im)

    def set_active(self, active: NDArray[np.bool_]) -> None:
        np.copyto(self.active, active)
        self.reference = int(active.argmax())
        self.set_look(*self._direction)


def diffuse_coherence(geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> F32:
    """Coherence sinc(2 f d / c) of a spherically isotropic field for every microphone pair, packed (pairs, bins)."""
    matrix = geometry.diffuse_coherence(frequencies_hz)
    rows = [matrix[i, j] for i in range(geometry.mics) for j in range(i + 1)]
    return np.ascontiguousarray(rows, dtype=np.float32)
