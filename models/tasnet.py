"""Conv-TasNet in torch: learned encoder, a mask from dilated convolutions, learned decoder. Whole waves at once.

Luo and Mesgarani, "Conv-TasNet: Surpassing ideal time-frequency magnitude masking for speech separation", IEEE/ACM
TASLP 27(8), 2019. One talker, so one mask; frames come before channels in all shapes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import TasNetConfig

EPSILON = 1e-8
"""of all norms"""


class Norm(nn.Module):
    """Zero mean and unit variance of (batch, frames, channels), then a gain and an offset per channel.

    kind: over what, see TasNetConfig; memory: frames a cumulative one goes back, 0 without end.
    """

    def __init__(self, channels: int, kind: str, memory: int) -> None:
        super().__init__()
        self.kind, self.memory = kind, memory
        self.gain, self.offset = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "channel":
            return functional.layer_norm(x, x.shape[-1:], self.gain, self.offset, EPSILON)
        if self.kind == "global":
            mean, square = x.mean((1, 2), keepdim=True), x.square().mean((1, 2), keepdim=True)
        else:
            each = torch.stack([x.mean(-1), x.square().mean(-1)], -1)
            mean, square = running_mean(each, self.memory).unsqueeze(2).unbind(-1)
        variance = (square - mean.square()).clamp_min(0.0)
        return (x - mean) * torch.rsqrt(variance + EPSILON) * self.gain + self.offset


def running_mean(values: Tensor, memory: int) -> Tensor:
    """Mean over the frames so far of (batch, frames, n), every frame with the share 1 / min(its number, memory)."""
    frames = values.shape[1]
    first = frames if memory == 0 else min(memory, frames)
    count = torch.arange(1, first + 1, dtype=values.dtype, device=values.device)[:, None]
    means = [values[:, :first].cumsum(1) / count]
    if first < frames:
        # after that the past fades, in pieces of `memory` frames, over which it fades by no more than a factor of 4
        for piece in values[:, first:].split(memory, 1):
            power = (1.0 - 1.0 / memory) ** count[: piece.shape[1]]
            means.append(power * (means[-1][:, -1:] + (piece / power).cumsum(1) / memory))
    return torch.cat(means, 1)


class Block(nn.Module):
    """Bottleneck channels -> hidden ones -> dilated depthwise convolution -> a residual and a skip output."""

    def __init__(self, config: TasNetConfig, dilation: int, last: bool) -> None:
        super().__init__()
        hidden, self.kernel, self.dilation, self.causal = config.hidden, config.kernel, dilation, config.causal
        self.enter = nn.Linear(config.bottleneck, hidden)
        self.first, self.second = nn.PReLU(), nn.PReLU()
        self.first_norm, self.second_norm = (Norm(hidden, config.norm, config.memory_frames) for _ in range(2))
        self.taps = nn.Parameter(torch.empty(config.kernel, hidden).uniform_(-1.0, 1.0) / config.kernel**0.5)
        self.taps_offset = nn.Parameter(torch.zeros(hidden))
        self.leave = nn.Linear(hidden, config.skip + (0 if last else config.bottleneck))
        """the skip output first; the last block's residual output would go nowhere"""

    def forward(self, x: Tensor) -> Tensor:
        y = self.first_norm(self.first(self.enter(x)))
        reach = (self.kernel - 1) * self.dilation
        padded = functional.pad(y, (0, 0, reach, 0) if self.causal else (0, 0, reach // 2, reach // 2))
        y = self.taps_offset.expand_as(y)
        for tap in range(self.kernel):
            y = torch.addcmul(y, padded[:, tap * self.dilation :][:, : x.shape[1]], self.taps[tap])
        out: Tensor = self.leave(self.second_norm(self.second(y)))
        return out


class ConvTasNet(nn.Module):
    """Noisy waves to enhanced ones of the same length, aligned to the sample. It begins as a wire."""

    def __init__(self, config: TasNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Parameter(torch.empty(config.filters, config.kernel_samples))
        self.decoder = nn.Parameter(torch.empty(config.filters, config.kernel_samples))
        self.input_norm = Norm(config.filters, config.input_norm, config.memory_frames)
        self.bottleneck = nn.Linear(config.filters, config.bottleneck)
        dilations = config.dilations
        self.blocks = nn.ModuleList(Block(config, d, n == len(dilations) - 1) for n, d in enumerate(dilations))
        self.skip_activation = nn.PReLU()
        self.mask = nn.Linear(config.skip, config.filters)
        with torch.no_grad():
            # rectified pairs of opposite filters lose nothing, so that a decoder exists which undoes the encoder
            half = nn.init.orthogonal_(torch.empty(config.filters // 2, config.kernel_samples))
            self.encoder.copy_(torch.cat([half, -half]))
            self.decoder.copy_(self.encoder * (2.0 / config.overlap))  # masks begin near a half
            self.mask.weight.mul_(0.1)

    def forward(self, waves: Tensor) -> Tensor:
        """waves float32 (batch, samples) -> (batch, samples)."""
        c, samples = self.config, waves.shape[-1]
        shared = c.kernel_samples - c.stride_samples
        frames = -(-(samples + shared) // c.stride_samples)
        after = (frames - 1) * c.stride_samples + c.kernel_samples - shared - samples
        coded = functional.relu(
            functional.pad(waves, (shared, after)).unfold(-1, c.kernel_samples, c.stride_samples) @ self.encoder.T
        )
        masked = coded * self.masks(coded)
        rows = (masked @ self.decoder).unflatten(-1, (c.overlap, c.stride_samples))
        # overlap-add: part j of frame t lies in row t + j
        out = sum(functional.pad(rows[:, :, j], (0, 0, j, c.overlap - 1 - j)) for j in range(c.overlap))
        assert isinstance(out, Tensor)
        return out.flatten(1)[:, shared : shared + samples]

    def masks(self, coded: Tensor) -> Tensor:
        """Masks in (0, 1) for coded frames (batch, frames, filters)."""
        x: Tensor = self.bottleneck(self.input_norm(coded))
        skips = torch.zeros((), dtype=x.dtype, device=x.device)
        for block in self.blocks:
            skip, residual = block(x).tensor_split((self.config.skip,), -1)
            skips = skips + skip
            if residual.shape[-1]:
                x = x + residual
        return torch.sigmoid(self.mask(self.skip_activation(skips)))
