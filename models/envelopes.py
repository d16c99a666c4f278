"""Correlation of short-time speech envelopes: the idea of ESTOI as a term that can be trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

LOWEST_HZ = 150.0
THIRD_OCTAVES = 15
SEGMENT_S = 0.384
LOUD_DB = 30.0
"""Segments of the target further than this below its loudest one are left out: there is no speech in them."""


class Envelopes(nn.Module):
    """Envelopes in third-octave bands, in segments of 384 ms, as in Jensen and Taal, "An algorithm for predicting the
    intelligibility of speech masked by modulated noise maskers" (2016).

    bins, rate_hz: of the spectra; frame_hop: samples between them.
    """

    bands: Tensor

    def __init__(self, bins: int, rate_hz: int, frame_hop: int) -> None:
        super().__init__()
        hz = np.linspace(0.0, rate_hz / 2.0, bins)
        centres = LOWEST_HZ * 2.0 ** (np.arange(THIRD_OCTAVES) / 3.0)
        low, high = centres * 2.0 ** (-1.0 / 6.0), centres * 2.0 ** (1.0 / 6.0)
        inside = (hz[:, None] >= low) & (hz[:, None] < high)
        # a short window has no bin in the lowest band, and what is always nothing correlates with nothing
        self.register_buffer("bands", torch.from_numpy(inside[:, inside.any(0)].astype(np.float32)))
        self.frames = round(SEGMENT_S * rate_hz / frame_hop)

    def _segments(self, power: Tensor) -> Tensor:
        """(segments, batch, bands, frames) root powers, half overlapping."""
        envelope = (power @ self.bands + 1e-7).sqrt()
        return envelope.unfold(0, self.frames, self.frames // 2)

    def correlation(self, power: Tensor, clean_power: Tensor) -> Tensor:
        """(batch,) correlation, 1 where equal, of powers (frames, batch, bins), scaled to about 1; needs a segment.

        Every band is normalised over the frames of a segment, then every frame over the bands.
        """
        x, s = self._segments(power), self._segments(clean_power)
        energy = s.square().sum((2, 3))
        loud = (energy > energy.amax(0) * 10.0 ** (-LOUD_DB / 10.0)).to(x.dtype)
        product = (_normalised(x) * _normalised(s)).sum((2, 3)) / self.frames
        return (product * loud).sum(0) / loud.sum(0)


def _normalised(segments: Tensor) -> Tensor:
    for dimension in (3, 2):
        centred = segments - segments.mean(dimension, keepdim=True)
        segments = centred * torch.rsqrt(centred.square().sum(dimension, keepdim=True) + 1e-6)
    return segments
