"""What the trainer asks of a kind of network: its batches, its loss, and what is measured on held-out ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from models.config import TasNetConfig, TrainConfig
from models.data import load_corpus
from models.mixing import Mixer
from models.progress import say, steps
from models.ranks import Ranks


class Task(Protocol):
    """A network and what it is trained on."""

    @property
    def net(self) -> nn.Module: ...

    @property
    def average(self) -> nn.Module:
        """The running mean of the weights of `net`."""

    hours: dict[str, float]
    """of what it is trained on, by kind"""
    validation: list[Any]
    """held-out batches, the same ones every time"""
    about: str
    """one line for people"""

    def batch(self, step: int) -> Any:
        """The batch of a step: a function of the seed, the rank and the step alone."""

    def fit(self) -> None:
        """At the beginning of a new run: measure on typical batches what stays fixed from then on."""

    def loss(self, net: nn.Module, batch: Any) -> Tensor:
        """Scalar to be minimised."""

    def measures(self, net: nn.Module, batch: Any) -> dict[str, list[float]]:
        """Values per item of what is worth knowing of held-out batches, "loss" (one value) among them."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold beside the weights."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave from a checkpoint."""

    def start_from(self, state: dict[str, Any]) -> dict[str, Any]:
        """Take over the weights of another run's checkpoint; returns what is to be remembered of it.

        Raises ModelError where they do not fit.
        """


@dataclass(frozen=True)
class Sources:
    """Where a run's sounds lie: a cache of decoded audio, and corpora to mix or scenes of `models.array_scenes`."""

    cache: Path
    speech: Path | None = None
    noise: Path | None = None
    scenes: Path | None = None


@dataclass(frozen=True)
class Mixers:
    """The mixtures to train on, those that are typical of them (the same for every rank), and held-out ones."""

    ours: Mixer
    typical: Mixer
    held: Mixer
    hours: dict[str, float]

    @classmethod
    def open(cls, config: TrainConfig, sources: Sources, ranks: Ranks) -> Mixers:
        assert sources.speech is not None
        assert sources.noise is not None
        speech, noise = sources.speech, sources.noise
        voices = ranks.one_first(lambda: load_corpus(speech, "speech", sources.cache))
        sounds = ranks.one_first(lambda: load_corpus(noise, "noise", sources.cache))
        for folder, corpus in ((speech, voices), (noise, sounds)):
            say(f"{folder}: {len(corpus.clips)} clips, {corpus.hours:.2f} hours")
        say(f"making {config.mixing.rooms} rooms each for training, for its beginning and for held-out mixtures")
        parts, mixing, seed = (voices.split(False), sounds.split(False)), config.mixing, config.seed
        return cls(
            Mixer(*parts, mixing, seed, ranks.rank),
            Mixer(*parts, mixing, seed),
            Mixer(voices.split(True), sounds.split(True), mixing, seed + 1000),
            {"speech": round(voices.hours, 2), "noise": round(sounds.hours, 2)},
        )

    def held_out(self, batches: int) -> list[Any]:
        """Mixture and target of so many batches, far enough apart that they share nothing."""
        return [self.held.batch(step) for step in held_out_steps(batches)]


def held_out_steps(batches: int) -> Iterator[int]:
    """Steps of so many batches that share nothing, with a line or a bar on standard error."""
    return steps(range(0, 40 * batches, 40), f"making {batches} held-out batches", "batches", batches)


def make_task(config: TrainConfig, sources: Sources, ranks: Ranks) -> Task:
    """The task of a configuration's network. Raises AudioFileError where there is nothing to train on."""
    if isinstance(config.network, TasNetConfig):
        from models.wave_task import WaveTask

        return WaveTask(config, sources, ranks)
    from models.mask_task import MaskTask

    return MaskTask(config, sources, ranks)
