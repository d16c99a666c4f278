"""The live path's analysis in torch: the same window, framing, bands and logarithm, for whole batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.mask.features import POWER_FLOOR, BandLayout, band_layout
from edge.profiles import Profile
from edge.windows import asymmetric_windows


class FrontEnd:
    """Waves to spectra and normalised log band power, frame t ending where the live path's hop ends.

    frame_hop: samples between the frames the network sees; loss_delay: by how many samples the frames on which its
    gains are judged come later (a network that runs every n-th hop serves the hops until it runs again).
    """

    def __init__(self, profile: Profile, run_every_hops: int = 1) -> None:
        self.profile = profile
        self.layout: BandLayout = band_layout(profile)
        self.frame_hop = profile.hop_samples * run_every_hops
        self.loss_delay = profile.hop_samples * (run_every_hops // 2)
        matrix = torch.from_numpy(self.layout.matrix())
        self.window = torch.from_numpy(asymmetric_windows(profile.window_samples, profile.hop_samples)[0])
        self.interpolation = matrix
        self.pooling = (matrix * torch.from_numpy(self.layout.inverse_weight)[:, None]).T.contiguous()
        self.mean = torch.zeros(self.layout.bands)
        self.inverse_std = torch.ones(self.layout.bands)

    def spectra(self, waves: Tensor, delay: int = 0) -> Tensor:
        """Complex spectra (frames, batch, bins) of waves (batch, samples); frame t ends at
        (t + 1) * frame_hop + delay."""
        padding = self.profile.window_samples - self.frame_hop
        padded = nn.functional.pad(waves, (padding, 0)) if padding >= 0 else waves[:, -padding:]
        frames = nn.functional.pad(padded, (0, delay))[:, delay:].unfold(1, self.profile.window_samples, self.frame_hop)
        return torch.fft.rfft(frames.transpose(0, 1) * self.window)

    def log_power(self, spectra: Tensor) -> Tensor:
        """log10 of band power plus the floor, (..., bands), not yet normalised."""
        power = spectra.real.square() + spectra.imag.square()
        return torch.log10(power @ self.pooling + POWER_FLOOR)

    def features(self, spectra: Tensor) -> Tensor:
        """What the network is fed, (..., bands): near zero mean and unit deviation over the training data."""
        return (self.log_power(spectra) - self.mean) * self.inverse_std

    @torch.no_grad()
    def fit(self, waves: Tensor) -> None:
        """Set the fixed mean and deviation per band from typical mixtures (batch, samples)."""
        flat = self.log_power(self.spectra(waves)).reshape(-1, self.layout.bands)
        self.mean.copy_(flat.mean(0))
        self.inverse_std.copy_(1.0 / flat.std(0).clamp_min(0.1))
