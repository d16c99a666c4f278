"""A pipeline together with its ways of falling back, every part made and warmed before it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge.beamform.base import Beamformer
from edge.config.schema import Config
from edge.geometry import geometry_from_config
from edge.mask.base import MaskEstimator
from edge.mask.factory import make_estimator
from edge.pipeline import Pipeline
from edge.profiles import PROFILES, Profile
from edge.runtime.overload import OverloadGuard, Rung, rungs_for

WARM_UP_HOPS = 8


@dataclass(frozen=True)
class Parts:
    """What a chain needs for one choice of mask and beamformer: the rungs, and the parts that they name."""

    rungs: tuple[Rung, ...]
    estimators: Mapping[str, MaskEstimator]
    beamformers: Mapping[str, Beamformer]


class Chain:
    """Pipeline, fallback rungs and their parts. `prepare` may run on any thread, the rest belongs to the audio thread.

    Raises ConfigError or ModelError when made from a configuration whose parts do not fit.
    """

    def __init__(self, config: Config, estimator: MaskEstimator | None = None) -> None:
        self._config = config
        profile = PROFILES[config.profile]
        estimator = estimator or make_estimator(config.mask.kind, config.mask, profile)
        self.pipeline = Pipeline(config, geometry_from_config(config.array), estimator)
        self.stages = tuple(stage for _, stage in self.pipeline.stages)
        self.priming_hops = profile.window_samples // profile.hop_samples
        """hops until a fresh pipeline has a full history"""
        self._estimator = estimator
        self._beamformer: Beamformer | None = None
        self._parts = Parts((), {config.mask.kind: estimator}, {})
        self.adopt(self.prepare(config.mask.kind, config.beamformer.kind))
        self._warm_up()

    @property
    def mode(self) -> str:
        """'normal', or what runs instead and why."""
        return self._parts.rungs[self._guard.level].mode

    @property
    def estimator(self) -> MaskEstimator:
        """The gain estimator in use."""
        return self._estimator

    def prepare(self, mask: str, beamformer: str) -> Parts:
        """Parts for another choice; those that the chain has already are kept with all they have learnt."""
        pipeline, config, have = self.pipeline, self._config, self._parts
        profile = pipeline.profile
        rungs = rungs_for(mask, beamformer)
        estimators = {}
        for kind in {rung.mask for rung in rungs}:
            estimators[kind] = have.estimators.get(kind) or make_estimator(kind, config.mask, profile)
            if kind not in have.estimators:
                _warm_up_estimator(estimators[kind], profile)
        beamformers = {
            kind: have.beamformers.get(kind) or pipeline.make_beamformer(kind)
            for kind in {rung.beamformer for rung in rungs}
        }
        return Parts(rungs, estimators, beamformers)

    def adopt(self, parts: Parts) -> None:
        """Put prepared parts in force, starting at the first rung."""
        self._parts = parts
        self._guard = OverloadGuard(len(parts.rungs), self.pipeline.profile.hop_ms)
        self._enter(parts.rungs[0])

    def guard_deadline(self, late: bool) -> None:
        """Take in whether the hop was late; changes the rung when that has become necessary or possible."""
        if self._guard.update(late):
            self._enter(self._parts.rungs[self._guard.level])

    def take_over_counters(self, old: Chain) -> None:
        """Go on counting where `old` stops."""
        mine, theirs = self.pipeline.meters, old.pipeline.meters
        mine.nonfinite = theirs.nonfinite
        np.copyto(mine.clipped, theirs.clipped)

    def _enter(self, rung: Rung) -> None:
        estimator = self._parts.estimators[rung.mask]
        if estimator is not self._estimator:
            # what it remembers is from before it was set aside
            estimator.reset()
            self._estimator = estimator
            self.pipeline.set_mask(estimator, rung.mask)
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
        pipeline.reset()
        pipeline.meters.rotate()
        pipeline.meters.rotate()


def _warm_up_estimator(estimator: MaskEstimator, profile: Profile) -> None:
    spectrum = np.zeros(profile.bins, np.complex64)
    gain = np.ones(profile.bins, np.float32)
    for _ in range(WARM_UP_HOPS):
        estimator.step(spectrum, gain)
    estimator.reset()
