"""Tasks in several processes of this machine, of one thread each, that survive a task which kills its process."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Processes(Generic[Task, Outcome]):
    """So many processes. Each calls prepare(given) once and work(task) for every task; died(task) is the outcome of one
    whose process died. work and prepare are functions of a module, given can be pickled.
    """

    def __init__(
        self,
        jobs: int,
        work: Callable[[Task], Outcome],
        died: Callable[[Task], Outcome],
        prepare: Callable[[Any], None],
        given: Any,
    ) -> None:
        self._jobs, self._work, self._died = jobs, work, died
        self._begin = prepare, given

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Each task with its outcome as it is finished; takes a new task only when it is about to be worked on."""
        pool, waiting = self._pool(self._jobs), dict[Future[Outcome], Task]()
        try:
            while True:
                suspects: list[Task] = []
                for task in itertools.islice(tasks, 2 * self._jobs - len(waiting)):
                    try:
                        waiting[pool.submit(self._work, task)] = task
                    except BrokenProcessPool:
                        suspects.append(task)
                if not waiting and not suspects:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    task = waiting.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        suspects.append(task)
                        continue
                    yield task, outcome
                if suspects:
                    # all that was in hand fell with the one process, and only alone does the guilty task show
                    pool.shutdown(cancel_futures=True)
                    suspects += waiting.values()
                    waiting.clear()
                    yield from self._each_alone(suspects)
                    pool = self._pool(self._jobs)
        finally:
            pool.shutdown(cancel_futures=True)

    def _pool(self, jobs: int) -> ProcessPoolExecutor:
        for name in _THREADS:
            os.environ.setdefault(name, "1")
        # a fork would copy the threads' locks of onnxruntime and numba in whatever state they are
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker, initargs=self._begin)

    def _each_alone(self, tasks: list[Task]) -> Iterator[tuple[Task, Outcome]]:
        pool = self._pool(1)
        try:
            for task in tasks:
                try:
                    outcome = pool.submit(self._work, task).result()
                except BrokenProcessPool:
                    outcome = self._died(task)
                    pool.shutdown()
                    pool = self._pool(1)
                yield task, outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_worker(prepare: Callable[[Any], None], given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells its workers
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    prepare(given)


def _end_with(parent: Any) -> None:
    """A parent that was killed cannot tell its workers, who would wait for work for ever."""
    parent.join()
    os._exit(1)
