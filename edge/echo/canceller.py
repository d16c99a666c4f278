"""Acoustic echo canceller for all microphones: the playback that a reference channel carries is taken off them.

A partitioned-block frequency-domain Kalman filter (Enzner and Vary, Signal Processing 86, 2006; Kuech, Mabande and
Enzner, ICASSP 2014) in overlap-save blocks of one hop on the newest hop of every microphone, so it adds no delay.
Its step follows from how unsure the filter is of each partition and bin, against the power of what it cannot explain:
while somebody talks the step shrinks, which is the double-talk guard. The plain filter is slow after a sudden change of the
echo path (it takes it for a talker); `_help` sees that the error then is a reversed copy of its own estimate.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import EchoConfig
from edge.kernels import echo as kernels
from edge.kernels import fft
from edge.profiles import Profile

F32 = NDArray[np.float32]

SILENCE = np.float32(1e-10)
"""mean square (-100 dBFS) below which a hop of the reference counts as exact silence, and a microphone teaches nothing"""
PLAYING = np.float32(1e-7)
"""mean square (-70 dBFS) of the reference above which the filter learns"""
WATCH_S = 0.2
"""memory of the powers that tell a changed echo path from a talker"""
LASTING_S = 1.0
"""memory of the reported echo return loss enhancement"""
NOISE_S = 0.06
"""memory of the near-end power"""
WANDER_PER_S = 0.1
"""share of its power by which the echo path is expected to change in a second"""
CONSTRAINTS = 2
"""partitions brought back to the length of a hop, per hop"""
REFRACTORY_S = 0.1
"""between two verdicts on one filter, for its powers to follow"""
LEVEL_S = 0.5
"""playback over which the level of the echo is measured, to begin with a sensible covariance"""
FIRST_LEVEL_S = 0.024
LEVELS = 4
"""measurements of the level until it is settled"""
PROFILE_DROP_DB = 20.0
"""by how much less the last partition is expected to hold than the first; flat enough to find a delayed echo"""
FIRST_GUESS = 0.3
"""covariance at the start relative to the energy of the whole echo path"""
CHANGED = np.float32(3.0)
"""covariance after a change relative to that at the start"""
LEAD_S = 0.008
"""kept between the begin of the window and the strongest part of the echo path"""
SEARCH_S = 2.0
"""playback without any success after which the echo is looked for at another delay"""
LOST_S = 8.0
"""the same where there has been success before"""
FOUND = 0.3
"""correlation of estimate and microphone that counts as success"""
SETTLED = 0.25
"""share of the microphones' power left (-6 dB) below which the window may be moved onto the echo path"""
LATE = 0.75
"""share of the window behind which the strongest part has to lie for a move before that"""
IDLE_S = 1.0
"""how long after the playback the canceller is still called active"""


