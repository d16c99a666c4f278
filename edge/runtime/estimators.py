"""Makes gain estimators for a running chain on a side thread, checked and warmed, and keeps them for the next time."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.config.schema import MaskConfig
from edge.errors import EdgeError, ModelError
from edge.mask.base import MaskEstimator
from edge.mask.choice import choose
from edge.mask.factory import make_estimator
from edge.profiles import Profile

WARM_UP_HOPS = 8
Identity = tuple[Path, str, str]


class Estimators:
    """One estimator of each kind; a network is made anew when its name, its precision or its manifest has changed.

    mics: microphones in the beam. pause: called between the steps of the making, to let other threads run.
    """

    def __init__(self, profile: Profile, mics: int, pause: Callable[[], None]) -> None:
        self._profile = profile
        self._mics = mics
        self.pause = pause
        self._made: dict[str, MaskEstimator] = {}
        self._network: Identity | None = None
        self._resets_before = 0

    def put(self, kind: str, estimator: MaskEstimator) -> None:
        """Keep one that was made elsewhere."""
        self._made[kind] = estimator

    def get(self, kind: str, mask: MaskConfig) -> MaskEstimator:
        """The estimator of `kind`, ready to run. Raises ConfigError or ModelError with one sentence."""
        identity = None
        if kind == "network":
            identity = self.identity(mask)
            if self._network is None and kind in self._made:
                self._network = identity  # the one of the start
            if identity != self._network:
                mask = dataclasses.replace(mask, model=str(identity[0]), precision=identity[1])
                return self._keep_network(self._make(kind, mask), identity)
        if kind not in self._made:
            self._made[kind] = self._make(kind, mask)
        return self._made[kind]

    def identity(self, mask: MaskConfig) -> Identity:
        """What tells the network of a configuration from another: manifest, precision, what the manifest says now."""
        chosen = choose(mask, self._profile, self._mics)
        try:
            contents = chosen.manifest.read_bytes() if chosen.manifest.is_file() else b""
        except OSError:
            contents = b""  # said better by whoever opens it
        return chosen.manifest, chosen.precision, hashlib.sha256(contents).hexdigest()

    def changed(self, mask: MaskConfig) -> bool:
        """Whether the network that `mask` means is another one than that which was made last."""
        return self._network is not None and self.identity(mask) != self._network

    @property
    def resets(self) -> int:
        """Times that a network gave numbers that are not finite and was cleared."""
        return self._resets_before + sum(getattr(each, "resets", 0) for each in list(self._made.values()))

    def _keep_network(self, estimator: MaskEstimator, identity: Identity) -> MaskEstimator:
        before = self._made.get("network")
        self._made["network"], self._network = estimator, identity
        self._resets_before += getattr(before, "resets", 0)
        return estimator

    def _make(self, kind: str, mask: MaskConfig) -> MaskEstimator:
        """A new estimator that has run. Whatever onnxruntime raises, of its many private kinds, is a ModelError."""
        try:
            estimator = make_estimator(kind, mask, self._profile, self._mics)
            self.pause()
            spectrum = np.zeros(self._profile.bins, np.complex64)
            gain = np.ones(self._profile.bins, np.float32)
            for _ in range(WARM_UP_HOPS):
                estimator.step(spectrum, gain)
        except EdgeError:
            raise
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"network {mask.model} does not run ({first}); install the model again") from None
        self.pause()
        if getattr(estimator, "resets", 0):
            raise ModelError(f"network {mask.model} gives numbers that are not finite; install the model again")
        estimator.reset()
        return estimator
