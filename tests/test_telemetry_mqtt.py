"""The MQTT transport without a broker, and against servers that stall or talk nonsense."""

import socket
import threading
import time
import tracemalloc

import pytest
from telemetry_samples import RecordingController, make_snapshot, wait_until

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.errors import TelemetryError
from edge.telemetry import connection
from edge.telemetry.connection import make_client, probe_broker, unencrypted_sentence, unreachable_sentence
from edge.telemetry.events import Event
from edge.telemetry.mqtt import MqttTelemetry
from edge.telemetry.outbox import Message, Outbox

CLOSE_BOUND_S = 4.0
"""close() promises 2 s on an idle machine; without its bound it would take 20 s or for ever"""

SECRET = "correct horse battery staple"


def config_for(port, **changes):
    return TelemetryConfig(device_name="test", mqtt=MqttConfig(enabled=True, port=port, **changes))


class Server:
    """A TCP server on loopback: sends `greeting` to whoever connects and then never reads, or closes."""

    def __init__(self, greeting=b"", close=False):
        self.greeting = greeting
        self.close_at_once = close
        self.connections = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(client)
            if self.close_at_once:
                client.close()
            elif self.greeting:
                client.sendall(self.greeting)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for client in self.connections:
            client.close()
        self._thread.join(5)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


CONNACK_ACCEPTED = bytes([0x20, 2, 0, 0])
CONNACK_BAD_PASSWORD = bytes([0x20, 2, 0, 4])


# the outbox


def test_outbox_keeps_newest_snapshots_and_last_events():
    outbox = Outbox(max_events=3, max_snapshots=2)
    for number in range(10):
        outbox.put_snapshot(make_snapshot(sequence=number))
        outbox.put(Message("event", b"%d" % number, qos=1))
    assert len(outbox) == 5
    assert (outbox.dropped_snapshots, outbox.dropped_events, outbox.dropped) == (8, 7, 15)
    assert [outbox.take().payload for _ in range(3)] == [b"7", b"8", b"9"]
    assert [outbox.take().sequence for _ in range(2)] == [8, 9]
    assert outbox.take() is None


def test_outbox_after_a_reconnect_begins_with_status_and_keeps_one_snapshot():
    outbox = Outbox()
    for number in range(5):
        outbox.put_snapshot(make_snapshot(sequence=number))
    outbox.put(Message("event", b"e"))
    outbox.restart([Message("status", b"old")])
    outbox.restart([Message("status", b"s")])
    assert [outbox.take().payload for _ in range(2)] == [b"s", b"e"]
    assert outbox.take().sequence == 4
    assert outbox.dropped == 4


def test_outbox_takes_back_without_growing():
    outbox = Outbox(max_events=2)
    outbox.put(Message("event", b"1"))
    first = outbox.take()
    outbox.put(Message("event", b"2"))
    outbox.put_back(first)
    assert outbox.take() is first
    outbox.put(Message("event", b"3"))
    outbox.put_back(first)
    assert len(outbox) == 2
    assert outbox.dropped_events == 1


# local faults in the configuration


def test_password_file_first_line_is_used_and_the_variable_goes_before(tmp_path, monkeypatch):
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\nsecond line\n")
    config = config_for(1883, username="u", password_file=str(path))
    monkeypatch.delenv("EDGE_MQTT_PASSWORD", raising=False)
    assert make_client(config, "id").password == SECRET
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", "from the environment")
    assert make_client(config, "id").password == "from the environment"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read (No such file or directory)"), (b"\nx", "empty first line"), (b"\xff\xfe", "not text")],
)
def test_unusable_password_file_is_one_sentence(tmp_path, monkeypatch, content, said):
    monkeypatch.delenv("EDGE_MQTT_PASSWORD", raising=False)
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TelemetryError, match=r"telemetry\.mqtt\.password_file") as caught:
        MqttTelemetry(config_for(1883, username="u", password_file=str(path)), RecordingController())
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unusable_ca_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TelemetryError, match=r"telemetry\.mqtt\.ca_file = .*expected the certificate"):
        MqttTelemetry(config_for(8883, tls=True, ca_file=str(path)), RecordingController())


def test_impossible_host_name_is_one_sentence():
    with pytest.raises(TelemetryError, match="is not a host name"):
        MqttTelemetry(
            TelemetryConfig(mqtt=MqttConfig(enabled=True, host="broker..lan")),
            RecordingController(),
        )


