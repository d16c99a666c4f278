"""Gain differences between microphones from band levels."""

from __future__ import annotations

import numpy as np

from edge.calibration.field import F64, Field

FLAT_ENOUGH = 0.3
"""bands whose power sits in a few lines (hum, a whistle) say how a standing wave lies, not how loud a microphone is"""
LOUD_ENOUGH_DB = 50.0
"""bands further below the strongest one hold what leaks from it, and noise of the microphones"""


def usable_bands(field: Field) -> np.ndarray:
    """Bands (bands,) that hold noise rather than tones."""
    levels_db = np.median(field.band_db, axis=(0, 1))
    return np.asarray((field.flatness > FLAT_ENOUGH) & (levels_db > levels_db.max() - LOUD_ENOUGH_DB))


def gain_differences_db(field: Field, without: int | None = None) -> F64:
    """How much louder each microphone is than the mean of all, (mics,) dB.

    Median over time in each band, so that what is near one microphone now and then does not count, then median over
    the bands. without: a part of the recording to leave out.
    """
    return np.asarray(np.median(_per_band_db(field, without), axis=1))


def gain_uncertainty_db(field: Field) -> F64:
    """Standard deviation of gain_differences_db, (mics,): over time by leaving parts out, and over the bands."""
    left_out = np.stack([gain_differences_db(field, part) for part in range(field.parts)])
    per_band = _per_band_db(field, None)
    # standard error of a median
    over_bands = 1.25 * per_band.std(axis=1) / np.sqrt(per_band.shape[1])
    return np.asarray(np.hypot(jackknife(left_out), over_bands))


def jackknife(left_out: F64) -> F64:
    """Standard deviation of an estimate from those with one part left out, (parts, ...)."""
    parts = len(left_out)
    return np.asarray(np.sqrt((parts - 1) / parts * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0)))


def _per_band_db(field: Field, without: int | None) -> F64:
    """(mics, bands used)."""
    levels_db = field.band_db[:, :, usable_bands(field)]
    if without is not None:
        levels_db = levels_db[field.part != without]
    return np.asarray(np.median(levels_db - levels_db.mean(axis=1, keepdims=True), axis=0))
