"""Classical enhancers from the package index, each with its own defaults."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.corpus import RATE_HZ

F32 = NDArray[np.float32]


def logmmse_(noisy: F32) -> F32:
    """Ephraim and Malah 1985, as in the package; it wants 16 bits."""
    # its import makes numpy raise at every underflow, for everybody, which ends with this block
    with np.errstate():
        import logmmse

    pcm = np.clip(np.rint(noisy * 32768.0), -32768, 32767).astype(np.int16)
    with np.errstate(all="ignore"):
        return np.asarray(logmmse.logmmse(pcm, RATE_HZ), np.float32) / np.float32(32768.0)


def room_subtraction(noisy: F32) -> F32:
    from pyroomacoustics.denoise import apply_spectral_sub

    with np.errstate(all="ignore"):
        return np.nan_to_num(np.asarray(apply_spectral_sub(noisy), np.float32))


def room_wiener(noisy: F32) -> F32:
    from pyroomacoustics.denoise import apply_iterative_wiener

    with np.errstate(all="ignore"):
        return np.nan_to_num(np.asarray(apply_iterative_wiener(noisy.astype(np.float64)), np.float32))


def room_wiener_loud(noisy: F32) -> F32:
    peak = np.float32(np.abs(noisy).max())
    return room_wiener(noisy / peak) * peak


PEERS: dict[str, tuple[str, Callable[[F32], F32]]] = {
    "logmmse": ("logmmse", logmmse_),
    "pyroomacoustics subtraction": ("pyroomacoustics", room_subtraction),
    "pyroomacoustics Wiener": ("pyroomacoustics", room_wiener),
    "pyroomacoustics Wiener, full scale": ("pyroomacoustics", room_wiener_loud),
}
"""name -> package, and what runs it on float32 (n,)"""
