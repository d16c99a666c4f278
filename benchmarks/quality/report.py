"""Tables and the picture of the quality benchmark, from the rows of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality import arrays, mono
from benchmarks.quality.musts import mean, word_error_rate
from benchmarks.quality.scores import NAMES

Row = dict[str, Any]

REVERB_NAMES = ("early_late_db", "gain_db", "srmr", "pesq_wb", "estoi")
CLEAN_NAMES = ("level_dbfs", "pesq_wb", "estoi", "si_sdr_db", "dnsmos_sig", "dnsmos_ovr")
FINE = ("stoi", "estoi", "wer")
TITLES = {
    "pesq_wb": "PESQ-WB",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "si_sdr_db": "SI-SDR dB",
    "dnsmos_sig": "DNSMOS sig",
    "dnsmos_bak": "DNSMOS bak",
    "dnsmos_ovr": "DNSMOS ovr",
    "wer": "word errors",
    "early_late_db": "early/late dB",
    "gain_db": "gain dB",
    "srmr": "SRMR",
    "level_dbfs": "level dBFS",
}


def summarise(rows: Sequence[Row], by: str, names: Sequence[str], everything: bool = True) -> list[Row]:
    """Means per value of `by` (and over all, as "all") and system, undefined values left out and counted."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    groups = list(dict.fromkeys(row[by] for row in rows))
    if all(isinstance(group, int | float) for group in groups):
        groups.sort()
    out = []
    for group in [*groups, *(["all"] if everything else [])]:
        for system in systems:
            members = [r for r in rows if r["system"] == system and group in (r[by], "all")]
            if not members:
                continue
            entry: Row = {by: group, "system": system, "items": len(members)}
            for name in names:
                value = mean(members, name)
                entry[name] = None if value is None else round(value, 4)
                if value is not None and (missing := sum(r.get(name) is None for r in members)):
                    entry[f"{name}_missing"] = missing
            if (rate := word_error_rate(members)) is not None:
                entry |= {"wer": round(rate, 4), "words": int(sum(r.get("words") or 0 for r in members))}
            out.append(entry)
    return out


def table(summary: Sequence[Row], by: str, names: Sequence[str]) -> str:
    """One line per group and system; word errors where there are any."""
    columns = [*names, *(["wer"] if any("wer" in row for row in summary) else [])]
    lines = [f"| {by} | items | system | " + " | ".join(TITLES[c] for c in columns) + " |"]
    lines.append("|---|---|---|" + "---|" * len(columns))
    last: Any = None
    for row in summary:
        cells = ["-" if row.get(c) is None else f"{row[c]:.{3 if c in FINE else 2}f}" for c in columns]
        group = f"{row[by]:g}" if isinstance(row[by], int | float) else row[by]
        shown = ("", "") if row[by] == last else (group, row["items"])
        lines.append(f"| {shown[0]} | {shown[1]} | {row['system']} | " + " | ".join(cells) + " |")
        last = row[by]
    return "\n".join(lines) + "\n"


