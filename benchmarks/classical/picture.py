"""The picture of the classical enhancers: every figure of every system, ours beside the peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.classical.peers import PEERS
from benchmarks.classical.report import DIGITS, NETWORKS, whole

Row = dict[str, Any]

TITLES = {
    "pesq_wb": "PESQ-WB (more is better)",
    "estoi": "ESTOI (more is better)",
    "si_sdr_db": "SI-SDR in dB (more is better)",
    "artifacts": "artifact score (less is better)",
}


def draw(path: Path, summary: Sequence[Row]) -> bool:
    """Bars of the means over all SNRs, one panel per metric, dots where each SNR lies. False where nothing is there."""
    from edge.quality.plots import AFTER, BEAM, BEFORE, GRID, INK, LATE, picture

    found = whole(summary)
    # clean speech is at the end of every scale, and would hide the rest
    systems = [name for name in found if name != "clean"][::-1]
    if not systems:
        return False
    with picture(path, 13.0, 0.32 * len(systems) * 2 + 1.6) as figure:
        grid = figure.subplots(2, 2, sharey=True)
        for axes, (metric, title) in zip(grid.flat, TITLES.items(), strict=True):
            for at, system in enumerate(systems):
                value = found[system][metric]
                if value is None:
                    continue
                colour = (
                    LATE if system in PEERS else BEFORE if system == "noisy" else BEAM if system in NETWORKS else AFTER
                )
                axes.barh(at, value, color=colour, height=0.7, alpha=0.85, zorder=2)
                each = [r[metric] for r in summary if r["system"] == system and r["snr_db"] != "all"]
                each = [v for v in each if v is not None]
                axes.scatter(each, [at] * len(each), s=9, color=INK, zorder=3)
                axes.annotate(
                    f"{value:.{DIGITS[metric]}f}",
                    (max([value, 0.0, *each]), at),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                )
            if metric == "pesq_wb":
                axes.set_xlim(left=1.0)
            axes.set_yticks(range(len(systems)), systems, fontsize=8)
            axes.set_title(title)
            axes.grid(axis="x", color=GRID, lw=0.8)
            axes.margins(x=0.12)
        figure.supxlabel(
            "bars: mean over all mixtures; dots: at 0, 5 and 10 dB; green: this project's, red: peers", fontsize=9
        )
    return True
