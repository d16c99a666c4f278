"""Acoustic echo canceller: the playback that reference channels carry is taken off every microphone.

`EchoFilter` does the work; this looks after it. The plain Kalman filter needs to know beforehand how strong the echo
is, takes a suddenly changed echo path for a talker, and sees no echo that comes later than its tail.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import EchoConfig
from edge.echo.filter import SILENCE, EchoFilter
from edge.kernels import echo_watch
from edge.profiles import Profile

F32 = NDArray[np.float32]

PLAYING = 1e-7
"""mean square (-70 dBFS) of the reference above which the filter learns"""
IDLE_S = 1.0
"""how long after the playback the canceller is still called active"""
LASTING_S = 1.0
"""memory of the reported echo return loss enhancement"""
LEVEL_S = 0.5
"""playback over which the level of the echo is measured"""
FIRST_LEVEL_S = 0.024
LEVELS = 4
"""measurements of the level that may still correct the start"""
GUESS = 0.6
"""covariance of the first partition at the start, relative to the energy of the whole echo path"""
CHANGED = 1.8
"""the same after a change, when the error holds the old path and the new one"""
REFRACTORY_S = 0.1
"""between two verdicts on one filter, for its powers to follow"""
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
STEADY = 1
"""hops by which the strongest part of the echo path may move between two looks at it. Where the filter is at the right
delay it stays; at a wrong one, where vowels alone are predicted from what was played before, it wanders"""
CERTAIN = 2
"""looks in a row at which it has to have stayed for success to be believed"""
LEAD_S = 0.008
"""kept between the begin of the window and the strongest part of the echo path"""


class EchoCanceller:
    """Filters of all references for every microphone, and what keeps them right.

    references: captured channels that carry playback. `process` may run every hop on the live path: it allocates
    nothing and raises nothing; bad samples of a reference count as silence. Latency: none.
    """

    def __init__(self, config: EchoConfig, profile: Profile, references: NDArray[np.int64], mics: int) -> None:
        hop_s = profile.hop_ms / 1000.0
        self.references = references
        self._hop_ms = profile.hop_ms
        partitions = max(1, round(config.tail_ms / profile.hop_ms))
        self._max_delay = math.ceil(config.max_delay_ms / profile.hop_ms)
        self.filter = EchoFilter(profile, references, mics, partitions, self._max_delay)
        self._lasting_keep = np.float32(math.exp(-hop_s / LASTING_S))
        self._refractory, self._idle_hops = round(REFRACTORY_S / hop_s), round(IDLE_S / hop_s)
        self._level_hops, self._first_level_hops = round(LEVEL_S / hop_s), math.ceil(FIRST_LEVEL_S / hop_s)
        self._search_hops, self._lost_hops = round(SEARCH_S / hop_s), round(LOST_S / hop_s)
        self._lead = max(1, round(LEAD_S / hop_s))
        self._stride = max(1, partitions - 4 * self._lead)
        # state
        self.enabled = config.enabled
        self._idle = self._idle_hops
        self._lasting: F32 = np.zeros(4, np.float32)
        self._waits: NDArray[np.int64] = np.zeros(mics, np.int64)
        self._levels: NDArray[np.float64] = np.zeros(mics + 1)
        self._energies: F32 = np.zeros(mics, np.float32)
        """energy of the echo path to each microphone, as far as known"""
        self._ceilings: F32 = np.zeros(mics, np.float32)
        """what it is at most, by the level of the microphone"""
        self._rounds = self._round_hops = self._learnt_hops = self._vain_hops = 0
        self._best = -1
        """strongest partition at the look before, -1 for none"""
        self._steady = 0
        """looks in a row that found it there again"""
        self._found = self._wrong = False
        # scratch
        self._verdict: NDArray[np.int64] = np.zeros(mics, np.int64)
        self._guesses: F32 = np.zeros(mics, np.float32)

    # ---- the signal path ----

    def process(self, block: F32, history: F32, sane_max: np.float32, subtract: bool) -> None:
        """Take the echo off the newest hop of `history` (mics, K), given what was captured, block (hop, channels).

        subtract: False goes on learning but leaves the microphones as they are. While no playback is in reach of the
        filter nothing is touched: the microphones pass bit by bit.
        """
        if not self.enabled:
            return
        level = self.filter.hear(block, sane_max)
        self._idle = 0 if level > 0.0 else self._idle + 1
        if self.filter.hears_nothing:
            self.filter.stop()
            return
        self.filter.subtract(history, subtract)
        if level > PLAYING:
            self._learn(level)

    def _learn(self, level: float) -> None:
        self._round_hops += 1
        if self._rounds == 0 or self._round_hops >= self._level_hops:
            self._measure_level()
        self.filter.adapt()
        if echo_watch.supervise(
            self.filter.sums,
            self.filter.power,
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
        """Energy of the echo paths, at most, from the powers of microphone and reference: how unsure the filter starts.

        A talker makes them look stronger than they are, so at the start the least of the measurements counts.
        """
        reference, first = self._levels[-1], self._rounds == 0
        done = self._round_hops >= self._level_hops
        if reference > 0.0 and (done or (first and self._round_hops >= self._first_level_hops)):
            for m in range(self.filter.mics):
                now, before = float(self._levels[m] / reference), float(self._energies[m])
                self._ceilings[m] = now
                if before == 0.0:
                    self._energies[m] = now
                    self.filter.raise_covariance(m, GUESS * now)
                elif self._rounds < LEVELS and (now < 0.5 * before or (first and now > 2.0 * before)):
                    self._energies[m] = now
                    self.filter.scale_covariance(m, now / before)
        if done:
            self._levels[:] = 0.0
            self._round_hops = 0
            self._rounds += 1

    def _help(self) -> None:
        """Let the filters learn anew that `supervise` has found wrong, the more the more wrong they are."""
        sums = self.filter.sums
        for m in range(self.filter.mics):
            verdict, energy = self._verdict[m], float(self._energies[m])
            self._wrong = self._wrong or verdict in (echo_watch.CHANGED, echo_watch.WORTHLESS)
            if verdict == echo_watch.WORTHLESS:
                # a new echo path, or no echo at all: then it comes to this again and again until little is expected
                self._energies[m] = 0.5 * energy
                self.filter.restart(m, GUESS * energy)
            elif verdict == echo_watch.CHANGED:
                # the estimate is off by at least this share of itself
                share = float(sums[m, 3] / sums[m, 2])
                self.filter.raise_covariance(m, CHANGED * min(4.0 * share * share, 1.0) * energy)
            elif verdict == echo_watch.WEAK and energy < self._ceilings[m]:
                self._energies[m] = energy = min(4.0 * energy, float(self._ceilings[m]))
                self.filter.raise_covariance(m, GUESS * energy)

    def _place_window(self) -> None:
        """Put the filter where the echo is: later once it is found late, elsewhere while it is not found at all."""
        yy, ee, hh, eh = (float(value) for value in self._lasting)
        low, wrong, self._wrong = ee < SETTLED * yy, self._wrong, False
        best = self.filter.weigh()
        self._steady = self._steady + 1 if self._best >= 0 and abs(best - self._best) <= STEADY else 0
        self._best = best
        if low:
            np.copyto(self._energies, self.filter.energies)
        # playback that repeats itself looks like success at a wrong delay too
        certain = low and self._steady >= CERTAIN
        if self._steady and (low or ((eh + hh) > FOUND * math.sqrt(yy * hh) and not wrong)):
            self._vain_hops = 0 if certain else max(self._vain_hops - self._level_hops // 16, 0)
            self._found = self._found or certain
            shift = min(best - self._lead, self._max_delay - self.filter.delay)
            if shift > 2 * self._lead and (low or best > LATE * self.filter.partitions):
                self._move(shift)
                self._best = best - shift
            return
        self._vain_hops += self._level_hops
        if self._max_delay and self._vain_hops >= (self._lost_hops if self._found else self._search_hops):
            delay = self.filter.delay
            self._move(self.filter.partitions)
            self.filter.delay = min(delay + self._stride, self._max_delay) if delay < self._max_delay else 0
            self._vain_hops, self._found, self._best, self._steady = 0, False, -1, 0

    def _move(self, hops: int) -> None:
        np.multiply(self._energies, np.float32(GUESS), out=self._guesses)
        self.filter.move(hops, self._guesses)

    # ---- what may change between two hops, and what is told ----

    def set_enabled(self, enabled: bool) -> None:
        """Switch on or off. What was learnt is kept; what is played meanwhile is not heard."""
        if enabled and not self.enabled:
            self._forget_sound()
        self.enabled = enabled

    @property
    def active(self) -> bool:
        """Whether a reference has played within the last second."""
        return self.enabled and self._idle < self._idle_hops

    @property
    def erle_db(self) -> float | None:
        """Power of the microphones over what is left of it, the last second of playback, in dB; None without playback.

        Echo return loss enhancement as long as nobody talks; a talker is in both powers and brings it down.
        """
        yy, ee = float(self._lasting[0]), float(self._lasting[1])
        if not self.active or yy <= 0.0 or ee <= 0.0:
            return None
        return 10.0 * math.log10(yy / ee)

    @property
    def delay_ms(self) -> float:
        """How long after the reference the filters begin."""
        return self.filter.delay * self._hop_ms

    def take(self, old: EchoCanceller | None) -> None:
        """Go on from all that `old` has learnt and heard; nothing is taken if it has another size."""
        if old is not None and self.filter.take(old.filter):
            for name in ("_lasting", "_waits", "_levels", "_energies", "_ceilings"):
                np.copyto(getattr(self, name), getattr(old, name))
            for name in (
                "_idle",
                "_rounds",
                "_round_hops",
                "_learnt_hops",
                "_vain_hops",
                "_best",
                "_steady",
                "_found",
                "_wrong",
            ):
                setattr(self, name, getattr(old, name))

    def reset(self) -> None:
        """Forget all that was learnt and heard."""
        self.filter.reset()
        for state in (self._energies, self._ceilings, self._levels):
            state[:] = 0.0
        self._rounds = self._round_hops = self._learnt_hops = self._vain_hops = 0
        self._best, self._steady = -1, 0
        self._found = self._wrong = False
        self._forget_sound()

    def _forget_sound(self) -> None:
        self.filter.forget_sound()
        self._lasting[:] = 0.0
        self._waits[:] = 0
        self._idle = self._idle_hops
