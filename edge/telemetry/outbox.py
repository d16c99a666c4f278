"""What waits for the broker: bounded, so that no state of the network can cost memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.telemetry.snapshot import Snapshot


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Any = None


class Outbox:
    """Three queues in order of importance: what a new connection starts with, events and replies, telemetry.

    When one is full its oldest entry goes. Telemetry is kept as snapshots and encoded only when it is really sent. The
    lock is held for a queue operation only, never while the network library is called.
    """

    def __init__(self, max_events: int = 64, max_snapshots: int = 8) -> None:
        self._lock = threading.Lock()
        self._first: deque[Message] = deque()
        self._events: deque[Message] = deque()
        self._snapshots: deque[Snapshot] = deque()
        self._max_events = max_events
        self._max_snapshots = max_snapshots
        self.dropped_events = 0
        self.dropped_snapshots = 0

    @property
    def dropped(self) -> int:
        return self.dropped_events + self.dropped_snapshots

    def __len__(self) -> int:
        with self._lock:
            return len(self._first) + len(self._events) + len(self._snapshots)

    def put_snapshot(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._snapshots.append(snapshot)
            self._drop_snapshots(self._max_snapshots)

    def put(self, message: Message) -> None:
        """Queue an event or a reply."""
        with self._lock:
            self._events.append(message)
            while len(self._events) > self._max_events:
                self._events.popleft()
                self.dropped_events += 1

    def put_back(self, entry: Message | Snapshot) -> None:
        """Return to the front of its queue what the network library would not take."""
        with self._lock:
            if isinstance(entry, Snapshot):
                self._snapshots.appendleft(entry)
            elif len(self._events) < self._max_events:
                self._events.appendleft(entry)
            else:
                self.dropped_events += 1

    def restart(self, first: Iterable[Message]) -> None:
        """A new connection: it begins with `first`, and of the snapshots only the newest still matters."""
        with self._lock:
            self._first = deque(first)
            self._drop_snapshots(1)

    def drop_snapshots(self) -> None:
        with self._lock:
            self._drop_snapshots(0)

    def count_lost_snapshot(self) -> None:
        with self._lock:
            self.dropped_snapshots += 1

    def take(self) -> Message | Snapshot | None:
        """The next entry to send, or None."""
        with self._lock:
            if self._first:
                return self._first.popleft()
            if self._events:
                return self._events.popleft()
            return self._snapshots.popleft() if self._snapshots else None

    def _drop_snapshots(self, keep: int) -> None:
        while len(self._snapshots) > keep:
            self._snapshots.popleft()
            self.dropped_snapshots += 1
