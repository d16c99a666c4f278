"""What has to be reached: limits for the numbers of a report, and the rule that makes one verdict of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.decoding import did_you_mean, read_toml, show
from edge.errors import ConfigError
from edge.qa.table import COLUMNS

RULES = {
    "mean": "the mean over the files that have a value meets each limit",
    "confidence": "the whole 95 % interval of the mean meets each limit",
    "every_file": "every file that has a value meets each limit",
}


@dataclass(frozen=True)
class Criterion:
    """One number of a file or mean, and the limit that it has to be above or below."""

    name: str
    limit: float
    above: bool

    def met_by(self, value: float) -> bool:
        return value > self.limit if self.above else value < self.limit

    def __str__(self) -> str:
        return f"{COLUMNS[self.name].title} {'>' if self.above else '<'} {self.limit:g}"


@dataclass(frozen=True)
class Criteria:
    """All limits, and how they become one verdict."""

    limits: tuple[Criterion, ...]
    rule: str = "mean"
    measured_share: float = 0.9
    """of the pairs that must have a value for each number with a limit, so that nothing passes by not being measured"""

    def sentence(self) -> str:
        return f"passes if {RULES[self.rule]} and at least {100.0 * self.measured_share:g} % of the pairs have one"

    def as_dict(self) -> dict[str, Any]:
        limits = {c.name: {"above" if c.above else "below": c.limit} for c in self.limits}
        return {"rule": self.rule, "measured_share": self.measured_share, "limits": limits}


DEFAULTS = Criteria(
    (
        Criterion("snr_gain_db", 3.0, above=True),
        Criterion("pesq_gain", 0.5, above=True),
        Criterion("stoi_gain", 0.1, above=True),
        Criterion("artifacts", 0.3, above=False),
        Criterion("clipping_percent", 1.0, above=False),
    )
)


def load_criteria(path: Path) -> Criteria:
    """Criteria from a TOML file; a limit that it does not name is not asked for. Raises ConfigError with every problem.

    rule = "mean"            # or "confidence", "every_file"
    measured_share = 0.9
    [limits]
    snr_gain_db = { above = 3.0 }
    """
    table = read_toml(path, "file of criteria")
    problems: list[str] = []
    for key in table.keys() - {"rule", "measured_share", "limits"}:
        near = did_you_mean(key, ("rule", "measured_share", "limits")) or "; expected rule, measured_share or [limits]"
        problems.append(f"{key}: unknown key{near}")
    rule = table.get("rule", DEFAULTS.rule)
    if not isinstance(rule, str) or rule not in RULES:
        problems.append(f"rule: got {show(rule)}, expected one of {', '.join(RULES)}")
    share = table.get("measured_share", DEFAULTS.measured_share)
    if not _is_number(share) or not 0.0 <= share <= 1.0:
        problems.append(f"measured_share: got {show(share)}, expected a number from 0 to 1")
    limits = table.get("limits", {})
    if not isinstance(limits, dict) or not limits:
        problems.append("limits: expected a section [limits] with at least one, such as snr_gain_db = { above = 3.0 }")
        limits = {}
    found = [_criterion(str(name), limit, problems) for name, limit in limits.items()]
    if problems:
        raise ConfigError(sorted(problems), str(path))
    return Criteria(tuple(criterion for criterion in found if criterion), rule, float(share))


def _criterion(name: str, limit: Any, problems: list[str]) -> Criterion | None:
    if name not in COLUMNS:
        near = did_you_mean(name, list(COLUMNS)) or f"; expected one of {', '.join(COLUMNS)}"
        problems.append(f"limits.{name}: unknown number{near}")
        return None
    if isinstance(limit, dict) and len(limit) == 1:
        ((side, value),) = limit.items()
        if side in ("above", "below"):
            if _is_number(value):
                return Criterion(name, float(value), side == "above")
            problems.append(f"limits.{name}.{side}: got {show(value)}, expected a number between -1e9 and 1e9")
            return None
    problems.append(f"limits.{name}: got {show(limit)}, expected {{ above = NUMBER }} or {{ below = NUMBER }}")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
