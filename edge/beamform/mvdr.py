"""Online MVDR: noise and talker are learnt while running, the weights follow every hop."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import F32, Steering, diffuse_coherence
from edge.config.schema import BeamformerConfig
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.kernels import beam, covariance, rtf

SPEECH_S = 2.0
"""how much of the talker's speech the estimate of where it comes from remembers, pauses not counted"""
REVERBERANT_SPREAD = 5.0
"""variance of the transfer function around the direct path where microphones hear different reflections. It is larger
than a room alone makes it, since the direction may be wrong: what is heard then corrects it"""
LEVEL_SPREAD = 0.2
"""the same at all frequencies, from gains that are not known"""
POSITION_ERROR_M = 0.03
"""the same from where the microphones are"""
CAUTION = np.float32(0.005)
"""how much of what may be wrong with the transfer function weights are made robust against; much keeps noise"""
LEVEL_LOW_HZ, LEVEL_BINS_MIN, LEVEL_S, LEVEL_GAIN_MAX = 150.0, 4, 0.3, np.float32(2.0)
"""levels of the microphones are compared from here up to where the array is a quarter of a wavelength, with this time
constant, and trusted up to 6 dB"""
TURN_DEG, STILL_DEG = 20.0, 2.0
"""a turn by so much leaves a third of what was known of the talker; less than the second is no turn"""


