"""Mean over files and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        low, high = interval(x.size, lambda drawn: x[drawn].mean(axis=1))
    return Spread(x.size, float(x.mean()), low, high, float(np.median(x)), float(x.min()), float(x.max()))


def interval(count: int, estimate: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> tuple[float, float]:
    """95 % interval of what `estimate` makes of RESAMPLES draws of `count`, at least two, things: indices (some, count)
    to values (some,), some at a time so that many things need little memory. The same draws for the same count.
    """
    from scipy.special import ndtr, stdtrit

    t = -float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2))
    tail = float(ndtr(t * math.sqrt(count / (count - 1))))
    random = np.random.default_rng(SEED)
    at_once = max(1, 2_000_000 // count)
    counts = [min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)]
    found = np.concatenate([estimate(random.integers(0, count, (some, count))) for some in counts])
    low, high = np.quantile(found, (tail, 1.0 - tail))
    return float(low), float(high)
