"""Delay differences between microphones from the phase of averaged cross-spectra.

In a spherically isotropic field the cross-spectrum of two microphones is real (Cook et al. 1955), and for a plane wave
its phase is that of the geometric delay. What is left of the phase after taking that out and grows linearly with
frequency is a difference in delay between the two channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.calibration.field import C128, F64, HIGHEST_HZ, LOWEST_HZ, Field
from edge.calibration.gains import jackknife

LARGEST_DELAY_US = 250.0
GRID_US = 2.0
LEAST_COHERENCE = 0.3
SMOOTH_BINS = 21
"""about 300 Hz, over which the share of the direct sound is taken to be the same"""
ROUNDS = 4
MOST_COHERENCE = 0.985
"""trusted: reflections and the finite window bend the phase however coherent a pair is"""


def coherence(cross: C128) -> C128:
    """Complex coherence of cross-spectra (mics, mics, bins)."""
    power = np.sqrt(np.maximum(np.einsum("iib->ib", cross).real, 1e-30))
    return np.asarray(cross / (power[:, None, :] * power[None, :, :]))


def plane_wave_model(delays_s: F64, frequencies_hz: F64) -> C128:
    """Coherence of a plane wave with these arrival times (mics,), complex (mics, mics, bins)."""
    phase = np.exp(-2j * np.pi * delays_s[:, None] * frequencies_hz)
    return np.asarray(phase[:, None, :] * np.conj(phase[None, :, :]))


def room_model(field: Field, direct: C128, diffuse: C128) -> C128:
    """Coherence of direct sound and reverberation together, (mics, mics, bins): share * direct + (1 - share) * diffuse.

    The share of the direct sound in each bin is fitted by least squares. Reverberation alone would draw every phase
    towards zero, and with it the delays.
    """
    f = field.frequencies_hz
    measured = coherence(field.cross.sum(axis=0))
    pairs = np.tril_indices(len(measured), -1)
    apart = (direct - diffuse)[pairs]
    smooth = np.ones(SMOOTH_BINS)
    model = direct
    for _ in range(ROUNDS):
        delays_s = delays_from(measured, model, pair_weights(measured, model, f), f)
        rest = (measured * np.conj(plane_wave_model(delays_s, f)) - diffuse)[pairs]
        known = np.convolve(np.sum(np.abs(apart) ** 2, axis=0), smooth, "same")
        found = np.convolve(np.sum((rest * np.conj(apart)).real, axis=0), smooth, "same")
        share = np.clip(found / np.maximum(known, 1e-9), 0.0, 1.0)
        model = share * direct + (1.0 - share) * diffuse
    return np.asarray(model)


def pair_weights(measured: C128, model: C128, frequencies_hz: F64) -> F64:
    """Inverse variance of the phase of each pair and bin up to a factor, (mics, mics, bins); 0 where it says nothing.

    The variance of a phase is proportional to (1 - c^2) / c^2 with c the coherence (Carter 1987).
    """
    c2 = np.minimum(np.minimum(np.abs(measured), np.abs(model)), MOST_COHERENCE) ** 2
    inside = (frequencies_hz >= LOWEST_HZ) & (frequencies_hz <= HIGHEST_HZ)
    # a real coherence changes its sign beyond its first zero, where it is also small
    good = inside & (c2 > LEAST_COHERENCE**2) & _main_lobe(model)
    return np.where(good, c2 / (1.0 - c2), 0.0)


def _main_lobe(model: C128) -> NDArray[np.bool_]:
    """Bins below the first in which the model is weak."""
    return np.asarray(np.logical_and.accumulate(np.abs(model) > LEAST_COHERENCE, axis=-1))


def delays_from(measured: C128, model: C128, weights: F64, frequencies_hz: F64) -> F64:
    """Delay of each microphone relative to the mean of all, (mics,) s, by weighted least squares over all pairs."""
    mics = len(measured)
    omega = 2.0 * np.pi * frequencies_hz
    grid_s = np.arange(-LARGEST_DELAY_US, LARGEST_DELAY_US + GRID_US, GRID_US) * 1e-6
    turn = np.exp(1j * grid_s[:, None] * omega)
    laplacian, right = np.zeros((mics, mics)), np.zeros(mics)
    for i in range(mics):
        for j in range(i):
            w = weights[i, j]
            strength = float(np.sum(w * omega**2))
            if strength <= 0.0:
                continue
            ahead = measured[i, j] * np.conj(model[i, j])
            ahead = ahead / np.maximum(np.abs(ahead), 1e-30)
            coarse_s = grid_s[int(np.argmax((turn @ (w * ahead)).real))]
            rest = np.angle(ahead * np.exp(1j * coarse_s * omega))
            difference_s = coarse_s - float(np.sum(w * omega * rest)) / strength
            laplacian[i, i] += strength
            laplacian[j, j] += strength
            laplacian[i, j] -= strength
            laplacian[j, i] -= strength
            right[i] += strength * difference_s
            right[j] -= strength * difference_s
    scale = max(float(np.max(np.diag(laplacian))), 1e-30)
    # the mean of all delays means nothing: smallest solution
    return np.asarray(np.linalg.pinv(laplacian / scale, rcond=1e-6) @ (right / scale))


def heard_together(weights: F64) -> bool:
    """Whether every microphone is tied to every other by pairs that say something."""
    tied = weights.sum(axis=-1) > 0.0
    reached = np.zeros(len(weights), bool)
    reached[0] = True
    for _ in range(len(weights)):
        reached |= (tied | tied.T)[reached].any(axis=0)
    return bool(reached.all())


def delay_differences_s(field: Field, model: C128) -> tuple[F64, F64]:
    """(delays, standard deviations), (mics,) s each, relative to the mean of all; negative: early.

    The deviation is over time by leaving parts out, and between the lower and the upper half of what is known.
    """
    total = field.cross.sum(axis=0)
    f = field.frequencies_hz
    measured = coherence(total)
    weights = pair_weights(measured, model, f)
    best = delays_from(measured, model, weights, f)
    left_out = np.stack([delays_from(coherence(total - part), model, weights, f) for part in field.cross])
    low, high = _halves(weights, f)
    halves = delays_from(measured, model, low, f) - delays_from(measured, model, high, f)
    return best, np.hypot(jackknife(left_out), np.abs(halves) / 2.0)


def _halves(weights: F64, frequencies_hz: F64) -> tuple[F64, F64]:
    """The weights below and above the frequency that halves what each pair knows."""
    known = np.cumsum(weights * frequencies_hz**2, axis=-1)
    low = known < known[..., -1:] / 2.0
    return np.where(low, weights, 0.0), np.where(low, 0.0, weights)


def misfit(field: Field, model: C128, delays_s: F64) -> float:
    """How far the field is from its model: root mean square difference of coherence, 0 fits, 1 not at all.

    Two halves of the recording are multiplied, so that the randomness of a short recording does not count.
    """
    f = field.frequencies_hz
    inside = (f >= LOWEST_HZ) & (f <= HIGHEST_HZ)
    pairs = np.tril_indices(len(model), -1)
    turn = np.conj(plane_wave_model(delays_s, f))
    first, second = (
        (coherence(field.cross[start::2].sum(axis=0)) * turn - model)[pairs][:, inside] for start in (0, 1)
    )
    return float(np.sqrt(max(float(np.mean((first * np.conj(second)).real)), 0.0)))
