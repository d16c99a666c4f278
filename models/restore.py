"""Networks and front ends as settings and checkpoints describe them."""

from __future__ import annotations

from typing import Any

from edge.errors import ModelError
from edge.mask.features import CUES
from edge.profiles import PROFILES
from models.checkpoint import sound
from models.config import BlstmConfig, MaskConfig, TasNetConfig, config_from_dict
from models.frontend import FrontEnd
from models.net import MaskNet, make_mask_net
from models.tasnet import ConvTasNet


def make_front(network: MaskConfig | BlstmConfig) -> FrontEnd:
    """What a mask network hears; the bidirectional one is normalised by each recording itself."""
    profile = PROFILES[network.profile]
    if isinstance(network, BlstmConfig):
        return FrontEnd(profile, by_recording=True)
    return FrontEnd(profile, network.run_every_hops, CUES if network.cues else ())


def restore_mask(state: dict[str, Any]) -> tuple[MaskNet, FrontEnd]:
    """Network, its weights averaged over the last steps, and front end of a mask network's checkpoint.

    Raises ModelError where it is of another network or damaged.
    """
    network = config_from_dict(state["config"]).network
    if isinstance(network, TasNetConfig):
        raise ModelError("this checkpoint is of a Conv-TasNet, expected one of a mask network")
    with sound("this network"):
        front = make_front(network)
        front.mean.copy_(state["front"]["mean"])
        front.inverse_std.copy_(state["front"]["inverse_std"])
        net = make_mask_net(network, front)
        net.load_state_dict(state["average"])
    return net.eval(), front


def restore_tasnet(state: dict[str, Any]) -> ConvTasNet:
    """Conv-TasNet of a checkpoint, its weights averaged over the last steps. Raises ModelError for another or a damaged
    network.
    """
    network = config_from_dict(state["config"]).network
    if not isinstance(network, TasNetConfig):
        raise ModelError("this checkpoint is of a mask network, expected one of a Conv-TasNet")
    with sound("this network"):
        net = ConvTasNet(network)
        net.load_state_dict(state["average"])
    return net.eval()
