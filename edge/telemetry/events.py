"""Things that happened, as opposed to the state once an interval."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.telemetry.snapshot import Snapshot

EventKind = Literal[
    "warning",
    "overrun",
    "underrun",
    "reload",
    "fallback",
    "device_lost",
    "device_regained",
    "microphone_lost",
    "microphone_regained",
    "microphones_silent",
    "channel_order",
    "wind",
    "probe",
]


@dataclass(frozen=True)
class Event:
    """One occurrence. `message` is a sentence for people; `details` holds plain JSON values for programs."""

    kind: EventKind
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    time_unix_s: float = field(default_factory=time.time)


def events_between(before: Snapshot, now: Snapshot) -> Iterator[Event]:
    """Events that two successive snapshots show: overruns, underruns, a change of mode, wind.

    Derived here, once an interval, so that the audio thread never makes an event and a storm of overruns is one.
    """
    overruns = now.overruns - before.overruns
    if overruns > 0:
        gap_ms = max(0.0, now.gap_ms - before.gap_ms)
        message = f"{_times(overruns, 'overrun')}: {gap_ms:.0f} ms of captured audio lost and replaced by silence"
        yield Event("overrun", message, {"count": overruns, "gap_ms": round(gap_ms, 3)}, now.time_unix_s)
    underruns = now.underruns - before.underruns
    if underruns > 0:
        message = f"{_times(underruns, 'underrun')}: the output device ran out of audio"
        yield Event("underrun", message, {"count": underruns}, now.time_unix_s)
    if now.mode != before.mode:
        message = f"mode changed from '{before.mode}' to '{now.mode}'"
        yield Event("fallback", message, {"from": before.mode, "to": now.mode}, now.time_unix_s)
    if (now.wind_dbfs is None) != (before.wind_dbfs is None):
        begins = now.wind_dbfs is not None
        message = f"wind at the microphones, {now.wind_dbfs:.0f} dBFS" if begins else "no more wind at the microphones"
        yield Event("wind", message, {"begins": begins, "wind_dbfs": now.wind_dbfs}, now.time_unix_s)


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
