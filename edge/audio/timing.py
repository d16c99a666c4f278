"""Time as the device layer needs it: a clock that tests can replace, and the pause between attempts to reopen."""

from __future__ import annotations

import select
import time
from typing import Protocol

SECOND_NS = 1_000_000_000


class Clock(Protocol):
    """Everything through which sources and sinks see or spend time."""

    def now_ns(self) -> int: ...

    def sleep_until_ns(self, when_ns: int) -> None: ...

    def poll(self, poller: select.poll, timeout_ms: int) -> list[tuple[int, int]]: ...


class MonotonicClock:
    """The machine's monotonic clock. Sleeping is to an absolute time, so pacing does not drift."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until_ns(self, when_ns: int) -> None:
        rest_ns = when_ns - time.monotonic_ns()
        if rest_ns > 0:
            time.sleep(rest_ns / SECOND_NS)

    def poll(self, poller: select.poll, timeout_ms: int) -> list[tuple[int, int]]:
        return poller.poll(timeout_ms)


class Backoff:
    """When to try again: 0.1 s after the first failure, doubling to 5 s, from the start again after a success."""

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._first_ns = int(first_s * SECOND_NS)
        self._longest_ns = int(longest_s * SECOND_NS)
        self._pause_ns = self._first_ns
        self.due_ns = 0
        """time of the next attempt"""

    def failed(self, now_ns: int) -> None:
        self.due_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, self._longest_ns)

    def succeeded(self) -> None:
        self._pause_ns = self._first_ns
        self.due_ns = 0
