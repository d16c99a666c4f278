"""Noise power from a whole recording: tracked from both ends, then smoothed over what comes before and after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.kernels import gains as kernels

F32 = NDArray[np.float32]

SMOOTHING_S = 0.48
"""standard deviation of the window over which the noise is taken to be steady"""
NEAR_S, NEAR_HZ = 0.008, 31.0
"""standard deviations of the window over which speech presence is decided"""
XI_UNDER_SPEECH = 31.6
"""15 dB, as in the tracker"""
PRESENT = 0.5
ROUNDS = 2
LEAST_WEIGHT = 1e-3


def both_ways(one_way: Callable[..., F32], *inputs: F32) -> tuple[F32, F32]:
    """What a recursion over frames gives forwards and backwards in time, both in the order of time."""
    backward = one_way(*(np.ascontiguousarray(each[::-1]) for each in inputs))
    return one_way(*inputs), backward[::-1]


def smoothed(values: F32, frames: float, bins: float = 0.0) -> F32:
    """Gaussian window over frames, and over bins, standard deviations of which are given; edges repeated."""
    from scipy.ndimage import gaussian_filter

    made: F32 = gaussian_filter(values, (frames, bins), mode="nearest")
    return made


def smoothed_long(values: F32, frames: float) -> F32:
    """Nearly the same over frames alone, as three means after one another, whose cost does not grow with the window."""
    from scipy.ndimage import uniform_filter1d

    length = max(1, round((4.0 * frames**2 + 1.0) ** 0.5))
    for _ in range(3):
        values = uniform_filter1d(values, length, axis=0, mode="nearest")
    return values


def track_noise(power: F32, hop_s: float, bin_hz: float) -> F32:
    """Power of the noise (frames, bins), given |Y|^2 of the same shape.

    The streaming tracker (Gerkmann and Hendriks, IEEE TASLP 2012) is late where the noise changes, and has learnt
    nothing at its beginning. Run from both ends (geometric mean) it is neither. From that comes who is there when, by
    the same formula on power smoothed both ways; and the mean of what is not speech, over SMOOTHING_S both ways.
    """
    hops_16_ms = hop_s / 0.016
    keep, keep_mean = np.float32(0.8**hops_16_ms), np.float32(0.9**hops_16_ms)

    def one_way(power: F32) -> F32:
        bins = power.shape[1]
        noise, age = np.zeros(bins, np.float32), np.zeros(bins, np.float32)
        presence, presence_mean = np.full(bins, 0.5, np.float32), np.full(bins, 0.5, np.float32)
        found = np.empty_like(power)
        for seen, row in zip(power, found, strict=True):
            kernels.track_noise(seen, noise, presence, presence_mean, age, keep, keep, keep_mean)
            row[:] = noise
        return found

    floor = np.float32(kernels.POWER_FLOOR)
    forward, backward = both_ways(one_way, power)
    noise = np.sqrt(np.maximum(forward, floor) * np.maximum(backward, floor))
    near = smoothed(power, NEAR_S / hop_s, NEAR_HZ / bin_hz)
    slope = XI_UNDER_SPEECH / (1.0 + XI_UNDER_SPEECH)
    silent = power < floor
    for _ in range(ROUNDS):
        presence = 1.0 / (1.0 + (1.0 + XI_UNDER_SPEECH) * np.exp(-np.minimum(near / noise * slope, 60.0)))
        # digital silence tells nothing about the noise around it
        weight = np.where(silent, 0.0, 1.0 - presence) + np.float32(LEAST_WEIGHT)
        quiet = np.where(silent | (presence > PRESENT), noise, power)
        frames = SMOOTHING_S / hop_s
        total = smoothed_long(np.asarray(weight * quiet, np.float32), frames)
        noise = np.maximum(total / smoothed_long(np.asarray(weight, np.float32), frames), floor)
    return np.asarray(noise, np.float32)
