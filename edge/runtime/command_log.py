"""What commands from outside leave in the journal, one line each and few lines however many, and as events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from edge.telemetry.events import EventKind

BURST_LINES = 5
REFILL_S = 10.0
"""five lines at once, then one in this time: a slider that is dragged, or a flood, does not fill the journal"""

_SENTENCES = {
    "look": "look direction azimuth {azimuth_deg:g} degrees, elevation {elevation_deg:g} degrees",
    "gain_floor": "gain floor {gain_floor_db:g} dB",
    "mask": "mask {mask}",
    "model": "network {model}",
    "beamformer": "beamformer {beamformer}",
    "reset": "adaptive state reset",
}


class CommandLog:
    """Says which commands were carried out; whoever sent one has the answer, others learn of it here.

    say: gets one sentence; event: kind, sentence and details of what everybody on the broker should know; clock:
    seconds. Not for the audio thread.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        event: Callable[[EventKind, str, dict[str, Any]], None] = lambda kind, sentence, details: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._event = event
        self._clock = clock
        self._settings, self._changes = _Flow(clock()), _Flow(clock())
        """a slider that is dragged does not keep a reload, or what was refused, out of the journal"""

    def done(self, name: str, result: dict[str, Any]) -> None:
        """`result` is what the controller returned for command `name`."""
        self._line(_sentence(name, result), self._changes if name in ("reload", "model") else self._settings)
        if name == "reload":
            self._event("reload", *reload_event(result))

    def failed(self, name: str, sentence: str) -> None:
        """`sentence` is why a network or a configuration that command `name` asked for was not taken."""
        refused = f"{name} refused, what was in use goes on: {' '.join(sentence.split())}"
        self._line(refused, self._changes)
        self._event("warning", refused, {})

    def _line(self, sentence: str, flow: _Flow) -> None:
        left_out = flow.left_out
        if flow.passes(self._clock()):
            before = f"; {left_out} before it are not shown" if left_out else ""
            with contextlib.suppress(OSError):  # standard error is gone: the command was carried out all the same
                self._say(f"{sentence} (by MQTT{before})")


class _Flow:
    """Lines of one kind: few at once, then few over time. `left_out`: how many did not pass since one did."""

    def __init__(self, now_s: float) -> None:
        self._lines, self._at_s = float(BURST_LINES), now_s
        self.left_out = 0

    def passes(self, now_s: float) -> bool:
        self._lines = min(self._lines + (now_s - self._at_s) / REFILL_S, BURST_LINES)
        self._at_s = now_s
        if self._lines < 1.0:
            self.left_out += 1
            return False
        self._lines -= 1.0
        self.left_out = 0
        return True


def _sentence(name: str, result: dict[str, Any]) -> str:
    if name == "bypass":
        return "bypass on" if result["bypass"] else "bypass off"
    if name == "echo":
        return "echo cancellation on" if result["echo"] else "echo cancellation off"
    if name == "look" and result["steering"] == "track":
        return "look direction follows the talker"
    return reload_event(result)[0] if name == "reload" else _SENTENCES[name].format(**result)


def reload_event(result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Sentence and details about a successful reload, from what the controller returned for it."""
    changed, waiting = result["changed"], result["restart_needed"]
    sentence = f"configuration reloaded: {', '.join(changed) or 'nothing'} changed"
    if waiting:
        sentence += f"; restart for {', '.join(waiting)}"
    return sentence, {"ok": True, "changed": changed, "restart_needed": waiting}
