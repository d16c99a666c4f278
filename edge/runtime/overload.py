"""When processing is late again and again, or the network fails: the next cheaper stage, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

LATE_HOPS = 5
"""late hops in a row that count as overload; a single late hop is absorbed by the device buffers"""
RECOVER_S = 10.0
"""time with hardly a late hop before a dearer stage is tried again; doubled each time the trial fails"""
RECOVER_MAX_S = 320.0
LATE_SETBACK_HOPS = 100
"""by how many hops one late hop puts the return off; rarer late hops than this do not prevent it"""
RESETS, RESETS_WITHIN_S = 3, 10.0
"""so many resets of a network in so much time, and it is no longer trusted"""

NORMAL, OVERLOAD = "normal", "overload"


@dataclass(frozen=True)
class Rung:
    """One way of processing: what runs, and the words for what it stands in for (empty: nothing)."""

    instead: str
    mask: str
    beamformer: str


def rungs_for(mask: str, beamformer: str) -> tuple[Rung, ...]:
    """From what was asked for down to the cheapest: network -> wiener, mvdr -> delay_sum, any mask -> bypass."""
    rungs = [Rung("", mask, beamformer)]
    if mask == "network":
        mask = "wiener"
        rungs.append(Rung("wiener instead of network", mask, beamformer))
    if beamformer == "mvdr":
        beamformer = "delay_sum"
        rungs.append(Rung("delay_sum instead of mvdr", mask, beamformer))
    if mask != "bypass":
        rungs.append(Rung("no mask", "bypass", beamformer))
    return tuple(rungs)


class OverloadGuard:
    """Counts late hops and says which rung to be on. Runs on the audio thread: integers only, no clock.

    Time is counted in hops. A trial of the dearer rung that fails within `recover_hops` doubles the wait before the
    next one, so a board that is simply too slow settles instead of flapping.
    """

    def __init__(self, rungs: int, hop_ms: float) -> None:
        self._last = rungs - 1
        self._shortest = max(LATE_HOPS + 1, round(1000.0 * RECOVER_S / hop_ms))
        self._longest = round(1000.0 * RECOVER_MAX_S / hop_ms)
        self.level = 0
        self.recover_hops = self._shortest
        self._late = 0
        self._good = 0
        self._on_trial = False

    def update(self, late: bool) -> bool:
        """Take in one hop. Returns whether `level` has changed."""
        if late:
            self._late += 1
            self._good = max(self._good - LATE_SETBACK_HOPS, 0)
            return self._late >= LATE_HOPS and self.down()
        self._late = 0
        self._good += 1
        return self._good >= self.recover_hops and self._up()

    def start_at(self, level: int, old: OverloadGuard) -> None:
        """Be on `level` with the waits that another guard had come to."""
        self.level, self.recover_hops = level, old.recover_hops

    def down(self) -> bool:
        """Go to the next cheaper rung. Returns False when there is none."""
        self._late = self._good = 0
        if self.level == self._last:
            return False
        if self._on_trial:
            self.recover_hops = min(2 * self.recover_hops, self._longest)
        self._on_trial = False
        self.level += 1
        return True

    def _up(self) -> bool:
        self._good = 0
        # lasted a whole wait on this rung: the trial, if it was one, is passed
        self._on_trial = False
        if self.level == 0:
            self.recover_hops = self._shortest
            return False
        self._on_trial = True
        self.level -= 1
        return True


class ResetGuard:
    """Says when a network has been reset so often that something else had better run. On the audio thread."""

    def __init__(self, hop_ms: float) -> None:
        self._window_hops = round(1000.0 * RESETS_WITHIN_S / hop_ms)
        self.start(0)

    def start(self, resets: int) -> None:
        """Count from here on."""
        self._start_resets, self._hops = resets, 0

    def update(self, resets: int) -> bool:
        """Take in the count of resets after one hop. Returns whether there were too many."""
        self._hops += 1
        broken = resets - self._start_resets >= RESETS
        if broken or self._hops >= self._window_hops:
            self.start(resets)
        return broken
