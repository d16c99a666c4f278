"""Train a mask network: python -m models.train --speech DIR --noise DIR --out DIR. See models/README.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import EdgeError
from edge.profiles import PROFILES
from models import checkpoint, losses
from models.data import load_corpus
from models.envelopes import Envelopes
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
    hidden: int = 192
    layers: int = 2
    learning_rate: float = 1.5e-3
    averaging: float = 0.999
    """share kept per step by the running mean of the weights, which is what is validated and exported"""
    warmup_steps: int = 150
    clip_norm: float = 0.5
    plateau_patience: int = 8
    """validations without improvement before the learning rate halves"""
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
        self, config: TrainConfig, data: Path, speech: Path, noise: Path, out: Path, start_from: Path | None = None
    ) -> None:
        self.config, self.out, self.ranks = config, out, Ranks()
        torch.manual_seed(config.seed)
        profile = PROFILES[config.profile]
        self.front = FrontEnd(profile, config.run_every_hops)
        self.net = MaskNet(self.front.layout.bands, self.front.feature_count, config.hidden, config.layers)
        self.average = MaskNet(self.front.layout.bands, self.front.feature_count, config.hidden, config.layers)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=config.learning_rate, weight_decay=1e-3)
        self.weight = losses.bin_weights(profile.bins, profile.rate_hz)
        self.envelopes = Envelopes(profile.bins, profile.rate_hz, self.front.frame_hop)
        self.loudness = Loudness(profile.bins, profile.rate_hz, self.front.frame_hop)
        voices, sounds = load_corpus(speech, "speech", data), load_corpus(noise, "noise", data)
        self.hours = {"speech": round(voices.hours, 2), "noise": round(sounds.hours, 2)}
        self.mixer = Mixer(voices.split(False), sounds.split(False), config.mixing, config.seed, self.ranks.rank)
        held = Mixer(voices.split(True), sounds.split(True), config.mixing, config.seed + 1000)
        batches = [held.batch(i * 40) for i in range(config.validation_batches)]
        self.validation = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in batches]
        self.step, self.elapsed_s, self.factor, self.bad, self.best = 0, 0.0, 1.0, 0, float("inf")
        self.history: list[dict[str, float]] = []
        if (out / "last.pt").exists():
            self._restore(checkpoint.load(out / "last.pt"))
        else:
            many = Mixer(voices.split(False), sounds.split(False), config.mixing, config.seed)
            self.front.fit(self.front.spectra(torch.from_numpy(np.concatenate([many.batch(i)[0] for i in range(4)]))))
            if start_from is not None:
                self._start_from(checkpoint.load(start_from))
            self.average.load_state_dict(self.net.state_dict())

    def batch_loss(self, net: MaskNet, mixture: Tensor, target: Tensor) -> tuple[Tensor, Tensor, losses.Targets]:
        """(loss, gains per bin, targets) of waves (batch, samples)."""
        with torch.no_grad():
            heard = self.front.spectra(mixture)
            features = self.front.features(heard)
            delay = self.front.loss_delay
            noisy = self.front.spectra(mixture, delay) if delay else heard
            targets = losses.prepare(noisy, self.front.spectra(target, delay), self.weight)
        gains = net(features)[0] @ self.front.interpolation
        return losses.loss(gains, targets, self.envelopes, self.loudness), gains, targets

    def train_step(self) -> float:
        mixture, target = self.mixer.batch(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        value, _, _ = self.batch_loss(self.net, torch.from_numpy(mixture), torch.from_numpy(target))
        value.backward()
        parameters = [p for p in self.net.parameters() if p.grad is not None]
        flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None] + [value.detach().reshape(1)])
        flat = self.ranks.average(flat)
        offset = 0
        for p in parameters:
            p.grad = flat[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
        torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return float(flat[-1])

    @torch.no_grad()
    def _update_average(self) -> None:
        # a short memory at first, so that the beginning is soon forgotten
        kept = min(self.config.averaging, self.step / (self.step + 10.0))
        for mean, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(new, 1.0 - kept)

    def learning_rate(self) -> float:
        c = self.config
        used = max(self.elapsed_s / (60.0 * c.minutes), self.step / c.max_steps)
        cooldown = min(1.0, max(0.0, (1.0 - used) / COOLDOWN))
        return c.learning_rate * self.factor * cooldown * min(1.0, (self.step + 1) / c.warmup_steps)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss, spectral SDR gain and envelope correlation on held-out talkers and noises, the same every time."""
        values, gained, kept, lost = [], [], [], []
        for mixture, target in self.validation:
            value, gains, t = self.batch_loss(self.average, mixture, target)
            values.append(float(value))
            gain_db = losses.sdr_db(gains, t) - losses.sdr_db(torch.ones_like(gains), t)
            gained += gain_db[t.speaks].tolist()
            kept += self.envelopes.correlation(gains.square() * t.noisy_power, t.clean_power)[t.speaks].tolist()
            lost += self.loudness.disturbance(gains.square() * t.noisy_power, t.clean_power)[t.speaks].tolist()
        means = {"loss": values, "sdr_gain_db": gained, "envelopes": kept, "loudness": lost}
        return {name: float(np.mean(v)) for name, v in means.items()}

    def state(self) -> dict[str, Any]:
        keep = ("step", "elapsed_s", "factor", "bad", "best", "history", "hours")
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

    def _start_from(self, state: dict[str, Any]) -> None:
        """Take over the network of another run, of this or of another profile."""
        source, front = restore(state)
        if front.profile == self.front.profile:
            # the same features as it was trained on, so that it begins where it ended
            self.front.mean.copy_(front.mean)
            self.front.inverse_std.copy_(front.inverse_std)
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
            print(" ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)

    def run(self) -> None:
        """Train until the minutes or the steps are used up; the last state and the best are on disk afterwards."""
        self.out.mkdir(parents=True, exist_ok=True)
        mean, tick = 0.0, time.process_time()
        while True:
            value = self.train_step()
            mean = value if mean == 0.0 else 0.99 * mean + 0.01 * value
            # the mean over the ranks of the time is the same number everywhere, so all stop at the same step
            now = time.process_time()
            self.elapsed_s += float(self.ranks.average(torch.tensor([now - tick], dtype=torch.float64)))
            tick = now
            done = self.elapsed_s >= 60.0 * self.config.minutes or self.step >= self.config.max_steps
            if done or self.step % self.config.validate_every == 0:
                self._after_validation(mean)
            if done:
                return


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="folder of sound files or of speech*.tar shards")
    parser.add_argument("--noise", type=Path, required=True, help="folder of sound files or of noise*.tar shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a run that is there is resumed")
    parser.add_argument("--cache", type=Path, help="where decoded audio is kept (default: OUT/cache)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="assistant")
    parser.add_argument("--run-every-hops", type=int, help="hops between network runs (default: 1, hearing 4)")
    parser.add_argument("--start-from", type=Path, help="checkpoint of another run to begin with")
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time of a process to stop after")
    parser.add_argument("--max-steps", type=int, default=1_000_000, help="steps to stop after")
    parser.add_argument("--validate-every", type=int, default=TrainConfig.validate_every, help="steps; saves too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="per process; two processes beat one with two threads")
    a = parser.parse_args(arguments)
    torch.set_num_threads(a.threads)
    every = a.run_every_hops or {"assistant": 1, "hearing": 4}[a.profile]
    config = TrainConfig(
        a.profile,
        every,
        a.hidden,
        learning_rate=a.learning_rate,
        validate_every=a.validate_every,
        minutes=a.minutes,
        max_steps=a.max_steps,
        seed=a.seed,
    )
    try:
        Trainer(config, a.cache or a.out / "cache", a.speech, a.noise, a.out, a.start_from).run()
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
