"""The live path's analysis in torch: the same window, framing, bands and logarithm, for whole batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.kernels import bands
from edge.mask.features import LEAST_DEVIATION, POWER_FLOOR, BandLayout, Rates, band_layout
from edge.profiles import Profile
from edge.windows import asymmetric_windows


class FrontEnd:
    """Waves to spectra and normalised log band power, frame t ending where the live path's hop ends.

    frame_hop: samples between the frames the network sees; loss_delay: by how many samples the frames on which its
    gains are judged come later (a network that runs every n-th hop serves the hops until it runs again). by_recording:
    every recording is normalised by its own mean and deviation, so only for networks that hear all of it first.
    """

    def __init__(
        self, profile: Profile, run_every_hops: int = 1, cues: tuple[str, ...] = (), by_recording: bool = False
    ) -> None:
        self.profile = profile
        self.layout: BandLayout = band_layout(profile)
        self.frame_hop = profile.hop_samples * run_every_hops
        self.loss_delay = profile.hop_samples * (run_every_hops // 2)
        matrix = torch.from_numpy(self.layout.matrix())
        self.window = torch.from_numpy(asymmetric_windows(profile.window_samples, profile.hop_samples)[0])
        self.interpolation = matrix
        self.pooling = (matrix * torch.from_numpy(self.layout.inverse_weight)[:, None]).T.contiguous()
        self.rates = Rates(profile.hop_ms * run_every_hops)
        self.cues, self.by_recording = cues, by_recording
        self.feature_count = (2 + len(cues)) * self.layout.bands
        self.mean = torch.zeros(self.feature_count)
        self.inverse_std = torch.ones(self.feature_count)

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

    def raw_features(self, log_power: Tensor, cue_power: Tensor | None = None) -> Tensor:
        """Log power (frames, batch, bands) to features (frames, batch, feature_count), not yet normalised.

        cue_power (frames, batch, 2, bands): what the cues are made of, needed by networks that have cues.
        """
        frames = log_power.contiguous().numpy().reshape(len(log_power), -1)
        above = np.empty_like(frames)
        smooth, noise = np.empty((2, frames.shape[1]), np.float32)
        r = self.rates
        for seen, frame in enumerate(frames):
            bands.above_floor(frame, seen, r.smoothing, r.fall, r.rise, smooth, noise, above[seen])
        groups = [torch.from_numpy(above).view_as(log_power)]
        if self.cues:
            assert cue_power is not None
            groups.append(self._cue_values(log_power, cue_power))
        return torch.cat((*groups, log_power), -1)

    def _cue_values(self, log_power: Tensor, cue_power: Tensor) -> Tensor:
        frames, items, count = log_power.shape
        # the kernel takes any number of bands, so those of all items at once
        beam = log_power.contiguous().numpy().reshape(frames, -1)
        powers = cue_power.transpose(1, 2).contiguous().numpy().reshape(frames, len(self.cues), -1)
        out = np.empty((frames, len(self.cues), items * count), np.float32)
        smooth = np.full((1 + len(self.cues), items * count), -1.0, np.float32)
        floor = np.float32(POWER_FLOOR)
        for t in range(frames):
            bands.spatial_cues(beam[t], powers[t], self.rates.cue, floor, smooth, out[t])
        by_item = torch.from_numpy(out).view(frames, len(self.cues), items, count).transpose(1, 2)
        return by_item.reshape(frames, items, -1)

    def features(self, spectra: Tensor, cue_power: Tensor | None = None) -> Tensor:
        """What the network is fed, (frames, batch, feature_count): near zero mean and unit deviation in training."""
        raw = self.raw_features(self.log_power(spectra), cue_power)
        if self.by_recording:
            deviation = raw.var(0, correction=0, keepdim=True).sqrt()
            return (raw - raw.mean(0, keepdim=True)) / deviation.clamp_min(LEAST_DEVIATION)
        return (raw - self.mean) * self.inverse_std

    @torch.no_grad()
    def fit(self, spectra: Tensor, cue_power: Tensor | None = None) -> None:
        """Set the fixed mean and deviation per feature from the spectra (frames, batch, bins) of typical mixtures."""
        flat = self.raw_features(self.log_power(spectra), cue_power).reshape(-1, self.feature_count)
        self.mean.copy_(flat.mean(0))
        self.inverse_std.copy_(1.0 / flat.std(0).clamp_min(LEAST_DEVIATION))