class EchoCanceller:
    """One filter of all references per microphone.

    references: captured channels that carry playback. `process` may run every hop on the live path: it allocates
    nothing and raises nothing. Bad samples of a reference count as silence.
    Latency: none. Results: `active`, `erle_db`, `delay_ms`.
    """

    def __init__(self, config: EchoConfig, profile: Profile, references: NDArray[np.int64], mics: int) -> None:
        hop, bins = profile.hop_samples, profile.hop_samples + 1
        hop_s = profile.hop_ms / 1000.0
        self._hop_ms = profile.hop_ms
        self._channels = np.ascontiguousarray(references, np.int64)
        count = len(self._channels)
        self.partitions = max(1, round(config.tail_ms / profile.hop_ms))
        self._max_delay = math.ceil(config.max_delay_ms / profile.hop_ms)
        slots, rows = self._max_delay + self.partitions, count * self.partitions
        self._watch_keep = np.float32(math.exp(-hop_s / WATCH_S))
        self._lasting_keep = np.float32(math.exp(-hop_s / LASTING_S))
        self._noise_keep = np.float32(math.exp(-hop_s / NOISE_S))
        self._noise_min = np.float32(SILENCE * hop)
        self._forget = np.float32(WANDER_PER_S * hop_s)
        self._constraints = CONSTRAINTS
        self._refractory, self._idle_hops = round(REFRACTORY_S / hop_s), round(IDLE_S / hop_s)
        self._level_hops, self._first_level_hops = round(LEVEL_S / hop_s), math.ceil(FIRST_LEVEL_S / hop_s)
        self._search_hops, self._lost_hops = round(SEARCH_S / hop_s), round(LOST_S / hop_s)
        self._lead = max(1, round(LEAD_S / hop_s))
        self._step = max(1, self.partitions - 4 * self._lead)
        profile_ = 10.0 ** (-PROFILE_DROP_DB / 10.0 * np.arange(self.partitions) / self.partitions)
        self._profile: F32 = np.ascontiguousarray(FIRST_GUESS * profile_, np.float32)
        self._none: F32 = np.zeros(0, np.float32)
        self._twiddles = fft.twiddles(2 * hop)
        self._ones: F32 = np.ones(2 * hop, np.float32)
        self._first_hop: F32 = np.concatenate([np.ones(hop, np.float32), np.zeros(hop, np.float32)])
        # state
        self.enabled = config.enabled
        self._history: F32 = np.zeros((count, 2 * hop), np.float32)
        self._x_re: F32 = np.zeros((slots, count, bins), np.float32)
        self._x_im: F32 = np.zeros((slots, count, bins), np.float32)
        self._energy: F32 = np.zeros((slots, count), np.float32)
        self._w_re: F32 = np.zeros((rows, mics, bins), np.float32)
        self._w_im: F32 = np.zeros((rows, mics, bins), np.float32)
        self._covariance: F32 = np.zeros((rows, mics, bins), np.float32)
        self._noise: F32 = np.zeros((mics, bins), np.float32)
        self._strength: F32 = np.zeros(mics, np.float32)
        self._sums: F32 = np.zeros((mics, 4), np.float32)
        self._lasting: F32 = np.zeros(4, np.float32)
        self._levels: NDArray[np.float64] = np.zeros(mics + 1)
        self._scale: F32 = np.zeros(mics, np.float32)
        self._waits: NDArray[np.int64] = np.zeros(mics, np.int64)
        # scratch
        self._work_a: F32 = np.zeros((2, 2 * hop), np.float32)
        self._work_b: F32 = np.zeros((2, 2 * hop), np.float32)
        self._y_re: F32 = np.zeros((mics, bins), np.float32)
        self._y_im: F32 = np.zeros((mics, bins), np.float32)
        self._echo: F32 = np.zeros((mics, 2 * hop), np.float32)
        self._error: F32 = np.zeros((mics, 2 * hop), np.float32)
        self._power: F32 = np.zeros(mics, np.float32)
        self._scratch: F32 = np.zeros((2, bins), np.float32)
        self._verdict: NDArray[np.int64] = np.zeros(mics, np.int64)
        self._partition_energy: F32 = np.zeros(self.partitions, np.float32)
        self.reset()

    # ---- the signal path ----

    def process(self, block: F32, history: F32, sane_max: np.float32, subtract: bool) -> None:
        """Take the echo off the newest hop of `history` (mics, K), given what was captured, block (hop, channels).

        subtract: False goes on learning but leaves the microphones as they are. While no reference is in the window
        nothing is touched: the microphones pass bit by bit.
        """
        if not self.enabled:
            return
        self._newest = slot = (self._newest + 1) % len(self._energy)
        energy = self._energy[slot]
        level = kernels.push_reference(block, self._channels, sane_max, SILENCE, self._history, energy)
        self._quiet_hops = 0 if level > 0.0 else self._quiet_hops + 1
        if self._quiet_hops > len(self._energy):
            self._strength[:] = 0.0
            return
        tw, a, b = self._twiddles, self._work_a, self._work_b
        if self._quiet_hops < 2:
            fft.analyze(self._history, self._ones, tw, a, b, self._x_re[slot], self._x_im[slot])
        x = (self._x_re, self._x_im, self._energy, slot, self._delay)
        kernels.estimate(*x, self._w_re, self._w_im, self._y_re, self._y_im)
        fft.inverse(self._y_re, self._y_im, tw, a, b, self._echo)
        wanted = np.float32(1.0 if subtract else 0.0)
        kernels.subtract(
            history, self._echo, self._watch_keep, wanted, self._error, self._strength, self._sums, self._power
        )
        if level > PLAYING:
            self._learn(x, level)

    def _learn(self, x: tuple[F32, F32, F32, int, int], level: float) -> None:
        tw, a, b = self._twiddles, self._work_a, self._work_b
        if self._level_round < LEVELS:
            self._measure_level()
        fft.analyze(self._error, self._ones, tw, a, b, self._y_re, self._y_im)
        kernels.adapt(
            *x,
            self._y_re,
            self._y_im,
            self._power,
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
        # a few partitions a hop are brought back to responses of one hop (alternating constraint)
        for _ in range(self._constraints):
            row = self._constrained = (self._constrained + 1) % len(self._w_re)
            fft.inverse(self._w_re[row], self._w_im[row], tw, a, b, self._echo)
            fft.analyze(self._echo, self._first_hop, tw, a, b, self._w_re[row], self._w_im[row])
        if kernels.supervise(
            self._sums,
            self._power,
            level,
            SILENCE,
            self._lasting_keep,
            self._lasting,
            self._levels,
            self._waits,
            self._refractory,
            self._verdict,
        ):
            self._help()
        self._learnt_hops += 1
        if self._learnt_hops % self._level_hops == 0:
            self._place_window()

    def _measure_level(self) -> None:
        """Energy of the echo path from the powers of microphone and reference: where the covariance starts from.

        A talker makes it look louder than it is, so the least of the measurements counts.
        """
        self._level_hops_seen += 1
        seen, reference = self._level_hops_seen, self._levels[-1]
        first = self._level_round == 0
        done = seen >= self._level_hops
        if reference > 0.0 and ((first and seen >= self._first_level_hops) or done):
            for m in range(len(self._scale)):
                now = float(self._levels[m] / reference)
                before = float(self._scale[m])
                if before == 0.0:
                    self._scale[m] = now
                    kernels.scale_covariance(self._profile, now, m, self._covariance)
                elif now < 0.5 * before or (first and now > 2.0 * before):
                    self._scale[m] = now
                    kernels.scale_covariance(self._none, now / before, m, self._covariance)
        if done:
            self._levels[:] = 0.0
            self._level_hops_seen = 0
            self._level_round += 1

    def _help(self) -> None:
        """Let the filters learn anew that `supervise` has found wrong, the more the more wrong they are."""
        for m in range(len(self._verdict)):
            if not self._verdict[m]:
                continue
            wrong = 1.0
            if self._verdict[m] == 2:
                self._w_re[:, m] = 0.0
                self._w_im[:, m] = 0.0
            else:
                # by how much of itself the estimate is off, at least
                wrong = min(4.0 * (self._sums[m, 3] / self._sums[m, 2]) ** 2, 1.0)
            kernels.scale_covariance(self._profile, CHANGED * wrong * self._scale[m], m, self._covariance)

    def _place_window(self) -> None:
        """Put the partitions where the echo is: later once it is found late, elsewhere while it is not found at all."""
        yy, ee, hh, eh = (float(value) for value in self._lasting)
        settled = ee < SETTLED * yy
        if settled or (eh + hh) > FOUND * math.sqrt(yy * hh):
            self._vain_hops = 0
            self._found = self._found or settled
            best = kernels.strongest_partition(self.partitions, self._w_re, self._w_im, self._partition_energy)
            shift = min(best - self._lead, self._max_delay - self._delay)
            if shift > 2 * self._lead and (settled or best > LATE * self.partitions):
                self._move(shift)
            return
        self._vain_hops += self._level_hops
        if self._max_delay and self._vain_hops >= (self._lost_hops if self._found else self._search_hops):
            later = min(self._delay + self._step, self._max_delay) if self._delay < self._max_delay else 0
            self._move(self.partitions)
            self._delay = later
            self._vain_hops, self._found = 0, False

    def _move(self, shift: int) -> None:
        kernels.move_window(
            self.partitions, shift, self._profile, self._scale, self._covariance, self._w_re, self._w_im
        )
        self._delay += shift

    # ---- what may change between two hops, and what is told ----

    def set_enabled(self, enabled: bool) -> None:
        """Switch on or off. What was learnt is kept; sound played meanwhile is not."""
        if enabled and not self.enabled:
            self._forget_sound()
        self.enabled = enabled

    @property
    def active(self) -> bool:
        """Whether a reference has played within the last second."""
        return self.enabled and self._quiet_hops < self._idle_hops

    @property
    def erle_db(self) -> float | None:
        """Power of the microphones over what is left of it, recent seconds of playback, in dB; None without playback.

        Echo return loss enhancement as long as nobody talks; a talker is in both powers and brings it down.
        """
        yy, ee = float(self._lasting[0]), float(self._lasting[1])
        if not self.active or yy <= 0.0 or ee <= 0.0:
            return None
        return 10.0 * math.log10(yy / ee)

    @property
    def delay_ms(self) -> float:
        """Delay between reference and begin of the filters."""
        return self._delay * self._hop_ms

    def reset(self) -> None:
        """Forget all that was learnt and heard."""
        for state in (self._w_re, self._w_im, self._covariance, self._noise, self._scale):
            state[:] = 0.0
        self._levels[:] = 0.0
        self._delay = self._constrained = self._learnt_hops = self._vain_hops = 0
        self._level_round = self._level_hops_seen = 0
        self._found = False
        self._forget_sound()

    def _forget_sound(self) -> None:
        for state in (self._history, self._x_re, self._x_im, self._energy, self._strength, self._sums, self._lasting):
            state[:] = 0.0
        self._waits[:] = 0
        self._newest = 0
        self._quiet_hops = len(self._energy) + 1
