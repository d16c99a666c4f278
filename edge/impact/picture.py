"""Word error rate and similarity over SNR as curves, one per condition, with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.impact.conditions import BEAM, CLEAN, NOISY
from edge.impact.report import Cell, Report
from edge.impact.statistics import Estimate
from edge.quality.plots import AFTER, BEFORE, GRID, INK, LATE, MUTED, picture, plain
from edge.quality.plots import BEAM as BEAM_COLOUR

_COLOURS = (AFTER, "#1f6fb5", "#8a4fbf", LATE, "#5b8c2a", "#b5651d")
_MARKERS = "osD^vP"


def draw(report: Report, path: Path) -> None:
    """Writes a PNG: a panel per recogniser, and one for speaker similarity where there is any."""
    panels = [(f"Word error rate, % ({plain(name)})", 100.0, _wer_of(name)) for name in report.recognisers]
    with_speaker = any(cell.similarity.value is not None for cell in report.cells.values())
    if with_speaker:
        panels.append(("Speaker similarity (cosine)", 1.0, lambda cell: cell.similarity))
    with picture(path, 5.4 * len(panels), 4.8) as figure:
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, scale, value) in zip(all_axes, panels, strict=True):
            _panel(axes, report, scale, value)
            axes.set(title=title, xlabel="SNR, dB")
        if with_speaker and report.other_talkers.value is not None:
            all_axes[-1].axhline(report.other_talkers.value, color=LATE, lw=1.0, ls=":", label="other talkers, clean")
        labels: dict[str, Any] = {}
        for axes in all_axes:
            handles, names = axes.get_legend_handles_labels()
            labels |= dict(zip(names, handles, strict=True))
        figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=4, fontsize=9)


def _wer_of(recogniser: str) -> Callable[[Cell], Estimate]:
    return lambda cell: cell.wer[recogniser]


def _panel(axes: Any, report: Report, scale: float, value: Callable[[Cell], Estimate]) -> None:
    colours = iter(_COLOURS * len(report.conditions))
    for i, name in enumerate(report.conditions):
        colour = {NOISY: BEFORE, BEAM: BEAM_COLOUR}.get(name) or next(colours)
        found = [(snr, value(cell)) for snr in report.snrs_db if (cell := report.cells.get((name, snr)))]
        rows = [(snr, e.value, e.low, e.high) for snr, e in found if e.value is not None]
        if not rows:
            continue
        # beside one another, so that their intervals can be told apart
        x = [snr + 0.28 * (i - (len(report.conditions) - 1) / 2.0) for snr, *_ in rows]
        y = [scale * v for _, v, _, _ in rows]
        low = [scale * (v - (v if lo is None else lo)) for _, v, lo, _ in rows]
        high = [scale * ((v if hi is None else hi) - v) for _, v, _, hi in rows]
        axes.errorbar(
            x,
            y,
            yerr=[low, high],
            color=colour,
            lw=1.6,
            elinewidth=0.8,
            capsize=2,
            marker=_MARKERS[i % 6],
            ms=4.5,
            label=plain(name),
        )
    clean = report.cells.get((CLEAN, None))
    if clean and (level := value(clean).value) is not None:
        axes.axhline(scale * level, color=INK, lw=1.0, ls="--", label="clean")
    axes.set_xticks(report.snrs_db)
    axes.set_ylim(bottom=0.0)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.tick_params(colors=MUTED)
