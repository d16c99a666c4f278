"""From records to what is said: gains, means with intervals, and a verdict per file and per system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.qa.criteria import Criteria, Criterion
from edge.qa.evaluate import Measured
from edge.qa.statistics import Spread, spread
from edge.qa.table import COLUMNS
from edge.quality.metrics import SILENT_ESTIMATE

PASS, FAIL, OPEN = "pass", "fail", "no value"


@dataclass(frozen=True)
class Row:
    """One file through one system: value or None and the reason, per column; what it says of the criteria."""

    name: str
    values: dict[str, float | None]
    reasons: dict[str, str]
    verdict: str
    muted: frozenset[str] = frozenset()
    """columns without a value because the enhancer put out silence"""


@dataclass(frozen=True)
class Finding:
    """What became of one criterion over all files of a system."""

    criterion: Criterion
    spread: Spread
    met: int
    """files that meet it"""
    passed: bool
    why: str
    """in words, when it did not"""


@dataclass(frozen=True)
class Summary:
    """One system over all files."""

    system: str
    rows: list[Row]
    spreads: dict[str, Spread]
    findings: list[Finding]
    reasons: list[tuple[str, int]]
    """why values are missing, and in how many files"""

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)


def summarize(measured: Sequence[Measured], system: str, criteria: Criteria, columns: Sequence[str]) -> Summary:
    """Rows and means of one system. Only values enter a mean; where there is none the reason is counted."""
    rows = [_row(one, system, criteria, columns) for one in measured]
    values = {name: [v for row in rows if (v := row.values[name]) is not None] for name in columns}
    spreads = {name: spread(found) for name, found in values.items()}
    findings = [_finding(limit, criteria, rows, spreads[limit.name]) for limit in criteria.limits]
    reasons = Counter(reason for row in rows for reason in sorted({brief(why) for why in row.reasons.values()}))
    return Summary(system, rows, spreads, findings, reasons.most_common())


def brief(reason: str) -> str:
    """Without the length that each metric needs, so that a short file is short once and not for every metric."""
    return reason.split(", at least ")[0]


def _row(one: Measured, system: str, criteria: Criteria, columns: Sequence[str]) -> Row:
    before, after = one.noisy["scores"], one.systems[system]["scores"]
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name in columns:
        gain_of = COLUMNS[name].gain_of
        if not gain_of:
            values[name], reason = after[name]
        else:
            (noisy, why_noisy), (made, why_made) = before[gain_of], after[gain_of]
            values[name] = None if noisy is None or made is None else made - noisy
            reason = why_made or (f"noisy: {why_noisy}" if why_noisy else "")
        if values[name] is None:
            reasons[name] = reason
    metric = {name: COLUMNS[name].gain_of or name for name in reasons}
    muted = frozenset(name for name in reasons if _muted(before[metric[name]], after[metric[name]]))
    limits = criteria.limits
    if any(c.name in muted or ((v := values[c.name]) is not None and not c.met_by(v)) for c in limits):
        verdict = FAIL
    else:
        verdict = OPEN if any(values[c.name] is None for c in limits) else PASS
    return Row(one.pair.name, values, reasons, verdict, muted)


def _muted(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether there is no value because nothing came out of a file that has one: that misses every limit, or muting
    the talker would raise the mean.
    """
    return before[0] is not None and after[1] == SILENT_ESTIMATE


def _finding(limit: Criterion, criteria: Criteria, rows: Sequence[Row], found: Spread) -> Finding:
    met = sum(value is not None and limit.met_by(value) for value in (row.values[limit.name] for row in rows))
    share = found.files / len(rows)
    muted = sum(limit.name in row.muted for row in rows)
    why = ""
    if muted:
        why = f"{muted} of {len(rows)} files came out silent"
    elif share < criteria.measured_share:
        why = f"only {found.files} of {len(rows)} files have a value"
    elif found.mean is None:
        why = "no file has a value"
    elif criteria.rule == "every_file":
        why = "" if met == found.files else f"{found.files - met} of {found.files} files do not meet it"
    elif criteria.rule == "confidence":
        bound = found.low if limit.above else found.high
        if bound is None:
            why = "one file gives no interval"
        elif not limit.met_by(bound):
            why = "the interval of the mean does not meet it"
    elif not limit.met_by(found.mean):
        why = "the mean does not meet it"
    return Finding(limit, found, met, not why, why)


def noisy_spreads(measured: Sequence[Measured], metrics: Sequence[str]) -> dict[str, Spread]:
    """Means of the noisy files themselves, to stand beside the systems."""
    return {
        name: spread([v for one in measured if (v := one.noisy["scores"][name][0]) is not None]) for name in metrics
    }
