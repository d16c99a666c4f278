"""The pictures of the page, as PNG files in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.qa.criteria import Criteria
from edge.qa.examples import Example
from edge.qa.summary import Summary
from edge.qa.table import COLUMNS
from edge.quality.metrics import RATE_HZ
from edge.quality.plots import AFTER, BEAM, BEFORE, GRID, INK, LATE, draw_spectrogram, picture, plain, spectrogram_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANGE_DB = 70.0
"""between the darkest and the brightest of a spectrogram"""
SHORTEST_S = 0.1
_COLOURS = (AFTER, LATE, "#1f6fb5", BEAM, INK, "#8a4fbf", "#5b8c2a", BEFORE)
_MARKERS = "osD^vPX*d"
"""as many as colours and one more, so that not even the ninth system looks like another"""


def distributions(summaries: Sequence[Summary], criteria: Criteria) -> bytes:
    """One panel per criterion: every file of every system as a dot, the mean with its interval, the limit."""
    names = [limit.name for limit in criteria.limits]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, limit in zip(axes, criteria.limits, strict=False):
            _spread(panel, summaries, limit.name, limit.limit)
        for panel in axes[len(names) :]:
            panel.axis("off")

    return _png(draw, 4.0 * columns, (0.9 + 0.45 * len(summaries) + 0.6) * rows + 0.2)


def _spread(axes: Axes, summaries: Sequence[Summary], name: str, limit: float) -> None:
    random = np.random.default_rng(0)
    for place, summary in enumerate(summaries):
        values = [v for row in summary.rows if (v := row.values[name]) is not None]
        heights = place + 0.28 * random.uniform(-1.0, 1.0, len(values))
        axes.plot(values, heights, ".", color=AFTER, alpha=0.45, ms=5, mew=0)
        spread = summary.spreads[name]
        if spread.mean is not None and spread.low is not None and spread.high is not None:
            axes.plot([spread.low, spread.high], [place, place], color=INK, lw=2.2, solid_capstyle="butt")
            axes.plot([spread.mean], [place], "|", color=INK, ms=16, mew=2.2)
    axes.axvline(limit, color=LATE, lw=1.4, ls=(0, (4, 2)))
    axes.set_yticks(range(len(summaries)), [_short(summary.system) for summary in summaries])
    axes.set_ylim(len(summaries) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID, lw=0.8)
    axes.set_title(COLUMNS[name].title)


def gains_over_noisy(summaries: Sequence[Summary], name: str, given: str, noisy: dict[str, float | None]) -> bytes:
    """Gain of every file against what the noisy file had, to see where a system helps and where it harms."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for n, summary in enumerate(summaries):
            points = [(noisy[row.name], row.values[name]) for row in summary.rows]
            known = np.array([both for both in points if None not in both], dtype=np.float64).reshape(-1, 2)
            colour, marker = _COLOURS[n % len(_COLOURS)], _MARKERS[n % len(_MARKERS)]
            label = _short(summary.system)
            axes.plot(*known.T, ls="none", color=colour, marker=marker, ms=4, mew=0, alpha=0.6, label=label)
        axes.axhline(0.0, color=INK, lw=0.8)
        axes.grid(color=GRID, lw=0.8)
        axes.set(xlabel=f"{COLUMNS[given].title} of the noisy file", ylabel=COLUMNS[name].title)
        axes.set_title(f"{COLUMNS[name].title} against the input")
        # beside the dots, which may be anywhere
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)

    return _png(draw, 8.0, max(3.2, 0.6 + 0.2 * len(summaries)))


def spectrograms(example: Example) -> bytes | None:
    """Clean, noisy and enhanced below one another at the same scale; None for sounds too short to show."""
    if any(sound.size < SHORTEST_S * RATE_HZ for sound in example.sounds.values()):
        return None
    top_db = max(float(spectrogram_db(sound, RATE_HZ)[0].max()) for sound in example.sounds.values())

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(example.sounds), 1, sharex=True)
        for panel, (name, sound) in zip(axes, example.sounds.items(), strict=True):
            draw_spectrogram(panel, sound, RATE_HZ, _short(name), (top_db - RANGE_DB, top_db))
        axes[-1].set_xlabel("s")

    return _png(draw, 7.0, 1.45 * len(example.sounds), dpi=80)


def _short(name: str) -> str:
    return plain(name if len(name) <= 30 else "..." + name[-27:])


def _png(draw: Callable[[Figure], None], width_inches: float, height_inches: float, dpi: int = 100) -> bytes:
    from PIL import Image  # matplotlib brings it

    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "picture.png", Path(folder) / "small.png"
        with picture(path, width_inches, height_inches, dpi) as figure:
            draw(figure)
        with Image.open(path) as image:
            # a palette takes a third of the bytes, and there are few colours in it
            image.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                small, optimize=True
            )
        return small.read_bytes()
