"""Begin a network from one that was trained for another window: same layers, bands mapped by frequency."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edge.errors import ModelError
from edge.mask.features import BandLayout
from edge.profiles import Profile
from models.local import transfer_local
from models.net import MaskNet


def band_map(source: BandLayout, source_profile: Profile, target: BandLayout, target_profile: Profile) -> Tensor:
    """Matrix (source bands, target bands): values at the source's centres by linear interpolation in Hz."""

    def hz(layout: BandLayout, profile: Profile) -> np.ndarray:
        return layout.centre_bins * (profile.rate_hz / profile.window_samples)

    at = hz(source, source_profile)
    known = hz(target, target_profile)
    columns = [np.interp(at, known, row) for row in np.eye(known.size)]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))


@torch.no_grad()
def transfer(source: MaskNet, into: MaskNet, down: Tensor, up: Tensor) -> None:
    """Copy `source` into `into`. down (source bands, target bands) maps the features, up its converse the gains.

    Cues that the source does not know begin without effect, and so does a correction by bands that it has not. The
    recurrent layers are taken as they are, which is right when both see the same number of frames a second. A causal
    one becomes the forward half of a bidirectional one, whose other half begins without effect. Raises ModelError when
    the layers differ in number or size.
    """
    same = (source.hidden, len(source.lstms)) == (into.hidden, len(into.lstms))
    if not same or (source.bidirectional and not into.bidirectional):
        raise ModelError(
            f"cannot start from a network of {_size(source)}, expected {_size(into)}; give [network] of its recipe"
        )
    weights = source.state_dict()
    groups = _matching_groups(source, into)
    for name in [name for name in weights if name.startswith("lstms.0.weight_ih")]:
        weights[name] = _regroup(weights[name].T, groups, source.bands, down.T).T
    # of the head, thresholds come first and stay first; slopes belong to all groups but the last
    rows = [0, *(g + 1 if g is not None else None for g in groups[:-1])]
    weights["head.weight"] = _regroup(weights["head.weight"], rows, source.bands, up)
    weights["head.bias"] = _regroup(weights["head.bias"][:, None], rows, source.bands, up)[:, 0]
    if source.local is not None and into.local is not None:
        transfer_local(source.local, into.local, groups, up)
    if into.bidirectional and not source.bidirectional:
        for name in [name for name in weights if name.endswith("weight_ih_l0") and not name.startswith("lstms.0.")]:
            weights[name] = _beside_nothing(weights[name])
        weights["head.weight"] = _beside_nothing(weights["head.weight"])
    kept = {name: value for name, value in weights.items() if not name.startswith("local.")}
    into.load_state_dict(into.state_dict() | kept)


def _beside_nothing(weight: Tensor) -> Tensor:
    """(rows, n) as (rows, 2 n): the second half, what runs backwards says, is not heard yet."""
    return torch.cat([weight, torch.zeros_like(weight)], dim=1)


def _size(net: MaskNet) -> str:
    return f"{len(net.lstms)} x {net.hidden} units" + (" both ways" if net.bidirectional else "")


def _matching_groups(source: MaskNet, into: MaskNet) -> list[int | None]:
    """For every group of features of `into` the one of `source`; cues that the source lacks have none."""
    have, want = source.features // source.bands, into.features // into.bands
    return [0, *(n if have == want else None for n in range(1, want - 1)), have - 1]


def _regroup(rows: Tensor, groups: list[int | None], bands: int, over: Tensor) -> Tensor:
    """Rows (groups * bands, n) in a new order, each group mapped by `over` (new bands, bands); None gives zeros."""
    zeros = torch.zeros(over.shape[0], rows.shape[1])
    return torch.cat([zeros if g is None else over @ rows[g * bands : (g + 1) * bands] for g in groups])
