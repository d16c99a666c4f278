"""Deadline accounting: stamps written by the audio thread, statistics made elsewhere from copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edge.telemetry.snapshot import Percentiles

F32 = NDArray[np.float32]

RING_HOPS = 16384
"""hops kept for the statistics thread: 32 s of the shortest hop, 131 s of the usual one"""


class HopClock:
    """Time stamps of the latest hops, in a ring that one thread writes and another copies.

    Row layout: one stamp before the first stage, then one after each stage (int64, perf_counter_ns), written through
    a flat view, so that a stamp costs one integer store. A row is published by raising `hops`. `misses` counts hops
    whose processing took longer than `deadline_ns`.
    """

    def __init__(self, stage_names: Sequence[str], deadline_ns: int, ring_hops: int = RING_HOPS) -> None:
        self.stage_names = tuple(stage_names)
        self.deadline_ns = deadline_ns
        self.ring_hops = ring_hops
        self.stride = len(self.stage_names) + 1
        self._ring: NDArray[np.int64] = np.zeros((ring_hops, self.stride), dtype=np.int64)
        self._slots = self._ring.data.cast("B").cast("q")
        self.hops = 0
        self.misses = 0

    def run_hop(
        self,
        load: Callable[[F32], None],
        stages: Sequence[Callable[[], None]],
        finish: Callable[[F32], None],
        block: F32,
        out: F32,
    ) -> bool:
        """Process one hop with a stamp after each stage; loading counts with the first stage, finishing with the last.

        Returns whether it took longer than the deadline.
        """
        slots = self._slots
        slot = (self.hops % self.ring_hops) * self.stride
        first = slots[slot] = perf_counter_ns()
        load(block)
        for stage in stages:
            stage()
            slot += 1
            slots[slot] = perf_counter_ns()
        finish(out)
        last = slots[slot] = perf_counter_ns()
        late = last - first > self.deadline_ns
        self.misses += late
        self.hops += 1
        return late

    def since(self, start_hop: int) -> tuple[NDArray[np.int64], int]:
        """Copy of the durations of hops [start_hop, now): (hops, stages) ns, and the hop to continue from.

        Hops that the writer has already overwritten are left out.
        """
        end = self.hops
        # a margin, for rows that are overwritten while they are copied
        start = max(start_hop, end - self.ring_hops + self.ring_hops // 8)
        rows = self._ring[np.arange(start, end) % self.ring_hops]
        return np.diff(rows, axis=1), end


class DurationHistogram:
    """Durations of a whole run in bounded memory: logarithmic bins 1 % wide, 100 ns to 100 s, and the exact maximum."""

    _FLOOR_NS = 100.0
    _LOG_STEP = float(np.log(1.01))
    _BINS = 2100

    def __init__(self) -> None:
        self._counts = np.zeros(self._BINS, dtype=np.int64)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def add(self, durations_ns: NDArray[np.int64]) -> None:
        if durations_ns.size == 0:
            return
        position = np.log(np.maximum(durations_ns, self._FLOOR_NS) / self._FLOOR_NS) / self._LOG_STEP
        self._counts += np.bincount(np.minimum(position.astype(np.int64), self._BINS - 1), minlength=self._BINS)
        self.count += int(durations_ns.size)
        self.sum_ns += int(durations_ns.sum())
        self.max_ns = max(self.max_ns, int(durations_ns.max()))

    def quantile_ms(self, q: float) -> float:
        """Duration that a share `q` of all hops stayed within, in ms; 0 if there were none."""
        if self.count == 0:
            return 0.0
        index = int(np.searchsorted(np.cumsum(self._counts), q * self.count, side="left"))
        upper_edge_ns = self._FLOOR_NS * float(np.exp(self._LOG_STEP * (index + 1)))
        return min(upper_edge_ns, float(self.max_ns)) / 1e6


@dataclass(frozen=True)
class Cost:
    """Time per hop over a whole run, in ms."""

    p50: float
    p95: float
    p99: float
    p99_9: float
    max: float


class RunStatistics:
    """Everything the clock has seen: per stage and whole, fed by `drain()` from a side thread."""

    def __init__(self, clock: HopClock) -> None:
        self._clock = clock
        self._next_hop = 0
        self.hop = DurationHistogram()
        self.stages = {name: DurationHistogram() for name in clock.stage_names}

    def drain(self) -> NDArray[np.int64]:
        """Take over what is new. Returns it: (hops, stages) ns."""
        durations, self._next_hop = self._clock.since(self._next_hop)
        self.hop.add(durations.sum(axis=1))
        for index, histogram in enumerate(self.stages.values()):
            histogram.add(durations[:, index])
        return durations

    def skip(self) -> None:
        """Leave out what is new."""
        self._next_hop = self._clock.hops

    def costs(self) -> tuple[Cost, dict[str, Cost]]:
        """(whole hop, per stage)."""
        return _cost(self.hop), {name: _cost(h) for name, h in self.stages.items()}


def _cost(histogram: DurationHistogram) -> Cost:
    q = histogram.quantile_ms
    return Cost(q(0.5), q(0.95), q(0.99), q(0.999), histogram.max_ns / 1e6)


def percentiles_ms(durations_ns: NDArray[np.int64]) -> Percentiles:
    """p50, p95, p99 and max of some durations, in ms; zeros if there are none."""
    if durations_ns.size == 0:
        return Percentiles(0.0, 0.0, 0.0, 0.0)
    p50, p95, p99 = np.percentile(durations_ns, (50, 95, 99)) / 1e6
    return Percentiles(float(p50), float(p95), float(p99), float(durations_ns.max()) / 1e6)