class Mvdr:
    """Minimum variance distortionless response (Capon 1969), steered by the talker's relative transfer function.

    Two covariances are learnt per bin, gated by the speech presence of the hop before: that of the noise and that of
    the frames with speech. The noise covariance R starts from a diffuse field, so the first weights lie between
    delay-and-sum and superdirective.
    R is kept, not its inverse, and factorised anew each hop (Cholesky per bin): nothing can drift or lose positive
    definiteness. The transfer function h is the principal eigenvector of the two covariances (kernels/rtf.py) as far
    as there is evidence, else the geometric steering vector of the look direction. Loading and a bound on |w|^2 keep
    microphone self-noise and errors of h in hand; w^H h = 1 holds always.
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
        self._active = self._steering.active
        self._diffuse = diffuse_coherence(geometry, frequencies_hz)
        self._noise_rate = np.float32(1.0 - np.exp(-hop_s / config.noise_time_constant_s))
        self._speech_rate = np.float32(1.0 - np.exp(-hop_s / SPEECH_S))
        self._level_rate = np.float32(1.0 - np.exp(-hop_s / LEVEL_S))
        self._loading_min = np.float32(10.0 ** (config.loading_db / 10.0))
        self._norm_max: F32 = np.full(bins, 10.0 ** (-config.white_noise_gain_min_db / 10.0), np.float32)
        # reflections differ where a diffuse field does, nothing differs at microphones in one place
        apart = (1.0 - self._diffuse.astype(np.float64) ** 2).sum(axis=0) / max(pairs - mics, 1)
        phase_error = 2.0 * np.pi * frequencies_hz * POSITION_ERROR_M / SPEED_OF_SOUND_M_S
        self._spread: F32 = (REVERBERANT_SPREAD * apart + LEVEL_SPREAD + phase_error**2).astype(np.float32)
        spacing_hz = float(frequencies_hz[1])
        top_hz = SPEED_OF_SOUND_M_S / (4.0 * max(geometry.aperture_m, 1e-3))
        self._level_first = max(round(LEVEL_LOW_HZ / spacing_hz), 1)
        self._level_end = min(round(top_hz / spacing_hz), bins)
        if self._level_end < self._level_first + LEVEL_BINS_MIN:
            self._level_end = self._level_first  # too large an array: nothing to compare by
        # state
        self._heard_at: NDArray[np.float64] = self._steering.unit.copy()
        self._gain: F32 = np.ones(mics, np.float32)
        self._noise_re: F32 = np.zeros((pairs, bins), np.float32)
        self._noise_im: F32 = np.zeros((pairs, bins), np.float32)
        self._speech_re: F32 = np.zeros((pairs, bins), np.float32)
        self._speech_im: F32 = np.zeros((pairs, bins), np.float32)
        self._evidence: F32 = np.zeros((2, bins), np.float32)
        self._loading: F32 = np.zeros(bins, np.float32)
        self._load: F32 = np.zeros(bins, np.float32)
        # results
        self.look_re: F32 = np.zeros((mics, bins), np.float32)
        self.look_im: F32 = np.zeros((mics, bins), np.float32)
        self.target_re: F32 = np.zeros((mics, bins), np.float32)
        self.target_im: F32 = np.zeros((mics, bins), np.float32)
        self.trust: F32 = np.zeros(bins, np.float32)
        """(bins,) how far the transfer function is the one that was heard (1) rather than geometry (0)"""
        # scratch
        self._step: F32 = np.zeros((2, bins), np.float32)
        self._d_re: F32 = np.zeros((mics, bins), np.float32)
        self._d_im: F32 = np.zeros((mics, bins), np.float32)
        self._l: tuple[F32, F32] = (np.zeros((pairs, bins), np.float32), np.zeros((pairs, bins), np.float32))
        self._z: tuple[F32, F32] = (np.zeros((mics, bins), np.float32), np.zeros((mics, bins), np.float32))
        self._scratch: F32 = np.zeros((max(mics + 1, 7), bins), np.float32)
        self.reset()

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        self._steering.set_look(azimuth_deg, elevation_deg)
        cosine = float(np.dot(self._steering.unit, self._heard_at))
        turn_deg = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
        if turn_deg > STILL_DEG:
            self._evidence[1] *= np.float32(math.exp(-turn_deg / TURN_DEG))
            np.copyto(self._heard_at, self._steering.unit)

    def set_active(self, active: NDArray[np.bool_]) -> None:
        admitted, using = np.flatnonzero(active & ~self._active), active & self._active
        reference = self._steering.reference
        self._steering.set_active(active)
        covariances = self._noise_re, self._noise_im, self._speech_re, self._speech_im
        beam.leave_out(active, self._noise_re, self._noise_im)
        beam.leave_out(active, self._speech_re, self._speech_im)
        for mic in admitted:
            using[mic] = True
            covariance.admit(mic, using, *covariances)
        if len(admitted) or reference != self._steering.reference:
            self._evidence[1] = 0.0  # transfer functions are relative to the reference
        self._follow()

    def update(self, x_re: F32, x_im: F32, presence: F32) -> None:
        covariance.covariance_update(
            x_re,
            x_im,
            presence,
            self._active,
            self._noise_rate,
            self._speech_rate,
            self._diffuse,
            self._step,
            self._evidence,
            self._noise_re,
            self._noise_im,
            self._speech_re,
            self._speech_im,
        )
        self._follow()

    def reset(self) -> None:
        self._noise_re[:] = self._diffuse
        self._noise_im[:] = 0.0
        beam.leave_out(self._active, self._noise_re, self._noise_im)
        self._speech_re[:] = 0.0
        self._speech_im[:] = 0.0
        self._evidence[:] = 0.0
        self._gain[:] = 1.0
        self._load[:] = 0.0
        self.target_re[:] = 0.0
        self.target_im[:] = 0.0
        self._follow()

    def _follow(self) -> None:
        """Transfer function, then weights, from the covariances as they are."""
        steering = self._steering
        rtf.match_levels(
            self._noise_re,
            self._active,
            steering.reference,
            self._level_first,
            self._level_end,
            self._level_rate,
            LEVEL_GAIN_MAX,
            self._gain,
        )
        rtf.scale(steering.re, steering.im, self._gain, self._d_re, self._d_im)
        rtf.rtf_update(
            self._speech_re,
            self._speech_im,
            self._noise_re,
            self._noise_im,
            self.target_re,
            self.target_im,
            self._d_re,
            self._d_im,
            self._evidence,
            self._load,
            steering.reference,
            self._spread,
            self._loading_min,
            CAUTION,
            self._scratch,
            *self._z,
            self.look_re,
            self.look_im,
            self.trust,
            self._loading,
        )
        beam.mvdr_weights(
            self._noise_re,
            self._noise_im,
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
