"""Telemetry and commands over MQTT, from the side: nothing that a broker does can delay audio or take memory."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTErrorCode, MQTTMessage, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

import edge
from edge.config.schema import TelemetryConfig
from edge.telemetry import connection, home_assistant
from edge.telemetry.commands import CommandHandler
from edge.telemetry.control import Controller
from edge.telemetry.events import Event
from edge.telemetry.outbox import Message, Outbox
from edge.telemetry.payload import encode, event_payload, status_payload, telemetry_payload
from edge.telemetry.snapshot import Snapshot
from edge.telemetry.topics import Topics

REPEAT_WARNING_S = 3600.0
SHORT_CONNECTION_S, SHORT_CONNECTIONS = 5.0, 3
FLUSH_S = 1.0
STOP_S = 0.3


class MqttTelemetry:
    """One device on one broker.

    publish(), event() and close() may be called from any side thread and never wait for the network (close() does, for
    less than 2 s). The network library gets one message at a time: the next one only when the last one is out (QoS 0:
    with the kernel; QoS 1: acknowledged). Everything else waits in the bounded Outbox.

    `warn` gets one sentence per trouble, the same one at most once an hour, never a secret.
    Raises TelemetryError from the constructor if a local file that the configuration names cannot be used.
    """

    def __init__(
        self, config: TelemetryConfig, controller: Controller, warn: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self._config = config
        self._mqtt = config.mqtt
        self.topics = Topics.of(config)
        self.outbox = Outbox()
        self.connected = False
        self._commands = CommandHandler(controller)
        self._warn_user = warn
        self._warned_at_s: dict[str, float] = {}
        self._answered = False
        self._connected_at_s = 0.0
        self._short_connections = 0
        self._closing = False
        self._pump_lock = threading.Lock()
        self._pump_wanted = False
        self._in_flight: MQTTMessageInfo | None = None
        self._last_done_mid = -1

        self._client = client = connection.make_client(config, f"edge-{self.topics.device}")
        will = self._status("offline", "connection lost", timed=False)
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def open(self) -> None:
        """Start connecting, in a thread of the network library; the first attempt is retried like any other."""
        self._client.connect_async(
            self._mqtt.host,
            self._mqtt.port,
            connection.KEEPALIVE_S,
            properties=connection.connect_properties(self._mqtt),
            # commands sent while we were away must not be waiting for us
            clean_start=True if self._mqtt.protocol == "5" else MQTT_CLEAN_START_FIRST_ONLY,
        )
        self._client.loop_start()
        unencrypted = connection.unencrypted_sentence(self._mqtt)
        if unencrypted:
            self._warn(unencrypted)

    def publish(self, snapshot: Snapshot) -> None:
        if not self._closing:
            self.outbox.put_snapshot(snapshot)
            self._pump()

    def event(self, event: Event) -> None:
        if not self._closing:
            payload = encode(event_payload(event, self.topics.device))
            self.outbox.put(Message(self.topics.event, payload, qos=1))
            self._pump()

    def close(self) -> None:
        """Send waiting events and the offline status, disconnect, stop the thread. Takes less than 2 s."""
        if self._closing:
            return
        self._closing = True
        self.outbox.drop_snapshots()
        self.outbox.put(self._status("offline", "stopped"))
        deadline_s = time.monotonic() + FLUSH_S
        self._pump()
        while self.connected and time.monotonic() < deadline_s and (len(self.outbox) or self._busy()):
            time.sleep(0.005)
        open_socket = self._client.socket()
        self._client.disconnect()
        # paho's own loop_stop() joins without a bound, and its thread may be inside a connection attempt.
        stopper = threading.Thread(target=self._stop_network, name="edge-mqtt-stop", daemon=True)
        stopper.start()
        stopper.join(STOP_S)
        if stopper.is_alive() and open_socket is not None:
            # A stalled broker keeps the goodbye from leaving. Without one the broker publishes the last will.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)  # type: ignore[arg-type]
            stopper.join(STOP_S)

    def _stop_network(self) -> None:
        with contextlib.suppress(AttributeError):  # paho forgets its thread when that ends at the same moment
            self._client.loop_stop()

    # sending: at most one thread at a time, none ever waits for another

    def _pump(self) -> None:
        """Hand over what may go now.

        The lock is only tried: the network thread gets here from its callbacks with locks of paho held, and would
        deadlock with a thread of ours inside publish(). Whoever holds the lock looks again for those it turned away.
        """
        self._pump_wanted = True
        while self._pump_wanted and self._pump_lock.acquire(blocking=False):
            try:
                self._pump_wanted = False
                self._hand_over()
            finally:
                self._pump_lock.release()

    def _hand_over(self) -> None:
        while self.connected and not self._busy():
            entry = self.outbox.take()
            if entry is None:
                return
            message = self._telemetry(entry) if isinstance(entry, Snapshot) else entry
            try:
                info = self._client.publish(
                    message.topic, message.payload, message.qos, message.retain, message.properties
                )
            except ValueError:  # a response topic that MQTT does not allow
                continue
            if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                self.outbox.put_back(entry)
                return
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                # The connection went just now. QoS 1 messages are kept by paho and sent again, others are lost.
                if message.qos == 0:
                    self.outbox.count_lost_snapshot()
                return
            self._in_flight = info

    def _busy(self) -> bool:
        info = self._in_flight
        if info is None or info.mid == self._last_done_mid:
            return False
        try:
            return not info.is_published()
        except (ValueError, RuntimeError):  # lost with its connection
            return False

    def _telemetry(self, snapshot: Snapshot) -> Message:
        payload = telemetry_payload(snapshot, self.topics.device, self.outbox.dropped)
        return Message(self.topics.telemetry, encode(payload))

    def _status(self, state: str, reason: str, *, timed: bool = True) -> Message:
        payload = status_payload(state, reason, self.topics.device, edge.__version__, timed=timed)
        return Message(self.topics.status, encode(payload), qos=1, retain=True)

    # callbacks of paho, all in its thread

    def _on_pre_connect(self, client: Client, userdata: Any) -> None:
        self._answered = False

    def _on_connect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            self._warn(connection.refused_sentence(self._mqtt, reason))
            return
        first = [self._status("online", "connected")]
        if self._mqtt.home_assistant:
            first += home_assistant.discovery_messages(self.topics, self._config)
        self.outbox.restart(first)
        self._in_flight = None
        self._connected_at_s = time.monotonic()
        self.connected = True
        if self._mqtt.commands:
            # an MQTT 5 broker leaves the retain flag on a retained command that comes while we are connected as well
            if self._mqtt.protocol == "5":
                client.subscribe(self.topics.commands, options=SubscribeOptions(qos=1, retainAsPublished=True))
            else:
                client.subscribe(self.topics.commands, qos=1)
        self._pump()

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        # paho calls this from its except clause and does not hand the reason over.
        self._warn(connection.unreachable_sentence(self._mqtt, sys.exc_info()[1]))

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        was_connected, self.connected = self.connected, False
        if self._closing:
            return
        oversized, self._client.oversized = self._client.oversized, False
        if not self._answered:
            self._warn(connection.silent_sentence(self._mqtt))
        elif oversized:
            self._warn(connection.oversized_sentence(self._mqtt, self.topics.commands))
        elif reason.getName() == "Keep alive timeout":
            self._warn(connection.stalled_sentence(self._mqtt))
        elif was_connected:
            # Two devices of one name throw each other out for ever; an MQTT 3.1.1 broker gives no reason for it.
            short = time.monotonic() - self._connected_at_s < SHORT_CONNECTION_S
            self._short_connections = self._short_connections + 1 if short else 0
            if self._short_connections >= SHORT_CONNECTIONS or reason.getName() == "Session taken over":
                self._warn(connection.thrown_out_sentence(self._mqtt, self.topics.device))

    def _on_subscribe(self, client: Client, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._warn(connection.denied_sentence(self._mqtt, "subscribe to", self.topics.commands))

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._warn(connection.denied_sentence(self._mqtt, "publish below", self.topics.status.rpartition("/")[0]))
        self._last_done_mid = mid
        self._pump()

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            name = message.topic.rpartition("/")[2]
        except UnicodeDecodeError:
            return
        if message.retain and message.payload:
            # It would be carried out again at every connection, a restart at night among them.
            self._warn(f"a retained command on {message.topic} is ignored; publish commands without the retain flag")
        topic, properties = self._reply_route(name, message)
        reply = self._commands.handle(name, message.payload, message.retain)
        self.outbox.put(Message(topic, encode(reply), qos=1, properties=properties))
        self._pump()

    def _reply_route(self, name: str, message: MQTTMessage) -> tuple[str, Properties | None]:
        """Topic and properties of the reply: those that the sender asked for (MQTT 5), else <device>/reply/<name>."""
        asked = message.properties
        topic = getattr(asked, "ResponseTopic", "")
        correlation = getattr(asked, "CorrelationData", None)
        properties = None
        if correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
        return (topic if self.topics.allows_response_on(topic) else self.topics.reply(name)), properties

    def _warn(self, sentence: str) -> None:
        now_s = time.monotonic()
        if now_s - self._warned_at_s.get(sentence, -REPEAT_WARNING_S) < REPEAT_WARNING_S:
            return
        if len(self._warned_at_s) >= 100:  # sentences can carry text from outside
            self._warned_at_s.clear()
        self._warned_at_s[sentence] = now_s
        with contextlib.suppress(Exception):
            self._warn_user(sentence)