@pytest.mark.parametrize(
    ("mqtt", "warned"),
    [
        (MqttConfig(host="broker.lan", username="u"), True),
        (MqttConfig(host="broker.lan", username="u", tls=True), False),
        (MqttConfig(host="broker.lan"), False),
        (MqttConfig(host="127.0.0.1", username="u"), False),
    ],
)
def test_unencrypted_password_across_a_network_is_warned_about(mqtt, warned):
    assert (unencrypted_sentence(mqtt) is not None) is warned


# servers that are no brokers


def test_probe_names_a_missing_broker():
    with pytest.raises(TelemetryError, match=r"at 127\.0\.0\.1:\d+ is not there .*start the broker") as caught:
        probe_broker(config_for(closed_port()))
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "correct telemetry.mqtt.host or the name service"),
        (TimeoutError("timed out"), "did not answer within 5 s"),
        (OSError(113, "No route to host"), "cannot be reached (No route to host)"),
        (None, "cannot be reached (no connection)"),
    ],
)
def test_reasons_for_no_connection_are_told_apart(error, said):
    sentence = unreachable_sentence(MqttConfig(host="broker.lan"), error)
    assert said in sentence
    assert "broker.lan" in sentence


def test_probe_of_a_silent_server_ends():
    with Server() as server, pytest.raises(TelemetryError, match="did not answer as an MQTT broker; set tls = true"):
        probe_broker(config_for(server.port), timeout_s=0.3)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_probe_of_a_server_that_hangs_up(protocol):
    with Server(close=True) as server, pytest.raises(TelemetryError, match=r"127\.0\.0\.1"):
        probe_broker(config_for(server.port, protocol=protocol), timeout_s=2)


def test_probe_of_a_server_without_tls():
    with Server(greeting=b"220 mail ready\r\n") as server, pytest.raises(TelemetryError, match="does not speak TLS"):
        probe_broker(config_for(server.port, tls=True))


