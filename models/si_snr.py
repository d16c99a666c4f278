"""Scale-invariant signal-to-noise ratio of waves, and the loss made of it."""

from __future__ import annotations

import torch
from torch import Tensor

BEST_DB, WORST_DB = 30.0, -30.0
"""Soft bounds of the ratio: what is nearly perfect or hopeless pulls no more."""
SILENCE_DB = -60.0
"""A target that far below its mixture is silence."""
LEVEL_WEIGHT = 0.02
"""Loss per squared dB by which the talker comes out louder or softer: SI-SNR itself leaves the level open."""
LEVEL_BOUND_DB = 10.0
"""Beyond it the level's share of the loss rises no more steeply."""


def speaks(target: Tensor, mixture: Tensor) -> Tensor:
    """(batch,) bool: the target (batch, samples) is no silence."""
    return target.square().sum(-1) > mixture.square().sum(-1) * 10.0 ** (SILENCE_DB / 10.0) + 1e-9


def _split(enhanced: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(scale, energy of the target in it, energy of the rest), each (batch,), means removed."""
    enhanced, target = (x - x.mean(-1, keepdim=True) for x in (enhanced, target))
    energy = target.square().sum(-1) + 1e-9
    scale = (enhanced * target).sum(-1) / energy
    rest = (enhanced - scale[..., None] * target).square().sum(-1)
    return scale, scale.square() * energy, rest


def si_snr_db(enhanced: Tensor, target: Tensor) -> Tensor:
    """(batch,) SI-SNR (Luo and Mesgarani 2019, equation 15; SI-SDR of Le Roux et al. 2019 but for the mean) in dB of
    waves (batch, samples), between the soft bounds above; finite for silence too.
    """
    _, kept, rest = _split(enhanced, target)
    best, worst = 10.0 ** (-BEST_DB / 10.0), 10.0 ** (WORST_DB / 10.0)
    return 10.0 * torch.log10(kept / (rest + best * kept + 1e-12) + worst)


def wave_loss(enhanced: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Scalar in dB: mean over items of -SI-SNR, and of the level left where the target is silent.

    SI-SNR means nothing for a silent target; there the loss is the energy of the output against the mixture in dB,
    bounded below by -30. A small term holds the talker at his level.
    """
    talking = speaks(target, mixture)
    scale = _split(enhanced, target)[0]
    off_db = 10.0 * torch.log10(scale.square() + 1e-6)
    level = torch.nn.functional.huber_loss(off_db, torch.zeros_like(off_db), reduction="none", delta=LEVEL_BOUND_DB)
    of_speech = 2.0 * LEVEL_WEIGHT * level - si_snr_db(enhanced, target)
    left = enhanced.square().sum(-1) / (mixture.square().sum(-1) + 1e-9)
    of_silence = 10.0 * torch.log10(left + 10.0 ** (WORST_DB / 10.0))
    return torch.where(talking, of_speech, of_silence).mean()
