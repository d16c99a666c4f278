"""Where the talker was heard over a whole recording, and whether the beam looked elsewhere."""

from __future__ import annotations

import math
from collections import Counter

from edge.beamform.localizer import Localizer
from edge.geometry import apart_deg, unit_vector, wrapped_deg

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
        self._azimuths_deg: Counter[float] = Counter()
        """how often each was heard, to a tenth of a degree, so that memory does not grow with the recording"""

    def note(self, localizer: Localizer) -> None:
        """Take in where the talker is now, if he speaks and it is clear where."""
        azimuth_deg, confidence, age_s = localizer.azimuth_deg, localizer.confidence, localizer.age_s
        if azimuth_deg is None or confidence is None or age_s is None:
            return
        if confidence >= CONFIDENCE_MIN and age_s <= RECENT_S:
            self._azimuths_deg[wrapped_deg(round(azimuth_deg, 1))] += 1

    @property
    def azimuth_deg(self) -> float | None:
        """Median of the directions in [-180, 180), by angular distance; None where too little was heard."""
        return _median(self._azimuths_deg) if self._azimuths_deg.total() >= NOTES_MIN else None

    def elsewhere_deg(self, look_azimuth_deg: float, elevation_deg: float) -> float | None:
        """Azimuth at which the talker was heard clearly and most of the time, if that is not where a beam of this
        direction looks; None if it is, or if nothing is clear.
        """
        look = unit_vector(look_azimuth_deg, elevation_deg)
        away: Counter[float] = Counter(
            {
                azimuth_deg: count
                for azimuth_deg, count in self._azimuths_deg.items()
                if float(look @ unit_vector(azimuth_deg, elevation_deg)) < math.cos(math.radians(ELSEWHERE_DEG))
            }
        )
        notes = self._azimuths_deg.total()
        if notes < NOTES_MIN or away.total() < ELSEWHERE_SHARE * notes:
            return None
        return _median(away)


def _median(azimuths_deg: Counter[float]) -> float:
    """The one of them that has the least angular distance to all."""
    heard = azimuths_deg.items()
    return min(azimuths_deg, key=lambda a: sum(count * apart_deg(a, b) for b, count in heard))
