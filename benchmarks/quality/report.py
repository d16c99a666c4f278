"""Tables of the quality benchmark, from the rows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.quality.must import mean
from benchmarks.quality.scores import NAMES
from benchmarks.quality.word_musts import median_rate, ran_away, word_error_rate
from benchmarks.record import provenance

Row = dict[str, Any]

REVERB_NAMES = ("early_late_db", "gain_db", "srmr", "pesq_wb", "estoi")
CLEAN_NAMES = ("level_dbfs", "pesq_wb", "estoi", "si_sdr_db")
WORD_NAMES = ("wer", "wer_median", "ran_away")
FINE = ("stoi", "estoi", "wer", "wer_median")
COUNTS = ("ran_away",)
TITLES = {
    "pesq_wb": "PESQ-WB",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "si_sdr_db": "SI-SDR dB",
    "dnsmos_sig": "DNSMOS sig",
    "dnsmos_bak": "DNSMOS bak",
    "dnsmos_ovr": "DNSMOS ovr",
    "wer": "word errors",
    "wer_median": "median of items",
    "ran_away": "ran away",
    "early_late_db": "early/late dB",
    "gain_db": "gain dB",
    "srmr": "SRMR",
    "level_dbfs": "level dBFS",
}


def summarise(rows: Sequence[Row], by: str, names: Sequence[str], everything: bool = True) -> list[Row]:
    """Means per value of `by` (and over all, as "all") and system, undefined values left out and counted.

    What was not taken of every item of a group (it has no such key) has no mean: it would be one of other items.
    """
    systems = list(dict.fromkeys(row["system"] for row in rows))
    groups = list(dict.fromkeys(row[by] for row in rows))
    if all(isinstance(group, int | float) for group in groups):
        groups.sort()
    most = {
        group: max(
            sum(r.get("words") or 0 for r in rows if r["system"] == s and group in (r[by], "all")) for s in systems
        )
        for group in [*groups, "all"]
    }
    out = []
    for group in [*groups, *(["all"] if everything else [])]:
        for system in systems:
            members = [r for r in rows if r["system"] == system and group in (r[by], "all")]
            if not members:
                continue
            entry: Row = {by: group, "system": system, "items": len(members)}
            for name in names:
                value = mean(members, name) if all(name in row for row in members) else None
                entry[name] = None if value is None else round(value, 4)
                if value is not None and (missing := sum(r.get(name) is None for r in members)):
                    entry[f"{name}_missing"] = missing
            spoken = sum(r.get("words") or 0 for r in members)
            if spoken == most[group] and (rate := word_error_rate(members)) is not None:
                entry |= {"wer": round(rate, 4), "words": int(spoken), "ran_away": ran_away(members)}
                entry["wer_median"] = round(median_rate(members) or 0.0, 4)
            out.append(entry)
    return out


def table(summary: Sequence[Row], by: str, names: Sequence[str]) -> str:
    """One line per group and system; where words were counted also their errors per word, the median of that over the
    items, and in how many the recogniser ran away.
    """
    columns = [*names, *(WORD_NAMES if any("wer" in row for row in summary) else ())]
    lines = [f"| {by} | items | system | " + " | ".join(TITLES[c] for c in columns) + " |"]
    lines.append("|---|---|---|" + "---|" * len(columns))
    last: Any = None
    for row in summary:
        digits = {c: 0 if c in COUNTS else 3 if c in FINE else 2 for c in columns}
        cells = ["-" if row.get(c) is None else f"{row[c]:.{digits[c]}f}" for c in columns]
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
    """The whole page. Where the parts come from is told once, or under each heading where they differ."""
    costs, stamps = document.get("cost") or {}, document.get("stamps") or {}
    told = {part: provenance(stamp) for part, stamp in stamps.items()}
    alike = len(set(told.values())) == 1

    def under(part: str) -> list[str]:
        return [] if alike or part not in told else ["", told[part]]

    parts = ["# Quality benchmark, profile " + document["options"]["profile"], ""]
    for kind, network in document["networks"].items():
        sizes = ", ".join(f"{p} {f['bytes'] / 1e6:.2f} MB" for p, f in network.get("files", {}).items())
        parts.append(f"Network for {kind}: {network.get('name', 'none')} ({sizes}).")
    if document["options"]["limit"] or document["options"]["scenes"]:
        parts.append("A part only of mixtures or scenes: see how many in the tables.")
    parts += ["", *set(told.values())] if alike else []
    by = {"mono": "snr_db", "array": "family", "clean": "wanted_dbfs"}
    for name, summary in document["summary"].items():
        group = by.get(name, "rt60_s")
        names = [key for key in TITLES if key not in WORD_NAMES and any(key in row for row in summary)]
        parts += ["", f"## {HEADINGS[name]}", *under(name.split(",")[0]), "", table(summary, group, names)]
        if name in costs:
            parts += ["", "Cost on one core:", *under("cost"), "", _costs(costs[name])]
    if document.get("silence"):
        parts += ["", "## Silence", *under("clean"), "", plain_table(document["silence"])]
        if costs.get("silence"):
            parts += [*under("cost"), "", plain_table(costs["silence"])]
    return "\n".join([*parts, musts])
