"""Where the talker was heard over a whole recording, and whether the beam looked elsewhere."""

from __future__ import annotations

import math

from edge.beamform.localizer import Localizer
from edge.geometry import apart_deg, unit_vector

RECENT_S = 0.3
"""speech heard within this counts as now"""
CONFIDENCE_MIN = 0.8
ELSEWHERE_DEG = 30.0
"""farther from the look direction than this is elsewhere"""
ELSEWHERE_SHARE = 0.6
"""of the time with a confident direction that is most of the time"""
NOTES_MIN = 4
"""fewer confident directions say nothing about a recording"""


class HeardDirections:
    """Confident directions of speech, noted at regular times."""

    def __init__(self) -> None:
        self._azimuths_deg: list[float] = []

    def note(self, localizer: Localizer) -> None:
        """Take in where the talker is now, if he speaks and it is clear where."""
        azimuth_deg, confidence, age_s = localizer.azimuth_deg, localizer.confidence, localizer.age_s
        if azimuth_deg is None or confidence is None or age_s is None:
            return
        if confidence >= CONFIDENCE_MIN and age_s <= RECENT_S:
            self._azimuths_deg.append(azimuth_deg)

    @property
    def azimuth_deg(self) -> float | None:
        """Median of the directions in [-180, 180), by angular distance; None where too little was heard."""
        return _median(self._azimuths_deg) if len(self._azimuths_deg) >= NOTES_MIN else None

    def elsewhere_deg(self, look_azimuth_deg: float, elevation_deg: float) -> float | None:
        """Azimuth at which the talker was heard clearly and most of the time, if that is not where a beam of this
        direction looks; None if it is, or if nothing is clear.
        """
        look = unit_vector(look_azimuth_deg, elevation_deg)
        away = [
            azimuth_deg
            for azimuth_deg in self._azimuths_deg
            if float(look @ unit_vector(azimuth_deg, elevation_deg)) < math.cos(math.radians(ELSEWHERE_DEG))
        ]
        if len(self._azimuths_deg) < NOTES_MIN or len(away) < ELSEWHERE_SHARE * len(self._azimuths_deg):
            return None
        return _median(away)


def _median(azimuths_deg: list[float]) -> float:
    """The one of them that has the least angular distance to all."""
    return min(azimuths_deg, key=lambda a: sum(apart_deg(a, b) for b in azimuths_deg))
