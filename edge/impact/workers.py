"""Tasks in several processes of this machine."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from edge.impact.measure import Outcome, Task, failed, measure
from edge.store import Store

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(tasks: Iterable[Task], jobs: int, store: Store) -> Iterator[tuple[Task, Outcome]]:
    """Each task with its outcome as it is finished, by so many processes of one thread each; 1: in this one.

    A task whose process dies, as in a recogniser that crashes, gets that as its reason.
    """
    if jobs == 1:
        for task in tasks:
            yield task, measure(task, store)
        return
    pending = iter(tasks)
    pool, waiting = _pool(jobs, store), dict[Future[Outcome], Task]()
    try:
        while True:
            suspects: list[Task] = []
            for task in itertools.islice(pending, 2 * jobs - len(waiting)):
                try:
                    waiting[pool.submit(_in_worker, task)] = task
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
                # all that was in hand fell with one process, and only alone does the guilty task show
                pool.shutdown(cancel_futures=True)
                suspects += waiting.values()
                waiting.clear()
                for task in suspects:
                    yield task, _alone(task, store)
                pool = _pool(jobs, store)
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(jobs: int, store: Store) -> ProcessPoolExecutor:
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    # a fork would copy locks of onnxruntime and numba in whatever state they are
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(store,))


def _alone(task: Task, store: Store) -> Outcome:
    with _pool(1, store) as pool:
        try:
            return pool.submit(_in_worker, task).result()
        except BrokenProcessPool:
            return failed(task, "the process that measured it died")


_store = Store(None)


def _begin(store: Store) -> None:
    global _store
    _store = store
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells its workers
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """A parent that was killed cannot tell its workers, who would wait for work for ever."""
    parent.join()
    os._exit(1)


def _in_worker(task: Task) -> Outcome:
    return measure(task, _store)
