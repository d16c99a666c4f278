"""Signals as messages for the main thread: nothing runs in a handler, and no thread but the main one is woken."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class SignalInbox:
    """Context manager that collects SIGINT, SIGTERM and SIGHUP while it is entered; `wait` hands them over.

    Outside the main thread no signal can be had; then it only waits, and `wake` ends the waiting.
    """

    def __init__(self) -> None:
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        self._signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._previous: dict[int, Any] = {}
        self._previous_fd = -1
        self._reader, self._writer = -1, -1

    def __enter__(self) -> SignalInbox:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        if threading.current_thread() is threading.main_thread():
            # the C handler writes the number of the signal into the pipe; the Python one has nothing to do
            self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, _ignore) for number in self._signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            signal.set_wakeup_fd(self._previous_fd)
        self._previous = {}
        reader, writer, self._reader, self._writer = self._reader, self._writer, -1, -1
        os.close(reader)
        os.close(writer)

    def wait(self, timeout_s: float) -> set[int]:
        """Numbers of the signals that arrived, after at most `timeout_s`; empty after that time or after `wake`."""
        ready, _, _ = select.select([self._reader], [], [], max(timeout_s, 0.0))
        return {number for number in os.read(self._reader, 512) if number} if ready else set()

    def wake(self) -> None:
        """End a `wait` from another thread."""
        if self._writer >= 0:
            with contextlib.suppress(OSError):
                os.write(self._writer, b"\0")


def _ignore(number: int, frame: FrameType | None) -> None:
    """A handler has to exist, so that the signal does not end the process."""
