"""Notices devices that went away or came back, from the outside and once in a while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.runtime.loop import AudioLoop
from edge.telemetry.events import Event


class DeviceWatch:
    """Compares source and sink with how they were at the look before."""

    def __init__(self, loop: AudioLoop) -> None:
        self._sides = (
            _Side(loop.source, "microphones", "silence until they are back"),
            _Side(loop.sink, "output device", "its audio is dropped until it is back"),
        )

    def look(self) -> Iterator[Event]:
        """What has happened since the last look."""
        for side in self._sides:
            yield from side.look()


class _Side:
    def __init__(self, device: Any, name: str, meanwhile: str) -> None:
        # a converter of rates stands before the device itself
        self._device = getattr(device, "inner", device)
        self._name = name
        self._meanwhile = meanwhile
        self._reopens = 0
        self._lost = False

    def look(self) -> Iterator[Event]:
        # files have neither of these: they cannot be unplugged
        reopens = getattr(self._device, "reopens", 0)
        lost = not getattr(self._device, "connected", True)
        reopened, self._reopens = reopens - self._reopens, reopens
        why = getattr(self._device, "last_error", "")
        if (lost or reopened > 0) and not self._lost:
            yield Event("device_lost", f"{self._name} lost ({why}); {self._meanwhile}", {"device": self._name})
            self._lost = True
        if self._lost and not lost:
            yield Event("device_regained", f"{self._name} back", {"device": self._name, "reopens": reopens})
            self._lost = False
