"""All items at all SNRs, measured by several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge.impact.conditions import Condition
from edge.impact.material import Item
from edge.impact.measure import Outcome, Task
from edge.impact.workers import run
from edge.store import Store


def tasks_of(
    items: Sequence[Item],
    snrs_db: Sequence[float],
    conditions: Sequence[Condition],
    recognisers: Sequence[tuple[str, str]],
    speaker: str,
    lead_s: float,
    channels: int,
) -> list[Task]:
    """For every item its clean speech, and each SNR; a noisy recording has the one it has."""
    shared: dict[str, Any] = {
        "lead_s": lead_s,
        "channels": channels,
        "recognisers": tuple(recognisers),
        "speaker": speaker,
    }
    found = []
    for item in items:
        found.append(Task(item, None, conditions=(), **shared))
        levels = [None] if item.noisy is not None else snrs_db
        found += [Task(item, snr_db, conditions=tuple(conditions), **shared) for snr_db in levels]
    return found


def measure_all(
    tasks: Sequence[Task], jobs: int, store: Store, advance: Callable[[], Any]
) -> tuple[list[tuple[Task, Outcome]], int, int]:
    """Every task with its outcome, how many results were in the store and how many were made."""
    measured = []
    for task, outcome in run(tasks, jobs, store):
        measured.append((task, outcome))
        advance()
    return measured, sum(o.found for _, o in measured), sum(o.made for _, o in measured)
