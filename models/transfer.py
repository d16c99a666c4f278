"""Begin a network from one that was trained for another window: same layers, bands mapped by frequency."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edge.errors import ModelError
from edge.mask.features import BandLayout
from edge.profiles import Profile
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

    The recurrent layers are taken as they are, which is right when both see the same number of frames a second.
    Raises ModelError when the layers differ in number or size.
    """
    if (source.hidden, len(source.lstms)) != (into.hidden, len(into.lstms)):
        raise ModelError(
            f"cannot start from a network of {len(source.lstms)} x {source.hidden} units, "
            f"expected {len(into.lstms)} x {into.hidden}; pass --hidden {source.hidden}"
        )
    weights = source.state_dict()
    weights["lstms.0.weight_ih_l0"] = weights["lstms.0.weight_ih_l0"] @ down
    weights["head.weight"] = up @ weights["head.weight"]
    weights["head.bias"] = up @ weights["head.bias"]
    into.load_state_dict(weights)
