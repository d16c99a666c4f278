"""What word errors have to be: those of asr no more than the microphone's, at any SNR."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.array.musts import STATIC
from benchmarks.quality import mono
from benchmarks.quality.must import Must, Row, at_most, line

STEP_DB = 5.0
"""items of the same multiple of it, the nearest to their SNR, are judged together"""
FEWEST_WORDS = 100
"""with fewer, one transcript decides: shown and not judged"""


def word_error_rate(rows: Iterable[Row]) -> float | None:
    """Errors per spoken word over all rows."""
    rows = list(rows)
    spoken = sum(row.get("words") or 0.0 for row in rows)
    return sum(row.get("word_errors") or 0.0 for row in rows) / spoken if spoken else None


def median_rate(rows: Iterable[Row]) -> float | None:
    """Median over the rows of errors per spoken word: no single transcript moves it far."""
    rates = [row["word_errors"] / row["words"] for row in rows if row.get("words")]
    return float(np.median(rates)) if rates else None


def ran_away(rows: Iterable[Row]) -> int:
    """In how many rows the recogniser said words over and over, or more than fit in the time."""
    return sum(bool(row.get("ran_away")) for row in rows)


def by_snr(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by what their SNRs are, as words: "0 dB", or "-0.4 to 0 dB" of those that are judged together."""
    steps = {round(row["snr_db"] / STEP_DB) for row in rows}
    groups = {}
    for step in sorted(steps):
        there = [row for row in rows if round(row["snr_db"] / STEP_DB) == step]
        least, most = (round(f(row["snr_db"] for row in there), 1) + 0.0 for f in (min, max))
        groups[f"{least:g} dB" if least == most else f"{least:g} to {most:g} dB"] = there
    return groups


def _lines(rows: Sequence[Row], what: str, before: str, binding: bool) -> list[Must]:
    """asr and listen against `before` over the same rows."""
    taken = {s: [row for row in rows if row["system"] == s] for s in (before, mono.ASR, mono.INT8)}
    spoken = sum(row.get("words") or 0 for row in taken[before])
    found = []
    for system, name in ((mono.ASR, "asr"), (mono.INT8, "listen")):
        mine, theirs = taken[system], taken[before]
        items = sum(bool(row.get("words")) for row in mine)
        notes = [
            f"{spoken:.0f} words in {items} items",
            f"ran away in {ran_away(mine)}, {before} in {ran_away(theirs)}",
        ]
        medians = median_rate(mine), median_rate(theirs)
        if None not in medians:
            notes.append("medians {:.3f}, {:.3f}".format(*medians))
        if mine and all(row.get("same_as_noisy") for row in mine):
            notes.append(f"the same sound as {before} to 24 bits")
        if spoken < FEWEST_WORDS:
            notes.append("too few words to judge")
        found.append(
            line(
                f"word error rate of {name}, {what}, not above {before}",
                word_error_rate(mine),
                word_error_rate(theirs),
                at_most,
                note="; ".join(notes),
                binding=binding and name == "asr" and spoken >= FEWEST_WORDS,
            )
        )
    return found


def of_words(rows: Sequence[Row], what: str, before: str) -> list[Must]:
    """asr no worse than the microphone at any SNR; beside it listen and, of scenes, kinds of families."""
    found = [must for snr, there in by_snr(rows).items() for must in _lines(there, f"{what} at {snr}", before, True)]
    for kind, still in (("nothing moves or is broken", True), ("something moves or is broken", False)):
        there = [row for row in rows if "family" in row and (row["family"] in STATIC) == still]
        if there:
            found += _lines(there, f"{what}, {kind}", before, False)
    return found
