"""What the array has to reach, checked scene by scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

OURS, TOLD = "ours, told nothing", "ours, told"
LEAD_IN, DELAY_SUM, MIC = "lead-in MVDR, told", "delay-and-sum, told", "mic 0"
SHARPER = "lead-in MVDR, told, loading -30 dB"
"""the stronger baseline in output SNR; published numbers fit LEAD_IN, so that one decides, and this is shown"""
STATIC = ("peers", "static", "doa")
"""families in which nothing moves and nothing is broken"""
MEASURES = ("estoi", "snr_db")
DOA_LIMITS_DEG = {"doa-snr5": 5.0, "doa-snr0": 10.0}
COST_LIMIT_MS = 0.08

Row = dict[str, Any]


@dataclass(frozen=True)
class Must:
    """One line of what has to be reached, or that is shown beside it."""

    what: str
    reached: bool | None
    """None: not measured"""
    ours: float | None
    needed: float | None
    scenes: int
    short: list[str]
    """scenes below it, worst first, with how much; before them those in which ours has no value"""
    left_out: list[str] = field(default_factory=list)
    """scenes in which the other has no value: nothing to compare with"""
    binding: bool = True
    """False: a comparison that is shown, not a must"""


def _value(rows: Sequence[Row], scene: str, system: str, measure: str) -> float:
    found = [r[measure] for r in rows if r["scene"] == scene and r["system"] == system]
    return float(found[0]) if found and found[0] is not None else float("nan")


def _names(rows: Sequence[Row], families: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(r["scene"] for r in rows if r["family"] in families))


@dataclass(frozen=True)
class _Pairs:
    """Ours and another system, scene by scene."""

    common: dict[str, tuple[float, float]]
    """ours and other, where both are defined"""
    missing: list[str]
    """scenes where ours is not: worse than any number"""
    left_out: list[str]
    """scenes where only ours is"""

    def short(self, allowed: float) -> list[str]:
        """Scenes in which ours is more than `allowed` below the other, worst first."""
        bad = sorted((ours - other, n) for n, (ours, other) in self.common.items() if ours - other < -allowed)
        return [f"{n} undefined" for n in self.missing] + [f"{n} {gap:+.3f}" for gap, n in bad]


def _pairs(rows: Sequence[Row], names: Sequence[str], other: str, measure: str) -> _Pairs:
    values = {n: (_value(rows, n, OURS, measure), _value(rows, n, other, measure)) for n in names}
    return _Pairs(
        {n: v for n, v in values.items() if np.isfinite(v).all()},
        [n for n, (ours, _) in values.items() if not np.isfinite(ours)],
        [n for n, (ours, theirs) in values.items() if np.isfinite(ours) and not np.isfinite(theirs)],
    )


def _means(
    rows: Sequence[Row], what: str, families: Sequence[str], other: str, measure: str, share: float
) -> Must | None:
    """Mean of ours at least `share` of the mean of `other`, both over the same scenes, and none in which ours fails."""
    names = _names(rows, families)
    if not names:
        return None
    pairs = _pairs(rows, names, other, measure)
    what = f"{what}: {measure}"
    short = pairs.short(0.0)
    if not pairs.common:
        return Must(what, False, None, None, 0, short, pairs.left_out)
    ours, theirs = np.mean(list(pairs.common.values()), axis=0)
    needed = float(theirs - (1.0 - share) * abs(theirs))
    reached = bool(ours >= needed) and not pairs.missing
    return Must(what, reached, float(ours), needed, len(pairs.common), short, pairs.left_out)


def _every(rows: Sequence[Row], what: str, other: str, measure: str, allowed: float) -> Must | None:
    """Ours not more than `allowed` below `other` in any scene."""
    names = list(dict.fromkeys(r["scene"] for r in rows))
    if not names:
        return None
    pairs = _pairs(rows, names, other, measure)
    short = pairs.short(allowed)
    worst = min((ours - theirs for ours, theirs in pairs.common.values()), default=None)
    reached = bool(pairs.common) and not short
    return Must(f"{what}: {measure}", reached, worst, 0.0 - allowed, len(pairs.common), short, pairs.left_out)


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

    rows: scene, family, system and metrics of each run. directions: scene and median_deg. cost_ms: listening, finding
    the talker and beamforming per hop for four microphones, None where it was not measured.
    """
    found: list[Must | None] = []
    for measure in MEASURES:
        found.append(_means(rows, "static, at least lead-in MVDR", STATIC, LEAD_IN, measure, 1.0))
        found.append(_means(rows, "walking, within 10 % of lead-in MVDR", ("walk",), LEAD_IN, measure, 0.9))
    found += [_every(rows, "every scene, at least delay-and-sum", DELAY_SUM, measure, 0.0) for measure in MEASURES]
    found.append(_every(rows, "every scene, at most 0.01 below mic 0", MIC, "estoi", 0.01))
    found += [_direction(directions, prefix, limit_deg) for prefix, limit_deg in DOA_LIMITS_DEG.items()]
    reached = None if cost_ms is None else cost_ms < COST_LIMIT_MS
    found.append(
        Must("listen, localize and beamform per hop, 4 microphones: ms", reached, cost_ms, COST_LIMIT_MS, 0, [])
    )
    if any(r["system"] == SHARPER for r in rows):
        for measure in MEASURES:
            beside = (
                _means(rows, "static, at least lead-in MVDR with loading -30 dB", STATIC, SHARPER, measure, 1.0),
                _means(rows, "walking, within 10 % of the same", ("walk",), SHARPER, measure, 0.9),
            )
            found += [None if must is None else replace(must, binding=False) for must in beside]
    return [must for must in found if must is not None]


def as_json(musts: Sequence[Must]) -> list[Row]:
    return [asdict(must) for must in musts]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(musts: Sequence[Must]) -> str:
    lines = ["| reached | what | ours | needed | scenes | below it |", "|---|---|---|---|---|---|"]
    for m in musts:
        reached = {None: "not measured", True: "yes", False: "NO"}[m.reached]
        below = f"{len(m.short)}: {', '.join(m.short[:4])}" if m.short else "none"
        if m.reached is None:
            below = ""
        if m.left_out:
            below += f"; nothing to compare with in {len(m.left_out)}: {', '.join(m.left_out[:4])}"
        lines.append(f"| {reached} | {m.what} | {_number(m.ours)} | {_number(m.needed)} | {m.scenes or ''} | {below} |")
    return "\n".join(lines) + "\n"


def as_text(musts: Sequence[Must]) -> str:
    """The musts, and after them the comparisons that are only shown."""
    beside = [m for m in musts if not m.binding]
    text = _table([m for m in musts if m.binding])
    return text + ("\nNot musts, but against the stronger baseline:\n\n" + _table(beside) if beside else "")
