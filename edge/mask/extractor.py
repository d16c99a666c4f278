"""From a spectrum to what the network is fed: band power over a tracked floor, band power, spatial cues."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.kernels import bands
from edge.mask.features import CUES, Rates
from edge.mask.manifest import Manifest
from edge.profiles import Profile

F32 = NDArray[np.float32]


class Extractor:
    """Features of one network, frame by frame; nothing is allocated per frame.

    features float32 (1, 1, n * bands), normalised: above the floor, then the cues where the network has them, then log
    power. direct float32 (1, 1, n * bands): ones, then all of it but the log power; what the head
    multiplies. Both are views of one buffer. cue_power float32 (2, bins) is to be filled before `extract`, or None
    without cues.
    """

    def __init__(self, manifest: Manifest, profile: Profile) -> None:
        layout = manifest.layout
        self._band, self._fraction, self._inverse_weight = layout.band, layout.fraction, layout.inverse_weight
        self._power_floor = np.float32(manifest.power_floor)
        self._mean, self._inverse_std = manifest.mean, manifest.inverse_std
        self._rates = Rates(profile.hop_ms * manifest.run_every_hops)
        count = layout.bands
        groups = 2 + len(manifest.cues)
        # scratch
        self._raw: F32 = np.zeros(groups * count, np.float32)
        self._log_power = self._raw[-count:]
        self._cues_flat = self._raw[count:-count]
        self._cues = self._cues_flat.reshape(-1, count)
        self._cue_scale = self._mean[count:-count], self._inverse_std[count:-count]
        self._cue_bands: F32 = np.zeros((len(CUES), count), np.float32)
        # result
        buffer: F32 = np.ones((1 + groups) * count, np.float32)
        self._normalised = buffer[count:]
        self._normalised_cues = self._normalised[count:-count]
        self.features = self._normalised.reshape(1, 1, -1)
        self.direct = buffer[:-count].reshape(1, 1, -1)
        # state
        self._seen = 0
        self._smooth: F32 = np.zeros(count, np.float32)
        self._noise: F32 = np.zeros(count, np.float32)
        self._cue_smooth: F32 = np.full((1 + len(CUES), count), -1.0, np.float32)
        self.cue_power: F32 | None = np.zeros((len(CUES), layout.bins), np.float32) if manifest.cues else None

    def extract(self, spectrum: NDArray[np.complex64]) -> None:
        """Write `features` and `direct` for a frame complex64 (bins,)."""
        where = (self._band, self._fraction, self._inverse_weight)
        rates = self._rates
        bands.features(
            spectrum,
            *where,
            self._power_floor,
            self._seen,
            rates.smoothing,
            rates.fall,
            rates.rise,
            self._smooth,
            self._noise,
            self._raw,
            self._mean,
            self._inverse_std,
            self._normalised,
        )
        self._seen += 1
        if self.cue_power is not None:
            bands.band_power(self.cue_power[0], *where, self._cue_bands[0])
            bands.band_power(self.cue_power[1], *where, self._cue_bands[1])
            bands.spatial_cues(
                self._log_power, self._cue_bands, rates.cue, self._power_floor, self._cue_smooth, self._cues
            )
            bands.normalise(self._cues_flat, *self._cue_scale, self._normalised_cues)

    def reset(self) -> None:
        """Forget the floor and the smoothed powers."""
        self._seen = 0
        self._cue_smooth.fill(-1.0)
