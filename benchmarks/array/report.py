"""Tables and the picture of the array benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.array.metrics import NAMES

Row = dict[str, Any]

TITLES = {
    "snr_db": "output SNR dB",
    "pesq_wb": "PESQ-WB",
    "estoi": "ESTOI",
    "si_sdr_early_db": "SI-SDR early dB",
    "si_sdr_direct_db": "SI-SDR direct dB",
}
FAMILIES = {
    "peers": "square, RT60 0.3 s",
    "static": "three arrays, RT60 0.2-0.6 s",
    "walk": "walking talker",
    "dead": "dead microphone",
    "mismatch": "gains ±3 dB",
    "position": "positions 1 cm off",
    "doa": "RT60 0.4 s, 0 and 5 dB",
    "all": "all scenes",
}
"""families as the picture names them"""


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Mean per family and system, then over all scenes; undefined values are left out and counted."""
    systems = list(dict.fromkeys(r["system"] for r in rows))
    families = list(dict.fromkeys(r["family"] for r in rows))
    out = []
    for family in [*families, "all"]:
        for system in systems:
            members = [r for r in rows if r["system"] == system and family in (r["family"], "all")]
            if not members:
                continue
            entry: Row = {"family": family, "system": system, "scenes": len(members)}
            for name in NAMES:
                values = [m[name] for m in members if m[name] is not None and np.isfinite(m[name])]
                entry[name] = round(float(np.mean(values)), 3) if values else None
                if len(values) < len(members):
                    entry[f"{name}_missing"] = len(members) - len(values)
            out.append(entry)
    return out


def markdown(summary: Sequence[Row]) -> str:
    lines = ["| family | scenes | system | " + " | ".join(TITLES[n] for n in NAMES) + " |"]
    lines.append("|---|---|---|" + "---|" * len(NAMES))
    last = ""
    for row in summary:
        cells = ["-" if row[n] is None else f"{row[n]:.3f}" if n == "estoi" else f"{row[n]:.2f}" for n in NAMES]
        family = "" if row["family"] == last else row["family"]
        last = row["family"]
        lines.append(f"| {family} | {row['scenes'] if family else ''} | {row['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def directions_markdown(directions: Sequence[Row]) -> str:
    lines = ["| family | scenes | median of medians, degrees | worst median | share of speech with a direction |"]
    lines.append("|---|---|---|---|---|")
    for family in dict.fromkeys(r["family"] for r in directions):
        members = [r for r in directions if r["family"] == family]
        medians = [r["median_deg"] for r in members if r["median_deg"] is not None]
        known = np.mean([r["known"] for r in members])
        text = f"{np.median(medians):.1f} | {max(medians):.1f}" if medians else "- | -"
        lines.append(f"| {family} | {len(members)} | {text} | {known:.2f} |")
    return "\n".join(lines) + "\n"


def draw(path: Path, summary: Sequence[Row]) -> None:
    """Output SNR and ESTOI per family of scenes, one dot per system."""
    from edge.quality.plots import AFTER, BEAM, BEFORE, GRID, INK, LATE, picture

    styles = {
        "mic 0": (BEFORE, "o"),
        "delay-and-sum, told": (BEFORE, "s"),
        "superdirective, told": (BEFORE, "^"),
        "lead-in MVDR, told": (BEAM, "D"),
        "lead-in MVDR, told, loading -30 dB": (BEAM, "d"),
        "ours, told nothing": (AFTER, "o"),
        "ours, told": (AFTER, "^"),
        "oracle MVDR": (INK, "*"),
        "souden": (LATE, "v"),
        "rtf": (AFTER, "P"),
        "mpdr": (BEFORE, "X"),
        "gsc": (BEAM, "h"),
    }
    families = list(dict.fromkeys(r["family"] for r in summary))
    with picture(path, 11.0, 4.6) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, name in zip(panels, ("snr_db", "estoi"), strict=True):
            for system, (colour, marker) in styles.items():
                points = [
                    (r[name], families.index(r["family"]))
                    for r in summary
                    if r["system"] == system and r[name] is not None
                ]
                if points:
                    big = system == "ours, told nothing"
                    axes.scatter(
                        *zip(*points, strict=True),
                        color=colour,
                        marker=marker,
                        s=110 if big else 46,
                        label=system,
                        zorder=4 if big else 3,
                        alpha=0.95,
                    )
            axes.set_yticks(range(len(families)), [FAMILIES[family] for family in families])
            axes.grid(axis="both", color=GRID, lw=0.8)
            axes.set_axisbelow(True)
            axes.set_title(TITLES[name])
        panels[0].invert_yaxis()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)
