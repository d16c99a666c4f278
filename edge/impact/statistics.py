"""Rates over utterances and how sure they are: bootstrap over utterances, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.qa.statistics import RESAMPLES, SEED, interval

F64 = NDArray[np.float64]

METHOD = (
    f"95 % intervals: bootstrap over utterances, {RESAMPLES} resamples, seed {SEED}, percentiles expanded for small "
    "samples (Hesterberg 2015)"
)


@dataclass(frozen=True)
class Estimate:
    """A rate over utterances; None and no interval for too few."""

    utterances: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def rate(parts: Sequence[float], wholes: Sequence[float]) -> Estimate:
    """sum(parts) / sum(wholes), such as errors and words of each utterance. Raises ValueError for NaN or infinity."""
    return _estimate(np.asarray(parts, np.float64), np.asarray(wholes, np.float64))


def mean(values: Sequence[float]) -> Estimate:
    """Mean of one value per utterance. Raises ValueError for NaN or infinity."""
    return _estimate(np.asarray(values, np.float64), np.ones(len(values)))


def _estimate(parts: F64, wholes: F64) -> Estimate:
    if not (np.isfinite(parts).all() and np.isfinite(wholes).all()):
        raise ValueError("a value that is not finite has no place in a mean")
    if parts.size == 0 or wholes.sum() <= 0.0:
        return Estimate(parts.size)
    value = float(parts.sum() / wholes.sum())
    if parts.size < 2:
        return Estimate(1, value)
    # utterances of one table are drawn alike for all of its lines
    low, high = interval(parts.size, lambda drawn: parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1))
    return Estimate(parts.size, value, low, high)