def test_probe_of_something_else_than_mqtt():
    with Server(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server, pytest.raises(TelemetryError):
        probe_broker(config_for(server.port), timeout_s=1)


def test_refusal_is_told_once_and_without_the_password(monkeypatch):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", SECRET)
    warnings = []
    with Server(greeting=CONNACK_BAD_PASSWORD) as server:
        config = config_for(server.port, username="mic")
        with pytest.raises(TelemetryError) as caught:
            probe_broker(config)
        telemetry = MqttTelemetry(config, RecordingController(), warnings.append)
        telemetry.open()
        wait_until(lambda: len(server.connections) >= 4, 15, "two attempts to connect")
        telemetry.close()
    assert warnings == [str(caught.value)]
    assert 'refused the connection (bad user name or password) for user "mic"' in warnings[0]
    assert SECRET not in warnings[0] + repr(telemetry) + repr(config)


CONNACK_AND_PUBACK = CONNACK_ACCEPTED + bytes([0x40, 2, 0, 1])
"""also acknowledges the status, which is message 1 when commands are off: telemetry flows until the socket is full"""


@pytest.mark.parametrize(
    ("greeting", "with_events"),
    [(b"", True), (CONNACK_ACCEPTED, True), (CONNACK_AND_PUBACK, False)],
    ids=["silent", "stalled after accepting", "stalled in the middle"],
)
def test_a_broker_that_never_reads_costs_no_memory_and_no_time(greeting, with_events):
    warnings = []
    with Server(greeting=greeting) as server:
        telemetry = MqttTelemetry(config_for(server.port, commands=False), RecordingController(), warnings.append)
        telemetry.open()
        wait_until(lambda: server.connections, what="the connection")
        if greeting:
            wait_until(lambda: telemetry.connected, what="the broker's yes")
        if not with_events:
            wait_until(lambda: not telemetry._busy(), what="the broker's acknowledgement")
        snapshot = make_snapshot(versions={"filler": "x" * 20_000})
        event = Event("warning", "x" * 2000)

        def storm(count):
            longest_s = 0.0
            for _ in range(count):
                before_s = time.monotonic()
                telemetry.publish(snapshot)
                if with_events:
                    telemetry.event(event)
                longest_s = max(longest_s, time.monotonic() - before_s)
            return longest_s

        def stuck():
            """Fill whatever the kernel buffers, until nothing goes out any more."""
            dropped = telemetry.outbox.dropped
            storm(100)
            if telemetry.outbox.dropped - dropped < 90:
                return False
            time.sleep(0.1)
            return telemetry._busy() or not greeting

        wait_until(stuck, 30, "the connection to be full")
        tracemalloc.start()
        storm(500)
        before, _ = tracemalloc.get_traced_memory()
        dropped = telemetry.outbox.dropped
        longest_s = storm(3000)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert after - before < 100_000  # 3000 snapshots are 60 MB
        assert longest_s < 5.0  # waiting for this server would take the 20 s of the keepalive
        assert len(telemetry.outbox) <= 64 + 8 + 1
        assert telemetry.outbox.dropped - dropped >= 2900
        assert len(telemetry._client._out_packet) <= 4
        assert len(telemetry._client._out_messages) <= 4
        before_s = time.monotonic()
        telemetry.close()
        assert time.monotonic() - before_s < CLOSE_BOUND_S
    wait_until(lambda: not any(t.name.startswith("paho") for t in threading.enumerate()), what="the end of the thread")


class Flooding(Server):
    """Accepts, then sends one command of 64 MiB to whoever connects; `sent` has the bytes it got rid of each time."""

    MESSAGE_BYTES = 64 * 2**20

    def __init__(self):
        super().__init__()
        self.sent = []

    def _run(self):
        topic = b"edge/test/command/look"
        length = bytes([0x80, 0x80, 0x80, 0x20])  # 0x20 << 21
        chunk = bytes(65536)
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(client)
            self.sent.append(0)
            try:
                client.sendall(CONNACK_ACCEPTED + bytes([0x30]) + length + bytes([0, len(topic)]) + topic)
                while self.sent[-1] < self.MESSAGE_BYTES:
                    client.sendall(chunk)
                    self.sent[-1] += len(chunk)
            except OSError:
                client.close()


def test_a_huge_message_is_not_read_and_told_once():
    warnings = []
    controller = RecordingController()
    with Flooding() as server:
        telemetry = MqttTelemetry(config_for(server.port), controller, warnings.append)
        tracemalloc.start()
        telemetry.open()
        wait_until(lambda: len(server.sent) >= 3, 20, "three connections")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        telemetry.close()
    assert most < 2**20
    assert max(server.sent) < server.MESSAGE_BYTES / 2  # what the buffers of two sockets hold
    assert controller.commands == []
    assert warnings == [
        f"the MQTT broker at 127.0.0.1:{server.port} sent a message of more than 65536 bytes, so the connection was "
        "closed and is made again; find out who publishes that on edge/test/command/+"
    ]


def test_a_stalled_broker_is_left_and_told(monkeypatch):
    monkeypatch.setattr(connection, "KEEPALIVE_S", 1)
    warnings = []
    with Server(greeting=CONNACK_ACCEPTED) as server:
        telemetry = MqttTelemetry(config_for(server.port), RecordingController(), warnings.append)
        telemetry.open()
        wait_until(lambda: len(server.connections) >= 2, 20, "another connection")
        telemetry.close()
    assert warnings[0] == (
        f"the MQTT broker at 127.0.0.1:{server.port} stopped answering; look into the broker's log and load, "
        "or check the network"
    )


def test_close_is_bounded_while_nothing_listens():
    warnings = []
    telemetry = MqttTelemetry(config_for(closed_port()), RecordingController(), warnings.append)
    telemetry.open()
    wait_until(lambda: warnings, what="the warning")
    assert "is not there (nothing listens on that port)" in warnings[0]
    before_s = time.monotonic()
    telemetry.close()
    telemetry.close()
    assert time.monotonic() - before_s < CLOSE_BOUND_S
    telemetry.publish(make_snapshot())
    assert len(telemetry.outbox) == 1  # the offline status that nobody took, nothing after the end


def test_thrown_out_again_and_again_names_the_device_name():
    class Impatient(Server):
        def _run(self):
            while True:
                try:
                    client, _ = self._socket.accept()
                except OSError:
                    return
                client.sendall(CONNACK_ACCEPTED)
                client.recv(4096)
                client.close()

    warnings = []
    with Impatient() as server:
        telemetry = MqttTelemetry(config_for(server.port), RecordingController(), warnings.append)
        telemetry.open()
        wait_until(lambda: warnings, 15, "the warning")
        telemetry.close()
    assert "another client has the same name" in warnings[0]
    assert 'telemetry.device_name (this one is "test")' in warnings[0]
