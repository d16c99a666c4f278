"""What the array has to reach, checked scene by scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

OURS, TOLD = "ours, told nothing", "ours, told"
LEAD_IN, DELAY_SUM, MIC = "lead-in MVDR, told", "delay-and-sum, told", "mic 0"
STATIC = ("peers", "static", "doa")
"""families in which nothing moves and nothing is broken"""
MEASURES = ("estoi", "snr_db")
DOA_LIMITS_DEG = {"doa-snr5": 5.0, "doa-snr0": 10.0}
COST_LIMIT_MS = 0.08

Row = dict[str, Any]


@dataclass(frozen=True)
class Must:
    """One line of what has to be reached."""

    what: str
    reached: bool
    ours: float | None
    needed: float | None
    scenes: int
    short: list[str]
    """scenes below it, worst first, with how much"""


def _value(rows: Sequence[Row], scene: str, system: str, measure: str) -> float:
    found = [r[measure] for r in rows if r["scene"] == scene and r["system"] == system]
    return float(found[0]) if found and found[0] is not None else float("nan")


def _names(rows: Sequence[Row], families: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(r["scene"] for r in rows if r["family"] in families))


def _shortfalls(rows: Sequence[Row], names: Sequence[str], other: str, measure: str, allowed: float) -> list[str]:
    """Scenes in which ours is more than `allowed` below `other`, worst first."""
    gaps = {n: _value(rows, n, OURS, measure) - _value(rows, n, other, measure) for n in names}
    bad = sorted((gap, n) for n, gap in gaps.items() if gap < -allowed)
    return [f"{n} {gap:+.3f}" for gap, n in bad]


def _means(
    rows: Sequence[Row], what: str, families: Sequence[str], other: str, measure: str, share: float
) -> Must | None:
    """Mean of ours at least `share` of the mean of `other`."""
    names = _names(rows, families)
    if not names:
        return None
    ours, theirs = (np.nanmean([_value(rows, n, system, measure) for n in names]) for system in (OURS, other))
    needed = float(theirs - (1.0 - share) * abs(theirs))
    short = _shortfalls(rows, names, other, measure, 0.0)
    return Must(f"{what}: {measure}", bool(ours >= needed), float(ours), needed, len(names), short)


def _every(rows: Sequence[Row], what: str, other: str, measure: str, allowed: float) -> Must | None:
    """Ours not more than `allowed` below `other` in any scene."""
    names = list(dict.fromkeys(r["scene"] for r in rows))
    gaps = [_value(rows, n, OURS, measure) - _value(rows, n, other, measure) for n in names]
    if np.isnan(gaps).all():
        return None
    short = _shortfalls(rows, names, other, measure, allowed)
    return Must(f"{what}: {measure}", not short, float(np.nanmin(gaps)), -allowed, len(names), short)


def _direction(directions: Sequence[Row], prefix: str, limit_deg: float) -> Must | None:
    chosen = {r["scene"]: r["median_deg"] for r in directions if r["scene"].startswith(prefix)}
    if not chosen:
        return None
    errors = [float("nan") if v is None else v for v in chosen.values()]
    short = [f"{n} {v}" for n, v in chosen.items() if v is None or v >= limit_deg]
    median = float(np.median(errors))
    return Must(
        f"direction, {prefix}: median error in degrees", median < limit_deg, median, limit_deg, len(errors), short
    )


def check(rows: Sequence[Row], directions: Sequence[Row], cost_ms: float | None) -> list[Must]:
    """All that these results can tell about.

    rows: scene, family, system and metrics of each run. directions: scene and median_deg. cost_ms: update, solve and
    direction per hop for four microphones.
    """
    found: list[Must | None] = []
    for measure in MEASURES:
        found.append(_means(rows, "static, at least lead-in MVDR", STATIC, LEAD_IN, measure, 1.0))
        found.append(_means(rows, "walking, within 10 % of lead-in MVDR", ("walk",), LEAD_IN, measure, 0.9))
    found += [_every(rows, "every scene, at least delay-and-sum", DELAY_SUM, measure, 0.0) for measure in MEASURES]
    found.append(_every(rows, "every scene, at most 0.01 below mic 0", MIC, "estoi", 0.01))
    found += [_direction(directions, prefix, limit_deg) for prefix, limit_deg in DOA_LIMITS_DEG.items()]
    if cost_ms is not None:
        what = "update, solve and direction per hop, 4 microphones: ms"
        found.append(Must(what, cost_ms < COST_LIMIT_MS, cost_ms, COST_LIMIT_MS, 0, []))
    return [must for must in found if must is not None]


def as_json(musts: Sequence[Must]) -> list[Row]:
    return [asdict(must) for must in musts]


def as_text(musts: Sequence[Must]) -> str:
    lines = ["| reached | what | ours | needed | scenes | below it |", "|---|---|---|---|---|---|"]
    for m in musts:
        below = f"{len(m.short)}: {', '.join(m.short[:4])}" if m.short else "none"
        numbers = f"{m.ours:.3f} | {m.needed:.3f} | {m.scenes or ''}"
        lines.append(f"| {'yes' if m.reached else 'NO'} | {m.what} | {numbers} | {below} |")
    return "\n".join(lines) + "\n"
