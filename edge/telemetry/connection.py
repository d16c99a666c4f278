"""How the MQTT broker is reached, and what to tell the user when it is not."""

from __future__ import annotations

import os
import socket
import ssl
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTErrorCode, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.errors import TelemetryError
from edge.telemetry.events import Event
from edge.telemetry.payload import encode, event_payload
from edge.telemetry.topics import Topics

KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 5.0
RECONNECT_MIN_S, RECONNECT_MAX_S = 1, 60
MAX_PAHO_QUEUE = 4
MAX_INCOMING_BYTES = 65536
PASSWORD_VARIABLE = "EDGE_MQTT_PASSWORD"


class BoundedClient(Client):
    """A client that hangs up rather than hold a huge message in memory.

    An MQTT 3.1.1 client cannot tell the broker how much it takes, and paho reads a message of any length (up to 256 MB)
    before it hands it over. It asks for the rest of a message at once, so here its length is known before any of it
    has been read.
    """

    oversized = False
    """the connection was given up because of such a message; whoever reads it sets it back"""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MAX_INCOMING_BYTES:
            self.oversized = True
            raise ConnectionError(f"a message of {bufsize} bytes, expected at most {MAX_INCOMING_BYTES}")
        return super()._sock_recv(bufsize)


def make_client(config: TelemetryConfig, client_id: str) -> BoundedClient:
    """A client that has not connected yet: protocol, credentials, TLS and bounds from the configuration.

    Raises TelemetryError if what the configuration names locally (CA file, password file) cannot be used.
    """
    mqtt = config.mqtt
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTv5 if mqtt.protocol == "5" else MQTTv311,
    )
    client.suppress_exceptions = True
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
    client.max_queued_messages_set(MAX_PAHO_QUEUE)
    password = _password(mqtt)
    if mqtt.username:
        client.username_pw_set(mqtt.username, password)
    if mqtt.tls:
        client.tls_set_context(_tls_context(mqtt))
    try:
        mqtt.host.encode("idna")  # paho's thread would die of the same error later
    except UnicodeError:
        raise TelemetryError(
            f'telemetry.mqtt.host = "{mqtt.host}" is not a host name; expected a name or an address'
        ) from None
    return client


def connect_properties(mqtt: MqttConfig) -> Properties | None:
    """MQTT 5: the largest packet that we take, so that a broker cannot fill our memory with one message."""
    if mqtt.protocol != "5":
        return None
    properties = Properties(PacketTypes.CONNECT)
    properties.MaximumPacketSize = MAX_INCOMING_BYTES
    return properties


def _password(mqtt: MqttConfig) -> str | None:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return given
    if not mqtt.password_file:
        return None
    key = f'telemetry.mqtt.password_file = "{mqtt.password_file}"'
    try:
        with Path(mqtt.password_file).open(encoding="utf-8") as file:
            password = file.readline(4096).rstrip("\r\n")
    except OSError as error:
        raise TelemetryError(
            f"{key} cannot be read ({error.strerror}); expected a file whose first line is the password"
        ) from None
    except UnicodeDecodeError:
        raise TelemetryError(f"{key} is not text in UTF-8; expected a file whose first line is the password") from None
    if not password:
        raise TelemetryError(f"{key} has an empty first line; expected the password there")
    return password


def _tls_context(mqtt: MqttConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=mqtt.ca_file or None)
    except OSError as error:  # ssl.SSLError among them
        reason = error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "no certificate in it"
        raise TelemetryError(
            f'telemetry.mqtt.ca_file = "{mqtt.ca_file}" cannot be used ({reason}); '
            "expected the certificate of a certificate authority in PEM"
        ) from None


def broker_name(mqtt: MqttConfig) -> str:
    return f"the MQTT broker at {mqtt.host}:{mqtt.port}"


def refused_sentence(mqtt: MqttConfig, reason: ReasonCode) -> str:
    """The broker answered the connection with a refusal."""
    name = reason.getName()
    head = f"{broker_name(mqtt)} refused the connection ({name.lower()})"
    if name in ("Bad user name or password", "Not authorized", "Banned", "Bad authentication method"):
        who = f'user "{mqtt.username}"' if mqtt.username else "no user name"
        return (
            f"{head} for {who}; check telemetry.mqtt.username and the password "
            f"(first line of password_file, or {PASSWORD_VARIABLE})"
        )
    if name == "Unsupported protocol version":
        other = "3.1.1" if mqtt.protocol == "5" else "5"
        return f'{head}; set telemetry.mqtt.protocol = "{other}"'
    if name == "Client identifier not valid":
        return f"{head}; set telemetry.device_name to a short name of letters and digits"
    return f"{head}; look into the broker's log"


