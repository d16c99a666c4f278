"""Frequency bands in which microphones are compared, and what the geometry allows there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.profiles import Profile

COHERENCE_FROM_HZ = 150.0
"""below are hum, wind and microphones that differ"""
COHERENCE_TO_HZ = 1600.0
LOW_BAND_HZ = (150.0, 500.0)
HIGH_BAND_HZ = (700.0, 4000.0)
"""above most of wind and handling, below where heads and cases throw shadows of tens of dB"""
FEWEST_BINS = 3
DELAY_SLACK = 1.3
"""positions, temperature and near talkers: so much beyond the farthest delay is still allowed"""


class Bands:
    """Bins of the bands, and per pair the width of its own part of the coherence band.

    A pair at distance d is compared up to c / (4 d): there a diffuse field still has coherence 0.64, any other sound
    field more, and the phase of a wave from any direction stays within a quarter turn. bins (6,): first and last + 1
    bin of coherence, low and high band. widths (pairs,): bins from the first one on, 0 when too far apart.
    least_cosine (pairs,): mean cosine of the phase over that band for the largest delay allowed.
    """

    def __init__(self, geometry: ArrayGeometry, profile: Profile) -> None:
        spacing_hz = profile.rate_hz / profile.window_samples

        def bins(low_hz: float, high_hz: float) -> tuple[int, int]:
            return int(np.ceil(low_hz / spacing_hz)), int(high_hz / spacing_hz) + 1

        first, last = bins(COHERENCE_FROM_HZ, COHERENCE_TO_HZ)
        self.bins: NDArray[np.int64] = np.array(
            [first, last, *bins(*LOW_BAND_HZ), *bins(*HIGH_BAND_HZ)], dtype=np.int64
        )
        self.frequencies_hz: NDArray[np.float32] = (np.arange(first, last) * spacing_hz).astype(np.float32)
        widths, cosines = [], []
        for i in range(1, geometry.mics):
            for j in range(i):
                distance_m = float(np.linalg.norm(geometry.positions_m[i] - geometry.positions_m[j]))
                width = int(np.count_nonzero(self.frequencies_hz <= SPEED_OF_SOUND_M_S / (4.0 * distance_m)))
                width = width if width >= FEWEST_BINS else 0
                phase = 2.0 * np.pi * self.frequencies_hz[:width] * DELAY_SLACK * distance_m / SPEED_OF_SOUND_M_S
                widths.append(width)
                cosines.append(float(np.mean(np.cos(phase))) if width else -1.0)
        self.widths: NDArray[np.int64] = np.array(widths, dtype=np.int64)
        self.least_cosine: NDArray[np.float32] = np.array(cosines, dtype=np.float32)
        self.high_share = (self.bins[5] - self.bins[4]) / profile.bins
