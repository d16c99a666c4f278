"""Microphone array geometry: positions in metres, steering delays, what the array can resolve.

Axes: x forward, y left, z up. Azimuth counter-clockwise from x seen from above, elevation up from the x-y plane.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.errors import ConfigError

if TYPE_CHECKING:  # the configuration checks positions with this module, so importing it here would be a circle
    from edge.config.schema import ArrayConfig

SPEED_OF_SOUND_M_S = 343.0
"""dry air at 20 degrees Celsius"""

COINCIDENT_M = 0.001
"""microphones nearer to each other than this are taken for one written down twice"""

LARGEST_APERTURE_M = 2.0
"""wider than this is taken for millimetres or centimetres written where metres belong"""


def unit_vector(azimuth_deg: float, elevation_deg: float = 0.0) -> NDArray[np.float64]:
    """Vector of length 1, shape (3,), from the array towards azimuth and elevation in degrees."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )


def wrapped_deg(azimuth_deg: float) -> float:
    """The same azimuth in [-180, 180)."""
    return (azimuth_deg + 180.0) % 360.0 - 180.0


def apart_deg(a_deg: float, b_deg: float) -> float:
    """Angle between two azimuths, 0 to 180 degrees."""
    return abs(wrapped_deg(a_deg - b_deg))


