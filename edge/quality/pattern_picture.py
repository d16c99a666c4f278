"""Beam patterns as a picture: one row per beamformer, and what they gain over frequency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.geometry import ArrayGeometry
from edge.quality import plots
from edge.quality.pattern import Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.projections.polar import PolarAxes

CUTS_HZ = (500.0, 1000.0, 2000.0, 4000.0)
FLOOR_DB = -30.0
"""of colours and cuts; the colours end at 0 dB, the gain of the look direction"""
POLAR_TOP_DB = 6.0
STEPS = 10
"""of 3 dB, which can be told apart"""
CURVES = (("#1d2733", "-"), ("#e08e0b", "-"), ("#2b7fd9", "--"), ("#c8334a", "-."), ("#8a94a3", "-"))
"""colour and line, which differ without colours too"""
ALIASING = "#1f8fdf"
"""seen on light and dark alike"""
LABEL = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
TICKS_HZ = (100, 200, 500, 1000, 2000, 4000, 8000)
DPI = 80


def draw(path: Path, patterns: Sequence[Pattern], geometry: ArrayGeometry, title: str) -> None:
    """Write the picture as PNG."""
    patterns = [_below_nyquist(pattern) for pattern in patterns]
    rows = len(patterns)
    with plots.picture(path, 12.5, 3.1 * max(rows, 2) + 0.4, DPI) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=plots.INK)
        halves = figure.add_gridspec(1, 2, width_ratios=(2.1, 1.0))
        left, right = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
        grid = left.add_gridspec(rows, 2, width_ratios=(1.9, 1.0))
        maps = []
        for row, pattern in enumerate(patterns):
            maps.append(left.add_subplot(grid[row, 0]))
            image = _map(maps[-1], pattern, geometry)
            polar = cast("PolarAxes", left.add_subplot(grid[row, 1], projection="polar"))
            _cuts(polar, pattern)
            if row == 0:
                polar.legend(loc="lower left", bbox_to_anchor=(0.9, 0.75), fontsize=8, handlelength=1.0)
        maps[-1].set_xlabel("azimuth, degrees")
        left.colorbar(image, ax=maps, label="dB", aspect=30, pad=0.02, ticks=range(-30, 1, 6))
        gain, index = right.subplots(2, 1)
        _curves(gain, patterns, geometry, "white_noise_gain_db", "White-noise gain")
        _curves(index, patterns, geometry, "directivity_index_db", "Directivity index")
        gain.axhline(10.0 * np.log10(geometry.mics), color=plots.MUTED, lw=0.9, ls=":")
        gain.set_ylim(bottom=max(gain.get_ylim()[0], -35.0))
        gain.legend(fontsize=8)
        index.set_xlabel("Hz")
    _shrink(path)


def _below_nyquist(pattern: Pattern) -> Pattern:
    """Without the last bin: its spectrum is real, so no beam can be steered in it."""
    names = ("frequencies_hz", "response_db", "look_gain_db", "white_noise_gain_db", "directivity_index_db")
    return replace(pattern, **{name: getattr(pattern, name)[:-1] for name in names})


def _shrink(path: Path) -> None:
    """The same picture with a palette, a third of the size: there are few colours in it."""
    from PIL import Image  # matplotlib brings it

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(160, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def _map(axes: Axes, pattern: Pattern, geometry: ArrayGeometry) -> QuadMesh:
    from matplotlib import colormaps

    image = axes.pcolormesh(
        pattern.azimuths_deg,
        pattern.frequencies_hz,
        np.clip(pattern.response_db, FLOOR_DB, 0.0),
        cmap=colormaps["magma"].resampled(STEPS),
        vmin=FLOOR_DB,
        vmax=0.0,
        shading="nearest",
        rasterized=True,
    )
    axes.set_yscale("log")
    axes.set_ylim(TICKS_HZ[0], pattern.frequencies_hz[-1])
    axes.minorticks_off()
    axes.set_yticks(TICKS_HZ, [_hz(tick) for tick in TICKS_HZ])
    axes.set_xticks(range(-180, 181, 90))
    axes.axvline((pattern.azimuth_deg + 180.0) % 360.0 - 180.0, color=plots.INK, lw=1.0, ls=(0, (4, 3)))
    if geometry.spatial_aliasing_hz < pattern.frequencies_hz[-1]:
        axes.axhline(geometry.spatial_aliasing_hz, color=ALIASING, lw=1.2, ls="--")
        axes.text(
            178.0, geometry.spatial_aliasing_hz * 1.12, "aliasing", color=ALIASING, fontsize=8, ha="right", bbox=LABEL
        )
    axes.set_title(pattern.kind)
    axes.set_ylabel("Hz")
    return image


def _cuts(axes: PolarAxes, pattern: Pattern) -> None:
    """Cuts at CUTS_HZ, seen from above, forward up."""
    floor_db, top_db = FLOOR_DB, POLAR_TOP_DB
    for frequency_hz, colour in zip(CUTS_HZ, plots.FREQUENCY_COLOURS, strict=True):
        bin_index = int(np.argmin(np.abs(pattern.frequencies_hz - frequency_hz)))
        gain_db = np.maximum(pattern.response_db[bin_index], floor_db)
        axes.plot(np.radians(pattern.azimuths_deg), gain_db, color=colour, lw=1.4, label=f"{_hz(frequency_hz)} Hz")
    axes.plot([np.radians(pattern.azimuth_deg)] * 2, [floor_db, top_db], color=plots.LATE, lw=1.0, ls=(0, (4, 2)))
    axes.set_theta_zero_location("N")
    axes.set_rlim(floor_db, top_db)
    axes.set_rticks([-20.0, -10.0, 0.0], ["-20", "-10", "0"], fontsize=7)
    axes.set_thetagrids(range(0, 360, 90), [f"{a if a <= 180 else a - 360}°" for a in range(0, 360, 90)], fontsize=8)
    axes.grid(color=plots.GRID)
    axes.spines["polar"].set_color(plots.GRID)


def _curves(axes: Axes, patterns: Sequence[Pattern], geometry: ArrayGeometry, name: str, title: str) -> None:
    for pattern, (colour, line) in zip(patterns, CURVES, strict=False):
        axes.plot(pattern.frequencies_hz, getattr(pattern, name), color=colour, ls=line, lw=1.8, label=pattern.kind)
    axes.set_xscale("log")
    axes.set_xlim(TICKS_HZ[0], patterns[0].frequencies_hz[-1])
    axes.minorticks_off()
    axes.set_xticks(TICKS_HZ, [_hz(tick) for tick in TICKS_HZ])
    if geometry.spatial_aliasing_hz < patterns[0].frequencies_hz[-1]:
        axes.axvline(geometry.spatial_aliasing_hz, color=plots.MUTED, lw=1.2, ls=":")
    axes.grid(color=plots.GRID, lw=0.8)
    axes.set_title(title)
    axes.set_ylabel("dB")


def _hz(frequency_hz: float) -> str:
    return f"{frequency_hz / 1000:g}k" if frequency_hz >= 1000 else f"{frequency_hz:g}"
