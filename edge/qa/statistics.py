"""Mean over files and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
SEED = 20240229
CONFIDENCE = 0.95
METHOD = (
    f"95 % intervals of means: bootstrap over files, {RESAMPLES} resamples, seed {SEED}, percentiles expanded for "
    "small samples (Hesterberg 2015)"
)


@dataclass(frozen=True)
class Spread:
    """Of the files that have a value; without any everything but the counts is None."""

    files: int
    """that have a value"""
    mean: float | None = None
    low: float | None = None
    """and high: 95 % interval of the mean, None for fewer than two files"""
    high: float | None = None
    median: float | None = None
    least: float | None = None
    greatest: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError for NaN or infinity: those are reasons, not values.

    Interval: percentiles of the means of resamples with replacement, at the levels that make up for the n / (n - 1)
    that the bootstrap's variance lacks and for Student's t; Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69(4), 2015, section 5 ("expanded percentile").
    """
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("a value that is not finite has no place in a mean")
    if x.size == 0:
        return Spread(0)
    low = high = None
    if x.size > 1:
        from scipy.special import ndtr, stdtrit

        t = -float(stdtrit(x.size - 1, 0.5 + CONFIDENCE / 2))
        tail = float(ndtr(t * math.sqrt(x.size / (x.size - 1))))
        low, high = (float(v) for v in np.quantile(_means(x), (tail, 1.0 - tail)))
    return Spread(x.size, float(x.mean()), low, high, float(np.median(x)), float(x.min()), float(x.max()))


def _means(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of RESAMPLES resamples, some at a time so that many files need little memory."""
    random = np.random.default_rng(SEED)
    at_once = max(1, 2_000_000 // x.size)
    counts = [min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)]
    return np.concatenate([x[random.integers(0, x.size, (count, x.size))].mean(axis=1) for count in counts])
