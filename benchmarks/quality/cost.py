"""What one hop costs: the same sound through every system, one hop at a time, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
WARM_UP_HOPS = 50


def per_hop_us(process: Callable[[F32], object], audio: F32, hop_samples: int) -> NDArray[np.float64]:
    """Microseconds of every hop of `audio` float32 (samples,) after the first WARM_UP_HOPS, by the wall clock."""
    hops = audio.size // hop_samples
    took = np.empty(hops)
    for i in range(hops):
        block = audio[i * hop_samples : (i + 1) * hop_samples]
        begun = time.perf_counter_ns()
        process(block)
        took[i] = (time.perf_counter_ns() - begun) * 1e-3
    return took[WARM_UP_HOPS:]


def summary(took_us: NDArray[np.float64], hop_ms: float, latency_ms: float) -> dict[str, float]:
    """Median and 99th percentile of a hop, and the share of real time of the median hop."""
    p50, p99 = np.percentile(took_us, [50.0, 99.0])
    return {
        "latency_ms": round(latency_ms, 1),
        "hop_ms": round(hop_ms, 3),
        "hop_us_p50": round(float(p50), 1),
        "hop_us_p99": round(float(p99), 1),
        "rtf": round(float(p50) / hop_ms * 1e-3, 5),
    }
