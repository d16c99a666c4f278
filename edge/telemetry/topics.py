"""The MQTT topics of one device."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from edge.config.schema import TelemetryConfig


def topic_name(name: str) -> str:
    """`name` as one level of an MQTT topic: no separator, wildcard, space or control character. Never empty."""
    return re.sub(r"[/+#\s\x00-\x1f\x7f]+", "-", name.strip()).strip("-") or "device"


@dataclass(frozen=True)
class Topics:
    """Every topic is <prefix>/<device>/...; `commands` is the subscription that matches all command topics."""

    prefix: str
    device: str

    @classmethod
    def of(cls, config: TelemetryConfig) -> Topics:
        name = socket.gethostname() if config.device_name == "auto" else config.device_name
        return cls(config.mqtt.topic_prefix, topic_name(name))

    def _topic(self, name: str) -> str:
        return f"{self.prefix}/{self.device}/{name}"

    @property
    def status(self) -> str:
        return self._topic("status")

    @property
    def telemetry(self) -> str:
        return self._topic("telemetry")

    @property
    def event(self) -> str:
        return self._topic("event")

    @property
    def commands(self) -> str:
        return self.command("+")

    def command(self, name: str) -> str:
        return self._topic(f"command/{name}")

    def reply(self, name: str) -> str:
        return self._topic(f"reply/{name}")

    def allows_response_on(self, topic: str) -> bool:
        """May a reply go to this response topic, chosen by whoever sent the command (MQTT 5)?

        Only below our own replies, and not to a wildcard: otherwise someone allowed to command one device could make
        it publish, with its rights on the broker, to anything there: another device, a light, a door.
        """
        if len(topic) > 1024 or set(topic) & set("+#\x00"):
            return False
        return topic.startswith(self.reply("")) and not topic.endswith("/")
