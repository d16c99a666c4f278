"""One adaptive filter per microphone that predicts the echo from the reference channels.

A partitioned-block frequency-domain Kalman filter (Enzner and Vary, Signal Processing 86, 2006; Kuech, Mabande and
Enzner, ICASSP 2014) in overlap-save blocks of one hop on the newest hop of every microphone, so it adds no delay.
Its step follows from how unsure the filter is of each partition and bin, against the power of what it cannot explain:
while somebody talks the step shrinks, which is the double-talk guard.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.kernels import echo as kernels
from edge.kernels import echo_watch, fft
from edge.profiles import Profile

F32 = NDArray[np.float32]

SILENCE = np.float32(1e-10)
"""mean square (-100 dBFS) below which a hop of the reference is made exact silence, and a microphone teaches nothing"""
POWER_S = 0.2
"""memory of the powers by which a filter is judged"""
NOISE_S = 0.06
"""memory of the near-end power"""
WANDER_PER_S = 0.1
"""share of its power by which the echo path is expected to change in a second"""
CONSTRAINTS = 2
"""partitions brought back to the length of a hop, per hop (alternating constraint)"""
PROFILE_DROP_DB = 20.0
"""by how much less the last partition is expected to hold than the first; flat enough to find a delayed echo"""

_STATE = (
    "_history",
    "_x_re",
    "_x_im",
    "_energy",
    "_w_re",
    "_w_im",
    "_covariance",
    "_noise",
    "_strength",
    "sums",
)


class EchoFilter:
    """Filters of `partitions` hops from every reference to every microphone, beginning `delay` hops after it.

    references: captured channels that carry playback. max_delay: most that `delay` is ever set to, in hops. Allocates
    nothing after it is made. State: ring of reference spectra, weights and their covariance (rows, mics, bins) with
    row = reference * partitions + partition, near-end power, `sums` float32 (mics, 4) of `kernels.subtract`.
    Results: `power` float32 (mics,), mean square of the microphones in this hop; `energies` float32 (mics,), those of
    the echo paths when `weigh` was last called.
    """

    def __init__(
        self, profile: Profile, references: NDArray[np.int64], mics: int, partitions: int, max_delay: int
    ) -> None:
        hop, bins = profile.hop_samples, profile.hop_samples + 1
        hop_s = profile.hop_ms / 1000.0
        self.partitions = partitions
        self.mics = mics
        self._channels = np.ascontiguousarray(references, np.int64)
        count = len(self._channels)
        slots, rows = max_delay + partitions, count * partitions
        self._power_keep = np.float32(math.exp(-hop_s / POWER_S))
        self._noise_keep = np.float32(math.exp(-hop_s / NOISE_S))
        self._noise_min = np.float32(SILENCE * hop)
        self._forget = np.float32(WANDER_PER_S * hop_s)
        self._profile = (10.0 ** (-PROFILE_DROP_DB / 10.0 * np.arange(partitions) / partitions)).astype(np.float32)
        self._twiddles = fft.twiddles(2 * hop)
        self._ones: F32 = np.ones(2 * hop, np.float32)
        self._first_hop: F32 = np.concatenate([np.ones(hop, np.float32), np.zeros(hop, np.float32)])
        # state
        self.delay = 0
        self._newest = 0
        self._silent_hops = slots + 1
        self._constrained = 0
        self._history: F32 = np.zeros((count, 2 * hop), np.float32)
        self._x_re: F32 = np.zeros((slots, count, bins), np.float32)
        self._x_im: F32 = np.zeros((slots, count, bins), np.float32)
        self._energy: F32 = np.zeros((slots, count), np.float32)
        self._w_re: F32 = np.zeros((rows, mics, bins), np.float32)
        self._w_im: F32 = np.zeros((rows, mics, bins), np.float32)
        self._covariance: F32 = np.zeros((rows, mics, bins), np.float32)
        self._noise: F32 = np.zeros((mics, bins), np.float32)
        self._strength: F32 = np.zeros(mics, np.float32)
        self.sums: F32 = np.zeros((mics, 4), np.float32)
        # results
        self.power: F32 = np.zeros(mics, np.float32)
        self.energies: F32 = np.zeros(mics, np.float32)
        # scratch
        self._work_a: F32 = np.zeros((2, 2 * hop), np.float32)
        self._work_b: F32 = np.zeros((2, 2 * hop), np.float32)
        self._y_re: F32 = np.zeros((mics, bins), np.float32)
        self._y_im: F32 = np.zeros((mics, bins), np.float32)
        self._echo: F32 = np.zeros((mics, 2 * hop), np.float32)
        self._error: F32 = np.zeros((mics, 2 * hop), np.float32)
        self._scratch: F32 = np.zeros(bins, np.float32)
        self._partition_energy: F32 = np.zeros(partitions, np.float32)

    def hear(self, block: F32, sane_max: np.float32) -> float:
        """Take in the references of block (hop, channels); returns their mean square, 0 for silence."""
        self._newest = slot = (self._newest + 1) % len(self._energy)
        energy = self._energy[slot]
        level: float = kernels.push_reference(block, self._channels, sane_max, SILENCE, self._history, energy)
        self._silent_hops = 0 if level > 0.0 else self._silent_hops + 1
        if self._silent_hops < 2:  # a block reaches back one hop
            work = self._twiddles, self._work_a, self._work_b
            fft.analyze(self._history, self._ones, *work, self._x_re[slot], self._x_im[slot])
        return level

    @property
    def hears_nothing(self) -> bool:
        """Whether all that the ring holds is silence."""
        return self._silent_hops > len(self._energy)

    def stop(self) -> None:
        """Nothing is to be taken off; the next time it fades in."""
        self._strength[:] = 0.0

    def subtract(self, history: F32, wanted: bool) -> None:
        """Predict the echo and take it off the newest hop of history (mics, K), if wanted."""
        kernels.estimate(
            self._x_re,
            self._x_im,
            self._energy,
            self._newest,
            self.delay,
            self._w_re,
            self._w_im,
            self._y_re,
            self._y_im,
        )
        fft.inverse(self._y_re, self._y_im, self._twiddles, self._work_a, self._work_b, self._echo)
        kernels.subtract(
            history,
            self._echo,
            self._power_keep,
            np.float32(1.0 if wanted else 0.0),
            self._error,
            self._strength,
            self.sums,
            self.power,
        )

    def adapt(self) -> None:
        """Learn from what was left of the microphones in this hop."""
        work = self._twiddles, self._work_a, self._work_b
        fft.analyze(self._error, self._ones, *work, self._y_re, self._y_im)
        kernels.adapt(
            self._x_re,
            self._x_im,
            self._energy,
            self._newest,
            self.delay,
            self._y_re,
            self._y_im,
            self.power,
            SILENCE,
            self._noise_keep,
            self._noise_min,
            self._forget,
            self._noise,
            self._scratch,
            self._covariance,
            self._w_re,
            self._w_im,
        )
        for _ in range(CONSTRAINTS):
            row = self._constrained = (self._constrained + 1) % len(self._w_re)
            fft.inverse(self._w_re[row], self._w_im[row], *work, self._echo)
            fft.analyze(self._echo, self._first_hop, *work, self._w_re[row], self._w_im[row])

    def raise_covariance(self, microphone: int, energy: float) -> None:
        """Be at least as unsure as when an echo path of this energy is all that is known."""
        kernels.raise_covariance(self._profile, energy, microphone, self._covariance)

    def scale_covariance(self, microphone: int, factor: float) -> None:
        kernels.scale_covariance(factor, microphone, self._covariance)

    def restart(self, microphone: int, energy: float) -> None:
        """Forget the echo path to one microphone and be as unsure as when its energy is all that is known."""
        kernels.restart(self._profile, energy, microphone, self._covariance, self._w_re, self._w_im)

    def move(self, hops: int, energies: F32) -> None:
        """Begin `hops` later. Exact for what stays inside; the rest starts from energies (mics,) of the echo paths."""
        kernels.move_window(self.partitions, hops, self._profile, energies, self._covariance, self._w_re, self._w_im)
        self.delay += hops

    def weigh(self) -> int:
        """Index of the partition that holds most of the echo paths; writes `energies`."""
        best: int = echo_watch.weigh(self._w_re, self._w_im, self._partition_energy, self.energies)
        return best

    def forget_sound(self) -> None:
        """Forget what was heard and keep what was learnt."""
        for state in (self._history, self._x_re, self._x_im, self._energy, self._strength, self.sums):
            state[:] = 0.0
        self._silent_hops = len(self._energy) + 1

    def take(self, old: EchoFilter) -> bool:
        """Copy the state of `old` if it has the same size; returns whether it had."""
        if old._x_re.shape != self._x_re.shape or old._w_re.shape != self._w_re.shape:
            return False
        for name in _STATE:
            np.copyto(getattr(self, name), getattr(old, name))
        self.delay, self._newest, self._silent_hops = old.delay, old._newest, old._silent_hops
        return True

    def reset(self) -> None:
        """Forget everything."""
        self.forget_sound()
        for state in (self._w_re, self._w_im, self._covariance, self._noise):
            state[:] = 0.0
        self.delay = self._constrained = 0