def plain_table(rows: Sequence[Row]) -> str:
    """Every key of the rows as a column."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        values = (row.get(c) for c in columns)
        cells = ("-" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _costs(costs: dict[str, Row]) -> str:
    return plain_table([{"system": name, **row} for name, row in costs.items()])


def summaries(document: dict[str, Any]) -> dict[str, list[Row]]:
    """Means of every part that was run."""
    found: dict[str, list[Row]] = {}
    if rows := document.get("mono"):
        found["mono"] = summarise(rows, "snr_db", NAMES)
    if rows := document.get("array"):
        found["array"] = summarise(rows, "family", NAMES)
    for noise in ("none", "20 dB"):
        if rows := [row for row in document.get("reverb") or [] if row["noise"] == noise]:
            found[f"reverb, noise {noise}"] = summarise(rows, "rt60_s", REVERB_NAMES)
    if rows := document.get("clean"):
        found["clean"] = summarise(rows, "wanted_dbfs", CLEAN_NAMES, everything=False)
    return found


HEADINGS = {
    "mono": "One microphone, dB SNR",
    "array": "Square of four microphones, families of scenes",
    "reverb, noise none": "Late reverberation by RT60 in s, no noise",
    "reverb, noise 20 dB": "Late reverberation by RT60 in s, noise 20 dB below",
    "clean": "Clean speech by level in dBFS: output against input",
}


def markdown(document: dict[str, Any], musts: str) -> str:
    """The whole page."""
    costs = document.get("cost") or {}
    parts = ["# Quality benchmark, profile " + document["options"]["profile"], ""]
    for kind, network in document["networks"].items():
        sizes = ", ".join(f"{p} {f['bytes'] / 1e6:.2f} MB" for p, f in network.get("files", {}).items())
        parts.append(f"Network for {kind}: {network.get('name', 'none')} ({sizes}).")
    if document["options"]["limit"] or document["options"]["scenes"]:
        parts.append("A part only of mixtures or scenes: see how many in the tables.")
    by = {"mono": "snr_db", "array": "family", "clean": "wanted_dbfs"}
    for name, summary in document["summary"].items():
        group = by.get(name, "rt60_s")
        names = [key for key in TITLES if key != "wer" and any(key in row for row in summary)]
        parts += ["", f"## {HEADINGS[name]}", "", table(summary, group, names)]
        if name in costs:
            parts += ["", "Cost on this machine, one core:", "", _costs(costs[name])]
    if document.get("silence"):
        parts += ["", "## Silence", "", plain_table(document["silence"]), "", plain_table(costs.get("silence", []))]
    return "\n".join([*parts, musts])


# ---- the picture ----


def _against_cost(
    axes: Any, rows: Sequence[Row], costs: dict[str, Row], name: str, before: str, ours: Iterable[str]
) -> None:
    from edge.quality.plots import AFTER, BEFORE, GRID, INK

    points = {row["system"]: row[name] for row in rows if row["system"] in costs and row[name] is not None}
    for system, value in points.items():
        cost = costs[system]
        mine = system in ours
        axes.scatter(
            cost["ms_per_s"],
            value,
            s=6.0 * cost["latency_ms"],
            color=AFTER if mine else BEFORE,
            alpha=0.9 if mine else 0.6,
            zorder=3,
            linewidths=0,
        )
        label = f"{system}\n{cost['latency_ms']:.0f} ms"
        axes.annotate(
            label, (cost["ms_per_s"], value), (0, 9), textcoords="offset points", ha="center", fontsize=8, color=INK
        )
    for row in rows:
        if row["system"] == before and row[name] is not None:
            axes.axhline(row[name], color=BEFORE, lw=1, ls=":")
            axes.annotate(
                before, (0.99, row[name]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
            )
    axes.set_xscale("log")
    axes.margins(0.16, 0.18)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("processing ms per second of audio")
    axes.set_ylabel(TITLES[name])


def _against_snr(axes: Any, rows: Sequence[Row], name: str) -> None:
    from edge.quality.plots import AFTER, BEAM, BEFORE, FREQUENCY_COLOURS, GRID, INK, LATE

    colours = {mono.INT8: AFTER, mono.NOISY: BEFORE, "deepfilternet3": LATE, "dtln": BEAM, mono.WIENER: INK}
    others = iter(FREQUENCY_COLOURS)
    shown = [r for r in rows if r["snr_db"] != "all" and r["system"] not in (mono.FLOAT, mono.ASR, "dtln-int8")]
    for system in dict.fromkeys(row["system"] for row in shown):
        line = [(r["snr_db"], r[name]) for r in shown if r["system"] == system and r[name] is not None]
        colour = colours.get(system) or next(others, INK)
        style = ":" if system == mono.NOISY else "-"
        axes.plot(
            *zip(*line, strict=True),
            style,
            color=colour,
            lw=3 if system == mono.INT8 else 1.5,
            marker="o",
            ms=4,
            label=system,
        )
    axes.grid(color=GRID, lw=0.8)
    axes.set_xticks(sorted({r["snr_db"] for r in shown}))
    axes.set_xlabel("SNR in dB")
    axes.set_ylabel(TITLES[name])


def draw(path: Path, document: dict[str, Any]) -> bool:
    """PESQ and ESTOI against cost (latency as size and label) and over the SNR. False where nothing can be drawn."""
    from edge.quality.plots import picture

    summary, costs = document["summary"], document.get("cost") or {}
    panels = []
    if "mono" in summary and "mono" in costs:
        panels.append("mono")
    if "mono" in summary:
        panels.append("snr")
    if "array" in summary and "array" in costs:
        panels.append("array")
    if not panels:
        return False
    with picture(path, 5.6 * len(panels), 8.4) as figure:
        grid = figure.subplots(2, len(panels), squeeze=False)
        for column, panel in enumerate(panels):
            for axes, name in zip(grid[:, column], ("pesq_wb", "estoi"), strict=True):
                if panel == "snr":
                    _against_snr(axes, summary["mono"], name)
                elif panel == "mono":
                    whole = [r for r in summary["mono"] if r["snr_db"] == "all"]
                    _against_cost(axes, whole, costs["mono"], name, mono.NOISY, (mono.INT8, mono.FLOAT))
                else:
                    whole = [r for r in summary["array"] if r["family"] == "all"]
                    _against_cost(axes, whole, costs["array"], name, arrays.MIC, (arrays.INT8, arrays.FLOAT))
            titles = {
                "mono": "One microphone (size and label: latency)",
                "snr": "One microphone by SNR",
                "array": "Square of four, ours told nothing",
            }
            grid[0, column].set_title(titles[panel])
            if panel == "snr":
                grid[0, column].legend(fontsize=8, loc="upper left")
    return True
