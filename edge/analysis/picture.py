"""Recordings side by side: spectrograms, long-term spectra, and their shape over time, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.analysis.result import ChannelAnalysis
from edge.quality.plots import AFTER, BEAM, BEFORE, GRID, INK, LATE, MUTED, picture, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

COLOURS = ("#1f6fb5", BEFORE, AFTER, BEAM, LATE, "#7a4fa3", "#4f7f3a", INK)
MOST_SHOWN = len(COLOURS)
RANGE_DB = 80.0
TRACKS = {
    "centroid_hz": ("Centroid", "kHz", 1e-3),
    "bandwidth_hz": ("Bandwidth", "kHz", 1e-3),
    "rolloff_hz": ("Roll-off 85 %", "kHz", 1e-3),
    "flatness": ("Flatness", "0 to 1", 1.0),
}
"""feature -> heading, unit and its factor"""


@dataclass(frozen=True)
class Shown:
    """One channel under a name."""

    label: str
    found: ChannelAnalysis


def draw(path: Path, shown: Sequence[Shown], title: str) -> None:
    """Write a .png of up to MOST_SHOWN channels. Raises OSError where it cannot be written."""
    shown = [Shown(plain(each.label), each.found) for each in shown[:MOST_SHOWN]]
    rows = len(shown)
    with picture(path, 15.0, 2.1 * rows + 1.35 * len(TRACKS) + 0.8, 100) as figure:
        figure.suptitle(plain(title), x=0.01, ha="left", fontsize=12, fontweight="bold")
        heights = [1.0] * rows + [0.6] * len(TRACKS)
        grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=[1.0, 1.0, 1.15])
        _draw_spectrograms(figure, grid, shown)
        _draw_spectra(figure.add_subplot(grid[:rows, 2]), shown)
        for row, (name, (heading, unit, scale)) in enumerate(TRACKS.items(), rows):
            axes = figure.add_subplot(grid[row, :2], sharex=figure.axes[0])
            _draw_track(axes, shown, name, heading, unit, scale)
        figure.axes[-1].set_xlabel("s")
        _draw_shapes(figure.add_subplot(grid[rows:, 2]), shown)


def _draw_spectrograms(figure: Figure, grid: GridSpec, shown: Sequence[Shown]) -> None:
    levels_db = [each.found.spectrogram_dbfs for each in shown]
    heard = [level[np.isfinite(level)] for level in levels_db]
    top_db = max((float(level.max()) for level in heard if level.size), default=0.0)
    top_db = max(5.0 * np.ceil(top_db / 5.0), -120.0)
    most_s = max(each.found.samples / each.found.rate_hz for each in shown)
    most_hz = max(each.found.rate_hz for each in shown) / 2
    first = None
    for row, (each, level_db) in enumerate(zip(shown, levels_db, strict=True)):
        axes = figure.add_subplot(grid[row, :2], sharex=first, sharey=first)
        first = first or axes
        times_s = each.found.times_s
        if times_s.size:
            half_s = (times_s[1] - times_s[0]) / 2 if times_s.size > 1 else most_s / 2
            image = axes.imshow(
                level_db,
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=top_db - RANGE_DB,
                vmax=top_db,
                extent=(times_s[0] - half_s, times_s[-1] + half_s, 0.0, each.found.rate_hz / 2000.0),
                interpolation="nearest",
            )
            if row == 0:
                figure.colorbar(image, ax=axes, pad=0.01, label="dBFS")
        else:
            axes.text(0.02, 0.5, each.found.long_term["centroid_hz"].reason, transform=axes.transAxes, color=MUTED)
        axes.set(title=each.label, ylabel="kHz", xlim=(0.0, most_s), ylim=(0.0, most_hz / 1000.0))
        axes.tick_params(labelbottom=row == len(shown) - 1)


def _draw_spectra(axes: Axes, shown: Sequence[Shown]) -> None:
    low_db, high_db = np.inf, -np.inf
    for each, colour in zip(shown, COLOURS, strict=False):
        hz, level_db = each.found.frequencies_hz[1:], each.found.density_dbfs_hz[1:]
        if not np.isfinite(level_db).any():
            continue
        axes.semilogx(hz, level_db, color=colour, lw=1.6, label=each.label)
        # the filter of a converter may leave next to nothing in the uppermost bins
        low_db, high_db = min(low_db, float(np.percentile(level_db, 8))), max(high_db, float(level_db.max()))
    if np.isfinite(high_db):
        axes.set_ylim(max(low_db - 6.0, high_db - 100.0), high_db + 6.0)
        axes.legend(loc="lower left")
    ticks = [hz for hz in (31.25, 62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000) if _within(hz, shown)]
    axes.set_xticks(ticks, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:.0f}" for hz in ticks])
    axes.minorticks_off()
    axes.grid(color=GRID, lw=0.8)
    axes.set(title="Long-term spectrum", ylabel="dBFS/Hz", xlabel="Hz")


def _within(hz: float, shown: Sequence[Shown]) -> bool:
    low_hz = min(float(each.found.frequencies_hz[1]) for each in shown)
    return low_hz <= hz <= max(each.found.rate_hz for each in shown) / 2


def _draw_track(axes: Axes, shown: Sequence[Shown], name: str, heading: str, unit: str, scale: float) -> None:
    for each, colour in zip(shown, COLOURS, strict=False):
        axes.plot(each.found.times_s, each.found.tracks[name] * scale, color=colour, lw=1.1, label=each.label)
    axes.set(title=heading, ylabel=unit)
    axes.set_ylim(bottom=0.0)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.tick_params(labelbottom=name == list(TRACKS)[-1])


def _draw_shapes(axes: Axes, shown: Sequence[Shown]) -> None:
    """Median of each feature over time with the range from the 10th to the 90th percentile."""
    names = {name: heading for name, (heading, unit, _) in TRACKS.items() if unit == "kHz"}
    for row, name in enumerate(names):
        for place, (each, colour) in enumerate(zip(shown, COLOURS, strict=False)):
            found = each.found.over_time[name]
            y = row + 0.5 * (place + 0.5) / len(shown) - 0.25
            if not found.median.ok:
                continue
            low, middle, high = (score.value / 1000.0 for score in (found.p10, found.median, found.p90))
            axes.plot([low, high], [y, y], color=colour, lw=2.4, alpha=0.45, solid_capstyle="butt")
            axes.plot([middle], [y], color=colour, marker="o", ms=6, ls="none")
            long_term = each.found.long_term[name].value / 1000.0
            axes.plot([long_term], [y], color=colour, marker="|", ms=11, mew=2.0, ls="none")
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.invert_yaxis()
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=GRID, lw=0.8)
    axes.grid(axis="x", color=GRID, lw=0.8)
    axes.set(title="Median, 10 to 90 % of the time; | long-term", xlabel="kHz")
    axes.set_xlim(left=0.0)
