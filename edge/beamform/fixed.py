"""Beamformers that learn nothing: one microphone, delay-and-sum, superdirective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import F32, Steering, diffuse_coherence
from edge.geometry import ArrayGeometry
from edge.kernels import beam

SUPERDIRECTIVE_LOADING_DB = -20.0
"""sensor noise relative to the diffuse field that the superdirective weights reckon with"""


class ReferenceMicrophone:
    """The first microphone in use alone (`beamformer.kind = "none"`, and the signal path of bypass)."""

    kind = "none"

    def __init__(self, mics: int, bins: int) -> None:
        self.target_re: F32 = np.zeros((mics, bins), np.float32)
        self.target_im: F32 = np.zeros((mics, bins), np.float32)
        self.target_re[0] = 1.0
        self.look_re, self.look_im = self.target_re, self.target_im

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """One microphone has no direction; accepted so that all beamformers have one face."""

    def set_active(self, active: NDArray[np.bool_]) -> None:
        self.target_re[:] = 0.0
        self.target_re[int(active.argmax())] = 1.0

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Nothing to learn."""

    def reset(self) -> None:
        """Nothing to forget."""


class _FixedBeam:
    """A look direction and weights that follow from it and from the microphones in use, nothing else."""

    kind: str

    def __init__(self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> None:
        self._steering = Steering(geometry, frequencies_hz)
        self.look_re, self.look_im = self._steering.re, self._steering.im
        self.target_re: F32 = np.zeros_like(self.look_re)
        self.target_im: F32 = np.zeros_like(self.look_im)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        self._steering.set_look(azimuth_deg, elevation_deg)
        self._design()

    def set_active(self, active: NDArray[np.bool_]) -> None:
        self._steering.set_active(active)
        self._design()

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Nothing to learn."""

    def reset(self) -> None:
        """Nothing to forget."""

    def _design(self) -> None:
        """Write the targets."""
        raise NotImplementedError


class DelayAndSum(_FixedBeam):
    """Phase-aligned average w = d / mics: fractional delays exact at every bin, unit gain at the look direction."""

    kind = "delay_sum"

    def __init__(self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> None:
        super().__init__(geometry, frequencies_hz)
        self._design()

    def _design(self) -> None:
        share = np.float32(1.0 / np.count_nonzero(self._steering.active))
        np.multiply(self.look_re, share, out=self.target_re)
        np.multiply(self.look_im, share, out=self.target_im)


class Superdirective(_FixedBeam):
    """MVDR for a diffuse field instead of what is heard (Bitzer and Simmer 2001): fixed, never distorts by learning.

    white_noise_gain_min_db: bound on what it amplifies of the noise of the sensors.
    """

    kind = "superdirective"

    def __init__(
        self, geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64], white_noise_gain_min_db: float
    ) -> None:
        super().__init__(geometry, frequencies_hz)
        mics, bins = self.look_re.shape
        self._diffuse = diffuse_coherence(geometry, frequencies_hz)
        self._loading: F32 = np.full(bins, 10.0 ** (SUPERDIRECTIVE_LOADING_DB / 10.0), np.float32)
        self._norm_max: F32 = np.full(bins, 10.0 ** (-white_noise_gain_min_db / 10.0), np.float32)
        # scratch
        self._r_re: F32 = np.zeros_like(self._diffuse)
        self._r_im: F32 = np.zeros_like(self._diffuse)
        self._load: F32 = np.zeros(bins, np.float32)
        self._l: tuple[F32, F32] = (np.zeros_like(self._diffuse), np.zeros_like(self._diffuse))
        self._z: tuple[F32, F32] = (np.zeros_like(self.look_re), np.zeros_like(self.look_im))
        self._scratch: F32 = np.zeros((mics + 1, bins), np.float32)
        self._design()

    def _design(self) -> None:
        np.copyto(self._r_re, self._diffuse)
        beam.leave_out(self._steering.active, self._r_re, self._r_im)
        beam.mvdr_weights(
            self._r_re,
            self._r_im,
            self.look_re,
            self.look_im,
            self._loading,
            self._norm_max,
            self._load,
            *self._l,
            *self._z,
            self._scratch,
            self.target_re,
            self.target_im,
        )
