"""One training run: a network, its batches, its optimiser and where it stands on disk."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge.errors import ConfigError, ModelError
from models import checkpoint
from models.config import TrainConfig, config_from_dict, config_to_dict
from models.curve import draw_curve
from models.data import make_folder
from models.exported import SUFFIXES, read_exported
from models.progress import say
from models.ranks import Ranks
from models.stopping import Stopping
from models.tasks import Sources, Task, make_task

COOLDOWN = 0.3
"""Share of the time allowed over which the learning rate falls linearly to nothing: much is gained there."""
MOST_BAD_BATCHES = 50
"""in a row whose loss or gradient is no number, after which a run gives up"""
KEPT = ("step", "elapsed_s", "factor", "bad", "best", "history", "ancestors")
"""what a checkpoint holds of the trainer itself"""


class Trainer:
    """One run: a network, its front end, its batches and where it stands. Every step can be resumed exactly."""

    def __init__(self, config: TrainConfig, sources: Sources, out: Path, start_from: Path | None = None) -> None:
        """start_from: checkpoint of another run, or manifest (.json) of an exported network, whose weights a new run
        begins with.
        """
        self.config, self.out, self.ranks = config, out, Ranks()
        torch.manual_seed(config.seed)
        self.task: Task = make_task(config, sources, self.ranks)
        self.net, self.average = self.task.net.train(), self.task.average.eval()
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name.startswith(config.only))
        trained = [p for p in self.net.parameters() if p.requires_grad]
        if not trained:
            raise ConfigError(
                f"training.only is {config.only!r}, and no parameter of the network begins so; leave it empty"
            )
        self.optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=1e-3)
        self.step, self.elapsed_s, self.factor, self.bad, self.best = 0, 0.0, 1.0, 0, float("inf")
        self.history: list[dict[str, float]] = []
        self.left_out = self._left_out_in_a_row = 0
        """batches that were no numbers, since the run was begun or resumed"""
        self.ancestors: list[dict[str, Any]] = []
        """the runs whose weights this one took over, the first one first"""
        # the first process alone reads checkpoints, which need not be on the other machines
        self._restore(self.ranks.of_first(lambda: self._begin(start_from)))

    def _begin(self, start_from: Path | None) -> dict[str, Any]:
        """The state to begin with: of the run in `out`, or a new one."""
        if (self.out / "last.pt").exists():
            state = checkpoint.load(self.out / "last.pt")
            config = config_from_dict(state["config"])
            if config.network != self.config.network:
                raise ModelError(
                    f"the run in {self.out} trains another network than this recipe's; give another folder (--out)"
                )
            if config.only != self.config.only:
                raise ModelError(
                    f"the run in {self.out} was trained with training.only = {config.only!r}, and this recipe says "
                    f"{self.config.only!r}; give another folder (--out)"
                )
            say(f"going on with the run in {self.out} after step {state['step']}")
            return state
        self.task.fit()
        if start_from is not None:
            exported = start_from.suffix in SUFFIXES and not start_from.is_dir()
            state = read_exported(start_from) if exported else checkpoint.load(start_from)
            of_network = self.task.start_from(state)
            if exported:
                of_network["exported"] = state["exported"]
            run = {k: state[k] for k in ("step", "hours")} | {"minutes": round(state["elapsed_s"] / 60.0, 1)}
            self.ancestors = [*state.get("ancestors", []), run | of_network]
            say(f"beginning with the weights of {start_from}")
        self.average.load_state_dict(self.net.state_dict())
        return self.state()

    def train_step(self) -> float:
        batch = self.task.batch(self.step)
        # what dropout leaves out is the same after a resume, and another in every process
        drawn = np.random.SeedSequence([self.config.seed, self.ranks.rank, self.step]).generate_state(1, np.uint64)
        torch.manual_seed(int(drawn[0] >> 1))
        self.optimiser.zero_grad(set_to_none=True)
        value = self.task.loss(self.net, batch)
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
            self._left_out_in_a_row = 0
        else:
            self._note_left_out()
        return float(flat[-1])

    def _note_left_out(self) -> None:
        """Raises ModelError where nothing is learnt any more, whose weights are still those of the last sound step."""
        self.left_out += 1
        self._left_out_in_a_row += 1
        if self._left_out_in_a_row == 1:
            say(f"step {self.step}: the loss or its gradient is no finite number; this batch is left out")
        if self._left_out_in_a_row == MOST_BAD_BATCHES:
            raise ModelError(
                f"the loss was no finite number {MOST_BAD_BATCHES} steps in a row, up to step {self.step}; begin again "
                f"from a checkpoint of {self.out} (--start-from) with a lower training.learning_rate"
            )

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
        """Means of the task's measures on held-out talkers and noises, the same every time."""
        values: dict[str, list[float]] = {}
        for batch in self.task.validation:
            for name, of_items in self.task.measures(self.average, batch).items():
                values.setdefault(name, []).extend(of_items)
        found = {name: float(np.mean(v)) for name, v in values.items() if v}
        # machines may round differently, and every process is to come to the same decisions
        means = self.ranks.average(torch.tensor(list(found.values()), dtype=torch.float64))
        return dict(zip(found, means.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        return {
            "config": config_to_dict(self.config),
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "hours": self.task.hours,
            **self.task.state(),
            **{k: getattr(self, k) for k in KEPT},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        with checkpoint.sound(self.out / "last.pt"):
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.task.restore(state)
            for k in KEPT:
                # runs from before there were ancestors have none
                value = state.get(k, []) if k == "ancestors" else state[k]
                if not isinstance(value, type(getattr(self, k))):
                    raise TypeError(f"{k} is of type {type(value).__name__}")
                setattr(self, k, value)

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
        if not math.isfinite(result["loss"]):
            say(f"step {self.step}: the loss on held-out sounds is no finite number; best.pt is of before")
        if self.left_out:
            say(f"{self.left_out} batches were left out so far, since their loss or gradient was no finite number")

    def run(self) -> bool:
        """Train until the minutes or the steps are used up, nothing is gained any more, or somebody asks it to stop.

        The last state, the best and the picture of the curve are on disk afterwards. Returns whether it has ended by
        itself; one that was stopped goes on where it was when it is run again. Raises ModelError where the loss stays
        no number.
        """
        make_folder(self.out)
        if self.step and (self.used() >= 1.0 or self.factor < self.config.least_factor):
            say(
                f"the run in {self.out} has ended: its minutes or steps are used up, or nothing was gained any more; "
                "give it more (--set training.max_steps=N or training.minutes=M), or another folder (--out)"
            )
            return True
        mean, seen, tick = 0.0, 0, time.process_time()
        say("making the sounds for the first step")
        with Stopping() as stopping:
            while True:
                value = self.train_step()
                if math.isfinite(value):
                    seen += 1
                    mean += (value - mean) / min(seen, 100)
                # the means over the ranks are the same numbers everywhere, so all stop at the same step
                now = time.process_time()
                passed_s, asked = self.ranks.average(
                    torch.tensor([now - tick, float(stopping.asked)], dtype=torch.float64)
                ).tolist()
                self.elapsed_s += passed_s
                tick = now
                used = self.used()
                if self.ranks.rank == 0 and sys.stderr.isatty():
                    print(f"\rstep {self.step}, loss {mean:.4f}, {100.0 * used:.1f} % done", end=" ", file=sys.stderr)
                if used >= 1.0 or self.step % self.config.validate_every == 0:
                    self._after_validation(mean)
                elif asked and self.ranks.rank == 0:
                    checkpoint.save(self.out / "last.pt", self.state())
                if used >= 1.0 or self.factor < self.config.least_factor:
                    return True
                if asked:
                    say(f"stopped after step {self.step}, kept in {self.out / 'last.pt'}; the same command goes on")
                    return False
