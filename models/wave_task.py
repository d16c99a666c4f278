"""Training Conv-TasNet: waves in, waves out, judged by SI-SNR and, where the recipe says so, by what is perceived."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edge.errors import ModelError
from models.config import TasNetConfig, TrainConfig
from models.data import RATE_HZ
from models.perceived import Perceived
from models.progress import say
from models.ranks import Ranks
from models.restore import restore_tasnet
from models.si_snr import si_snr_db, speaks, wave_loss
from models.tasks import Mixers, Sources
from models.tasnet import ConvTasNet

Waves = tuple[Tensor, Tensor]
"""mixture and target, both float32 (batch, samples)"""


class WaveTask:
    """See models.tasks.Task."""

    def __init__(self, config: TrainConfig, sources: Sources, ranks: Ranks) -> None:
        assert isinstance(config.network, TasNetConfig)
        self._config, self.device = config.network, ranks.device
        self.net, self.average = (ConvTasNet(config.network).to(self.device) for _ in range(2))
        self._perceived = Perceived(RATE_HZ).to(self.device)
        self._perceptual_weight = config.network.perceptual_weight
        self._mixers = Mixers.open(config, sources, ranks)
        self.hours = self._mixers.hours
        self.validation = [self._as_tensors(pair) for pair in self._mixers.held_out(config.validation_batches)]
        self.calibration = torch.zeros(0, dtype=torch.int16)
        """(items, samples): mixtures of the training part, by which the export scales int8 activations"""
        self.about = describe(config.network, self.net)

    def _as_tensors(self, pair: Any) -> Waves:
        mixture, target = (torch.from_numpy(wave).to(self.device) for wave in pair)
        return mixture, target

    def batch(self, step: int) -> Waves:
        return self._as_tensors(self._mixers.ours.batch(step))

    def fit(self) -> None:
        say("making a batch to scale int8 by")
        mixture, _ = self._mixers.typical.batch(0)
        self.calibration = torch.from_numpy(mixture * 32767.0).to(torch.int16)

    def loss(self, net: nn.Module, batch: Waves) -> Tensor:
        mixture, target = batch
        return self._judge(net(mixture), target, mixture)

    def _judge(self, enhanced: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        value = wave_loss(enhanced, target, mixture)
        talking = speaks(target, mixture)
        if self._perceptual_weight == 0.0 or not bool(talking.any()):
            return value
        return value + self._perceptual_weight * self._perceived(enhanced[talking], target[talking])

    def measures(self, net: nn.Module, batch: Waves) -> dict[str, list[float]]:
        """Beside the loss: SI-SNR and how much of it was gained, of the items with speech."""
        mixture, target = batch
        enhanced = net(mixture)
        talking = speaks(target, mixture)
        after, before = si_snr_db(enhanced, target)[talking], si_snr_db(mixture, target)[talking]
        return {
            "loss": [float(self._judge(enhanced, target, mixture))],
            "si_snr_db": after.tolist(),
            "si_snr_gain_db": (after - before).tolist(),
        }

    def state(self) -> dict[str, Any]:
        return {"calibration": self.calibration}

    def restore(self, state: dict[str, Any]) -> None:
        self.calibration = state["calibration"]

    def start_from(self, state: dict[str, Any]) -> dict[str, Any]:
        source = restore_tasnet(state)
        try:
            self.net.load_state_dict(source.state_dict())
        except RuntimeError:
            raise ModelError(
                "cannot start from a Conv-TasNet of other sizes; give [network] of its recipe, or no start_from"
            ) from None
        return {"network": "conv_tasnet"}


def describe(config: TasNetConfig, net: nn.Module) -> str:
    """Size, receptive field and kind in one line."""
    parameters, field = sum(p.numel() for p in net.parameters()), config.receptive_field_samples
    how = "causal" if config.causal else "offline"
    return (
        f"Conv-TasNet, {how}: {parameters:,} parameters, receptive field {field} samples "
        f"({1000.0 * field / RATE_HZ:.1f} ms)"
    )
