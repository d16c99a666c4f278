"""The shape of a power spectrum in four numbers, and its level in octave bands.

Centroid, spread and roll-off as in Peeters, "A large set of audio features for sound description", IRCAM 2004; flatness
as in Johnston, "Transform coding of audio signals using perceptual noise criteria", IEEE JSAC 6(2), 1988. All weigh by
power; programs that weigh by magnitude give other numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]

FEATURES = {"centroid_hz": "Hz", "bandwidth_hz": "Hz", "flatness": "ratio, 0 to 1", "rolloff_hz": "Hz"}
"""name -> unit, in the order of the columns of `shape_of`"""
ROLLOFF_SHARE = 0.85
LEAST_POWER = 1e-24
"""relative to the strongest bin: where a bin counts for flatness that holds exactly nothing"""


def shape_of(power: ArrayLike, frequencies_hz: ArrayLike) -> F64:
    """Features of power spectra (..., bins) at `frequencies_hz` (bins,): float64 (..., 4), see FEATURES.

    Centroid: mean frequency. Bandwidth: standard deviation around it. Flatness: geometric over arithmetic mean, 1 for
    the same power in all bins. Roll-off: lowest frequency up to which 85 % of the power lie. NaN for a spectrum
    without any power.
    """
    p = np.asarray(power, dtype=np.float64)
    f = np.asarray(frequencies_hz, dtype=np.float64)
    total = p.sum(axis=-1)
    heard = total > 0.0
    share = p / np.where(heard, total, 1.0)[..., None]
    centroid = share @ f
    bandwidth = np.sqrt(np.maximum(np.sum(share * (f - centroid[..., None]) ** 2, axis=-1), 0.0))
    floor = np.maximum(share.max(axis=-1, keepdims=True) * LEAST_POWER, np.finfo(np.float64).tiny)
    flatness = np.exp(np.mean(np.log(np.maximum(share, floor)), axis=-1)) * p.shape[-1]
    # of the last sum itself, which rounding may leave short of 1
    reached = np.cumsum(share, axis=-1)
    rolloff = f[np.argmax(reached >= ROLLOFF_SHARE * reached[..., -1:], axis=-1)]
    made = np.stack([centroid, bandwidth, flatness, rolloff], axis=-1)
    made[~heard] = np.nan
    return made


def octave_bands(rate_hz: int, bin_hz: float, least_bins: int = 2) -> list[float]:
    """Nominal centres in Hz of the octave bands that lie below half the rate and hold at least so many bins."""
    nominal = [31.5, 63.0, 125.0, 250.0, *(1000.0 * 2.0**n for n in range(-1, 8))]
    edges_hz = {hz: _edges(hz) for hz in nominal}
    return [hz for hz, (low, high) in edges_hz.items() if high <= rate_hz / 2 and high - low >= least_bins * bin_hz]


def band_powers(density: F64, bin_hz: float, centres_hz: list[float]) -> F64:
    """Power in octave bands (bands,) of a power density (bins,), that of each bin spread over `bin_hz` around it."""
    edges_hz = (np.arange(len(density) + 1) - 0.5) * bin_hz
    edges_hz[0] = 0.0
    below = np.concatenate([[0.0], np.cumsum(density * np.diff(edges_hz))])
    low, high = np.array([_edges(hz) for hz in centres_hz]).reshape(-1, 2).T
    return np.interp(high, edges_hz, below) - np.interp(low, edges_hz, below)


def _edges(nominal_hz: float) -> tuple[float, float]:
    """IEC 61260, base two."""
    exact_hz = 1000.0 * 2.0 ** round(np.log2(nominal_hz / 1000.0))
    return exact_hz / 2.0**0.5, exact_hz * 2.0**0.5
