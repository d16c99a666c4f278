"""Training mask networks: features of the live path in, gains judged on spectra."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models import losses
from models.config import BlstmConfig, MaskConfig, TrainConfig
from models.envelopes import Envelopes
from models.examples import JUDGED_EVERY, ArrayExamples, Examples, MixedExamples, Source
from models.frontend import FrontEnd
from models.loudness import Loudness
from models.net import make_mask_net
from models.progress import say, steps
from models.ranks import Ranks
from models.restore import make_front, restore_mask
from models.tasks import Mixers, Sources, held_out_steps
from models.transfer import band_map, transfer


class MaskTask:
    """The causal mask network of one microphone or of an array, or the bidirectional one. See models.tasks.Task."""

    def __init__(self, config: TrainConfig, sources: Sources, ranks: Ranks) -> None:
        network = config.network
        assert isinstance(network, MaskConfig | BlstmConfig)
        self.front: FrontEnd = make_front(network)
        profile, self.device = self.front.profile, ranks.device
        self.net = make_mask_net(network, self.front).to(self.device)
        self.average = make_mask_net(network, self.front).to(self.device)
        self.weight = losses.bin_weights(profile.bins, profile.rate_hz).to(self.device)
        self.interpolation = self.front.interpolation.to(self.device)
        frames = (profile.bins, profile.rate_hz, self.front.frame_hop * JUDGED_EVERY)
        self.envelopes, self.loudness = Envelopes(*frames).to(self.device), Loudness(*frames).to(self.device)
        self._open(config, sources, ranks)
        parameters = sum(p.numel() for p in self.net.parameters())
        self.about = f"{type(self.net).__name__}: {parameters:,} parameters, {self.front.layout.bands} bands"

    def _open(self, config: TrainConfig, sources: Sources, ranks: Ranks) -> None:
        self.source: Source
        self._typical: Source
        count = config.validation_batches
        if sources.scenes is not None:
            say(f"opening the scenes in {sources.scenes}")
            common = self.front, config.mixing.batch
            ours = ArrayExamples(sources.scenes, "train", *common, config.seed, ranks.rank)
            self._typical = ArrayExamples(sources.scenes, "train", *common, config.seed)
            held = ArrayExamples(sources.scenes, "held-out", *common, varied=False)
            self.source, self.hours = ours, {"scenes": round(ours.hours, 2)}
            self.validation = [held.batch(n) for n in range(count)]
        else:
            mixers = Mixers.open(config, sources, ranks)
            self.source, self._typical = (MixedExamples(m, self.front) for m in (mixers.ours, mixers.typical))
            apart = MixedExamples(mixers.held, self.front)
            self.hours = mixers.hours
            self.validation = [apart.batch(step) for step in held_out_steps(count)]

    def batch(self, step: int) -> Examples:
        return self.source.batch(step)

    def fit(self) -> None:
        typical = [self._typical.batch(i) for i in steps(range(4), "measuring the features of 4 batches", "batches")]
        cues = [e.cue_power for e in typical if e.cue_power is not None]
        self.front.fit(torch.cat([e.heard for e in typical], 1), torch.cat(cues, 1) if cues else None)

    def judge(self, net: nn.Module, examples: Examples) -> tuple[Tensor, Tensor, losses.Targets]:
        """(loss, gains per bin, targets) of a batch."""
        with torch.no_grad():
            features = self.front.features(examples.heard, examples.cue_power).to(self.device)
            noisy, clean = examples.noisy.to(self.device), examples.clean.to(self.device)
            targets = losses.prepare(noisy, clean, self.weight)
        gains = examples.judged(net(features)[0]) @ self.interpolation
        return losses.loss(gains, targets, self.envelopes, self.loudness), gains, targets

    def loss(self, net: nn.Module, batch: Examples) -> Tensor:
        return self.judge(net, batch)[0]

    def measures(self, net: nn.Module, batch: Examples) -> dict[str, list[float]]:
        """Beside the loss: spectral SDR gain, envelope correlation and loudness lost of the items with speech."""
        value, gains, t = self.judge(net, batch)
        gain_db = losses.sdr_db(gains, t) - losses.sdr_db(torch.ones_like(gains), t)
        enhanced = gains.square() * t.noisy_power
        kept = self.envelopes.correlation(enhanced, t.clean_power)
        lost = self.loudness.disturbance(enhanced, t.clean_power)
        of_speech = {"sdr_gain_db": gain_db, "envelopes": kept, "loudness": lost}
        return {"loss": [float(value)], **{name: v[t.speaks].tolist() for name, v in of_speech.items()}}

    def state(self) -> dict[str, Any]:
        return {"front": {"mean": self.front.mean, "inverse_std": self.front.inverse_std}}

    def restore(self, state: dict[str, Any]) -> None:
        self.front.mean.copy_(state["front"]["mean"])
        self.front.inverse_std.copy_(state["front"]["inverse_std"])

    def start_from(self, state: dict[str, Any]) -> dict[str, Any]:
        """Take over the network of another run, of this or of another profile."""
        source, front = restore_mask(state)
        if front.profile == self.front.profile:
            # the same features as it was trained on, so that it begins where it ended
            count = front.layout.bands
            for own, other in ((self.front.mean, front.mean), (self.front.inverse_std, front.inverse_std)):
                if own.shape == other.shape:
                    own.copy_(other)
                else:  # cues that the other lacks keep what was just measured
                    own[:count], own[-count:] = other[:count], other[-count:]
        ends = (front.layout, front.profile, self.front.layout, self.front.profile)
        transfer(source, self.net, band_map(*ends), band_map(*ends[2:], *ends[:2]))
        return {"profile": front.profile.name, "cues": bool(front.cues)}
