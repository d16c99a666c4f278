"""Online MVDR: the noise covariance is learnt where speech is absent, the weights follow every hop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import F32, Steering
from edge.config.schema import BeamformerConfig
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.kernels import beam


def diffuse_coherence(geometry: ArrayGeometry, frequencies_hz: NDArray[np.float64]) -> F32:
    """Coherence sinc(2 f d / c) of a spherically isotropic field for every microphone pair, packed (pairs, bins)."""
    rows = []
    for i in range(geometry.mics):
        for j in range(i + 1):
            distance_m = float(np.linalg.norm(geometry.positions_m[i] - geometry.positions_m[j]))
            rows.append(np.sinc(2.0 * frequencies_hz * distance_m / SPEED_OF_SOUND_M_S))
    return np.ascontiguousarray(rows, dtype=np.float32)


class Mvdr:
    """Minimum variance distortionless response (Capon 1969), covariance gated by speech presence per bin.

    Keeps the covariance R, not its inverse, and factorises it anew each hop (Cholesky per bin): nothing can drift or
    lose positive definiteness. R starts from a diffuse field, so the first weights are superdirective, and freezes
    while speech is present and on digital silence. Loading and a bound on |w|^2 keep microphone self-noise and
    steering errors in hand; w^H d = 1 holds always.
    """

    kind = "mvdr"

    def __init__(
        self,
        geometry: ArrayGeometry,
        frequencies_hz: NDArray[np.float64],
        hop_s: float,
        config: BeamformerConfig,
    ) -> None:
        mics, bins = geometry.mics, len(frequencies_hz)
        pairs = mics * (mics + 1) // 2
        self._steering = Steering(geometry, frequencies_hz)
        self._diffuse = diffuse_coherence(geometry, frequencies_hz)
        self._rate = np.float32(1.0 - np.exp(-hop_s / config.noise_time_constant_s))
        self._loading = np.float32(10.0 ** (config.loading_db / 10.0))
        self._norm_max = np.float32(10.0 ** (-config.white_noise_gain_min_db / 10.0))
        # state
        self._r_re: F32 = np.zeros((pairs, bins), np.float32)
        self._r_im: F32 = np.zeros((pairs, bins), np.float32)
        self._evidence: F32 = np.zeros(bins, np.float32)
        # results
        self.target_re: F32 = np.zeros((mics, bins), np.float32)
        self.target_im: F32 = np.zeros((mics, bins), np.float32)
        # scratch
        self._step: F32 = np.zeros(bins, np.float32)
        self._l_re: F32 = np.zeros((pairs, bins), np.float32)
        self._l_im: F32 = np.zeros((pairs, bins), np.float32)
        self._z_re: F32 = np.zeros((mics, bins), np.float32)
        self._z_im: F32 = np.zeros((mics, bins), np.float32)
        self._scratch: F32 = np.zeros((mics + 1, bins), np.float32)
        self.reset()
        self.set_look(0.0, 0.0)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        self._steering.set_look(azimuth_deg, elevation_deg)
        self._solve()

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        beam.covariance_update(
            x_re, x_im, presence, self._rate, self._diffuse, self._step, self._evidence, self._r_re, self._r_im
        )
        self._solve()

    def reset(self) -> None:
        self._r_re[:] = self._diffuse
        self._r_im[:] = 0.0
        self._evidence[:] = 0.0

    def _solve(self) -> None:
        beam.mvdr_weights(
            self._r_re,
            self._r_im,
            self._steering.re,
            self._steering.im,
            self._loading,
            self._norm_max,
            self._l_re,
            self._l_im,
            self._z_re,
            self._z_im,
            self._scratch,
            self.target_re,
            self.target_im,
        )
