"""Timing of systems hop by hop, on one thread: in turns, and again where something disturbed it.

A stretch of this system, then of the next, so that what disturbs the machine disturbs all; the cost per second is that
of a system's least disturbed turn. Only for a machine with nothing else to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.peers import Peer
from edge.pipeline import Pipeline

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Row = dict[str, Any]

WARM_UP_HOPS = 50
TURNS = 5
RATE_HZ = 16000
CALM = 1.2
"""the usual hop and the usual turn take at most that many times what a hop of the best turn takes, and its longest hops
make it at most that many times dearer"""
ATTEMPTS = 3
QUIET, DISTURBED = "quiet", "disturbed"


@dataclass(frozen=True)
class Timed:
    """A system that can be timed: process takes a block of `sound` (samples, ...) that is hop_samples long."""

    process: Callable[[F32], object]
    sound: F32
    hop_samples: int
    hop_ms: float
    latency_ms: float


def per_hop_us(process: Callable[[F32], object], audio: F32, hop_samples: int) -> F64:
    """Microseconds of every hop of `audio` float32 (samples, ...) after the first WARM_UP_HOPS, by the wall clock."""
    hops = len(audio) // hop_samples
    took = np.empty(hops)
    for i in range(hops):
        block = audio[i * hop_samples : (i + 1) * hop_samples]
        begun = time.perf_counter_ns()
        process(block)
        took[i] = (time.perf_counter_ns() - begun) * 1e-3
    return took[WARM_UP_HOPS:]


def calmness(disturbance: float) -> Row:
    """What a row of costs says of how it was timed."""
    return {"disturbance": round(disturbance, 3), "timing": QUIET if disturbance <= CALM else DISTURBED}


def summary(turns: list[F64], hop_ms: float, latency_ms: float) -> Row:
    """Of microseconds per hop in several turns: median and 99th percentile of a hop, processing ms per second of audio
    by the mean of the best turn, that as a share of real time, and how far something else was running: by how much the
    median (of hops or of turns) is above that mean, or the mean above that of the turn's hops without the longest 5 %.
    """
    p50, p99 = np.percentile(np.concatenate(turns), [50.0, 99.0])
    means_us = [float(turn.mean()) for turn in turns]
    best_us = min(means_us)
    best = turns[means_us.index(best_us)]
    usual_us = float(best[best <= np.percentile(best, 95.0)].mean())
    return {
        "latency_ms": round(latency_ms, 1),
        "hop_ms": round(hop_ms, 3),
        "hop_us_p50": round(float(p50), 1),
        "hop_us_p99": round(float(p99), 1),
        "ms_per_s": round(best_us / hop_ms, 3),
        "rtf": round(best_us / hop_ms * 1e-3, 5),
        **calmness(max(float(p50) / best_us, float(np.median(means_us)) / best_us, best_us / usual_us)),
    }


def timed_pipeline(pipeline: Pipeline, sound: F32) -> Timed:
    """Of (samples, mics)."""
    hop, out = pipeline.hop_samples, np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
    pipeline.reset()
    hop_ms = hop / pipeline.rate_hz * 1e3
    latency_ms = pipeline.latency_samples / pipeline.rate_hz * 1e3 + hop_ms
    return Timed(lambda block: pipeline.process(block, out), sound, hop, hop_ms, latency_ms)


def timed_peer(peer: Peer, sound: F32) -> Timed:
    """Of (samples,) at 16 kHz. Resampling for peers at another rate is not timed."""
    import soxr

    given = sound if peer.rate_hz == RATE_HZ else soxr.resample(sound, RATE_HZ, peer.rate_hz)
    peer.reset()
    return Timed(peer.process, given, peer.hop_samples, peer.hop_samples / peer.rate_hz * 1e3, peer.latency_ms)


def measure(systems: dict[str, Timed], turns: int = TURNS) -> dict[str, Row]:
    """Cost of each, in turns over the whole of its sound. What was disturbed is timed again, up to ATTEMPTS times."""
    found: dict[str, Row] = {}
    for _ in range(ATTEMPTS):
        left = {n: s for n, s in systems.items() if n not in found or found[n]["timing"] == DISTURBED}
        took: dict[str, list[F64]] = {name: [] for name in left}
        for _ in range(turns):
            for name, system in left.items():
                took[name].append(per_hop_us(system.process, system.sound, system.hop_samples))
        found |= {name: summary(took[name], system.hop_ms, system.latency_ms) for name, system in left.items()}
    return {name: found[name] for name in systems}
