"""Bring an estimate onto its reference in time before any intrusive metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_CORRELATION = 0.1
"""normalised correlation below which a lag is a guess and not a measurement"""


@dataclass(frozen=True)
class Alignment:
    """Where the estimate lies against the reference."""

    lag_samples: int
    """positive when the estimate is late; whole samples only: shifting by a fraction would filter the signal"""
    correlation: float
    """normalised correlation at that lag, 0 to 1; its sign is ignored (an inverted copy is aligned as well)"""


def find_lag(reference: ArrayLike, estimate: ArrayLike, max_lag_samples: int) -> Alignment:
    """Lag of `estimate` behind `reference` by normalised cross-correlation, searched in +-max_lag_samples.

    Parameters: reference, estimate: real (samples,), lengths may differ.
    Returns lag 0 and correlation 0 when either is silent or empty.
    """
    r = np.asarray(reference, dtype=np.float64)
    e = np.asarray(estimate, dtype=np.float64)
    scale = float(np.sqrt(np.dot(r, r) * np.dot(e, e)))
    if scale == 0.0:
        return Alignment(0, 0.0)
    size = 1 << int(np.ceil(np.log2(r.size + e.size)))
    correlation = np.fft.irfft(np.conj(np.fft.rfft(r, size)) * np.fft.rfft(e, size), size)
    bound = min(max_lag_samples, size // 2 - 1)
    lags = np.arange(-bound, bound + 1)
    values = np.abs(correlation[lags])
    best = int(np.argmax(values))
    return Alignment(int(lags[best]), float(values[best]) / scale)


def align(
    reference: ArrayLike, estimate: ArrayLike, max_lag_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], Alignment]:
    """Both signals over the samples they share once the lag is taken out.

    Returns (reference, estimate, alignment), both float64 of equal length. When the correlation is below
    MIN_CORRELATION nothing is shifted: the caller sees it in `alignment.correlation`.
    """
    r = np.asarray(reference, dtype=np.float64)
    e = np.asarray(estimate, dtype=np.float64)
    found = find_lag(r, e, max_lag_samples)
    lag = found.lag_samples if found.correlation >= MIN_CORRELATION else 0
    if lag >= 0:
        e = e[lag:]
    else:
        r = r[-lag:]
    shared = min(r.size, e.size)
    return r[:shared], e[:shared], Alignment(lag, found.correlation)
