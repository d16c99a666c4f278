"""The telemetry thread: one snapshot an interval, handed to every transport."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from edge.config.schema import TelemetryConfig
from edge.errors import TelemetryError
from edge.telemetry.control import Controller
from edge.telemetry.events import Event, EventKind, events_between
from edge.telemetry.payload import encode, event_payload, telemetry_payload
from edge.telemetry.snapshot import Snapshot
from edge.telemetry.topics import Topics

MAX_WAITING_EVENTS = 100


class Transport(Protocol):
    """A way out for telemetry. All four are called from the telemetry thread and must not block for long."""

    def open(self) -> None: ...
    def publish(self, snapshot: Snapshot) -> None: ...
    def event(self, event: Event) -> None: ...
    def close(self) -> None: ...


class JsonLinesTelemetry:
    """One JSON object a line, appended to a file, or to standard output for the path "-".

    `type` is "telemetry" or "event"; the rest is as in the MQTT messages. device: the name in them.
    """

    def __init__(self, path: str | Path, device: str) -> None:
        self._path = str(path)
        self._device = device
        self._file: TextIO | None = None

    def open(self) -> None:
        if self._file is not None:
            return
        try:
            self._file = sys.stdout if self._path == "-" else open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        except (OSError, ValueError) as error:
            folder = Path(self._path).parent
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, FileNotFoundError):
                reason = f"the folder {folder} does not exist"
            raise TelemetryError(f"telemetry file {self._path} cannot be written ({reason})") from None

    def publish(self, snapshot: Snapshot) -> None:
        self._write({"type": "telemetry", **telemetry_payload(snapshot, self._device)})

    def event(self, event: Event) -> None:
        self._write({"type": "event", **event_payload(event, self._device)})

    def close(self) -> None:
        if self._file is not None and self._path != "-":
            self._file.close()
        self._file = None

    def _write(self, payload: dict[str, Any]) -> None:
        self.open()  # again, should it have failed at the start (a full disk, a missing folder)
        assert self._file is not None
        self._file.write(encode(payload).decode("ascii") + "\n")
        self._file.flush()


class TelemetryThread:
    """Calls make_snapshot once per interval on an absolute schedule and hands the result to the transports.

    Late intervals are left out, never caught up with. Whatever a transport raises is one warning and one event per
    fault, and the others go on. Events come from event() and from what two successive snapshots show.
    """

    def __init__(
        self,
        make_snapshot: Callable[[], Snapshot],
        transports: Sequence[Transport],
        interval_s: float,
        warn: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._make_snapshot = make_snapshot
        self._transports = list(transports)
        self._interval_s = interval_s
        self._warn_user = warn
        self._events: deque[Event] = deque(maxlen=MAX_WAITING_EVENTS)
        self._wake = threading.Event()
        self._stopping = False
        self._last: Snapshot | None = None
        self._faults: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="edge-telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def event(self, kind: EventKind, message: str, details: dict[str, Any] | None = None) -> None:
        """Report an occurrence. From any thread but the audio thread; never blocks. The oldest go if too many wait."""
        self._events.append(Event(kind, message, details or {}))
        self._wake.set()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Publish waiting events and a last snapshot, close the transports. Returns after `timeout_s` at the latest."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        _become_ordinary_thread()
        for transport in self._transports:
            self._guard(transport, transport.open)
        next_s = time.monotonic() + self._interval_s
        while not self._stopping:
            self._wake.wait(max(0.0, next_s - time.monotonic()))
            self._wake.clear()
            self._send_events()
            now_s = time.monotonic()
            if now_s >= next_s:
                self._publish()
                next_s += self._interval_s * (1 + max(0, int((now_s - next_s) / self._interval_s)))
        self._publish()
        self._send_events()
        for transport in self._transports:
            self._guard(transport, transport.close)

    def _publish(self) -> None:
        try:
            snapshot = self._make_snapshot()
        except Exception as error:
            self._fault("telemetry snapshot", error)
            return
        if self._last is not None:
            self._events.extend(events_between(self._last, snapshot))
        self._last = snapshot
        self._send_events()
        for transport in self._transports:
            self._guard(transport, lambda t=transport: t.publish(snapshot))  # type: ignore[misc]

    def _send_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            for transport in self._transports:
                self._guard(transport, lambda t=transport: t.event(event))  # type: ignore[misc]  # noqa: B023

    def _guard(self, transport: Transport, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._fault(type(transport).__name__, error)

    def _fault(self, what: str, error: Exception) -> None:
        fault = (what, type(error).__name__)
        if fault in self._faults:
            return
        self._faults.add(fault)
        said = str(error) if isinstance(error, TelemetryError) else f"{what} failed ({type(error).__name__}: {error})"
        sentence = f"{said}; audio goes on, and it is tried again"
        with contextlib.suppress(Exception):
            self._warn_user(sentence)
        self.event("warning", sentence)


def open_transports(
    config: TelemetryConfig,
    controller: Controller,
    warn: Callable[[str], None],
    telemetry_file: str | Path | None = None,
) -> list[Transport]:
    """The transports that a configuration asks for, not opened yet.

    What keeps MQTT from ever working here (an unreadable password file or CA) is a warning: audio goes on without it.
    """
    transports: list[Transport] = []
    if telemetry_file is not None:
        transports.append(JsonLinesTelemetry(telemetry_file, Topics.of(config).device))
    if config.mqtt.enabled:
        from edge.telemetry.mqtt import MqttTelemetry  # several MiB, only where it is used

        try:
            transports.append(MqttTelemetry(config, controller, warn))
        except TelemetryError as error:
            warn(f"{error}; going on without MQTT")
    return transports


def _become_ordinary_thread() -> None:
    """Give up a real-time policy inherited from the thread that started this one.

    The priority stays as it is otherwise: a thread made nicer than the rest would be put aside by any busy process,
    at times while it holds the interpreter lock that the audio thread waits for.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
