"""A pipeline together with its ways of falling back, every part made and warmed before it is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.beamform.base import Beamformer
from edge.config.schema import Config, MaskConfig
from edge.geometry import geometry_from_config
from edge.listener import Listener, make_listener
from edge.mask.base import MaskEstimator
from edge.pipeline import Pipeline
from edge.profiles import PROFILES
from edge.runtime.estimators import Estimators
from edge.runtime.mask_swap import MaskSwap
from edge.runtime.overload import LATE_HOPS, NORMAL, OVERLOAD, OverloadGuard, ResetGuard, Rung, rungs_for

WARM_UP_HOPS = 8
BROKEN = "network gave no numbers"
PARTS_KEPT = 4
"""choices of parts that are held on to after they were replaced, so that none is freed on the audio thread"""


def _no_pause() -> None:
    """At the start nobody has to be let through."""


@dataclass(frozen=True)
class Parts:
    """What a chain needs for one choice of mask and beamformer: the rungs, and the parts that they name."""

    rungs: tuple[Rung, ...]
    estimators: dict[str, MaskEstimator]
    beamformers: dict[str, Beamformer]
    listener: Listener | None
    """of the network among the estimators"""
    swap: MaskSwap
    """to fade over to the estimator of the first rung"""


class Chain:
    """Pipeline, fallback rungs and their parts. `prepare` may run on any one thread, the rest is the audio thread's.

    pause: called between the steps of the making, to let other threads run. Holds no reference cycles, so a chain that
    is dropped is freed at once. Raises ConfigError or ModelError when made from a configuration whose parts do not fit.
    """

    def __init__(
        self, config: Config, estimator: MaskEstimator | None = None, pause: Callable[[], None] = _no_pause
    ) -> None:
        kind = config.mask.kind
        profile = PROFILES[config.profile]
        self._microphones = len(config.array.positions_m)
        self._made = Estimators(profile, pause)
        if estimator is None:
            made = self._made.make((kind,), config.mask, self._mics(config.beamformer.kind))
            self._made.keep(made)
            estimator = made.estimators[kind]
        self._made.put(kind, estimator)
        pause()
        self.pipeline = Pipeline(config, geometry_from_config(config.array), estimator)
        pause()
        self.stages = tuple(stage for _, stage in self.pipeline.stages)
        self.priming_hops = profile.window_samples // profile.hop_samples
        """hops until a fresh pipeline has a full history"""
        self._estimator = estimator
        self._beamformer: Beamformer | None = None
        self._listener = self.pipeline.listener
        self._swap: MaskSwap | None = None
        """in progress"""
        self._late_in_swap = 0
        self._why = OVERLOAD
        self._resets = ResetGuard(profile.hop_ms)
        self._resets.start(getattr(estimator, "resets", 0))
        self._resets_before = 0
        # every beamformer ever made is kept: one made anew disturbs the audio thread
        self._beamformers: dict[str, Beamformer] = {config.beamformer.kind: self.pipeline.beamformer}
        self._parts: Parts
        self._past: deque[Parts] = deque(maxlen=PARTS_KEPT)
        self.adopt(self.prepare(config.mask, config.beamformer.kind))
        self._warm_up()

    def set_pause(self, pause: Callable[[], None]) -> None:
        """What `prepare` calls between its steps from now on."""
        self._made.pause = pause

    @property
    def mode(self) -> str:
        """'normal', or what runs instead and why."""
        rung = self._parts.rungs[self._guard.level]
        return NORMAL if not rung.instead else f"{self._why}: {rung.instead}"

    @property
    def estimator(self) -> MaskEstimator:
        """The gain estimator in use; for a moment the crossfade from one to another."""
        return self.pipeline.estimator

    @property
    def network_resets(self) -> int:
        """Times since the start of the run that a network gave numbers that are not finite and was cleared."""
        ears = self._listener.resets if self._listener is not None else 0
        return self._resets_before + self._made.resets + ears

    def network_changed(self, config: Config) -> bool:
        """Whether `config` means another network than the one made last, be it only that its files were replaced."""
        return self._made.changed(config.mask, self._mics(config.beamformer.kind))

    def prepare(self, mask: MaskConfig, beamformer: str) -> Parts:
        """Parts for another choice; those that the chain has had already are used again with all they have learnt.

        Raises ConfigError or ModelError, one sentence; then nothing has changed.
        """
        rungs = rungs_for(mask.kind, beamformer)
        made = self._made.make((rung.mask for rung in rungs), mask, self._mics(beamformer))
        estimators = made.estimators
        for kind in dict.fromkeys(rung.beamformer for rung in rungs):
            if kind not in self._beamformers:
                self._beamformers[kind] = self.pipeline.make_beamformer(kind)
                self._made.pause()
        listener = None
        if "network" in estimators and self.pipeline.spatial.localizer is not None:
            network = estimators["network"]
            listener = self._listener
            if listener is None or listener.behind is not network:
                listener = make_listener(network, self.pipeline.profile.bins)
                self._made.pause()
        swap = MaskSwap(self.pipeline, estimators[mask.kind], mask.kind, listener if mask.kind == "network" else None)
        beamformers = {rung.beamformer: self._beamformers[rung.beamformer] for rung in rungs}
        parts = Parts(rungs, estimators, beamformers, listener, swap)
        # nothing can fail from here on
        self._made.keep(made)
        if listener is not None and listener is not self._listener:
            if self._listener is not None:
                self._made.retire(self._listener.own)
            self._listener = listener
        self._past.append(parts)
        return parts

    def adopt(self, parts: Parts, keep_rung: bool = False) -> None:
        """Put prepared parts in force, a new estimator by crossfade, starting at the first rung.

        keep_rung: stay on the rung that overload has led to, if the new parts have the same ones.
        """
        stay = keep_rung and parts.rungs == self._parts.rungs
        self._parts = parts
        if not stay:
            self._guard = OverloadGuard(len(parts.rungs), self.pipeline.profile.hop_ms)
        self._enter(parts.rungs[self._guard.level])

    def guard(self, late: bool) -> None:
        """Take in whether the hop was late; changes the rung when that, or a network gone bad, makes it necessary."""
        if self._swap is not None:
            # two networks at once are late for no fault of theirs; a board that cannot bear it has one at once
            self._late_in_swap = self._late_in_swap + 1 if late else 0
            broken = self._resets.update(getattr(self._swap.estimator, "resets", 0))
            wanted = self._parts.estimators[self._parts.rungs[self._guard.level].mask]
            if broken and wanted is self._swap.estimator and self._guard.down():
                self._why = BROKEN
            if broken or self._swap.done or self._late_in_swap == LATE_HOPS:
                self._finish_swap()
            return
        # the counter of whatever runs; only networks have one
        broken = self._resets.update(getattr(self._estimator, "resets", 0))
        if self._guard.down() if broken else self._guard.update(late):
            self._why = BROKEN if broken else OVERLOAD
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

    def _mics(self, beamformer: str) -> int:
        return self._microphones if beamformer != "none" else 1

    def _enter(self, rung: Rung) -> None:
        # one fade at a time: what is wanted by then is looked at again when this one is over
        if self._swap is None:
            self._enter_mask(rung.mask)
        beamformer = self._parts.beamformers[rung.beamformer]
        if beamformer is not self._beamformer:
            self._beamformer = beamformer
            self.pipeline.set_beamformer(beamformer)

    def _enter_mask(self, kind: str) -> None:
        parts = self._parts
        estimator = parts.estimators[kind]
        if estimator is self._estimator:
            return
        if parts.swap.estimator is estimator:
            self._swap, self._late_in_swap = parts.swap, 0
            self._swap.begin(self.pipeline)
            self._resets.start(getattr(estimator, "resets", 0))
            return
        # a fallback must not wait, and what it gives way to is not to be trusted
        listener = parts.listener if kind == "network" else None
        estimator.reset()
        if listener is not None:
            listener.reset()
        self.pipeline.set_mask(estimator, kind, listener)
        self._use(estimator)

    def _finish_swap(self) -> None:
        swap, self._swap = self._swap, None
        if swap is not None:
            swap.finish(self.pipeline)
            self._use(swap.estimator)
            self._enter(self._parts.rungs[self._guard.level])

    def _use(self, estimator: MaskEstimator) -> None:
        self._estimator = estimator
        self._resets.start(getattr(estimator, "resets", 0))

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
            self._made.pause()
        pipeline.reset()
        pipeline.meters.rotate()
        pipeline.meters.rotate()
