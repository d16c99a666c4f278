"""A second pair of ears for the search of the talker: the network at one microphone, whatever the beam does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.mask.base import MaskEstimator

F32 = NDArray[np.float32]


class StrictPresence:
    """A network's presence as a beam takes it: to the power of 1.5.

    Gains of amplitude rather let noise pass than lose speech, but what a beam learns and looks for goes by power. The
    power is by measurement, see models/EXPERIMENTS.md. Allocates nothing per call.
    """

    def __init__(self, bins: int) -> None:
        # scratch
        self._root: F32 = np.zeros(bins, np.float32)
        # result
        self._presence: F32 = np.zeros(bins, np.float32)

    def of(self, presence: F32) -> F32:
        """presence (bins,) in [0, 1] -> (bins,), overwritten by the next call."""
        np.sqrt(presence, out=self._root)
        return np.multiply(presence, self._root, out=self._presence)


class Listener:
    """Speech presence at a single microphone.

    A beam that looks into the wrong direction attenuates the talker; the network behind it then misses him, he is
    learnt as noise, and the beam shuts him out for good. What the same network hears at a microphone breaks that
    circle: it tells where to look for him, and what not to learn as noise.

    estimator: one of its own, not that of the beam. bins: of the spectra. behind: the estimator behind the beam that it
    was made for. Allocates nothing per hop. Should its own one give numbers that are not finite, it has heard nothing.
    """

    def __init__(self, estimator: MaskEstimator, bins: int, behind: MaskEstimator) -> None:
        self.own = estimator
        self.estimator = estimator
        """what hears now: its own, or while that is faded in, the crossfade to it"""
        self.behind = behind
        self.awaited = False
        """whether it is to listen although no network is in force yet"""
        # state
        self._resets = self.resets
        # scratch
        self._spectrum: NDArray[np.complex64] = np.zeros(bins, np.complex64)
        self._gain: F32 = np.zeros(bins, np.float32)
        self._either: F32 = np.zeros(bins, np.float32)
        self._strict_own, self._strict_either = StrictPresence(bins), StrictPresence(bins)

    def hear(self, x_re: F32, x_im: F32) -> F32:
        """Strict presence (bins,) in this very frame of the microphone, given as two parts (bins,)."""
        self._spectrum.real[:] = x_re
        self._spectrum.imag[:] = x_im
        self.estimator.step(self._spectrum, self._gain)
        if self.resets != self._resets:
            # it keeps the presence of the hop before, which would hold for as long as it fails
            self._resets = self.resets
            self.own.presence.fill(0.0)
        return self._strict_own.of(self.estimator.presence)

    @property
    def resets(self) -> int:
        """Times that its own network gave numbers that are not finite."""
        return int(getattr(self.own, "resets", 0))

    def either(self, presence: F32) -> F32:
        """Strict presence (bins,) where this one hears speech, or the one behind the beam, which says `presence`."""
        return self._strict_either.of(np.maximum(self.estimator.presence, presence, out=self._either))

    def reset(self) -> None:
        """Forget what was heard."""
        self.estimator.reset()


def make_listener(behind: MaskEstimator, bins: int) -> Listener | None:
    """That of a network behind the beam: its twin, or the one it names for a single microphone because it hears cues of
    the array itself. None for estimators that are no networks.
    """
    make = getattr(behind, "listener", None) or getattr(behind, "twin", None)
    return None if make is None else Listener(make(), bins, behind)
