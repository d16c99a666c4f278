"""Time per hop of a whole pipeline, stage by stage, and what it does to memory. Measures; judges nothing."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import config_from_dict
from edge.config.schema import Config
from edge.pipeline import build_pipeline
from edge.runtime.timing import HopClock, RunStatistics
from edge.telemetry.host import HostSensors

SYNTHETIC_RADIUS_M = 0.0425
SIGNAL_S = 4.0


def synthetic_config(mics: int, overrides: Mapping[str, Any] | None = None) -> Config:
    """Configuration of a made-up circular array of `mics` microphones, 8.5 cm across. Raises ConfigError."""
    angles = (2.0 * math.pi * m / mics for m in range(mics))
    ring = [[SYNTHETIC_RADIUS_M * math.cos(a), SYNTHETIC_RADIUS_M * math.sin(a), 0.0] for a in angles]
    table = {
        "array": {"positions_m": ring if mics > 1 else [[0.0, 0.0, 0.0]]},
        "input": {"kind": "file", "path": "synthetic"},
        "output": {"kind": "null"},
    }
    return config_from_dict(table, overrides, source=f"{mics} synthetic microphones")


def synthetic_signal(channels: int, rate_hz: int, seconds: float = SIGNAL_S) -> NDArray[np.float32]:
    """Noise bursts like syllables over a steady noise floor, seeded; float32 (frames, channels)."""
    rng = np.random.default_rng(7)
    frames = round(seconds * rate_hz)
    time_s = np.arange(frames) / rate_hz
    syllables = np.maximum(np.sin(2.0 * np.pi * 2.5 * time_s), 0.0) * (np.sin(2.0 * np.pi * 0.4 * time_s) > -0.3)
    talker = 0.1 * syllables * rng.standard_normal(frames)
    signal = talker[:, np.newaxis] + 0.01 * rng.standard_normal((frames, channels))
    return np.ascontiguousarray(signal, dtype=np.float32)


def measure(
    config: Config,
    seconds: float = 20.0,
    warm_up_s: float = 1.0,
    progress: Callable[[float], None] = lambda seconds: None,
) -> dict[str, Any]:
    """Process `seconds` of synthetic audio as fast as it goes, with the garbage collector off as in the live loop.

    Returns plain values: hop_ms and stage_ms with p50, p95, p99, p99_9 and max in ms, deadline_ms, deadline_misses,
    real_time_factor, rss_mib, and the growth of memory over the measured part: rss_growth_kib, and python_block_growth
    (objects the interpreter holds). `progress` is called about every second of audio with the seconds done.
    Raises ConfigError or ModelError.
    """
    pipeline = build_pipeline(config)
    hop = pipeline.hop_samples
    signal = synthetic_signal(pipeline.channels, pipeline.rate_hz)
    blocks = [signal[first : first + hop] for first in range(0, len(signal) - hop + 1, hop)]
    out = np.zeros((hop, len(pipeline.outputs)), np.float32)
    stages = tuple(stage for _, stage in pipeline.stages)
    clock = HopClock([name for name, _ in pipeline.stages], round(pipeline.profile.hop_ms * 1e6))
    statistics = RunStatistics(clock)
    hops_per_second = round(1000.0 / pipeline.profile.hop_ms)

    def process(hops: int) -> None:
        for index in range(hops):
            clock.run_hop(pipeline.load, stages, pipeline.store, blocks[index % len(blocks)], out)

    process(max(1, round(warm_up_s * hops_per_second)))
    statistics.skip()
    misses_before = clock.misses
    sensors = HostSensors()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        process(1)
        statistics.drain()
        blocks_before, rss_before_mib = sys.getallocatedblocks(), sensors.rss_mib()
        wanted, done = max(1, round(seconds * hops_per_second)), 0
        while done < wanted:
            part = min(hops_per_second, wanted - done)
            process(part)
            statistics.drain()
            done += part
            progress(done / hops_per_second)
        block_growth, rss_after_mib = sys.getallocatedblocks() - blocks_before, sensors.rss_mib()
    finally:
        if collecting:
            gc.enable()
    hop_cost, stage_costs = statistics.costs()
    growth = None if rss_before_mib is None or rss_after_mib is None else 1024.0 * (rss_after_mib - rss_before_mib)
    return {
        "profile": config.profile,
        "mics": len(config.array.positions_m),
        "channels": pipeline.channels,
        "beamformer": pipeline.beamformer_kind,
        "mask": pipeline.mask_kind,
        "precision": getattr(pipeline.estimator, "precision", None),
        "seconds": wanted / hops_per_second,
        "hops": statistics.hop.count,
        "deadline_ms": pipeline.profile.hop_ms,
        "deadline_misses": clock.misses - misses_before,
        "hop_ms": vars(hop_cost),
        "stage_ms": {name: vars(cost) for name, cost in stage_costs.items()},
        "real_time_factor": statistics.hop.sum_ns / (statistics.hop.count * clock.deadline_ns),
        "rss_mib": rss_after_mib,
        "rss_growth_kib": growth,
        "python_block_growth": block_growth,
        "versions": sensors.versions(),
    }
