"""Disturbance of loudness as PESQ weighs it, as a term that can be trained on.

After ITU-T P.862 and P.862.2, and Martin-Donas et al., "A deep learning loss function based on the perceptual
evaluation of the speech quality" (2018). Left out: time alignment, the compensation of linear filtering and bad
intervals.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

BARK_STEP = 0.5
MEAN_POWER = 1.3e4
"""power per bin, in units in which the threshold of hearing at 3 kHz is about 0.3, of speech at the level of P.862"""
ZWICKER = 0.23
DEAD_ZONE = 0.25
SYMMETRIC, ASYMMETRIC = 0.1, 0.0309
"""points of raw PESQ per unit of either disturbance"""
INTERVAL_S = 0.32


def _bark(hz: np.ndarray) -> np.ndarray:
    return 13.0 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7500.0) ** 2)


def _hearing_threshold(hz: np.ndarray) -> np.ndarray:
    """Power of the threshold in quiet (Terhardt 1979), lowered as the table of P.862 is."""
    khz = np.maximum(hz, 40.0) / 1000.0
    db = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return 10.0 ** (np.minimum(db - 3.0, 70.0) / 10.0)


class Loudness(nn.Module):
    """bins, rate_hz: of the spectra; frame_hop: samples between them."""

    pooling: Tensor
    width: Tensor
    threshold: Tensor

    def __init__(self, bins: int, rate_hz: int, frame_hop: int) -> None:
        super().__init__()
        hz = np.linspace(0.0, rate_hz / 2.0, bins)
        step_hz = hz[1]
        bark = _bark(hz)
        edges = [0]
        for k in range(1, bins):
            if bark[k] - bark[edges[-1]] >= BARK_STEP:
                edges.append(k)
        edges.append(bins)
        pooling = np.zeros((bins, len(edges) - 1), np.float32)
        for b, (low, high) in enumerate(pairwise(edges)):
            pooling[low:high, b] = 1.0
        ends = _bark(np.maximum(np.array(edges) - 0.5, 0.0) * step_hz)
        centre_hz = np.array([hz[low:high].mean() for low, high in pairwise(edges)])
        self.register_buffer("pooling", torch.from_numpy(pooling))
        self.register_buffer("width", torch.from_numpy(np.diff(ends).astype(np.float32)))
        self.register_buffer("threshold", torch.from_numpy(_hearing_threshold(centre_hz).astype(np.float32)))
        # frames 16 ms apart are enough, as in P.862
        self.every = max(1, round(0.016 * rate_hz / frame_hop))
        self.interval = round(INTERVAL_S * rate_hz / (frame_hop * self.every))

    def _sones(self, power: Tensor) -> Tensor:
        louder = (self.threshold / 0.5) ** ZWICKER * ((0.5 + 0.5 * power / self.threshold) ** ZWICKER - 1.0)
        return louder.clamp_min(0.0) * 0.1866

    def disturbance(self, power: Tensor, clean_power: Tensor) -> Tensor:
        """(batch,) points of raw PESQ lost by powers (frames, batch, bins) against those of the clean speech.

        clean_power is scaled to a mean of about 1 per bin and frame; a constant gain of `power` costs nothing.
        """
        power, clean_power = power[:: self.every], clean_power[:: self.every]
        energy, clean_energy = power.sum((0, 2)), clean_power.sum((0, 2))
        level = (clean_energy + 1e-3) / (energy + 1e-3)
        x = (power @ self.pooling) * (MEAN_POWER * level)[:, None]
        s = (clean_power @ self.pooling) * MEAN_POWER
        loud_x, loud_s = self._sones(x), self._sones(s)
        difference = loud_x - loud_s
        dead = DEAD_ZONE * torch.minimum(loud_x, loud_s)
        difference = difference.sign() * (difference.abs() - dead).clamp_min(0.0)
        ratio = ((x + 50.0) / (s + 50.0)) ** 1.2
        ratio = torch.where(ratio < 3.0, torch.zeros_like(ratio), ratio.clamp_max(12.0))
        total = self.width.sum()
        symmetric = (((difference * self.width).square() / total).sum(-1) + 1e-8).sqrt() * total
        asymmetric = (difference.abs() * self.width * ratio).sum(-1)
        weight = ((s.sum(-1) + 1e5) / 1e7) ** -0.04
        return SYMMETRIC * self._over_time(symmetric * weight) + ASYMMETRIC * self._over_time(asymmetric * weight)

    def _over_time(self, frames: Tensor) -> Tensor:
        """(batch,) of (frames, batch): the worst of every third of a second counts, then the mean square of these."""
        parts = frames.clamp_max(45.0).unfold(0, self.interval, self.interval // 2)
        worst = ((parts + 1e-4) ** 6).mean(-1) ** (1.0 / 6.0)
        return (worst.square().mean(0) + 1e-8).sqrt()
