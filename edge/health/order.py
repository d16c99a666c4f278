"""Whether every captured channel still carries what the configuration says, and what to do when not.

What can be known: with playback or unused channels among the roles, which channels sound like microphones of one array
tells a rotation at any time. With microphones alone, an order that does not fit the positions shows in the delays of
sound from one side; several exchanges can explain it on a symmetric array. A rotated ring fits its positions exactly:
it is known only by comparing levels and phases with those before the gap at which it happened.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.health.monitor import STEP_S, HealthMonitor
from edge.kernels import order
from edge.profiles import Profile

F32 = NDArray[np.float32]

ALIKE_MEMORY_S = 0.3
ALIKE_HOLD_S = 0.4
"""one shift has to fit for so long"""
FIT_EVERY_STEPS = 4
FIT_RATE = 0.06
FIT_ESTIMATES = 35
"""over 2 s of sound from one side before the positions are doubted"""
MISFIT_SHARE = 0.12
"""1 cm of position error on a small array stays below half of it"""
FITTING_SHARE = 0.02
LEVEL_MEMORY_S = 2.0
COMPARE_FROM_S, COMPARE_TO_S = 0.8, 3.0
"""after a gap"""
PHASES_ALIKE, PHASES_MARGIN = 0.85, 0.15
LEVELS_APART_DB, LEVELS_ALIKE = 1.0, 0.5
"""a pattern of levels has to have so much in it, and to be met so much closer, for a rotation to be read from it"""

NONE, SHIFT, SWAP, MISFIT, SHIFT_SUSPECTED = 0, 1, 2, 3, 4
DOUBTS = (SWAP, MISFIT, SHIFT_SUSPECTED)


class ChannelOrder:
    """Compares the captured channels with their roles, with the geometry, and with themselves before a gap.

    Results: `channels` int64 (mics,), captured channel of each microphone, `references` of each playback channel;
    `changed`, whether the last update changed them; `finding`, one of the numbers above, with `detail` (channels moved
    on, or number of the pair) and `corrected`; `findings` counts them.
    """

    def __init__(
        self,
        policy: str,
        roles: str,
        geometry: ArrayGeometry,
        profile: Profile,
        gains_db: NDArray[np.float64],
        monitor: HealthMonitor,
    ) -> None:
        mics, captured = geometry.mics, len(roles)
        self.enabled = monitor.enabled and policy != "ignore"
        self._correct = policy == "correct"
        self._monitor = monitor
        self._is_microphone: NDArray[np.bool_] = np.array([role == "M" for role in roles])
        self._home = np.flatnonzero(self._is_microphone).astype(np.int64)
        self._mixed = mics < captured and mics > captured - mics
        hop_s = profile.hop_ms / 1000.0
        self._step_hops = max(2, round(STEP_S / hop_s))
        self._step_s = self._step_hops * hop_s
        self._alike_rate = np.float32(1.0 - math.exp(-hop_s / ALIKE_MEMORY_S))
        slow_hz = profile.rate_hz / order.DECIMATION
        self._high_pass = np.float32(math.exp(-2.0 * math.pi * 150.0 / slow_hz))
        self._low_pass = np.float32(1.0 - math.exp(-2.0 * math.pi * 500.0 / slow_hz))
        self._misfit, self._least_s = misfit_projector(geometry)
        self._fits = bool((monitor.bands.widths > 0).all() and np.abs(self._misfit).max() > 1e-3)
        self._gains_db: F32 = gains_db.astype(np.float32)
        # results
        self.channels = self._home.copy()
        self._home_references = np.array([c for c, role in enumerate(roles) if role == "R"], np.int64)
        self.references = self._home_references.copy()
        self.changed = False
        self.finding = NONE
        self.detail = 0
        self.corrected = False
        self.findings = 0
        # state
        self._shift = 0
        self._candidate, self._candidate_s = 0, 0.0
        self._memory: F32 = np.zeros((3, captured), np.float32)
        self._alike: F32 = np.zeros(captured * (captured - 1) // 2, np.float32)
        pairs = len(monitor.bands.widths)
        self._share: F32 = np.zeros(pairs + mics, np.float32)
        self._estimates = 0
        self._level: F32 = np.zeros((2, mics), np.float32)
        self._level_steps = 0
        self._before_level: F32 = np.zeros((2, mics), np.float32)
        self._before_im: F32 = np.zeros_like(monitor.phases_im)
        self._waiting = False
        self._since_s = 0.0
        self._hops = 0
        # scratch
        self._slow: F32 = np.zeros((captured, profile.hop_samples // order.DECIMATION), np.float32)
        self._scores: F32 = np.zeros((2, mics), np.float32)
        self._delays_s: F32 = np.zeros(mics, np.float32)

    def update(self, block: F32) -> None:
        """One hop: captured block (hop, channels), after the monitor has taken it."""
        self.changed = False
        if not self.enabled:
            return
        if self._mixed:
            order.correlate_channels(
                block, self._alike_rate, self._high_pass, self._low_pass, self._memory, self._slow, self._alike
            )
        hops = self._hops = self._hops + 1
        # the hop of a step in which the monitor neither compares nor judges, where there is one
        if hops % self._step_hops != 0:
            return
        steps = hops // self._step_hops
        if self._mixed:
            self._by_roles()
        elif not self._by_gap() and steps % FIT_EVERY_STEPS == 0 and self._fits and self._monitor.active.all():
            self._by_geometry()

    def note_gap(self) -> None:
        """Captured sound was lost or the device opened again: from here on the channels may have another order."""
        if not self.enabled or self._mixed:
            return
        if not self._waiting and self._monitor.pairs[0].max() > order.ALIKE and self._level_steps > 30:
            self._before_im[:] = self._monitor.phases_im
            self._before_level[:] = self._level
            self._waiting = True
        self._since_s = 0.0
        self._monitor.phases_re[:] = 0.0
        self._monitor.phases_im[:] = 0.0
        self._level_steps = 0

    # ---- one method per thing that can be known ----

    def _by_roles(self) -> None:
        shift = order.find_shift(self._alike, self._is_microphone)
        if shift < 0 or shift == self._shift:
            self._candidate_s = 0.0
            return
        self._candidate_s = self._candidate_s + self._step_s if shift == self._candidate else 0.0
        self._candidate = shift
        if self._candidate_s < ALIKE_HOLD_S:
            return
        self._shift = shift
        if self._correct:
            captured = len(self._is_microphone)
            self.channels[:] = (self._home + shift) % captured
            self.references[:] = (self._home_references + shift) % captured
        self._found(SHIFT if shift else NONE, shift, self._correct)

    def _by_gap(self) -> bool:
        """Whether a comparison with the time before a gap is still going on."""
        monitor = self._monitor
        rate = np.float32(max(self._step_s / LEVEL_MEMORY_S, 1.0 / (self._level_steps + 1)))
        if order.track_levels(monitor.level_db, self._gains_db, monitor.heard_db, rate, self._level):
            self._level_steps += 1
            self._since_s += self._step_s
        if not self._waiting:
            return False
        if self._since_s < COMPARE_FROM_S or monitor.pairs[0].max() < order.ALIKE:
            return True
        order.compare_orders(
            self._before_im,
            monitor.phases_im,
            monitor.bands.widths,
            self._before_level,
            self._level,
            self._scores,
        )
        by_phase, by_level = shift_by_phases(self._scores[0]), shift_by_levels(self._scores[1])
        if by_phase and by_phase == by_level:
            self._waiting = False
            if self._correct:
                self._move_on(by_phase)
            self._found(SHIFT, by_phase, self._correct)
        elif self._since_s >= COMPARE_TO_S:
            self._waiting = False
            if by_phase or by_level:
                self._found(SHIFT_SUSPECTED, by_phase or by_level, False)
        return self._waiting

    def _by_geometry(self) -> None:
        monitor, share = self._monitor, self._share
        rate = np.float32(max(FIT_RATE, 1.0 / (self._estimates + 1)))
        if not order.fit_geometry(
            monitor.phases_re,
            monitor.phases_im,
            monitor.bands.widths,
            monitor.bands.frequencies_hz,
            self._misfit,
            self._least_s,
            rate,
            self._delays_s,
            share,
        ):
            return
        self._estimates += 1
        if self._estimates < FIT_ESTIMATES:
            return
        if share[0] < 0.5 * MISFIT_SHARE:
            if self.finding in DOUBTS and not self.corrected:
                self.finding = NONE  # it fits again
            return
        if share[0] < MISFIT_SHARE or (self.finding in DOUBTS and not self.corrected):
            return
        explanations = np.flatnonzero(share < FITTING_SHARE)
        pairs = len(share) - len(self.channels)
        if len(explanations) != 1:
            # none, or as many as the array has symmetries; of those a rotation is the likeliest
            shifts = explanations[explanations > pairs]
            if len(shifts):
                self._found(SHIFT_SUSPECTED, int(shifts[0]) - pairs, False)
            elif len(explanations):
                self._found(SWAP, int(explanations[0]) - 1, False)
            else:
                self._found(MISFIT, 0, False)
            return
        which = int(explanations[0])
        if which <= pairs:
            i, j = pair_of(which - 1)
            if self._correct:
                self.channels[i], self.channels[j] = self.channels[j], self.channels[i]
            self._found(SWAP, which - 1, self._correct)
        else:
            if self._correct:
                self._move_on(which - pairs)
            self._found(SHIFT, which - pairs, self._correct)

    def _move_on(self, shift: int) -> None:
        # what microphone i captured is now where microphone i + shift was
        self.channels[:] = np.roll(self.channels, -shift)

    def _found(self, finding: int, detail: int, corrected: bool) -> None:
        self.finding, self.detail, self.corrected = finding, detail, corrected
        self.findings += 1
        self.changed = corrected
        self._estimates = 0
        self._share[:] = 0.0
        self._level_steps = 0

    def take(self, other: ChannelOrder) -> None:
        """Go on with the order that `other` has found, where the roles are the same and corrections are wanted."""
        same = np.array_equal(self._home, other._home) and np.array_equal(self._home_references, other._home_references)
        if self._correct and self.enabled and same and len(self._is_microphone) == len(other._is_microphone):
            self.channels[:], self.references[:] = other.channels, other.references
            self.finding, self.detail, self.corrected = other.finding, other.detail, other.corrected
            self._shift = other._shift

    def reset(self) -> None:
        """Forget what was measured; the order found stays."""
        self._memory[:] = 0.0
        self._alike[:] = 0.0
        self._candidate_s = 0.0
        self._estimates = self._level_steps = 0
        self._share[:] = 0.0
        self._waiting = False
        self._hops = 0


def misfit_projector(geometry: ArrayGeometry) -> tuple[F32, np.float32]:
    """Projector (mics, mics) on the delays that no direction gives, and the root mean square delay, in seconds, from
    which sound comes from a side: 0.3 of the most that the geometry gives.
    """
    centred = geometry.positions_m - geometry.centroid_m
    axes, extent, _ = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:, extent > 1e-4]
    mean = np.full((geometry.mics, geometry.mics), 1.0 / geometry.mics)
    projector = (np.eye(geometry.mics) - mean - axes @ axes.T).astype(np.float32)
    return projector, np.float32(0.3 * extent[0] / math.sqrt(geometry.mics) / SPEED_OF_SOUND_M_S)


def pair_of(number: int) -> tuple[int, int]:
    """Microphones (i, j), j < i, of a pair by its number."""
    i = (1 + math.isqrt(1 + 8 * number)) // 2
    return i, number - i * (i - 1) // 2


def shift_by_phases(scores: F32) -> int:
    """Shift that the phases before and after a gap agree on, 0 for none."""
    best = int(scores.argmax())
    second = max(scores[k] for k in range(len(scores)) if k != best)
    certain = scores[best] > PHASES_ALIKE and scores[best] - second > PHASES_MARGIN
    return best if certain else 0


def shift_by_levels(differences_db: F32) -> int:
    """Shift that the levels before and after a gap agree on, 0 for none."""
    best = int(differences_db.argmin())
    second = min(differences_db[k] for k in range(len(differences_db)) if k != best)
    certain = differences_db[0] > LEVELS_APART_DB and differences_db[best] < LEVELS_ALIKE * second
    return best if certain else 0
