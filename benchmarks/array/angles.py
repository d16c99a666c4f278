"""How far apart two directions are for an array."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import ArrayGeometry, unit_vector

F64 = NDArray[np.float64]


def _from_axis_deg(geometry: ArrayGeometry, azimuth_deg: F64, elevation_deg: float) -> F64:
    """Angle to the line of a linear array."""
    towards = np.array([unit_vector(float(a), elevation_deg) for a in azimuth_deg.ravel()])
    return np.degrees(np.arccos(np.clip(towards @ geometry.axis, -1.0, 1.0))).reshape(azimuth_deg.shape)


def azimuth_error_deg(
    geometry: ArrayGeometry, true_deg: ArrayLike, found_deg: ArrayLike, true_elevation_deg: float = 0.0
) -> F64:
    """Absolute difference of azimuths in degrees; for a line the difference of the angles to it, all it can know.

    The found direction is taken at elevation 0, where the pipeline looks for it.
    """
    true, found = np.broadcast_arrays(np.asarray(true_deg, np.float64), np.asarray(found_deg, np.float64))
    if geometry.is_linear:
        return np.abs(_from_axis_deg(geometry, true, true_elevation_deg) - _from_axis_deg(geometry, found, 0.0))
    return np.abs((found - true + 180.0) % 360.0 - 180.0)
