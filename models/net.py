"""The mask networks: a stack of LSTMs and one linear layer to a threshold and a slope per band."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.config import BlstmConfig, MaskConfig
from models.frontend import FrontEnd
from models.local import LocalCorrection

State = list[tuple[Tensor, Tensor]]


class MaskNet(nn.Module):
    """Features to band gains in (0, 1). Causal, frame t depends on frames up to t and on the state only, unless it is
    bidirectional: then every layer runs over the frames both ways, `hidden` units each.

    features: inputs per frame, groups of one value per band; the last group is log power, the first ones say how far
    every band is above its noise floor and, for arrays, what the spatial cues say. The gain is sigmoid(theta + sum of
    slope * feature) over all groups but the last: the recurrent part says at which level over the floor speech begins
    in a band and how sharply, the band's own power in this very frame decides. So the detail of a frame need not go
    through the LSTMs. With local_units every band then corrects that by itself (models.local).
    """

    def __init__(
        self,
        bands: int,
        features: int,
        hidden: int = 192,
        layers: int = 2,
        bidirectional: bool = False,
        local_units: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.bands, self.features, self.hidden, self.bidirectional = bands, features, hidden, bidirectional
        width = 2 * hidden if bidirectional else hidden
        self.lstms = nn.ModuleList(
            nn.LSTM(features if i == 0 else width, hidden, bidirectional=bidirectional) for i in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, features)
        """thresholds first, then slopes"""
        self.local = LocalCorrection(bands, features // bands, local_units) if local_units else None
        for lstm in self.lstms:
            for name, parameter in lstm.named_parameters():
                if name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                elif name.startswith("bias_ih"):
                    # remember by default: a forget gate that starts open learns long noise statistics sooner
                    nn.init.zeros_(parameter)
                    parameter.data[hidden : 2 * hidden] = 1.0
                elif name.startswith("bias_hh"):
                    nn.init.zeros_(parameter)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """features (frames, batch, features) -> gains (frames, batch, bands) and the state after the last frame."""
        x, after = features, []
        for i, lstm in enumerate(self.lstms):
            x, s = lstm(x, None if state is None else state[i])
            x = self.dropout(x)
            after.append(s)
        theta, slopes = self.head(x).split((self.bands, self.features - self.bands), dim=-1)
        direct = (slopes * features[..., : -self.bands]).unflatten(-1, (-1, self.bands)).sum(-2)
        logits = theta + direct
        if self.local is not None:
            correction, s = self.local(features, logits, None if state is None else state[-1])
            after.append(s)
            logits = logits + correction
        return torch.sigmoid(logits), after


def make_mask_net(network: MaskConfig | BlstmConfig, front: FrontEnd) -> MaskNet:
    """The network of these settings for what `front` gives."""
    shape = front.layout.bands, front.feature_count, network.hidden, network.layers
    if isinstance(network, BlstmConfig):
        return MaskNet(*shape, bidirectional=True, dropout=network.dropout)
    return MaskNet(*shape, local_units=network.local_units, dropout=network.dropout)
