"""Beamformers that learn nothing: one microphone, and delay-and-sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import F32, Steering
from edge.geometry import ArrayGeometry


class ReferenceMicrophone:
    """The first microphone alone (`beamformer.kind = "none"`, and the signal path of bypass)."""

    kind = "none"

    def __init__(self, mics: int, bins: int) -> None:
        self.target_re: F32 = np.zeros((mics, bins), np.float32)
        self.target_im: F32 = np.zeros((mics, bins), np.float32)
        self.target_re[0] = 1.0

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """One microphone has no direction; accepted so that all beamformers have one face."""

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Nothing to learn."""

    def reset(self) -> None:
        """Nothing to forget."""


class DelayAndSum:
    """Phase-aligned average w = d / mics: fractional delays exact at every bin, unit gain at the look direction."""

    kind = "delay_sum"

    def __init__(self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> None:
        self._steering = Steering(geometry, frequencies_hz)
        self._share = np.float32(1.0 / geometry.mics)
        self.target_re: F32 = np.zeros_like(self._steering.re)
        self.target_im: F32 = np.zeros_like(self._steering.im)
        self.set_look(0.0, 0.0)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        self._steering.set_look(azimuth_deg, elevation_deg)
        np.multiply(self._steering.re, self._share, out=self.target_re)
        np.multiply(self._steering.im, self._share, out=self.target_im)

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Nothing to learn."""

    def reset(self) -> None:
        """Nothing to forget."""
