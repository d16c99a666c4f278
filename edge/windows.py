"""Asymmetric analysis and synthesis windows for low-delay perfect reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _periodic_hann(length: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def asymmetric_windows(window_samples: int, hop_samples: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Analysis and synthesis windows of Mauler and Martin (EUSIPCO 2007), zero offset d = 0.

    The synthesis window is nonzero only on its last 2 hops, and analysis * synthesis is a periodic Hann of
    2 hops there, so overlap-add at one hop gives exactly unit gain and the algorithmic latency is 2 hops.

    Parameters: window_samples K (even, at least 4 * hop_samples), hop_samples M.
    Returns: (analysis, synthesis), each float32 of shape (window_samples,).
    """
    k, m = window_samples, hop_samples
    long_half = np.sqrt(_periodic_hann(2 * (k - m))[: k - m])
    short = _periodic_hann(2 * m)
    analysis = np.concatenate([long_half, np.sqrt(short[m:])])
    synthesis = np.zeros(k)
    # analysis is > 0 on [k - 2m, k - m) because long_half only vanishes at its very first sample
    synthesis[k - 2 * m : k - m] = short[:m] / analysis[k - 2 * m : k - m]
    synthesis[k - m :] = np.sqrt(short[m:])
    return analysis.astype(np.float32), synthesis.astype(np.float32)
