"""The localise stage: steered power, tracker, and which direction the beam may take from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.doa import SteeredPower, direction_grid
from edge.beamform.tracking import DirectionTracker
from edge.geometry import ArrayGeometry, apart_deg

F32 = NDArray[np.float32]

STEER_STEP_DEG = 1.0
"""the beam follows changes larger than this"""


class Localizer:
    """Direction of the talker from the spectra and the speech presence; allocates nothing per hop.

    geometry: an array for which `hears_azimuth` is true. frequencies_hz (bins,), hop_s: of the spectra.
    azimuth_deg, elevation_deg: where the beam looks before anybody was heard, and the height of all that is looked at.
    sector_deg: the beam goes only to talkers within this of azimuth_deg; others are found, and left alone.
    """

    def __init__(
        self,
        geometry: ArrayGeometry,
        frequencies_hz: NDArray[np.float64],
        hop_s: float,
        azimuth_deg: float,
        elevation_deg: float,
        sector_deg: float,
    ) -> None:
        self._grid = direction_grid(geometry, azimuth_deg)
        self._power = SteeredPower(geometry, frequencies_hz, hop_s, self._grid, elevation_deg)
        self._tracker = DirectionTracker(self._grid)
        self._every_s = self._power.every_hops * hop_s
        self._centre_deg = azimuth_deg
        self._sector_deg = sector_deg

    def update(self, x_re: F32, x_im: F32, presence: F32, active: NDArray[np.bool_]) -> None:
        """Take in one frame: spectra (mics, bins), presence (bins,), active (mics,) microphones that may be used."""
        if self._power.update(x_re, x_im, presence, active):
            self._tracker.update(self._power.power, self._power.evidence)

    @property
    def azimuth_deg(self) -> float | None:
        """Most likely direction of the talker in [-180, 180); the last one in silence, None before the first."""
        return self._tracker.azimuth_deg

    @property
    def confidence(self) -> float | None:
        """Probability that the talker is within 12.5 degrees of `azimuth_deg`; None without one."""
        return None if self._tracker.azimuth_deg is None else self._tracker.confidence

    @property
    def age_s(self) -> float | None:
        """Seconds since speech was last heard well enough to tell its direction; None before the first time."""
        return None if self._tracker.azimuth_deg is None else self._tracker.age_estimates * self._every_s

    def steer_from(self, azimuth_deg: float) -> float:
        """Where a beam that looks to `azimuth_deg` should look now: the talker, unless outside the sector or as good
        as there.
        """
        talker_deg = self._tracker.azimuth_deg
        if talker_deg is None or apart_deg(talker_deg, self._centre_deg) > self._sector_deg:
            return azimuth_deg
        return talker_deg if apart_deg(talker_deg, azimuth_deg) > STEER_STEP_DEG else azimuth_deg

    def take(self, other: Localizer) -> None:
        """Go on with the talker that `other` has found, if it looks at the same directions."""
        if np.array_equal(self._grid.azimuth_deg, other._grid.azimuth_deg):
            self._tracker.take(other._tracker)

    def reset(self) -> None:
        """Forget everybody."""
        self._power.reset()
        self._tracker.reset()
