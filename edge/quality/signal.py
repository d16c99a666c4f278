"""What can be told of one signal alone: how loud parts differ from quiet ones, and how much of it is clipped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.quality.metrics import RATE_HZ, Score

F64 = NDArray[np.float64]

FULL_SCALE = 0.999
"""from here on a sample counts as clipped: within 0.01 dB of full scale, where lossy codecs and dither leave it"""
FRAME_S = 0.02
LOUD_PERCENTILE, QUIET_PERCENTILE = 95.0, 10.0


def _checked(signal: ArrayLike, least_samples: int) -> tuple[F64, str]:
    x = np.asarray(signal, np.float64)
    if x.ndim != 1:
        raise ValueError(f"the signal must be (samples,), got {x.shape}")
    if x.size < least_samples:
        return x, f"too short: {x.size} samples, at least {least_samples} needed"
    if not np.isfinite(x).all():
        return x, "NaN or infinite samples"
    return x, ""


def clipping_percent(signal: ArrayLike) -> Score:
    """Samples at or beyond full scale (1.0), in per cent of all."""
    x, reason = _checked(signal, 1)
    return Score(math.nan, reason) if reason else Score(100.0 * float(np.mean(np.abs(x) >= FULL_SCALE)))


def dynamic_range_db(signal: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Level in dB that 5 % of the 20 ms frames exceed, above the level that 90 % of them exceed.

    Of speech in noise about its SNR, of clean speech what its pauses are below it. Frames of digital silence have no
    level; they count as the quietest ones, and where they are among the 10 % there is no value.
    """
    frame = round(FRAME_S * rate_hz)
    x, reason = _checked(signal, 10 * frame)
    if not reason and not x.any():
        reason = "the signal is silent"
    if reason:
        return Score(math.nan, reason)
    power = np.mean(x[: x.size // frame * frame].reshape(-1, frame) ** 2, axis=1)
    loud, quiet = np.percentile(power, [LOUD_PERCENTILE, QUIET_PERCENTILE], method="lower")
    if quiet <= 0.0:
        return Score(math.nan, "a tenth of the signal or more is digital silence")
    return Score(10.0 * math.log10(loud / quiet))
