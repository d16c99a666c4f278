"""Follows a talker over the scans of the grid: one who walks, two who take turns, and nobody."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.beamform.doa import Grid
from edge.geometry import apart_deg, wrapped_deg
from edge.kernels import srp

EVIDENCE_MIN = 0.003
"""less speech than this in the memory says nothing about a direction"""
SHARPNESS = 100.0
"""log-likelihood per unit of steered power over the root of the evidence. The power holds the evidence once; taken so,
weak speech counts for more than its share, and long strong speech, whose estimates repeat each other, for less"""
SPREAD = 0.25
"""share of the belief that moves to each neighbour of the grid between two estimates: someone walks"""
JUMP = 0.001
"""share of the belief that goes anywhere: someone else speaks"""
NEAR_DEG = 12.5
"""belief this near to a direction counts for it"""
JUMP_CONFIDENCE = 0.6
"""belief that a new direction farther than twice NEAR_DEG away needs"""


class DirectionTracker:
    """Grid filter (discrete Bayes filter) over azimuth, fed with steered power where there is speech.

    `azimuth_deg`: most likely direction, None until speech was heard. `confidence` in [0, 1]: the probability, by this
    filter, that the talker is within 12.5 degrees of it; 1 / 14 or so is knowing nothing. Both are held in silence;
    `age_estimates` counts the estimates since there was speech.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._azimuth = grid.azimuth_deg.tolist()
        count = len(self._azimuth)
        self._step_deg = self._azimuth[1] - self._azimuth[0] if count > 1 else 0.0
        self._near = round(NEAR_DEG / self._step_deg) if count > 1 else 0
        self._belief: NDArray[np.float64] = np.zeros(count)
        self._scratch: NDArray[np.float64] = np.zeros(count)
        self.azimuth_deg: float | None
        self.confidence: float
        self.age_estimates: int
        self.reset()

    def update(self, power: NDArray[np.float32], evidence: float) -> None:
        """Take in one scan."""
        self.age_estimates += 1
        if not evidence >= EVIDENCE_MIN:
            return
        belief = self._belief
        srp.bayes_step(power, SHARPNESS / math.sqrt(evidence), SPREAD, JUMP, self._grid.circular, belief, self._scratch)
        self.age_estimates = 0
        peak = int(belief.argmax())
        mass = self._mass_near(peak)
        azimuth_deg = self._refined(peak)
        if self.azimuth_deg is not None:
            away_deg = apart_deg(azimuth_deg, self.azimuth_deg)
            if away_deg > 2.0 * NEAR_DEG and mass < JUMP_CONFIDENCE:
                self.confidence = self._mass_near(self._index_of(self.azimuth_deg))
                return
        elif mass < JUMP_CONFIDENCE:
            return
        self.azimuth_deg, self.confidence = azimuth_deg, mass

    def _mass_near(self, index: int) -> float:
        count = len(self._azimuth)
        total = 0.0
        for k in range(index - self._near, index + self._near + 1):
            if self._grid.circular:
                total += self._belief[k % count]
            elif 0 <= k < count:
                total += self._belief[k]
        return min(float(total), 1.0)

    def _index_of(self, azimuth_deg: float) -> int:
        away = (azimuth_deg - self._azimuth[0]) % 360.0
        return min(round(away / self._step_deg), len(self._azimuth) - 1) if self._step_deg else 0

    def _refined(self, peak: int) -> float:
        """Vertex of the parabola through the logarithm of the belief at the peak and beside it."""
        count = len(self._azimuth)
        azimuth_deg: float = self._azimuth[peak]
        if self._grid.circular or 0 < peak < count - 1:
            before, here, after = (math.log(float(self._belief[k % count]) + 1e-30) for k in (peak - 1, peak, peak + 1))
            curvature = before - 2.0 * here + after
            if curvature < -1e-9:
                azimuth_deg += self._step_deg * min(max(0.5 * (before - after) / curvature, -0.5), 0.5)
        return wrapped_deg(azimuth_deg)

    def take(self, other: DirectionTracker) -> None:
        """Go on with what `other`, on the same grid, knows."""
        np.copyto(self._belief, other._belief)
        self.azimuth_deg, self.confidence, self.age_estimates = other.azimuth_deg, other.confidence, other.age_estimates

    def reset(self) -> None:
        """Know nothing."""
        self._belief.fill(1.0 / len(self._belief))
        self.azimuth_deg = None
        self.confidence = self._mass_near(len(self._azimuth) // 2)
        self.age_estimates = 0
