"""Tasks of `edge impact` in this process or in several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.impact.measure import Outcome, Task, failed, measure
from edge.processes import Processes
from edge.store import Store


def run(tasks: Iterable[Task], jobs: int, store: Store) -> Iterator[tuple[Task, Outcome]]:
    """Each task with its outcome as it is finished, by so many processes of one thread each; 1: in this one.

    A task whose process dies, as in a recogniser that crashes, gets that as its reason.
    """
    if jobs == 1:
        for task in tasks:
            yield task, measure(task, store)
        return
    yield from Processes(jobs, _in_worker, _died, _keep, store).run(iter(tasks))


def _died(task: Task) -> Outcome:
    return failed(task, "the process that measured it died")


_store = Store(None)


def _keep(store: Store) -> None:
    global _store
    _store = store


def _in_worker(task: Task) -> Outcome:
    return measure(task, _store)
