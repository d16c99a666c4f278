"""Values that come frame by frame, kept in bounded memory: as columns over time, and as a distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

MOST_COLUMNS = 1024
HISTOGRAM_BINS = 4096


class Columns:
    """Means over equal stretches of time of rows that come one after another, at least MOST_COLUMNS / 2 of them once
    there were so many rows. When the columns are full, neighbours are put together.

    width: values in a row; NaN in a row is left out of the means.
    """

    def __init__(self, width: int) -> None:
        self.pool = 1
        """rows in a column"""
        self.rows = 0
        self._sums = np.zeros((MOST_COLUMNS, width), np.float32)
        self._counts = np.zeros((MOST_COLUMNS, width), np.int32)

    def add(self, rows: F64) -> None:
        """Take in float64 (rows, width)."""
        if not len(rows):
            return
        while self.rows + len(rows) > MOST_COLUMNS * self.pool:
            self._fold()
        column = (self.rows + np.arange(len(rows))) // self.pool
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        good = np.isfinite(rows)
        self._sums[column[starts]] += np.add.reduceat(np.where(good, rows, 0.0), starts, axis=0).astype(np.float32)
        self._counts[column[starts]] += np.add.reduceat(good.astype(np.int32), starts, axis=0)
        self.rows += len(rows)

    def _fold(self) -> None:
        for kept in (self._sums, self._counts):
            half = kept[0::2] + kept[1::2]
            kept[: len(half)] = half
            kept[len(half) :] = 0
        self.pool *= 2

    @property
    def means(self) -> F64:
        """float64 (columns, width), NaN where nothing was."""
        used = -(-self.rows // self.pool)
        counts = self._counts[:used]
        return np.where(counts > 0, self._sums[:used].astype(np.float64) / np.maximum(counts, 1), np.nan)


class Distribution:
    """Count, mean and deviation, exactly, and quantiles to a bin of a histogram.

    low, high: range of the histogram; logarithmic: bins of equal ratio, for values from 0 to `high` of which those
    below `low` are one bin. Values that are not finite are left out.
    """

    def __init__(self, low: float, high: float, logarithmic: bool = False) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        inner = np.geomspace(low, high, HISTOGRAM_BINS) if logarithmic else np.linspace(low, high, HISTOGRAM_BINS + 1)
        self._edges: F64 = np.concatenate([[0.0], inner]) if logarithmic else inner
        self._bins = np.zeros(len(self._edges) - 1, np.int64)

    def add(self, values: F64) -> None:
        """Take in float64 (n,)."""
        x = values[np.isfinite(values)]
        if not x.size:
            return
        # Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983
        count, mean = self.count + x.size, float(x.mean())
        apart = mean - self.mean
        self._squares += float(np.sum((x - mean) ** 2)) + apart**2 * self.count * x.size / count
        self.mean += apart * x.size / count
        self.count = count
        self._bins += np.histogram(np.clip(x, self._edges[0], self._edges[-1]), self._edges)[0]

    @property
    def deviation(self) -> float:
        """Standard deviation; NaN of nothing."""
        return float(np.sqrt(self._squares / self.count)) if self.count else float("nan")

    def quantile(self, share: float) -> float:
        """Value that a share of all lie below, between the edges of its bin in proportion; NaN of nothing."""
        if not self.count:
            return float("nan")
        up_to = np.concatenate([[0], np.cumsum(self._bins)])
        bin_ = int(np.searchsorted(up_to[1:], share * self.count, side="left"))
        within = (share * self.count - up_to[bin_]) / max(self._bins[bin_], 1)
        return float(self._edges[bin_] + within * (self._edges[bin_ + 1] - self._edges[bin_]))
