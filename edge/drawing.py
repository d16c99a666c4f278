"""A microphone array from above, in characters."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.geometry import ArrayGeometry, unit_vector

_HALF_ROWS = 7
_COLUMNS_PER_ROW = 2
"""a character is about twice as high as it is wide, so this keeps circles round"""

_NAMES = "0123456789abcdefghijklmnopqrstuvwxyz"


def draw_from_above(geometry: ArrayGeometry, azimuth_deg: float, elevation_deg: float = 0.0) -> list[str]:
    """Lines of a drawing: x (forward) up, y to the left, microphones by number, @ the look direction, + the centre.

    Microphones that fall on one character show as *. Heights do not show.
    """
    metres_per_row = max(geometry.aperture_m / 2, 0.005) / (_HALF_ROWS - 2)
    half_columns = _HALF_ROWS * _COLUMNS_PER_ROW
    grid = [[" "] * (2 * half_columns + 1) for _ in range(2 * _HALF_ROWS + 1)]

    def put(x_rows: float, y_rows: float, mark: str) -> None:
        row = _HALF_ROWS - round(x_rows)
        column = half_columns - round(y_rows * _COLUMNS_PER_ROW)
        taken = grid[row][column]
        grid[row][column] = "*" if taken in _NAMES and mark in _NAMES else mark

    put(0, 0, "+")
    middle: NDArray[np.float64] = (geometry.positions_m.max(axis=0) + geometry.positions_m.min(axis=0)) / 2
    for number, position in enumerate(geometry.positions_m):
        x, y, _ = (position - middle) / metres_per_row
        put(x, y, _NAMES[number] if number < len(_NAMES) else "*")
    look = unit_vector(azimuth_deg, elevation_deg)
    flat = math.hypot(look[0], look[1])
    if flat > 0.05:  # straight up or down has no place in a view from above
        put(look[0] / flat * _HALF_ROWS, look[1] / flat * _HALF_ROWS, "@")

    lines = ["".join(row).rstrip() for row in grid]
    width = 2 * half_columns + 1
    header = "x (forward)".center(width).rstrip()
    scale = f"one row is {metres_per_row * 1000:.1f} mm, two columns too; @ look direction"
    body = [line.ljust(width) for line in lines]
    body[_HALF_ROWS] = "y (left) <-- " + body[_HALF_ROWS]
    margin = " " * len("y (left) <-- ")
    drawn = [margin + header, margin + "^".center(width).rstrip()]
    drawn += [line if i == _HALF_ROWS else margin + line for i, line in enumerate(body)]
    return [line.rstrip() for line in drawn] + [margin + scale]
