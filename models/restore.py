"""Network and front end out of a checkpoint."""

from __future__ import annotations

from typing import Any

from edge.mask.features import CUES
from edge.profiles import PROFILES
from models.frontend import FrontEnd
from models.net import MaskNet


def restore(state: dict[str, Any]) -> tuple[MaskNet, FrontEnd]:
    """Network, its weights averaged over the last steps, and front end of a checkpoint."""
    config = state["config"]
    front = FrontEnd(PROFILES[config["profile"]], config["run_every_hops"], CUES if config["cues"] else ())
    front.mean.copy_(state["front"]["mean"])
    front.inverse_std.copy_(state["front"]["inverse_std"])
    net = MaskNet(front.layout.bands, front.feature_count, config["hidden"], config["layers"])
    net.load_state_dict(state["average"])
    return net.eval(), front
