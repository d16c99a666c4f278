"""What a listener would miss in a wave: loudness, envelopes and compressed spectra, added to the loss of SI-SNR.

A wave with a high SI-SNR may still sound of noise between the words and lack weak consonants, which hold little energy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.envelopes import Envelopes
from models.losses import COMPRESSION, ENVELOPE_WEIGHT, LOUDNESS_WEIGHT, bin_weights
from models.loudness import Loudness

WINDOW_SAMPLES, HOP_SAMPLES = 512, 256


class Perceived(nn.Module):
    """The perceptual part of the loss of the mask networks, on magnitudes alone: the phase is judged by SI-SNR."""

    window: Tensor
    weight: Tensor

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        bins = WINDOW_SAMPLES // 2 + 1
        self.envelopes = Envelopes(bins, rate_hz, HOP_SAMPLES)
        self.loudness = Loudness(bins, rate_hz, HOP_SAMPLES)
        self.register_buffer("window", torch.hann_window(WINDOW_SAMPLES))
        self.register_buffer("weight", bin_weights(bins, rate_hz))

    def forward(self, enhanced: Tensor, target: Tensor) -> Tensor:
        """Scalar, 0 where equal, of waves (batch, samples) with speech, at least one segment of `Envelopes` long."""
        power, clean_power = self._power(enhanced), self._power(target)
        level = clean_power.mean((0, 2), keepdim=True) + 1e-12
        power, clean_power = power / level, clean_power / level
        compressed, wanted = ((p + 1e-8) ** (COMPRESSION / 2.0) for p in (power, clean_power))
        spectral = ((compressed - wanted).square() * self.weight).mean()
        kept = self.envelopes.correlation(power, clean_power).mean()
        lost = self.loudness.disturbance(power, clean_power).mean()
        of_equal = self.loudness.disturbance(clean_power, clean_power).mean()
        return spectral + ENVELOPE_WEIGHT * (1.0 - kept) + LOUDNESS_WEIGHT * (lost - of_equal)

    def _power(self, waves: Tensor) -> Tensor:
        """(frames, batch, bins)"""
        spectra = torch.stft(waves, WINDOW_SAMPLES, HOP_SAMPLES, window=self.window, return_complex=True)
        return (spectra.real.square() + spectra.imag.square()).permute(2, 0, 1)
