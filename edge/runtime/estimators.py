"""Makes gain estimators for a running chain on a side thread, checked and warmed, and keeps them for the next time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.config.schema import MaskConfig
from edge.mask.base import MaskEstimator
from edge.mask.choice import choose
from edge.mask.factory import make_estimator
from edge.profiles import Profile

WARM_UP_HOPS = 8
REPLACED_KEPT = 4
"""replaced networks and listeners whose last resets are waited for: those of two commands, longer than a fade"""
Identity = tuple[Path, str, str]


@dataclass(frozen=True)
class Made:
    """Estimators by kind, and which network is among them."""

    estimators: dict[str, MaskEstimator]
    network: Identity | None


class Estimators:
    """One estimator of each kind; a network is made anew when its name, its precision or its manifest has changed.

    pause: called between the steps of the making, to let other threads run.
    """

    def __init__(self, profile: Profile, pause: Callable[[], None]) -> None:
        self._profile = profile
        self.pause = pause
        self._kept: dict[str, MaskEstimator] = {}
        self._network: Identity | None = None
        # a network that was replaced still runs, and may fail, while it is faded out
        self._replaced: deque[MaskEstimator] = deque()
        self._resets_before = 0

    def put(self, kind: str, estimator: MaskEstimator) -> None:
        """Keep one that was made elsewhere."""
        self._kept[kind] = estimator

    def make(self, kinds: Iterable[str], mask: MaskConfig, mics: int) -> Made:
        """Estimators of `kinds`, ready to run, behind a beam of `mics` microphones (1 without a beam): those kept that
        still suit, the others new. Keeps none. Raises ConfigError or ModelError with one sentence.
        """
        estimators, network = {}, None
        for kind in dict.fromkeys(kinds):
            kept, wanted = self._kept.get(kind), mask
            if getattr(kept, "over_subtraction", mask.over_subtraction) != mask.over_subtraction:
                kept = None
            if kind == "network":
                network = self.identity(mask, mics)
                if network != (self._network or network):
                    kept = None
                wanted = dataclasses.replace(mask, model=str(network[0]), precision=network[1])
            estimators[kind] = kept or self._make(kind, wanted, mics)
        return Made(estimators, network)

    def keep(self, made: Made) -> None:
        """Have these from now on."""
        before = self._kept.get("network")
        if made.network is not None:
            self._network = made.network
            if before is not None and before is not made.estimators["network"]:
                self.retire(before)
        self._kept.update(made.estimators)

    def retire(self, estimator: MaskEstimator) -> None:
        """Go on counting the resets of a network that is being replaced."""
        self._replaced.append(estimator)
        while len(self._replaced) > REPLACED_KEPT:
            self._resets_before += _resets(self._replaced.popleft())

    def identity(self, mask: MaskConfig, mics: int) -> Identity:
        """What tells the network of a configuration from another: manifest, precision, what the manifest says now, and
        what that of its listener says.
        """
        chosen = choose(mask, self._profile, mics)
        contents = _contents(chosen.manifest)
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            if name := json.loads(contents)["listener"]:
                contents += _contents(chosen.manifest.with_name(f"{name}.json"))
        return chosen.manifest, chosen.precision, hashlib.sha256(contents).hexdigest()

    def changed(self, mask: MaskConfig, mics: int) -> bool:
        """Whether the network that `mask` means is another one than that which was kept last."""
        return self._network is not None and self.identity(mask, mics) != self._network

    @property
    def resets(self) -> int:
        """Times that a network gave numbers that are not finite and was cleared."""
        return self._resets_before + sum(map(_resets, [*self._kept.values(), *self._replaced]))

    def _make(self, kind: str, mask: MaskConfig, mics: int) -> MaskEstimator:
        """A new estimator that has run. Raises ModelError for a bad network."""
        estimator = make_estimator(kind, mask, self._profile, mics)
        self.pause()
        spectrum = np.zeros(self._profile.bins, np.complex64)
        gain = np.ones(self._profile.bins, np.float32)
        for _ in range(WARM_UP_HOPS):
            estimator.step(spectrum, gain)
        self.pause()
        estimator.reset()
        return estimator


def _resets(estimator: MaskEstimator) -> int:
    return int(getattr(estimator, "resets", 0))


def _contents(manifest: Path) -> bytes:
    try:
        return manifest.read_bytes() if manifest.is_file() else b""
    except OSError:
        return b""  # said better by whoever opens it
