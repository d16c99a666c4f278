"""Talking to systemd: readiness, reload, stop and watchdog, over the plain datagram protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Sends state to the socket in NOTIFY_SOCKET; does nothing where there is none.

    `watchdog_interval_s` is half of what systemd asked for in WATCHDOG_USEC (as sd_watchdog_enabled(3) advises), or 0.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        env = dict(os.environ) if environment is None else environment
        self._address = env.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
            # a full queue must never hold the caller up
            self._socket.setblocking(False)
        self.watchdog_interval_s = _watchdog_interval_s(env) if self._socket else 0.0
        self._next_ping_s = 0.0
        self._hops_at_last_ping = 0

    @property
    def active(self) -> bool:
        """Whether a service manager listens."""
        return self._socket is not None

    def send(self, *lines: str) -> bool:
        """Send assignments such as "READY=1". Returns whether they were handed over; never raises."""
        if self._socket is None:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    def ready(self, status: str) -> None:
        self.send("READY=1", f"STATUS={status}")

    def starting(self, status: str, allow_s: float) -> None:
        """Ask for more start-up time: compiling the kernels once takes long on a small board."""
        self.send(f"EXTEND_TIMEOUT_USEC={int(allow_s * 1e6)}", f"STATUS={status}")

    def reloading(self) -> None:
        """Has to be followed by ready()."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self, status: str = "draining") -> None:
        self.send("STOPPING=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        self.send(f"STATUS={text}")

    def watchdog(self, hops: int, now_s: float) -> bool:
        """Ping, at most once an interval, and only if `hops` has grown since the last ping. Returns whether it did."""
        if not self.watchdog_interval_s or now_s < self._next_ping_s or hops == self._hops_at_last_ping:
            return False
        self._next_ping_s = now_s + self.watchdog_interval_s
        self._hops_at_last_ping = hops
        return self.send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog_interval_s(env: dict[str, str]) -> float:
    try:
        usec = int(env.get("WATCHDOG_USEC", "0"))
        addressee = int(env.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return 0.0
    return usec / 2e6 if usec > 0 and addressee == os.getpid() else 0.0
