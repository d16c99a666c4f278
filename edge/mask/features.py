"""What the mask network hears: log power in bands, one layout for training and for the live path."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.profiles import Profile

POWER_FLOOR = 1e-7
"""Added to a band's mean power before the logarithm: near 16-bit rounding noise, so silence is an ordinary value."""
LEAST_DEVIATION = 0.1
"""A feature that hardly moves is not blown up by its normalisation."""

SINGLE_BINS_TO_HZ = 1250.0
GROWTH = 0.064
"""Above SINGLE_BINS_TO_HZ the distance between band centres is this fraction of the centre (11 bands an octave)."""


SMOOTHING_S = 0.04
FALL_S = 0.06
RISE_S = 2.0
"""Time constants of the noise floor of a band: of the power it is followed on, downwards and upwards."""
CUE_S = 0.03
"""Time constant of the powers whose ratios are the spatial cues."""
CUES = ("removed", "disagreement")
"""The spatial cues, in this order (see `edge.kernels.bands.spatial_cues`)."""


class Rates:
    """Shares of the way per frame of `frame_ms` that belong to the time constants above."""

    def __init__(self, frame_ms: float) -> None:
        self.smoothing, self.fall, self.rise, self.cue = (
            np.float32(-math.expm1(-frame_ms / (1000.0 * time_s))) for time_s in (SMOOTHING_S, FALL_S, RISE_S, CUE_S)
        )


@dataclass(frozen=True)
class BandLayout:
    """Triangular bands that sum to one in every bin: bin k lies `fraction[k]` of the way from band[k] to band[k] + 1.

    centre_bins int32 (bands,), rising, first 0 and last bins - 1; band int32 (bins,); fraction float32 (bins,) in
    [0, 1); inverse_weight float32 (bands,): one over the sum of a band's triangle.
    """

    centre_bins: NDArray[np.int32]
    band: NDArray[np.int32]
    fraction: NDArray[np.float32]
    inverse_weight: NDArray[np.float32]

    @property
    def bands(self) -> int:
        return int(self.centre_bins.shape[0])

    @property
    def bins(self) -> int:
        return int(self.band.shape[0])

    def matrix(self) -> NDArray[np.float32]:
        """Interpolation matrix float32 (bands, bins): bin gains = band gains @ matrix; columns sum to one."""
        out = np.zeros((self.bands, self.bins), np.float32)
        k = np.arange(self.bins)
        out[self.band, k] += 1.0 - self.fraction
        inside = self.fraction > 0
        out[self.band[inside] + 1, k[inside]] += self.fraction[inside]
        return out


def layout_from_centres(centre_bins: NDArray[np.integer] | list[int]) -> BandLayout:
    """Layout for rising centre bins from 0 to the last bin. Raises ValueError where they are not that."""
    centres = np.asarray(centre_bins, np.int32)
    if centres.ndim != 1 or centres.size < 2 or centres[0] != 0 or np.any(np.diff(centres) < 1):
        raise ValueError("band centres must rise from bin 0 to the last bin")
    k = np.arange(int(centres[-1]) + 1)
    band = np.minimum(np.searchsorted(centres, k, side="right") - 1, centres.size - 1).astype(np.int32)
    width = np.append(np.diff(centres), 1)
    fraction = ((k - centres[band]) / width[band]).astype(np.float32)
    weight = np.zeros(centres.size)
    np.add.at(weight, band, 1.0 - fraction)
    inside = fraction > 0
    np.add.at(weight, band[inside] + 1, fraction[inside])
    return BandLayout(centres, band, fraction, (1.0 / weight).astype(np.float32))


def band_layout(profile: Profile) -> BandLayout:
    """The layout of a profile: single bins to 1.25 kHz, then bands that widen in proportion to frequency."""
    last = profile.bins - 1
    centre = int(SINGLE_BINS_TO_HZ * profile.window_samples / profile.rate_hz)
    centres = list(range(centre + 1))
    while centre < last:
        centre += max(1, int(GROWTH * centre + 0.5))
        centres.append(min(centre, last))
    return layout_from_centres(centres)
