"""What training minimises: compressed spectral distance, signal-to-distortion ratio, envelope correlation, loudness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.envelopes import Envelopes
from models.loudness import Loudness

COMPRESSION = 0.3
"""Exponent on magnitudes, as in many enhancement losses (Braun and Tashev 2020): loudness counts, not power."""
COMPLEX_SHARE = 0.3
"""Weight of the complex part against the magnitude part."""
SDR_WEIGHT = 0.006
"""Loss per dB of spectral SDR."""
ENVELOPE_WEIGHT = 0.5
"""Loss per unit of lost envelope correlation (see models.envelopes)."""
LOUDNESS_WEIGHT = 0.05
"""Loss per point of raw PESQ (see models.loudness)."""
SILENCE_DB = -60.0


@dataclass(frozen=True)
class Targets:
    """What a batch gives the loss and needs no gradient, all (frames, batch, bins) unless said."""

    noisy_compressed: Tensor
    wanted: Tensor
    """compressed target magnitude after the share of the complex part that a real gain cannot reach"""
    rest: Tensor
    """scalar: what remains of the loss at the best gain"""
    noisy_power: Tensor
    cross: Tensor
    """real part of conj(noisy) * clean"""
    clean_power: Tensor
    energy: Tensor
    """(batch,) energy of the target"""
    speaks: Tensor
    """(batch,) bool: the item has speech"""
    weight: Tensor
    """(bins,)"""


def bin_weights(bins: int, rate_hz: int) -> Tensor:
    """Weight per bin, mean 1: falls as the root of the auditory bandwidth, so that treble does not outvote speech."""
    hz = torch.linspace(0.0, rate_hz / 2.0, bins)
    weight = (24.7 * (1.0 + 4.37 * hz / 1000.0)) ** -0.5
    return weight / weight.mean()


@torch.no_grad()
def prepare(noisy: Tensor, clean: Tensor, weight: Tensor) -> Targets:
    """Targets from complex spectra (frames, batch, bins) of mixtures and early speech.

    Every item is scaled by the level of its target (of its mixture where there is none), so quiet items count alike.
    """
    clean_power = clean.real.square() + clean.imag.square()
    noisy_power = noisy.real.square() + noisy.imag.square()
    energy, noisy_energy = clean_power.sum((0, 2)), noisy_power.sum((0, 2))
    speaks = energy > noisy_energy * 10.0 ** (SILENCE_DB / 10.0)
    scale = (torch.where(speaks, energy, noisy_energy) / (noisy.shape[0] * noisy.shape[2]) + 1e-12).rsqrt()
    scale = scale[None, :, None]
    square = scale * scale
    noisy_power, clean_power = noisy_power * square, clean_power * square
    cross = (noisy.real * clean.real + noisy.imag * clean.imag) * square
    cosine = cross * torch.rsqrt(noisy_power * clean_power + 1e-20)
    xc, sc = (noisy_power + 1e-16) ** (COMPRESSION / 2.0), (clean_power + 1e-20) ** (COMPRESSION / 2.0)
    # |a - b e^{i d}|^2 = (a - b cos d)^2 + (b sin d)^2, so both parts together are one square in a, plus a constant
    wanted = COMPLEX_SHARE * sc * cosine + (1.0 - COMPLEX_SHARE) * sc
    rest = ((sc.square() - wanted.square()) * weight).mean()
    return Targets(xc, wanted, rest, noisy_power, cross, clean_power, energy * square[0, :, 0], speaks, weight)


def sdr_db(gains: Tensor, t: Targets) -> Tensor:
    """(batch,) spectral signal-to-distortion ratio in dB of gains (frames, batch, bins), -30 to 30 by a soft bound."""
    distortion = (gains.square() * t.noisy_power - 2.0 * gains * t.cross).sum((0, 2)) + t.energy
    # the least part keeps an item of digital silence, which no loss counts, from a gradient that is not a number
    return 10.0 * torch.log10(t.energy / (distortion + 1e-3 * t.energy + 1e-9) + 1e-3)


def loss(gains: Tensor, t: Targets, envelopes: Envelopes, loudness: Loudness) -> Tensor:
    """Scalar loss of gains (frames, batch, bins), at least one segment of `envelopes` long."""
    compressed = (gains + 1e-4) ** COMPRESSION * t.noisy_compressed
    spectral = ((compressed - t.wanted).square() * t.weight).mean() + t.rest
    if not bool(t.speaks.any()):
        return spectral
    enhanced = gains.square() * t.noisy_power
    lost = loudness.disturbance(enhanced, t.clean_power)[t.speaks].mean()
    kept = envelopes.correlation(enhanced, t.clean_power)[t.speaks].mean()
    return (
        spectral
        - SDR_WEIGHT * sdr_db(gains, t)[t.speaks].mean()
        + ENVELOPE_WEIGHT * (1.0 - kept)
        + LOUDNESS_WEIGHT * lost
    )
