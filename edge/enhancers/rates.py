"""Recordings of any rate through what works at one rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def at_rate(samples: F32, rate_hz: int, own_rate_hz: int, work: Callable[[F32], F32]) -> F32:
    """work(samples) at own_rate_hz of float32 (n,) at rate_hz; float32 (n,) at rate_hz, aligned."""
    if samples.size == 0:
        return samples
    if rate_hz == own_rate_hz:
        return work(samples)
    import soxr

    inside = soxr.resample(samples, rate_hz, own_rate_hz)
    # a recording shorter than a sample at the other rate is none there
    made = soxr.resample(work(inside), own_rate_hz, rate_hz) if inside.size else np.zeros(0, np.float32)
    return np.pad(made, (0, max(0, samples.size - made.size)))[: samples.size].astype(np.float32)
