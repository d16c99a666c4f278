"""One training run: the network, its batches, its optimiser and where it stands on disk."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.mask.features import CUES
from edge.profiles import PROFILES
from models import checkpoint, losses
from models.curve import draw_curve
from models.data import load_corpus
from models.envelopes import Envelopes
from models.examples import JUDGED_EVERY, ArrayExamples, Examples, MixedExamples, Source
from models.frontend import FrontEnd
from models.loudness import Loudness
from models.mixing import Mixer, MixingConfig
from models.net import MaskNet
from models.restore import restore
from models.transfer import band_map, transfer

COOLDOWN = 0.3
"""Share of the time allowed over which the learning rate falls linearly to nothing: much is gained there."""


@dataclass(frozen=True)
class TrainConfig:
    profile: str = "assistant"
    run_every_hops: int = 1
    cues: bool = False
    """a network for arrays, which is told the spatial cues"""
    hidden: int = 192
    layers: int = 2
    learning_rate: float = 1.5e-3
    averaging: float = 0.999
    """share kept per step by the running mean of the weights, which is what is validated and exported"""
    warmup_steps: int = 150
    clip_norm: float = 0.5
    plateau_patience: int = 12
    """validations without improvement before the learning rate halves"""
    least_factor: float = 0.05
    """share of the learning rate below which a run on a plateau ends early"""
    validate_every: int = 400
    validation_batches: int = 6
    minutes: float = 60.0
    """of processor time of one process, so that a busy or stopped machine does not use them up"""
    max_steps: int = 1_000_000
    seed: int = 1
    mixing: MixingConfig = field(default_factory=MixingConfig)


class Ranks:
    """The processes of one run: averaged gradients, and one decision on when to stop. A single process works too."""

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1:
            torch.distributed.init_process_group("gloo")

    def average(self, values: Tensor) -> Tensor:
        if self.count > 1:
            torch.distributed.all_reduce(values)
            values /= self.count
        return values


class Trainer:
    """One run: a network, its front end, its batches and where it stands. Every step can be resumed exactly."""

    def __init__(
        self,
        config: TrainConfig,
        data: Path,
        speech: Path | None,
        noise: Path | None,
        out: Path,
        start_from: Path | None = None,
        scenes: Path | None = None,
    ) -> None:
        """data: cache of decoded audio; speech, noise: corpora to mix, or `scenes`: folder of `models.array_scenes`."""
        self.config, self.out, self.ranks = config, out, Ranks()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        profile = PROFILES[config.profile]
        self.front = FrontEnd(profile, config.run_every_hops, CUES if config.cues else ())
        shape = (self.front.layout.bands, self.front.feature_count, config.hidden, config.layers)
        self.net, self.average = MaskNet(*shape).to(self.device), MaskNet(*shape).to(self.device)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=config.learning_rate, weight_decay=1e-3)
        self.weight = losses.bin_weights(profile.bins, profile.rate_hz).to(self.device)
        self.interpolation = self.front.interpolation.to(self.device)
        frames = (profile.bins, profile.rate_hz, self.front.frame_hop * JUDGED_EVERY)
        self.envelopes, self.loudness = Envelopes(*frames).to(self.device), Loudness(*frames).to(self.device)
        self.step, self.elapsed_s, self.factor, self.bad, self.best = 0, 0.0, 1.0, 0, float("inf")
        self.history: list[dict[str, float]] = []
        self.ancestors: list[dict[str, Any]] = []
        """the runs whose weights this one took over, the first one first"""
        self._open(data, speech, noise, scenes)
        if (out / "last.pt").exists():
            self._restore(checkpoint.load(out / "last.pt"))
        else:
            typical = [self._typical.batch(i) for i in range(4)]
            cues = [e.cue_power for e in typical if e.cue_power is not None]
            self.front.fit(torch.cat([e.heard for e in typical], 1), torch.cat(cues, 1) if cues else None)
            if start_from is not None:
                self._start_from(checkpoint.load(start_from))
            self.average.load_state_dict(self.net.state_dict())

    def _open(self, data: Path, speech: Path | None, noise: Path | None, scenes: Path | None) -> None:
        """The batches to train on, those that the features are normalised by (the same for every rank), and held-out
        ones."""
        c = self.config
        self.source: Source
        self._typical: Source
        held: Source
        if scenes is not None:
            batch = c.mixing.batch
            ours = ArrayExamples(scenes, "train", self.front, batch, c.seed, self.ranks.rank)
            self._typical = ArrayExamples(scenes, "train", self.front, batch, c.seed)
            held = ArrayExamples(scenes, "held-out", self.front, batch, varied=False)
            self.source, self.hours = ours, {"scenes": round(ours.hours, 2)}
            held_steps = range(c.validation_batches)
        else:
            assert speech is not None
            assert noise is not None
            voices, sounds = load_corpus(speech, "speech", data), load_corpus(noise, "noise", data)
            self.hours = {"speech": round(voices.hours, 2), "noise": round(sounds.hours, 2)}
            parts = voices.split(False), sounds.split(False)
            self.source = MixedExamples(Mixer(*parts, c.mixing, c.seed, self.ranks.rank), self.front)
            self._typical = MixedExamples(Mixer(*parts, c.mixing, c.seed), self.front)
            held = MixedExamples(Mixer(voices.split(True), sounds.split(True), c.mixing, c.seed + 1000), self.front)
            held_steps = range(0, 40 * c.validation_batches, 40)
        self.validation = [held.batch(i) for i in held_steps]

    def batch_loss(self, net: MaskNet, examples: Examples) -> tuple[Tensor, Tensor, losses.Targets]:
        """(loss, gains per bin, targets) of a batch."""
        with torch.no_grad():
            features = self.front.features(examples.heard, examples.cue_power).to(self.device)
            noisy, clean = examples.noisy.to(self.device), examples.clean.to(self.device)
            targets = losses.prepare(noisy, clean, self.weight)
        gains = examples.judged(net(features)[0]) @ self.interpolation
        return losses.loss(gains, targets, self.envelopes, self.loudness), gains, targets

    def train_step(self) -> float:
        examples = self.source.batch(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        value, _, _ = self.batch_loss(self.net, examples)
        value.backward()
        parameters = [p for p in self.net.parameters() if p.grad is not None]
        flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None] + [value.detach().reshape(1)])
        flat = self.ranks.average(flat)
        offset = 0
        for p in parameters:
            p.grad = flat[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
        # one bad batch must not spoil the weights; every rank sees the same sum, so all leave it out
        sound = bool(torch.isfinite(flat).all())
        if sound:
            torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate()
            self.optimiser.step()
        self.step += 1
        if sound:
            self._update_average()
        return float(flat[-1])

    @torch.no_grad()
    def _update_average(self) -> None:
        # a short memory at first, so that the beginning is soon forgotten
        kept = min(self.config.averaging, self.step / (self.step + 10.0))
        for mean, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(new, 1.0 - kept)

    def used(self) -> float:
        """Share of the minutes or steps allowed that is gone."""
        return max(self.elapsed_s / (60.0 * self.config.minutes), self.step / self.config.max_steps)

    def learning_rate(self) -> float:
        c = self.config
        cooldown = min(1.0, max(0.0, (1.0 - self.used()) / COOLDOWN))
        return c.learning_rate * self.factor * cooldown * min(1.0, (self.step + 1) / c.warmup_steps)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss, spectral SDR gain and envelope correlation on held-out talkers and noises, the same every time."""
        values, gained, kept, lost = [], [], [], []
        for examples in self.validation:
            value, gains, t = self.batch_loss(self.average, examples)
            values.append(float(value))
            gain_db = losses.sdr_db(gains, t) - losses.sdr_db(torch.ones_like(gains), t)
            gained += gain_db[t.speaks].tolist()
            enhanced = gains.square() * t.noisy_power
            kept += self.envelopes.correlation(enhanced, t.clean_power)[t.speaks].tolist()
            lost += self.loudness.disturbance(enhanced, t.clean_power)[t.speaks].tolist()
        means = {"loss": values, "sdr_gain_db": gained, "envelopes": kept, "loudness": lost}
        return {name: float(np.mean(v)) for name, v in means.items()}

    def state(self) -> dict[str, Any]:
        keep = ("step", "elapsed_s", "factor", "bad", "best", "history", "hours", "ancestors")
        return {
            "config": asdict(self.config),
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "front": {"mean": self.front.mean, "inverse_std": self.front.inverse_std},
            "optimiser": self.optimiser.state_dict(),
            **{k: getattr(self, k) for k in keep},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.front.mean.copy_(state["front"]["mean"])
        self.front.inverse_std.copy_(state["front"]["inverse_std"])
        for k in ("step", "elapsed_s", "factor", "bad", "best", "history"):
            setattr(self, k, state[k])
        self.ancestors = state.get("ancestors", [])

    def _start_from(self, state: dict[str, Any]) -> None:
        """Take over the network of another run, of this or of another profile."""
        source, front = restore(state)
        run = {k: state[k] for k in ("step", "hours")} | {"minutes": round(state["elapsed_s"] / 60.0, 1)}
        self.ancestors = [*state.get("ancestors", []), run | {"profile": front.profile.name, "cues": bool(front.cues)}]
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

    def _after_validation(self, train_loss: float) -> None:
        result = self.validate()
        row = {
            "step": self.step,
            "minutes": self.elapsed_s / 60.0,
            "train": train_loss,
            **result,
            "lr": self.learning_rate(),
        }
        self.history.append(row)
        better = result["loss"] < self.best
        self.bad = 0 if better else self.bad + 1
        self.best = min(self.best, result["loss"])
        if self.bad > self.config.plateau_patience:
            self.factor, self.bad = self.factor * 0.5, 0
        if self.ranks.rank == 0:
            checkpoint.save(self.out / "last.pt", self.state())
            if better:
                checkpoint.save(self.out / "best.pt", self.state())
            with open(self.out / "log.jsonl", "a") as log:
                log.write(json.dumps(row) + "\n")
            draw_curve(self.out / "log.jsonl", self.out / "curve.png")
            print(" ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)

    def run(self) -> None:
        """Train until the minutes or the steps are used up, or nothing is gained any more.

        The last state, the best and the picture of the curve are on disk afterwards.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        mean, tick = 0.0, time.process_time()
        while True:
            value = self.train_step()
            mean = value if mean == 0.0 or not math.isfinite(mean) else 0.99 * mean + 0.01 * value
            # the mean over the ranks of the time is the same number everywhere, so all stop at the same step
            now = time.process_time()
            self.elapsed_s += float(self.ranks.average(torch.tensor([now - tick], dtype=torch.float64)))
            tick = now
            used = self.used()
            if self.ranks.rank == 0 and sys.stderr.isatty():
                print(f"\rstep {self.step}, loss {mean:.4f}, {100.0 * used:.1f} % done", end=" ", file=sys.stderr)
            if used >= 1.0 or self.step % self.config.validate_every == 0:
                self._after_validation(mean)
            if used >= 1.0 or self.factor < self.config.least_factor:
                return
