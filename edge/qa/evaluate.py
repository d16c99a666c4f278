"""Measures all pairs: what is known comes from journal and store, the rest from the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.qa.journal import Journal
from edge.qa.measure import Outcome, Recipe, Record, Task, code, failed
from edge.qa.pairs import Pair
from edge.qa.table import METRICS
from edge.qa.workers import Workers
from edge.store import Store, digest, file_digest


@dataclass(frozen=True)
class System:
    """What is judged: a folder of enhanced files, or (recipe) an enhancer that makes them here."""

    name: str
    folder: Path | None = None
    recipe: Recipe | None = None


@dataclass
class Measured:
    """Records of one pair: of the noisy file, and of each system by its name."""

    pair: Pair
    noisy: Record = field(default_factory=dict)
    systems: dict[str, Record] = field(default_factory=dict)


@dataclass
class Effort:
    """What a run took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """of the workers"""
    resumed: int = 0
    """records that an unfinished run had left"""
    measured: int = 0
    """pairs that were worked on"""
    sounds_made: int = 0
    sounds_found: int = 0

    @property
    def at_once(self) -> float:
        """Processors in use on average."""
        return self.cpu_s / self.wall_s if self.wall_s > 0.0 else 0.0


def evaluate(
    pairs: Sequence[Pair],
    systems: Sequence[System],
    workers: Workers,
    store: Store,
    journal: Journal,
    wanted: Sequence[str] = METRICS,
    channel: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[Measured], Effort]:
    """Records of all pairs in their order, and what they took.

    wanted: metrics. channel: of files with several, 0 the first. `advance` is called once for each pair.

    Raises UsageError where the workers cannot do it; what was measured until then is kept.
    """
    run = _Run(systems, workers, store, journal, tuple(wanted), channel, advance)
    started_s = time.perf_counter()
    tasks = run.tasks(pairs)
    for task, outcome in workers.run(tasks):
        run.take(task, outcome)
    run.effort.wall_s = time.perf_counter() - started_s
    return [run.found[pair.name] for pair in pairs], run.effort


class _Run:
    def __init__(
        self,
        systems: Sequence[System],
        workers: Workers,
        store: Store,
        journal: Journal,
        wanted: tuple[str, ...],
        channel: int,
        advance: Callable[[], object],
    ) -> None:
        self.systems = systems
        self.workers = workers
        self.store = store
        self.journal = journal
        self.wanted = wanted
        self.channel = channel
        self.advance = advance
        self.found: dict[str, Measured] = {}
        self.effort = Effort()
        self._keys: dict[str, dict[str, str]] = {}
        """pair -> system, "" for the noisy file -> key of its record"""

    def tasks(self, pairs: Sequence[Pair]) -> Iterator[Task]:
        """One for each pair of which something is not known."""
        for pair in pairs:
            measured = self.found[pair.name] = Measured(pair)
            try:
                content = {path: file_digest(path) for path in (pair.clean, pair.noisy, *pair.enhanced.values())}
                self._look_up(measured, content)
                task = self._task(measured)
            except OSError as error:
                self._give_up(measured, f"a file cannot be read: {error.strerror or error}")
                task = None
            if task is None:
                self.advance()
            else:
                yield task

    def take(self, task: Task, outcome: Outcome) -> None:
        measured, keys = self.found[task.name], self._keys[task.name]
        if outcome.noisy is not None:
            measured.noisy = outcome.noisy
        measured.systems.update(outcome.systems)
        fresh = outcome.systems if outcome.noisy is None else {"": outcome.noisy, **outcome.systems}
        for system, record in fresh.items():
            if record["lasting"]:
                self.journal.add(keys[system], record)
                self.store.put_scores(keys[system], record)
        self.effort.cpu_s += outcome.cpu_s
        self.effort.measured += 1
        self.effort.sounds_made += outcome.sounds_made
        self.effort.sounds_found += outcome.sounds_found
        self.advance()

    def _look_up(self, measured: Measured, content: dict[Path, str]) -> None:
        pair = measured.pair
        keys = self._keys[pair.name] = self._keys_of(pair, content)
        known = {system: record for system, key in keys.items() if (record := self._known(key)) is not None}
        measured.noisy = known.pop("", {})
        measured.systems = known
        for system in self.systems:
            if system.folder is not None and system.name not in pair.enhanced:
                measured.systems[system.name] = failed(f"no enhanced file of that name in {system.folder}")

    def _keys_of(self, pair: Pair, content: dict[Path, str]) -> dict[str, str]:
        both = (code(), content[pair.clean], content[pair.noisy], str(self.channel), *self.wanted)
        keys = {"": digest("qa noisy", *both)}
        for system in self.systems:
            if system.recipe is not None:
                keys[system.name] = digest("qa made", *both, system.recipe.name, system.recipe.identity)
            elif system.name in pair.enhanced:
                keys[system.name] = digest("qa file", *both, content[pair.enhanced[system.name]])
        return keys

    def _known(self, key: str) -> Record | None:
        record = self.journal.known.get(key)
        if record is not None:
            self.effort.resumed += 1
        else:
            record = self.store.scores(key)
        return record if record and set(self.wanted) <= record.get("scores", {}).keys() else None

    def _task(self, measured: Measured) -> Task | None:
        pair = measured.pair
        missing = [system for system in self.systems if system.name not in measured.systems]
        if not missing and measured.noisy:
            return None
        load = Path.read_bytes if self.workers.sends_files else str
        return Task(
            pair.name,
            load(pair.clean),
            load(pair.noisy),
            self.channel,
            self.wanted,
            noisy_wanted=not measured.noisy,
            files={s.name: load(pair.enhanced[s.name]) for s in missing if s.recipe is None},
            recipes={s.name: s.recipe for s in missing if s.recipe is not None},
            code=code(),
        )

    def _give_up(self, measured: Measured, reason: str) -> None:
        record = failed(reason, lasting=False)
        measured.noisy = measured.noisy or record
        for system in self.systems:
            measured.systems.setdefault(system.name, record)
