"""Everything a report says, before it becomes text, JSON or a page."""

from __future__ import annotations

import dataclasses
import datetime
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import __version__
from edge.qa.criteria import Criteria
from edge.qa.evaluate import Effort, Measured, System
from edge.qa.measure import code
from edge.qa.statistics import METHOD, Spread
from edge.qa.summary import Summary, noisy_spreads, summarize
from edge.qa.table import columns_of


@dataclass(frozen=True)
class Report:
    """One evaluation. `cache` is the sentence and the counts of the store, `workers` where the work was done."""

    clean: Path
    noisy: Path
    channel: int
    wanted: Sequence[str]
    """metrics"""
    criteria: Criteria
    systems: Sequence[System]
    measured: Sequence[Measured]
    unpaired: Sequence[str]
    effort: Effort
    workers: str
    cache: str
    cache_counts: dict[str, Any]
    summaries: list[Summary] = field(init=False)
    noisy_spreads: dict[str, Spread] = field(init=False)
    columns: tuple[str, ...] = field(init=False)
    made: str = field(init=False)

    def __post_init__(self) -> None:
        columns = columns_of(self.wanted)
        summaries = [summarize(self.measured, system.name, self.criteria, columns) for system in self.systems]
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "summaries", summaries)
        object.__setattr__(self, "noisy_spreads", noisy_spreads(self.measured, self.wanted))
        now = datetime.datetime.now(datetime.timezone.utc)
        object.__setattr__(self, "made", now.strftime("%Y-%m-%d %H:%M UTC"))

    @property
    def passed(self) -> bool:
        """Whether every system meets the criteria."""
        return all(summary.passed for summary in self.summaries)

    @property
    def failing(self) -> list[str]:
        return [summary.system for summary in self.summaries if not summary.passed]

    def effort_sentence(self) -> str:
        e = self.effort
        resumed = f", {e.resumed} results from an unfinished run" if e.resumed else ""
        if not e.measured:
            return f"nothing to measure, {e.wall_s:.1f} s{resumed}"
        return (
            f"{e.measured} of {len(self.measured)} pairs measured in {e.wall_s:.1f} s by {self.workers}, "
            f"{e.cpu_s:.1f} s of processor time, {e.at_once:.2f} processors at once{resumed}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers, None where there is none, and the reasons; no NaN."""
        return {
            "passed": self.passed,
            "made": self.made,
            "clean": str(self.clean),
            "noisy": str(self.noisy),
            "channel": self.channel + 1,
            "pairs": len(self.measured),
            "unpaired": list(self.unpaired),
            "criteria": {**self.criteria.as_dict(), "sentence": self.criteria.sentence()},
            "intervals": METHOD,
            "noisy_means": {name: dataclasses.asdict(spread) for name, spread in self.noisy_spreads.items()},
            "systems": [self._system(*both) for both in zip(self.systems, self.summaries, strict=True)],
            "noisy_files": {one.pair.name: one.noisy for one in self.measured},
            "effort": {**dataclasses.asdict(self.effort), "at_once": self.effort.at_once, "workers": self.workers},
            "cache": self.cache_counts,
            "version": __version__,
            "code": code(),
            "python": platform.python_version(),
        }

    def _system(self, system: System, summary: Summary) -> dict[str, Any]:
        return {
            "name": system.name,
            "folder": None if system.folder is None else str(system.folder),
            "identity": None if system.recipe is None else system.recipe.identity,
            "passed": summary.passed,
            "criteria": [
                {
                    "name": finding.criterion.name,
                    "above" if finding.criterion.above else "below": finding.criterion.limit,
                    **dataclasses.asdict(finding.spread),
                    "met_by_files": finding.met,
                    "passed": finding.passed,
                    "why": finding.why,
                }
                for finding in summary.findings
            ],
            "means": {name: dataclasses.asdict(spread) for name, spread in summary.spreads.items()},
            "missing": [{"reason": reason, "files": files} for reason, files in summary.reasons],
            "files": [dataclasses.asdict(row) for row in summary.rows],
        }
