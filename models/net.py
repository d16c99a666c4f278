"""The causal mask network: a stack of LSTMs and one linear layer to a gain per band."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]


class MaskNet(nn.Module):
    """Band features to band gains in (0, 1). Causal: frame t depends on frames up to t and on the state only."""

    def __init__(self, bands: int, hidden: int = 192, layers: int = 2) -> None:
        super().__init__()
        self.bands, self.hidden = bands, hidden
        self.lstms = nn.ModuleList(nn.LSTM(bands if i == 0 else hidden, hidden) for i in range(layers))
        self.head = nn.Linear(hidden, bands)
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
        """features (frames, batch, bands) -> gains (frames, batch, bands) and the state after the last frame."""
        x, after = features, []
        for i, lstm in enumerate(self.lstms):
            x, s = lstm(x, None if state is None else state[i])
            after.append(s)
        return torch.sigmoid(self.head(x)), after
