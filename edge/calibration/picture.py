"""A calibration as a picture: how each microphone is off, and how well that repeats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.measure import Deviation, Measurement
from edge.quality import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(path: Path, measurement: Measurement, title: str) -> None:
    """Write the picture as PNG."""
    with plots.picture(path, 9.0, 3.6, 90) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=plots.INK)
        grid = figure.add_gridspec(1, 2)
        gains, delays = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _bars(gains, measurement, "gains_db", "Gain relative to the others", "dB")
        if measurement.found.delays_us.size:
            _bars(delays, measurement, "delays_us", "Delay relative to the others", "microseconds")
        else:
            delays.axis("off")
            delays.text(0.0, 0.6, f"delays not measured:\n{measurement.without_delays}", wrap=True, color=plots.MUTED)
        gains.legend(fontsize=9)


def _bars(axes: Axes, measurement: Measurement, name: str, title: str, unit: str) -> None:
    def values(deviation: Deviation) -> np.ndarray:
        return np.asarray(getattr(deviation, name))

    mics = np.arange(len(measurement.found.gains_db))
    axes.bar(mics - 0.2, values(measurement.found), 0.38, color=plots.BEFORE, label="before")
    axes.bar(mics + 0.2, values(measurement.repeats), 0.38, color=plots.AFTER, label="repeats within (halves)")
    axes.errorbar(
        mics - 0.2, values(measurement.found), values(measurement.uncertainty), ls="none", color=plots.INK, capsize=3
    )
    axes.axhline(0.0, color=plots.MUTED, lw=0.8)
    axes.set_xticks(mics)
    axes.set_xlabel("microphone")
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.grid(axis="y", color=plots.GRID, lw=0.8)