def position_problems(positions_m: ArrayLike) -> list[str]:
    """Everything wrong with microphone positions, one sentence each; empty when they describe a usable array."""
    try:
        positions = np.asarray(positions_m, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return ["positions have to be one [x, y, z] in metres per microphone, three numbers each"]
    if positions.size == 0:
        return ["no microphone; expected one [x, y, z] in metres per microphone"]
    if positions.ndim != 2 or positions.shape[1] != 3:
        return [
            f"positions of shape {positions.shape}, expected one [x, y, z] in metres per microphone, shape (mics, 3)"
        ]
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if bad.size:
        return [f"microphone {i} has a coordinate that is not a finite number" for i in bad]
    distances = _distances(positions)
    if distances.max() > LARGEST_APERTURE_M:
        a, b = np.unravel_index(int(distances.argmax()), distances.shape)
        return [
            f"microphones {a} and {b} are {distances.max():.4g} m apart, expected at most {LARGEST_APERTURE_M:g} m; "
            "positions are in metres: divide by 1000 if these are millimetres"
        ]
    return [
        f"microphones {a} and {b} coincide at {_point(positions[a])}; expected different places, "
        f"at least {COINCIDENT_M * 1000:g} mm apart"
        for a in range(len(positions))
        for b in range(a + 1, len(positions))
        if distances[a, b] < COINCIDENT_M
    ]


def _point(position: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{c:g}" for c in position) + "]"


def _distances(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # absurd coordinates come out as infinitely far apart, which is refused
        return np.linalg.norm(positions[:, None, :] - positions[None, :, :], axis=-1)


class ArrayGeometry:
    """Where the microphones of an array are, and what follows from that for a far source. Immutable."""

    def __init__(self, positions_m: ArrayLike) -> None:
        """Take positions of shape (mics, 3) in metres. Raises ConfigError naming every wrong microphone."""
        problems = position_problems(positions_m)
        if problems:
            raise ConfigError(problems, "array geometry")
        self.positions_m: NDArray[np.float64] = np.array(positions_m, dtype=np.float64)
        self.positions_m.setflags(write=False)

    def __repr__(self) -> str:
        return f"ArrayGeometry({self.positions_m.tolist()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayGeometry) and np.array_equal(self.positions_m, other.positions_m)

    def __hash__(self) -> int:
        return hash(self.positions_m.tobytes())

    @property
    def mics(self) -> int:
        return int(self.positions_m.shape[0])

    @cached_property
    def centroid_m(self) -> NDArray[np.float64]:
        """Mean of the positions, (3,): where steering delays are zero."""
        return self.positions_m.mean(axis=0)

    @cached_property
    def aperture_m(self) -> float:
        """Largest distance between two microphones; 0 for one microphone."""
        return float(_distances(self.positions_m).max())

    @cached_property
    def min_spacing_m(self) -> float:
        """Smallest distance between two microphones; 0 for one microphone."""
        if self.mics < 2:
            return 0.0
        return float(_distances(self.positions_m)[np.triu_indices(self.mics, 1)].min())

    @property
    def spatial_aliasing_hz(self) -> float:
        """c / (2 * min spacing): above it some direction other than the look direction adds up in phase as well.

        Infinite for one microphone, which has no direction to confuse.
        """
        return math.inf if self.mics < 2 else SPEED_OF_SOUND_M_S / (2.0 * self.min_spacing_m)

    def max_delay_samples(self, rate_hz: float) -> float:
        """Largest delay between two microphones over all directions, in samples at `rate_hz`."""
        return self.aperture_m / SPEED_OF_SOUND_M_S * rate_hz

    def steering_delays_s(self, azimuth_deg: float, elevation_deg: float = 0.0) -> NDArray[np.float64]:
        """Time of arrival at each microphone relative to the centroid, (mics,) seconds, for a far source.

        A microphone nearer to the source than the centroid has a negative delay. The delays sum to zero.
        """
        towards_source = unit_vector(azimuth_deg, elevation_deg)
        return ((self.centroid_m - self.positions_m) @ towards_source) / SPEED_OF_SOUND_M_S

    def diffuse_coherence(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Coherence sin(kd) / kd of every pair in a spherically isotropic field, (mics, mics, bins) (Cook 1955)."""
        wavelengths = np.asarray(frequencies_hz, np.float64) / SPEED_OF_SOUND_M_S
        return np.sinc(2.0 * _distances(self.positions_m)[:, :, None] * wavelengths)

    @cached_property
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Extent (root mean square, metres) along the principal axes, widest first, and those axes as rows."""
        _, singular, axes = np.linalg.svd(self.positions_m - self.centroid_m, full_matrices=True)
        extent = np.zeros(3)
        extent[: len(singular)] = singular / math.sqrt(self.mics)
        return extent, axes

    @cached_property
    def dimensions(self) -> int:
        """0 for one microphone, 1 for a line, 2 for a plane, 3 for a body; a tenth of a millimetre counts as flat."""
        return int(np.count_nonzero(self._axes[0] > 1e-4))

    @property
    def hears_azimuth(self) -> bool:
        """Whether azimuth makes any difference: not with one microphone, nor with all of them on one upright line."""
        return self.mics > 1 and not (self.is_linear and abs(self.axis[2]) > 0.9)

    @property
    def is_linear(self) -> bool:
        """All microphones on one line (two always are)."""
        return self.dimensions == 1

    @property
    def is_planar(self) -> bool:
        """All microphones in one plane, a line not counted."""
        return self.dimensions == 2

    @cached_property
    def axis(self) -> NDArray[np.float64]:
        """Unit vector (3,) along the line of a linear array, or normal to a planar one; sign: largest part positive."""
        vector = self._axes[1][0] if self.is_linear else self._axes[1][2]
        return vector * (1.0 if vector[np.abs(vector).argmax()] > 0 else -1.0) + 0.0

    @property
    def ambiguity(self) -> str:
        """What the array cannot tell apart, as one sentence; empty for a three-dimensional one."""
        if self.dimensions == 0:
            return "One microphone hears no direction."
        if self.is_linear:
            return (
                f"All microphones lie on one line ({_axis_name(self.axis)}): directions with the same angle to that "
                f"line look the same, so it cannot tell {_sides(self.axis)}."
            )
        if self.is_planar:
            return (
                f"All microphones lie in one plane (normal {_axis_name(self.axis)}): it cannot tell a source on one "
                f"side of the plane from its mirror image on the other ({_mirror(self.axis)})."
            )
        return ""


def _axis_name(axis: NDArray[np.float64]) -> str:
    for name, unit in zip("xyz", np.eye(3), strict=True):
        if abs(float(axis @ unit)) > 0.999:
            return f"along {name}"
    return f"along {_point(np.round(axis, 2) + 0.0)}"


def _sides(axis: NDArray[np.float64]) -> str:
    along = int(np.abs(axis).argmax())
    return ["left from right or above from below", "front from back or above from below", "one azimuth from another"][
        along
    ]


def _mirror(axis: NDArray[np.float64]) -> str:
    return ["front and back", "left and right", "above and below"][int(np.abs(axis).argmax())]


def geometry_from_config(array: ArrayConfig) -> ArrayGeometry:
    """Geometry of a loaded configuration (positions already filled in from the board preset)."""
    return ArrayGeometry(array.positions_m)
