"""From one gain estimator to another without a jump: both run, the new one listens first, then gains are blended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.mask.base import MaskEstimator
from edge.profiles import Profile

F32 = NDArray[np.float32]

LISTEN_S = 0.3
"""how long the new estimator hears the sound before its gains begin to count: its state is empty at first"""
FADE_S = 0.05


class CrossfadeMask:
    """MaskEstimator that begins as another one and ends as `incoming`, a ready estimator for `profile`.

    `begin` says from which other one, and may be called on the audio thread: everything is allocated here, nothing per
    step. Gains and presence of the two are mixed linearly during the fade. `listen_s` and `fade_s`: seconds. Where both
    want `cue_power` the caller fills that of `incoming`, which is handed on.
    """

    def __init__(
        self, incoming: MaskEstimator, profile: Profile, listen_s: float = LISTEN_S, fade_s: float = FADE_S
    ) -> None:
        self.incoming = incoming
        self.latency_samples = incoming.latency_samples
        hops_per_s = 1000.0 / profile.hop_ms
        self.listen_hops = round(listen_s * hops_per_s)
        self.fade_hops = max(round(fade_s * hops_per_s), 1)
        share = (np.arange(self.fade_hops, dtype=np.float32) + 1.0) / (self.fade_hops + 1)
        self._share = np.concatenate([np.zeros(self.listen_hops, np.float32), share])
        self._outgoing = incoming
        self._hop = len(self._share)
        self.cue_power: F32 | None = None
        # result
        self.presence: F32 = np.zeros(profile.bins, np.float32)
        # scratch
        self._gain: F32 = np.zeros(profile.bins, np.float32)
        self._mixed: F32 = np.zeros(profile.bins, np.float32)

    def begin(self, outgoing: MaskEstimator) -> None:
        """Start as `outgoing`, which goes on with the state it has."""
        self._outgoing = outgoing
        self._hop = 0
        np.copyto(self.presence, outgoing.presence)
        self.cue_power = _cues_of(self.incoming)
        if self.cue_power is None:
            self.cue_power = _cues_of(outgoing)

    @property
    def done(self) -> bool:
        """Whether only `incoming` runs."""
        return self._hop == len(self._share)

    @property
    def in_force(self) -> MaskEstimator:
        """The one of the two that counts for more. May be asked by any thread: the hop is read once."""
        hop = self._hop
        return self.incoming if hop == len(self._share) or self._share[hop] > 0.5 else self._outgoing

    @property
    def manifest(self) -> Any:
        """That of the network in force; None without one."""
        return getattr(self.in_force, "manifest", None)

    @property
    def precision(self) -> str:
        return getattr(self.in_force, "precision", "")

    def step(self, spectrum: NDArray[np.complex64], gain: F32) -> None:
        """Read `spectrum` complex64 (bins,), write `gain` float32 (bins,) in [0, 1]."""
        incoming, outgoing = self.incoming, self._outgoing
        if self._hop == len(self._share):
            incoming.step(spectrum, gain)
            np.copyto(self.presence, incoming.presence)
            return
        cues, old_cues = self.cue_power, _cues_of(outgoing)
        if cues is not None and old_cues is not None and cues is not old_cues:
            np.copyto(old_cues, cues)
        outgoing.step(spectrum, gain)
        incoming.step(spectrum, self._gain)
        if self._hop < self.listen_hops:
            np.copyto(self.presence, outgoing.presence)
        else:
            share = self._share[self._hop]
            self._mix(gain, self._gain, share, gain)
            self._mix(outgoing.presence, incoming.presence, share, self.presence)
        self._hop += 1

    def _mix(self, old: F32, new: F32, share: np.float32, out: F32) -> None:
        """out = old + share (new - old)."""
        np.subtract(new, old, out=self._mixed)
        np.multiply(self._mixed, share, out=self._mixed)
        np.add(old, self._mixed, out=out)

    def reset(self) -> None:
        """Forget all that either has heard; a fade that has begun goes on."""
        self._outgoing.reset()
        self.incoming.reset()
        np.copyto(self.presence, self.in_force.presence)


def _cues_of(estimator: MaskEstimator) -> F32 | None:
    cues: F32 | None = getattr(estimator, "cue_power", None)
    return cues
