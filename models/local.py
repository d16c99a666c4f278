"""One small LSTM that every band runs for itself: what it hears near by corrects what the large ones said."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.errors import ModelError

REACH = 3
"""bands to either side whose features a band hears"""
LOGIT_REACH = 1
"""the same, of what the large layers said"""
PLACE = 4
"""learnt numbers by which a band knows where it is"""

LstmState = tuple[Tensor, Tensor]


class LocalCorrection(nn.Module):
    """Correction of every band's logit, by weights that all bands share.

    The sub-band model of Hao, Su, Horaud and Li, "FullSubNet: A full-band and sub-band fusion model for real-time
    single-channel speech enhancement" (ICASSP 2021), on bands and as a correction: it begins at nothing. Steady noise
    looks alike in all bands, so that few weights learn it from little noise.

    groups: features of a band. units: of the LSTM. Causal.
    """

    def __init__(self, bands: int, groups: int, units: int) -> None:
        super().__init__()
        self.bands, self.groups, self.units = bands, groups, units
        self.place = nn.Parameter(0.3 * torch.randn(bands, PLACE))
        self.lstm = nn.LSTM(groups * (2 * REACH + 1) + 2 * LOGIT_REACH + 1 + PLACE, units)
        self.out = nn.Linear(units, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, logits: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        """features (frames, batch, groups * bands), logits (frames, batch, bands) -> corrections (frames, batch, bands)
        and the state after the last frame, (1, batch * bands, units) each."""
        frames, batch = logits.shape[:2]
        near = [_around(group, REACH) for group in features.split(self.bands, dim=-1)]
        place = self.place.expand(frames, batch, -1, -1)
        heard = torch.cat([*near, _around(logits, LOGIT_REACH), place], dim=-1)
        y, after = self.lstm(heard.reshape(frames, batch * self.bands, -1), state)
        return self.out(y).view(frames, batch, self.bands), after


def _around(values: Tensor, reach: int) -> Tensor:
    """(frames, batch, bands) -> (frames, batch, bands, 2 reach + 1): every band with its neighbours, zeros beyond."""
    return nn.functional.pad(values, (reach, reach)).unfold(-1, 2 * reach + 1, 1)


@torch.no_grad()
def transfer_local(source: LocalCorrection, into: LocalCorrection, groups: list[int | None], over: Tensor) -> None:
    """Copy `source` into `into`, whose groups of features are `groups` of the source; None begin without effect.

    over (bands of into, bands of source): places of bands by frequency. Units that the source lacks begin without
    effect. Raises ModelError where the source has more.
    """
    if source.units > into.units:
        raise ModelError(f"cannot start from {source.units} local_units, expected {into.units} or fewer")
    width = 2 * REACH + 1
    state = source.state_dict()
    weight = state["lstm.weight_ih_l0"]
    nothing = torch.zeros(weight.shape[0], width)
    columns = [nothing if g is None else weight[:, g * width : (g + 1) * width] for g in groups]
    state["lstm.weight_ih_l0"] = torch.cat([*columns, weight[:, source.groups * width :]], dim=1)
    state["place"] = over @ state["place"]
    if source.units < into.units:
        own = into.state_dict()
        state = {name: _widened(name, value, own[name], source.units) for name, value in state.items()}
    into.load_state_dict(state)


def _widened(name: str, value: Tensor, own: Tensor, units: int) -> Tensor:
    """`own` with the first `units` of every gate, and of what the output hears, as in `value`; they hear no others."""
    if name in ("place", "out.bias"):
        return value
    wide = own.clone()
    if name == "out.weight":
        wide.zero_()
        wide[:, :units] = value
        return wide
    gates, old = wide.view(4, -1, *wide.shape[1:]), value.view(4, units, *value.shape[1:])
    if name == "lstm.weight_hh_l0":
        gates[:, :units] = 0.0
        gates[:, :units, :units] = old
    else:
        gates[:, :units] = old
    return wide
