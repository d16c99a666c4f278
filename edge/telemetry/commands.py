"""Commands from MQTT messages: checked here, carried out by the Controller, answered with one JSON object."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from edge.errors import EdgeError
from edge.telemetry.control import Controller
from edge.telemetry.payload import json_ready

MAX_PAYLOAD_BYTES = 4096
MAX_PER_SECOND = 50
MAX_ID_CHARACTERS = 256
_EXAMPLES = {
    "look": '{"azimuth_deg": 30}',
    "gain_floor": '{"gain_floor_db": -20}',
    "bypass": '{"enabled": true}',
    "echo": '{"enabled": true}',
    "mask": '{"kind": "wiener"}',
    "model": '{"model": "mono-assistant"}',
    "beamformer": '{"kind": "mvdr"}',
}
"""the other commands have no arguments"""


class CommandHandler:
    """Turns the payload of a command topic into the payload of its reply. Never raises."""

    def __init__(self, controller: Controller, clock: Callable[[], float] = time.monotonic) -> None:
        self._controller = controller
        self._clock = clock
        self._recent_s: deque[float] = deque(maxlen=MAX_PER_SECOND)

    def handle(self, name: str, payload: bytes | bytearray, retained: bool = False) -> dict[str, Any]:
        """Carry out command `name`. The reply is as schema/reply.schema.json describes it: `result` or `error`.

        A `retained` command is refused: the broker would deliver it again at every connection.
        """
        reply: dict[str, Any] = {"ok": False, "command": name, "id": None, "time_unix_s": round(time.time(), 3)}
        try:
            self._limit_rate()
            arguments = parse_arguments(payload, _EXAMPLES.get(name, "{}"))
            if retained:
                raise EdgeError("the command is retained and was ignored; publish commands without the retain flag")
            identity = arguments.pop("id", None)
            reply["id"] = _checked_id(identity)
            reply["result"] = json_ready(self._controller.command(name, arguments))
            reply["ok"] = True
        except EdgeError as error:
            reply["error"] = str(error)
        except Exception as error:  # a fault of ours must not take the network thread down, nor go unseen
            reply["error"] = f"command '{name}' failed inside the daemon ({type(error).__name__}: {error})"
        return reply

    def _limit_rate(self) -> None:
        now_s = self._clock()
        if len(self._recent_s) == MAX_PER_SECOND and now_s - self._recent_s[0] < 1.0:
            raise EdgeError(
                f"more than {MAX_PER_SECOND} commands within a second, expected fewer; this one was ignored"
            )
        self._recent_s.append(now_s)


def parse_arguments(payload: bytes | bytearray, example: str = "{}") -> dict[str, Any]:
    """A JSON object from the payload. Raises EdgeError with one sentence, and `example` in it.

    An empty payload is no command, not even one without arguments: it is how a retained message is cleared, and a
    broker passes that on to whoever is connected.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EdgeError(f"the command has {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
    if not payload.strip():
        raise EdgeError("the command is empty, expected a JSON object; send {} for a command without arguments")
    try:
        arguments = json.loads(payload.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise EdgeError(f"the command is not valid JSON ({error}); expected an object such as {example}") from None
    if not isinstance(arguments, dict):
        kind = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(arguments), "a number")
        raise EdgeError(f"the command is {kind}, expected a JSON object such as {example}")
    return arguments


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _checked_id(identity: Any) -> str | int | float | None:
    if identity is None or (isinstance(identity, (str, int, float)) and not isinstance(identity, bool)):
        if isinstance(identity, str) and len(identity) > MAX_ID_CHARACTERS:
            raise EdgeError(f"id has {len(identity)} characters, expected at most {MAX_ID_CHARACTERS}")
        return identity
    raise EdgeError("id is carried back in the reply and must be a string or a number")
