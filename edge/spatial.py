"""Spatial filter: the spectra of the microphones in, one beam out. Finds the talker, holds the weights in use."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import Beamformer
from edge.beamform.factory import make_beamformer
from edge.beamform.localizer import Localizer
from edge.beamform.wind import Wind
from edge.config.schema import BeamformerConfig
from edge.geometry import ArrayGeometry
from edge.kernels import beam as beam_kernels
from edge.stft import Stft

F32 = NDArray[np.float32]

GLIDE_S = 0.03
"""time constant with which the weights in use follow the target weights (new look direction, bypass, fallback)"""


class Spatial:
    """The beamformer in use, the plain microphone of bypass, and the glide between target weights and weights in use.

    Result: `beam` complex64 (bins,).
    """

    def __init__(self, config: BeamformerConfig, geometry: ArrayGeometry, stft: Stft) -> None:
        profile = stft.profile
        self._config = config
        self._geometry = geometry
        self._hop_s = profile.hop_ms / 1000.0
        self._frequencies_hz = stft.frequencies_hz
        self._glide = np.float32(1.0 - math.exp(-self._hop_s / GLIDE_S))
        self.beamformer = self.make(config.kind)
        self._reference = self.make("none")
        self.localizer: Localizer | None = None
        """None where the array cannot tell azimuths apart"""
        if geometry.hears_azimuth:
            self.localizer = Localizer(
                geometry,
                self._frequencies_hz,
                self._hop_s,
                config.azimuth_deg,
                config.elevation_deg,
                config.sector_deg,
            )
        self.wind = Wind(geometry, self._frequencies_hz, self._hop_s, stft.analysis_window)
        """to be updated with each frame before all else"""
        # state
        self._active: NDArray[np.bool_] = np.ones(geometry.mics, np.bool_)
        self.tracking = config.steering == "track" and self.localizer is not None
        self.bypass = False
        self.azimuth_deg = config.azimuth_deg
        self.elevation_deg = config.elevation_deg
        self.weights_re: F32 = np.zeros_like(self.beamformer.target_re)
        self.weights_im: F32 = np.zeros_like(self.beamformer.target_im)
        # result
        self.beam: NDArray[np.complex64] = np.zeros(profile.bins, np.complex64)

        self._begin()

    def make(self, kind: str) -> Beamformer:
        """Beamformer of `kind` for this array, nothing learnt yet; touches no state, so any thread may make one."""
        return make_beamformer(kind, self._geometry, self._frequencies_hz, self._hop_s, self._config)

    def localize(self, presence: F32, active: NDArray[np.bool_]) -> None:
        """Find the talker in the frame that `wind` has taken in and, while tracking, steer to where he is.

        presence (bins,) of speech in the hop before, `active` bool (mics,).
        """
        if self.localizer is None or self.beamformer.kind == "none":
            return  # nothing can be told, or nothing can be steered
        self.localizer.update(self.wind.calm_re, self.wind.calm_im, presence, active)
        if self.tracking:
            azimuth_deg = self.localizer.steer_from(self.azimuth_deg)
            if azimuth_deg != self.azimuth_deg:
                self._steer(azimuth_deg, self.elevation_deg)

    def form(self, x_re: F32, x_im: F32, presence: F32) -> None:
        """Learn from what `wind` left of a frame, and write `beam`.

        x: all of the frame, (mics, bins); presence: of speech in the hop before, (bins,).
        """
        self.beamformer.update(self.wind.calm_re, self.wind.calm_im, presence)
        target = self.in_force
        beam_kernels.approach(target.target_re, target.target_im, self._glide, self.weights_re, self.weights_im)
        if target is not self._reference and target.kind != "none":
            self.wind.bound(target.look_re, target.look_im, self.weights_re, self.weights_im)
        beam_kernels.apply_weights(self.weights_re, self.weights_im, x_re, x_im, self.beam)

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Steer there and stay; the weights glide there within about 0.1 s."""
        self.tracking = False
        self._steer(azimuth_deg, elevation_deg)

    def set_tracking(self, enabled: bool) -> None:
        """Follow the talker from now on, or stay where the beam is. Nothing without a localizer."""
        self.tracking = enabled and self.localizer is not None

    def _steer(self, azimuth_deg: float, elevation_deg: float) -> None:
        self.beamformer.set_look(azimuth_deg, elevation_deg)
        self.azimuth_deg, self.elevation_deg = azimuth_deg, elevation_deg

    def take(self, other: Spatial) -> None:
        """Go on with the talker that `other` follows, where both follow."""
        if self.tracking and other.tracking and self.localizer is not None and other.localizer is not None:
            self.localizer.take(other.localizer)
            self.azimuth_deg = self.localizer.steer_from(self.azimuth_deg)
            self._begin()

    @property
    def mics_in_beam(self) -> int:
        """Microphones that the beam in use is made of, failed ones among them."""
        return 1 if self.beamformer.kind == "none" else len(self._active)

    def set_active(self, active: NDArray[np.bool_]) -> None:
        """Use these microphones, bool (mics,); at least one. One that falls out is out at once, without a glide: what
        it gave is gone, and weights that counted on it let through what it cancelled. The frames overlap, which fades.
        """
        fewer = bool((self._active & ~active).any())
        np.copyto(self._active, active)
        self.beamformer.set_active(active)
        self._reference.set_active(active)
        if fewer:
            self._settle()

    def set_beamformer(self, beamformer: Beamformer) -> None:
        """Put in another beamformer; the weights glide over to it."""
        beamformer.set_active(self._active)
        beamformer.set_look(self.azimuth_deg, self.elevation_deg)
        self.beamformer = beamformer

    def reset(self) -> None:
        """Forget what was learnt, the talker too; a direction that was set stays, a tracked one starts again."""
        self.wind.reset()
        if self.localizer is not None:
            self.localizer.reset()
        if self.tracking:
            self.azimuth_deg, self.elevation_deg = self._config.azimuth_deg, self._config.elevation_deg
        self._begin()

    def _begin(self) -> None:
        """Look where the look is, with nothing learnt and no glide."""
        self._steer(self.azimuth_deg, self.elevation_deg)
        self.beamformer.reset()
        self._settle()

    @property
    def in_force(self) -> Beamformer:
        """The beamformer whose weights are followed: that of bypass is the plain microphone."""
        return self._reference if self.bypass else self.beamformer

    def _settle(self) -> None:
        np.copyto(self.weights_re, self.in_force.target_re)
        np.copyto(self.weights_im, self.in_force.target_im)
