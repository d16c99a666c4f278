"""What every part of the benchmark works with: options, pipelines, peers and the scorer, made once per process."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.array.specs import ARRAYS_M
from benchmarks.quality import ours, peers
from benchmarks.quality.cache import ScoreCache
from benchmarks.quality.scores import QUALITY, SLOW, Scorer
from edge.mask.choice import shipped_networks
from edge.pipeline import Pipeline
from edge.profiles import PROFILES

F32 = NDArray[np.float32]
Row = dict[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line, as every process needs it."""

    data: Path
    cache: Path | None
    """of scores"""
    profile: str = "assistant"
    model: str = "auto"
    array_model: str = "auto"
    floor_db: float | str = "auto"
    peers: tuple[str, ...] = tuple(peers.PEERS)
    count_words: bool = True
    metrics: tuple[str, ...] = QUALITY
    """of mixtures and scenes"""
    quick_peers: bool = False
    """of peers, what takes long only where it is kept"""

    @property
    def quick_metrics(self) -> tuple[str, ...]:
        """For what is only a variant of something else in the table: without those that take longest."""
        return tuple(name for name in self.metrics if name not in SLOW)


class Bench:
    """The tools of one process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.scorer = Scorer(ScoreCache(options.cache), options.count_words)

    @functools.cached_property
    def peers(self) -> dict[str, peers.Peer]:
        """Those that were asked for and are installed."""
        return {name: peer for name, peer in peers.installed().items() if name in self.options.peers}

    @functools.cache  # noqa: B019  one Bench per process
    def mono(self, precision: str, kind: str = "network") -> Pipeline:
        """One microphone, no beamformer."""
        return self.fresh_mono(precision, kind)

    def fresh_mono(self, precision: str = "int8", kind: str = "network") -> Pipeline:
        """The same, another one every time."""
        return ours.make(self.options.profile, mask=self._mask(1, precision, kind)).pipeline

    def array(self, positions_m: F32 | NDArray[np.float64], precision: str) -> Pipeline:
        """An array that knows where its microphones are and nothing else."""
        return ours.make(self.options.profile, positions_m, self._mask(len(positions_m), precision)).pipeline

    def networks(self) -> dict[str, Any]:
        """What is measured: the networks for one microphone and for an array."""
        square = ARRAYS_M["square"]
        one = ours.make(self.options.profile, mask=self._mask(1, "int8"))
        array = ours.make(self.options.profile, square, self._mask(len(square), "int8"))
        return {"mono": ours.network_files(one), "array": ours.network_files(array)}

    def _mask(self, mics: int, precision: str, kind: str = "network") -> dict[str, Any]:
        model = self.options.array_model if mics > 1 else self.options.model
        shipped = shipped_networks(PROFILES[self.options.profile], mics)
        if model == "auto" and shipped:
            model = str(shipped[0].path)  # the best, not what this machine may have picked for its speed
        return {"kind": kind, "model": model, "precision": precision, "floor_db": self.options.floor_db}


@functools.lru_cache(maxsize=1)
def bench(options: Options) -> Bench:
    return Bench(options)


def in_processes(
    job: Callable[[Options, Item], Any], options: Options, items: Sequence[Item], processes: int, what: str
) -> list[Any]:
    """job(options, item) for every item in their order, `processes` at a time; in this very process with one."""
    call = functools.partial(job, options)
    if processes <= 1:
        return [call(item) for item in tqdm(items, unit=what, disable=None)]
    # networks that this process has open do not survive a fork
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, fresh) as pool:
        waiting = [pool.submit(call, item) for item in items]
        for done in tqdm(concurrent.futures.as_completed(waiting), total=len(items), unit=what, disable=None):
            done.result()
        return [done.result() for done in waiting]
