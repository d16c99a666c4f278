"""A small MQTT broker for the demo, in a process of its own and on the loopback interface only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import IO

from edge.errors import TelemetryError

HOST = "127.0.0.1"
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 3.0


class EmbeddedBroker:
    """Context manager: an MQTT 3.1.1 broker on 127.0.0.1 for as long as the block runs.

    `port` 0 takes a free one. If something already listens on the given port, that is used and `embedded` is False.
    The broker ends with the block, and also when this process is killed. Raises TelemetryError if the package amqtt is
    missing or the broker does not start.
    """

    def __init__(self, port: int = 0) -> None:
        self.host = HOST
        self.port = port
        self.embedded = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedBroker:
        if self.port and _accepts(self.port):
            return self
        if importlib.util.find_spec("amqtt") is None:
            raise TelemetryError(
                "the demo's MQTT broker needs the package amqtt, which is not installed; "
                "run: pip install 'mic-edge[demo]', or start a broker such as mosquitto yourself"
            )
        self.port = self.port or _free_port()
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.demo.broker", str(self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the demo, which still has its offline status to publish
            )
            try:
                self._wait_until_it_accepts(errors)
            except BaseException:
                self._stop()
                raise
        self.embedded = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_it_accepts(self, errors: IO[bytes]) -> None:
        assert self._process is not None
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
                raise TelemetryError(
                    f"the demo's MQTT broker did not start on {HOST}:{self.port} ({lines[-1]}); "
                    "run the demo on another port or without telemetry"
                )
            if _accepts(self.port):
                return
            time.sleep(0.05)
        raise TelemetryError(f"the demo's MQTT broker did not accept connections within {START_TIMEOUT_S:g} s")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=0.5):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(port: int) -> None:
    """The broker process: runs until standard input closes, which it does however the parent ends."""
    import asyncio
    import logging

    from amqtt.broker import Broker

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.disable(logging.ERROR)
    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }

    async def run() -> None:
        broker = Broker(settings)
        await broker.start()
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
