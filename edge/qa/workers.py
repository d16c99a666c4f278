"""Where pairs are measured: in this process, in several on this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import copy
import itertools
import warnings
from collections.abc import Iterator
from typing import Any, Protocol

from edge.errors import EdgeError, UsageError
from edge.processes import Processes
from edge.qa.measure import Outcome, Task, failed, measure
from edge.store import Store

CONNECT_S = 10
WORKER_S = 60
"""until a scheduler has its first worker"""


class Workers(Protocol):
    """Measures tasks in any order."""

    sends_files: bool
    """whether tasks have to carry their files' bytes, since the workers may not see the same folders"""
    jobs: int

    @property
    def sentence(self) -> str:
        """Where the work is done, for the report."""

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Each task with its outcome, as they are finished; takes a new task only when it is about to be worked on."""


class ThisProcess:
    """One after another, here."""

    sends_files = False
    jobs = 1
    sentence = "one process"

    def __init__(self, store: Store) -> None:
        self._store = copy.copy(store)  # which counts by itself: sounds are not among the hits that are reported

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        for task in tasks:
            yield task, measure(task, self._store)


class LocalProcesses:
    """So many processes, each with one thread. A file that kills its process gets that as its reason."""

    sends_files = False

    def __init__(self, jobs: int, store: Store) -> None:
        self.jobs = jobs
        self._store = store

    @property
    def sentence(self) -> str:
        return f"{self.jobs} processes"

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        def died(task: Task) -> Outcome:
            return _died(task, "the process that measured it died")

        return Processes(self.jobs, _measure_in_worker, died, _keep, self._store).run(tasks)


def _died(task: Task, reason: str) -> Outcome:
    record = failed(reason, lasting=False)
    noisy = record if task.noisy_wanted else None
    return Outcome(noisy, dict.fromkeys((*task.files, *task.recipes), record))


_store = Store(None)


def _keep(store: Store) -> None:
    global _store
    _store = store


def _measure_in_worker(task: Task) -> Outcome:
    return measure(task, _store)


class DaskCluster:
    """The workers of a Dask scheduler, who get the files' bytes and need no folder of this machine.

    Raises UsageError where no scheduler answers or it has no worker.
    """

    sends_files = True

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client, TimeoutError
        except ImportError:
            raise UsageError("--scheduler needs distributed, which is not here: pip install mic-edge[lab]") from None
        self.address = address
        try:
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} ({' '.join(str(error).split())}); expected the address that "
                "`dask scheduler` prints, such as tcp://10.0.0.1:8786"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=WORKER_S)
        except TimeoutError:
            self._client.close()
            raise UsageError(
                f"the scheduler at {address} has no worker; start some with `dask worker {address} --nthreads 1`"
            ) from None
        self.jobs = max(1, sum(self._client.nthreads().values()))

    @property
    def sentence(self) -> str:
        return f"Dask scheduler {self.address}, {self.jobs} worker threads"

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        from distributed import CancelledError, KilledWorker
        from distributed import wait as wait_for

        waiting: dict[Any, Task] = {}
        try:
            while True:
                for task in itertools.islice(tasks, 2 * self.jobs - len(waiting)):
                    with warnings.catch_warnings():
                        # the bytes of the files, which have to travel with the task to survive the loss of a worker
                        warnings.filterwarnings("ignore", message="Sending large graph")
                        waiting[self._client.submit(_measure_far_away, task, pure=False)] = task
                if not waiting:
                    return
                with self._client.as_current():
                    done = wait_for(list(waiting), return_when="FIRST_COMPLETED").done
                for future in done:
                    task = waiting.pop(future)
                    try:
                        outcome = future.result()
                    except KilledWorker:
                        outcome = _died(task, "the workers that measured it died")
                    except EdgeError:
                        raise
                    except (CancelledError, OSError):
                        raise self._lost() from None
                    except Exception as error:
                        raise UsageError(
                            f"a worker of {self.address} cannot do it ({type(error).__name__}: {error}); expected "
                            "mic-edge[lab] of this version installed there"
                        ) from error
                    yield task, outcome
        except CancelledError:
            raise self._lost() from None
        finally:
            with contextlib.suppress(Exception):
                self._client.cancel(list(waiting))
            self._client.close()

    def _lost(self) -> UsageError:
        return UsageError(f"the Dask scheduler at {self.address} went away; the same command goes on with what is left")


def _measure_far_away(task: Task) -> Outcome:
    return measure(task, Store(None))