def unreachable_sentence(mqtt: MqttConfig, error: BaseException | None) -> str:
    """No connection came about."""
    name = broker_name(mqtt)
    keys = "telemetry.mqtt.host and port"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {name} was not accepted ({error.verify_message.rstrip('.')}); "
            "set telemetry.mqtt.ca_file to the authority that signed it, and host to the name in it"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no TLS").replace("_", " ").lower()
        return f"{name} does not speak TLS there ({reason}); correct telemetry.mqtt.port (8883 is usual) or tls"
    if isinstance(error, ConnectionRefusedError):
        return f"{name} is not there (nothing listens on that port); start the broker or correct {keys}"
    if isinstance(error, socket.gaierror):
        return (
            f'the name "{mqtt.host}" of the MQTT broker is not known; correct telemetry.mqtt.host or the name service'
        )
    if isinstance(error, TimeoutError):
        return f"{name} did not answer within {CONNECT_TIMEOUT_S:g} s; check the network, or correct {keys}"
    reason = getattr(error, "strerror", None) or "no connection"
    return f"{name} cannot be reached ({reason}); check the network, or correct {keys}"


def silent_sentence(mqtt: MqttConfig) -> str:
    """The connection was closed, or nothing came, before the broker said yes or no."""
    hints = []
    if mqtt.protocol == "5":
        hints.append('telemetry.mqtt.protocol = "3.1.1" if it is an older broker')
    if not mqtt.tls:
        hints.append("tls = true if that is its TLS port")
    hint = f"; set {', or '.join(hints)}" if hints else "; look into the broker's log"
    return f"{broker_name(mqtt)} took the connection but did not answer as an MQTT broker{hint}"


def stalled_sentence(mqtt: MqttConfig) -> str:
    """The broker had accepted the connection and then stopped answering."""
    return f"{broker_name(mqtt)} stopped answering; look into the broker's log and load, or check the network"


def oversized_sentence(mqtt: MqttConfig, commands: str) -> str:
    """Somebody publishes what is no command."""
    return (
        f"{broker_name(mqtt)} sent a message of more than {MAX_INCOMING_BYTES} bytes, so the connection was closed and "
        f"is made again; find out who publishes that on {commands}"
    )


def thrown_out_sentence(mqtt: MqttConfig, device: str) -> str:
    """The broker accepts and soon closes the connection, again and again."""
    return (
        f"{broker_name(mqtt)} closes the connection soon after accepting it, as it does when another client has the "
        f'same name; give every device its own telemetry.device_name (this one is "{device}")'
    )


def unencrypted_sentence(mqtt: MqttConfig) -> str | None:
    """A warning if the password would cross a network in the clear."""
    if not mqtt.username or mqtt.tls or mqtt.host in ("localhost", "::1") or mqtt.host.startswith("127."):
        return None
    return f"user name and password go to {broker_name(mqtt)} unencrypted; set telemetry.mqtt.tls = true"


def denied_sentence(mqtt: MqttConfig, action: str, topic: str) -> str:
    who = f'user "{mqtt.username}"' if mqtt.username else "clients without a user name"
    return f"{broker_name(mqtt)} does not allow {who} to {action} {topic}; extend the broker's access list"


def probe_broker(config: TelemetryConfig, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Connect once, try the rights that the broker tells about, and leave. For `edge doctor`.

    Tried are the subscription to commands and, with MQTT 5 (an MQTT 3.1.1 broker does not tell), publishing one
    event of kind "probe". Takes at most about three times `timeout_s`. Raises TelemetryError with one sentence on
    anything that would keep telemetry from working.
    """
    mqtt, topics = config.mqtt, Topics.of(config)
    client = make_client(config, f"edge-{topics.device}-probe")
    answers: dict[str, ReasonCode] = {}
    client.on_connect = lambda c, userdata, flags, reason, properties: answers.update(connect=reason)
    client.on_subscribe = lambda c, userdata, mid, reasons, properties: answers.update(subscribe=reasons[0])
    client.on_publish = lambda c, userdata, mid, reason, properties: answers.update(publish=reason)

    def answer_to(request: str) -> ReasonCode:
        deadline_s = time.monotonic() + timeout_s
        while request not in answers and time.monotonic() < deadline_s:
            if client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        if request not in answers:
            raise TelemetryError(silent_sentence(mqtt))
        return answers[request]

    try:
        client.connect(mqtt.host, mqtt.port, KEEPALIVE_S, properties=connect_properties(mqtt))
        reason = answer_to("connect")
        if reason.is_failure:
            raise TelemetryError(refused_sentence(mqtt, reason))
        if mqtt.commands:
            client.subscribe(topics.commands, qos=1)
            if answer_to("subscribe").is_failure:
                raise TelemetryError(denied_sentence(mqtt, "subscribe to", topics.commands))
        if mqtt.protocol == "5":
            event = event_payload(Event("probe", "edge doctor tried the connection"), topics.device)
            client.publish(topics.event, encode(event), qos=1)
            if answer_to("publish").is_failure:
                raise TelemetryError(denied_sentence(mqtt, "publish on", topics.event))
    except OSError as error:
        raise TelemetryError(unreachable_sentence(mqtt, error)) from None
    finally:
        client.disconnect()
        client.loop(0.1)
