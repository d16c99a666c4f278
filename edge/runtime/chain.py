"""A pipeline together with its ways of falling back, every part made and warmed before it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.beamform.base import Beamformer
from edge.config.schema import Config
from edge.geometry import geometry_from_config
from edge.mask.base import MaskEstimator
from edge.mask.factory import make_estimator
from edge.pipeline import Pipeline
from edge.profiles import PROFILES, Profile
from edge.runtime.overload import NORMAL, OVERLOAD, OverloadGuard, ResetGuard, Rung, rungs_for

WARM_UP_HOPS = 8


def _no_pause() -> None:
    """At the start nobody has to be let through."""


@dataclass(frozen=True)
class Parts:
    """What a chain needs for one choice of mask and beamformer: the rungs, and the parts that they name."""

    rungs: tuple[Rung, ...]
    estimators: dict[str, MaskEstimator]
    beamformers: dict[str, Beamformer]


class Chain:
    """Pipeline, fallback rungs and their parts. `prepare` may run on any one thread, the rest is the audio thread's.

    pause: called between the steps of the making, to let other threads run. Holds no reference cycles, so a chain that
    is dropped is freed at once. Raises ConfigError or ModelError when made from a configuration whose parts do not fit.
    """

    def __init__(
        self, config: Config, estimator: MaskEstimator | None = None, pause: Callable[[], None] = _no_pause
    ) -> None:
        self._config = config
        self._pause = pause
        profile = PROFILES[config.profile]
        estimator = estimator or make_estimator(config.mask.kind, config.mask, profile)
        pause()
        self.pipeline = Pipeline(config, geometry_from_config(config.array), estimator)
        pause()
        self.stages = tuple(stage for _, stage in self.pipeline.stages)
        self.priming_hops = profile.window_samples // profile.hop_samples
        """hops until a fresh pipeline has a full history"""
        self._estimator = estimator
        self._beamformer: Beamformer | None = None
        self._why = OVERLOAD
        self._resets = ResetGuard(profile.hop_ms)
        self._resets.start(getattr(estimator, "resets", 0))
        self._resets_before = 0
        # every part ever made is kept: a session or a beamformer made anew disturbs the audio thread
        self._estimators: dict[str, MaskEstimator] = {config.mask.kind: estimator}
        self._beamformers: dict[str, Beamformer] = {config.beamformer.kind: self.pipeline.beamformer}
        self.adopt(self.prepare(config.mask.kind, config.beamformer.kind))
        self._warm_up()

    def set_pause(self, pause: Callable[[], None]) -> None:
        """What `prepare` calls between its steps from now on."""
        self._pause = pause

    @property
    def mode(self) -> str:
        """'normal', or what runs instead and why."""
        rung = self._parts.rungs[self._guard.level]
        return NORMAL if not rung.instead else f"{self._why}: {rung.instead}"

    @property
    def estimator(self) -> MaskEstimator:
        """The gain estimator in use."""
        return self._estimator

    @property
    def network_resets(self) -> int:
        """Times since the start of the run that a network gave numbers that are not finite and was cleared."""
        return self._resets_before + sum(getattr(each, "resets", 0) for each in list(self._estimators.values()))

    def prepare(self, mask: str, beamformer: str) -> Parts:
        """Parts for another choice; those that the chain has had already are used again with all they have learnt."""
        profile = self.pipeline.profile
        rungs = rungs_for(mask, beamformer)
        for kind in dict.fromkeys(rung.mask for rung in rungs):
            if kind not in self._estimators:
                estimator = make_estimator(kind, self._config.mask, profile)
                self._pause()
                _warm_up_estimator(estimator, profile)
                self._pause()
                self._estimators[kind] = estimator
        for kind in dict.fromkeys(rung.beamformer for rung in rungs):
            if kind not in self._beamformers:
                self._beamformers[kind] = self.pipeline.make_beamformer(kind)
                self._pause()
        return Parts(
            rungs,
            {rung.mask: self._estimators[rung.mask] for rung in rungs},
            {rung.beamformer: self._beamformers[rung.beamformer] for rung in rungs},
        )

    def adopt(self, parts: Parts) -> None:
        """Put prepared parts in force, starting at the first rung."""
        self._parts = parts
        self._guard = OverloadGuard(len(parts.rungs), self.pipeline.profile.hop_ms)
        self._enter(parts.rungs[0])

    def guard(self, late: bool) -> None:
        """Take in whether the hop was late; changes the rung when that, or a network gone bad, makes it necessary."""
        # the counter of whatever runs; only networks have one
        broken = self._resets.update(getattr(self._estimator, "resets", 0))
        if self._guard.down() if broken else self._guard.update(late):
            self._why = "network gave no numbers" if broken else OVERLOAD
            self._enter(self._parts.rungs[self._guard.level])

    def take_over(self, old: Chain) -> None:
        """Go on counting where `old` stops."""
        mine, theirs = self.pipeline.meters, old.pipeline.meters
        mine.nonfinite = theirs.nonfinite
        np.copyto(mine.clipped, theirs.clipped)
        self._resets_before = old.network_resets

    def take_rung(self, old: Chain) -> None:
        """Start on the rung that `old` has fallen to, if it is one of ours."""
        there = old._parts.rungs[old._guard.level]
        for level, rung in enumerate(self._parts.rungs):
            if (rung.mask, rung.beamformer) == (there.mask, there.beamformer):
                self._guard.start_at(level, old._guard)
                self._why = old._why
                self._enter(rung)
                return

    def _enter(self, rung: Rung) -> None:
        estimator = self._parts.estimators[rung.mask]
        if estimator is not self._estimator:
            # what it remembers is from before it was set aside
            estimator.reset()
            self._estimator = estimator
            self.pipeline.set_mask(estimator, rung.mask)
            self._resets.start(getattr(estimator, "resets", 0))
        beamformer = self._parts.beamformers[rung.beamformer]
        if beamformer is not self._beamformer:
            self._beamformer = beamformer
            self.pipeline.set_beamformer(beamformer)

    def _warm_up(self) -> None:
        """Touch every page and code path once, then forget it."""
        pipeline = self.pipeline
        rng = np.random.default_rng(0)
        out = np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
        block = rng.normal(0.0, 1e-3, (pipeline.hop_samples, pipeline.channels)).astype(np.float32)
        for hop in range(2 * WARM_UP_HOPS):
            if hop == WARM_UP_HOPS:
                block[:] = 0.0
            pipeline.process(block, out)
            self._pause()
        pipeline.reset()
        pipeline.meters.rotate()
        pipeline.meters.rotate()


def _warm_up_estimator(estimator: MaskEstimator, profile: Profile) -> None:
    spectrum = np.zeros(profile.bins, np.complex64)
    gain = np.ones(profile.bins, np.float32)
    for _ in range(WARM_UP_HOPS):
        estimator.step(spectrum, gain)
    estimator.reset()
