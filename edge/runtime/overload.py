"""When processing is late again and again: the next cheaper stage at the same latency, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

LATE_HOPS = 5
"""late hops in a row that count as overload; a single late hop is absorbed by the device buffers"""
RECOVER_S = 10.0
"""time with hardly a late hop before a dearer stage is tried again; doubled each time the trial fails"""
RECOVER_MAX_S = 320.0
LATE_SETBACK_HOPS = 100
"""by how many hops one late hop puts the return off; rarer late hops than this do not prevent it"""


@dataclass(frozen=True)
class Rung:
    """One way of processing: what runs, and the words for it in `Snapshot.mode`."""

    mode: str
    mask: str
    beamformer: str


def rungs_for(mask: str, beamformer: str) -> tuple[Rung, ...]:
    """From what was asked for down to the cheapest: network -> wiener, mvdr -> delay_sum, any mask -> bypass."""
    rungs = [Rung("normal", mask, beamformer)]
    if mask == "network":
        mask = "wiener"
        rungs.append(Rung("overload: wiener instead of network", mask, beamformer))
    if beamformer == "mvdr":
        beamformer = "delay_sum"
        rungs.append(Rung("overload: delay_sum instead of mvdr", mask, beamformer))
    if mask != "bypass":
        rungs.append(Rung("overload: no mask", "bypass", beamformer))
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
            return self._late >= LATE_HOPS and self._down()
        self._late = 0
        self._good += 1
        return self._good >= self.recover_hops and self._up()

    def _down(self) -> bool:
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
