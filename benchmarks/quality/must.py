"""One line of what has to be reached: how it is judged, and how lines are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]
Judge = Callable[[float, float], bool]
"""of ours and of what is needed"""


@dataclass(frozen=True)
class Must:
    """One line. reached None: not measured. binding False: shown beside the musts."""

    what: str
    reached: bool | None
    ours: float | None = None
    needed: float | None = None
    note: str = ""
    binding: bool = True


def mean(rows: Iterable[Row], name: str) -> float | None:
    """Of the defined values; None without any."""
    values = [row[name] for row in rows if row.get(name) is not None and np.isfinite(row[name])]
    return float(np.mean(values)) if values else None


def line(what: str, ours: float | None, needed: float | None, good: Judge, **more: Any) -> Must:
    """Judged by good(ours, needed); not measured where one of them is None. more: note, binding."""
    reached = None if ours is None or needed is None else bool(good(ours, needed))
    return Must(what, reached, ours, needed, **more)


def above(a: float, b: float) -> bool:
    return a > b


def at_most(a: float, b: float) -> bool:
    return a <= b


def below(a: float, b: float) -> bool:
    return a < b


def pair(rows: Sequence[Row], item: Sequence[str], ours: str, other: str, name: str) -> tuple[Any, Any]:
    """Means of both over the items (mixtures, scenes) in which both are defined."""
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        if row["system"] in (ours, other) and row.get(name) is not None and np.isfinite(row[name]):
            found.setdefault(tuple(row[key] for key in item), {})[row["system"]] = row[name]
    both = [(f[ours], f[other]) for f in found.values() if len(f) == 2]
    return tuple(np.mean(both, axis=0).tolist()) if both else (None, None)


def as_json(musts: Sequence[Must]) -> list[Row]:
    return [asdict(must) for must in musts]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.3f}"


def as_text(musts: Sequence[Must]) -> str:
    """Tables: the musts, then what is only shown."""
    parts = []
    for binding, title in ((True, "Musts"), (False, "Beside them")):
        lines = [m for m in musts if m.binding is binding]
        if not lines:
            continue
        met = sum(m.reached is True for m in lines)
        missed = sum(m.reached is False for m in lines)
        parts += ["", f"{title}: {met} met, {missed} missed, {len(lines) - met - missed} not measured", ""]
        parts += ["| | what | ours | needed | note |", "|---|---|---|---|---|"]
        for m in lines:
            verdict = {None: "not measured", True: "met", False: "MISSED"}[m.reached]
            parts.append(f"| {verdict} | {m.what} | {_number(m.ours)} | {_number(m.needed)} | {m.note} |")
    return "\n".join(parts) + "\n"
