"""The picture of the quality benchmark: what is gained for what it costs, and over the SNR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality import arrays, mono
from benchmarks.quality.report import TITLES

Row = dict[str, Any]
Box = tuple[float, float, float, float]

MEASURES = ("pesq_wb", "estoi")
LABEL_PT = 8.0
PANELS = {
    "mono": "One microphone (size and label: latency)",
    "snr": "One microphone, by SNR",
    "array": "Square of four, ours told nothing",
}


def _short(system: str) -> str:
    """Names of chains as they fit into the picture."""
    return system.replace(arrays.MVDR, "MVDR told").replace(" -> ", "\n-> ")


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _label(axes: Any, points: Mapping[str, tuple[float, float]], texts: Mapping[str, str]) -> None:
    """A text beside every point, where it covers neither points nor other texts if there is such a place."""
    to_pt = 72.0 / axes.figure.dpi
    at = {name: axes.transData.transform(xy) * to_pt for name, xy in points.items()}
    frame = axes.get_window_extent()
    left, right = frame.x0 * to_pt, frame.x1 * to_pt
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in at.values()]
    for name, (x, y) in at.items():
        lines = texts[name].split("\n")
        wide, high = 0.56 * LABEL_PT * max(map(len, lines)), 1.25 * LABEL_PT * len(lines)
        places = [
            (dx, dy, (x + dx + shift * wide, y + dy + up * high), horizontal, vertical)
            for dx, dy, shift, up, horizontal, vertical in (
                (0, 10, -0.5, 0.0, "center", "bottom"),
                (0, -10, -0.5, -1.0, "center", "top"),
                (11, 0, 0.0, -0.5, "left", "center"),
                (-11, 0, -1.0, -0.5, "right", "center"),
                (11, 16, 0.0, 0.0, "left", "bottom"),
                (-11, -16, -1.0, -1.0, "right", "top"),
            )
        ]

        def badness(place: tuple[Any, ...], size: tuple[float, float] = (wide, high)) -> int:
            x0, y0 = place[2]
            box = (x0, y0, x0 + size[0], y0 + size[1])
            return sum(_overlap(box, other) for other in taken) + 2 * (box[0] < left or box[2] > right)

        dx, dy, (x0, y0), horizontal, vertical = min(places, key=badness)
        taken.append((x0, y0, x0 + wide, y0 + high))
        axes.annotate(
            texts[name],
            points[name],
            (dx, dy),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=LABEL_PT,
        )


def _against_cost(axes: Any, rows: Sequence[Row], costs: Mapping[str, Row], name: str, before: str) -> None:
    """One dot per system, and a line for what there is without any."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    from edge.quality.plots import AFTER, BEFORE, GRID

    shown = {r["system"]: r[name] for r in rows if r["system"] in costs and r[name] is not None}
    points = {system: (costs[system]["ms_per_s"], value) for system, value in shown.items()}
    for system, xy in points.items():
        mine = system in (mono.INT8, mono.FLOAT)
        size = 5.0 * costs[system]["latency_ms"]
        colour = AFTER if mine else BEFORE
        axes.scatter(*xy, s=size, color=colour, alpha=0.9 if mine else 0.6, zorder=3, linewidths=0)
    for row in rows:
        if row["system"] == before and row[name] is not None:
            axes.axhline(row[name], color=BEFORE, lw=1, ls=":")
            where = (0.99, row[name])
            axes.annotate(before, where, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=LABEL_PT)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(0.14, 0.16)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("processing ms per second of audio")
    axes.set_ylabel(TITLES[name])
    axes.figure.draw_without_rendering()  # the layout decides where points are
    _label(axes, points, {s: f"{_short(s)}\n{costs[s]['latency_ms']:.0f} ms" for s in points})


def _against_snr(axes: Any, rows: Sequence[Row], name: str) -> None:
    from edge.quality.plots import AFTER, BEAM, BEFORE, FREQUENCY_COLOURS, GRID, INK, LATE

    colours = {mono.INT8: AFTER, mono.NOISY: BEFORE, "deepfilternet3": LATE, "dtln": BEAM, mono.WIENER: INK}
    others = iter(FREQUENCY_COLOURS)
    shown = [r for r in rows if r["snr_db"] != "all" and r["system"] not in (mono.FLOAT, mono.ASR, "dtln-int8")]
    for system in dict.fromkeys(row["system"] for row in shown):
        line = [(r["snr_db"], r[name]) for r in shown if r["system"] == system and r[name] is not None]
        colour = colours.get(system) or next(others, INK)
        width = 3.0 if system == mono.INT8 else 1.5
        style = ":" if system == mono.NOISY else "-"
        axes.plot(*zip(*line, strict=True), style, color=colour, lw=width, marker="o", ms=4, label=system)
    axes.grid(color=GRID, lw=0.8)
    axes.set_xticks(sorted({r["snr_db"] for r in shown}))
    axes.set_xlabel("SNR in dB")
    axes.set_ylabel(TITLES[name])


def draw(path: Path, document: Mapping[str, Any]) -> bool:
    """PESQ and ESTOI against cost (latency as size and label) and over the SNR. False where nothing can be drawn.

    document: as the JSON has it, with `summary` and, where it was timed, `cost`.
    """
    from edge.quality.plots import picture

    summary, costs = document["summary"], document.get("cost") or {}
    panels = [p for p in PANELS if ("mono" in summary if p == "snr" else p in summary and p in costs)]
    if not panels:
        return False
    with picture(path, 5.8 * len(panels), 8.6) as figure:
        grid = figure.subplots(2, len(panels), squeeze=False)
        for column, panel in enumerate(panels):
            grid[0, column].set_title(PANELS[panel])
            by, before = ("family", arrays.MIC) if panel == "array" else ("snr_db", mono.NOISY)
            for axes, name in zip(grid[:, column], MEASURES, strict=True):
                if panel == "snr":
                    _against_snr(axes, summary["mono"], name)
                else:
                    whole = [r for r in summary[panel] if r[by] == "all"]
                    _against_cost(axes, whole, costs[panel], name, before)
            if panel == "snr":
                grid[0, column].legend(fontsize=LABEL_PT, loc="upper left")
    return True
