"""Means, what must be reached, and the page of the benchmark of classical enhancers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.classical.peers import PEERS
from edge.qa.statistics import spread

Row = dict[str, Any]

METRICS = ("pesq_wb", "estoi", "si_sdr_db", "artifacts")
COMPARED = METRICS[:3]
DIGITS = {"pesq_wb": 3, "estoi": 3, "si_sdr_db": 2, "artifacts": 2}
TRACKED = ("wiener", "spectral_subtraction", "wiener_offline", "spectral_subtraction_offline")
NETWORKS = ("network", "conv_tasnet", "blstm")
RANKS = (
    ("spectral_subtraction", "wiener", "network", "clean"),
    ("spectral_subtraction_offline", "wiener_offline", "network", "clean"),
)
"""from the most to the least musical noise"""


def means(rows: Sequence[Row]) -> list[Row]:
    """Per SNR and over all, per system; undefined values are left out and counted."""
    out = []
    for group in [*sorted({row["snr_db"] for row in rows}), "all"]:
        for system in dict.fromkeys(row["system"] for row in rows):
            members = [r for r in rows if r["system"] == system and group in (r["snr_db"], "all")]
            entry: Row = {"snr_db": group, "system": system, "items": len(members)}
            for name in METRICS:
                values = [row[name] for row in members if row[name] is not None]
                entry[name] = float(np.mean(values)) if values else None
                if len(values) < len(members):
                    entry[f"{name}_missing"] = len(members) - len(values)
            out.append(entry)
    return out


def whole(summary: Sequence[Row]) -> dict[str, Row]:
    """The means over all SNRs by system."""
    return {row["system"]: row for row in summary if row["snr_db"] == "all"}


def verdicts(summary: Sequence[Row], snr_db: float | str = "all") -> list[str]:
    """One sentence per system of ours and peer: at least its figures at an SNR or over all, or where not."""
    found, lines = {row["system"]: row for row in summary if row["snr_db"] == snr_db}, []
    for system in TRACKED:
        for peer in (p for p in PEERS if p in found and system in found):
            pairs = [(name, found[system][name], found[peer][name]) for name in COMPARED]
            short = [
                f"{name} {mine:.{DIGITS[name]}f} against {its:.{DIGITS[name]}f}"
                for name, mine, its in pairs
                if mine is not None and its is not None and mine < its
            ]
            unknown = [f"{name} is unknown" for name, mine, its in pairs if mine is None or its is None]
            lines.append(
                f"- {system} against {peer}: "
                + (f"missed, {'; '.join(short + unknown)}" if short or unknown else "met")
            )
    return lines


def within_chance(rows: Sequence[Row]) -> list[str]:
    """One sentence per pair whose means over all SNRs may differ by chance: the 95 % interval of the differences of the
    same mixtures includes 0."""
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(row["system"], []).append(row)
    lines = []
    for system, peer in itertools.product((s for s in TRACKED if s in by_system), (p for p in PEERS if p in by_system)):
        for name in COMPARED:
            pairs = [(a[name], b[name]) for a, b in zip(by_system[system], by_system[peer], strict=True)]
            found = spread([a - b for a, b in pairs if a is not None and b is not None])
            if found.low is not None and found.high is not None and found.low <= 0.0 <= found.high:
                mean, low, high = (f"{value:+.{DIGITS[name]}f}" for value in (found.mean, found.low, found.high))
                lines.append(f"- {system} against {peer}: {name} {mean} ({low} to {high})")
    return lines


def missed_by_snr(summary: Sequence[Row]) -> list[str]:
    """The verdicts that are missed at one SNR alone, with that SNR; empty where none is."""
    groups = dict.fromkeys(row["snr_db"] for row in summary if row["snr_db"] != "all")
    return [f"{line} at {snr_db:g} dB" for snr_db in groups for line in verdicts(summary, snr_db) if "missed" in line]


def ranks(rows: Sequence[Row]) -> list[str]:
    """One sentence per order of RANKS: whether the mean artifact scores keep it, and in how many mixtures each pair."""
    found, lines = whole(means(rows)), []
    values: dict[str, list[Any]] = {}
    for row in rows:
        values.setdefault(row["system"], []).append(row["artifacts"])
    for order in RANKS:
        if any(system not in found or found[system]["artifacts"] is None for system in order):
            continue
        scores = [found[system]["artifacts"] for system in order]
        # the first of a pair has to be above the second, in the mean and in every pair that both have a value in
        kept = all(a > b for a, b in itertools.pairwise(scores))
        shares = []
        for more, less in itertools.pairwise(order):
            pairs = [(a, b) for a, b in zip(values[more], values[less], strict=True) if None not in (a, b)]
            shares.append(f"{more} above {less} in {sum(a > b for a, b in pairs)} of {len(pairs)}")
        text = " > ".join(f"{system} {score:.2f}" for system, score in zip(order, scores, strict=True))
        lines.append(f"- {text}: {'met' if kept else 'missed'} in the mean; {', '.join(shares)} mixtures")
    return lines


def table(summary: Sequence[Row]) -> str:
    lines = ["| SNR dB | system | PESQ-WB | ESTOI | SI-SDR dB | artifacts |", "|---|---|---|---|---|---|"]
    for row in summary:
        cells = ["-" if row[name] is None else f"{row[name]:.{DIGITS[name]}f}" for name in METRICS]
        lines.append(f"| {row['snr_db']} | {row['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(rows: Sequence[Row]) -> str:
    """Tables over all and per SNR, and what was reached, as Markdown without a title."""
    summary = means(rows)
    by_snr = [row for row in summary if row["snr_db"] != "all"]
    parts = [table(list(whole(summary).values()))]
    parts += ["At least the figures of the peers, over all mixtures:\n\n" + "\n".join(verdicts(summary))]
    missed = missed_by_snr(summary)
    parts += [
        "The same at each SNR alone: " + ("missed where it says so here.\n\n" + "\n".join(missed) if missed else "met.")
    ]
    unsure = within_chance(rows)
    parts += [
        "Differences of means that may be chance (mean and 95 % interval over mixtures): "
        + ("\n\n" + "\n".join(unsure) if unsure else "none.")
    ]
    parts += ["Artifact scores in the order that they are known for:\n\n" + "\n".join(ranks(rows))]
    missing = sum(value for row in whole(summary).values() for key, value in row.items() if key.endswith("_missing"))
    parts += [f"{missing} values are undefined and in no mean (the SI-SDR of the clean speech itself is infinite)."]
    return "\n\n".join([*parts, table(by_snr)])
