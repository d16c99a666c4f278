"""Telemetry against real brokers on the loopback interface: mosquitto, and the demo's own."""

import contextlib
import getpass
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import jsonschema
import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from telemetry_samples import RecordingController, make_snapshot, wait_until

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.demo.broker import EmbeddedBroker
from edge.errors import TelemetryError
from edge.telemetry import connection
from edge.telemetry.connection import probe_broker
from edge.telemetry.events import Event
from edge.telemetry.mqtt import MqttTelemetry
from edge.telemetry.payload import load_schema
from edge.telemetry.publisher import TelemetryThread

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin:/usr/local/sbin")
PASSWORD = "swordfish-7"

pytestmark = pytest.mark.integration
both_protocols = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mosquitto:
    """One broker with its own configuration, started and stopped at will on a fixed port."""

    def __init__(self, folder, *lines, start=True):
        self.port = free_port()
        self.folder = folder
        config = [f"listener {self.port} 127.0.0.1", "persistence false", f"user {getpass.getuser()}", *lines]
        if not any(line.startswith("allow_anonymous") for line in lines):
            config.append("allow_anonymous true")
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(config) + "\n")
        self._process = None
        if start:
            self.start()

    def start(self):
        with open(self.folder / "mosquitto.log", "ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        wait_until(self._accepts, what="mosquitto: " + (self.folder / "mosquitto.log").read_text()[-500:])

    def _accepts(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self):
        self._process.kill()
        self._process.wait(10)

    def config(self, **changes):
        return TelemetryConfig(device_name="test", mqtt=MqttConfig(enabled=True, port=self.port, **changes))


class Observer:
    """A subscriber to everything that keeps (topic, decoded JSON, retained, properties)."""

    def __init__(self, port, protocol="3.1.1", topic="#", username=None, password=None):
        self.messages = []
        ready = []
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if protocol == "5" else MQTTv311)
        if username:
            self.client.username_pw_set(username, password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: ready.append(True)
        self.client.on_message = self._keep
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(lambda: ready, what="the subscription")

    def _keep(self, client, userdata, message):
        with contextlib.suppress(ValueError):
            payload = json.loads(message.payload)
            self.messages.append((message.topic, payload, message.retain, message.properties))

    def on(self, topic):
        return [payload for got, payload, _, _ in self.messages if got == topic]

    def retained(self, topic):
        return [payload for got, payload, retained, _ in self.messages if got == topic and retained]

    def wait_for(self, topic, condition=lambda payload: True, timeout_s=10.0):
        wait_until(lambda: any(condition(p) for p in self.on(topic)), timeout_s, f"a message on {topic}")
        return [p for p in self.on(topic) if condition(p)][-1]

    def send(self, topic, payload, **options):
        self.client.publish(topic, payload, qos=1, **options).wait_for_publish(5)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(autouse=True)
def _quick_and_clean(monkeypatch):
    monkeypatch.setattr(connection, "RECONNECT_MAX_S", 1)
    monkeypatch.delenv("EDGE_MQTT_PASSWORD", raising=False)


@pytest.fixture
def run(tmp_path):
    """Makes brokers, observers and transports that end with the test."""
    with contextlib.ExitStack() as stack:

        class Maker:
            def broker(self, *lines, start=True):
                if MOSQUITTO is None:
                    pytest.skip("mosquitto is not installed (apt install mosquitto)")
                broker = Mosquitto(tmp_path, *lines, start=start)
                stack.callback(lambda: broker._process and broker.kill())
                return broker

            def observer(self, *args, **options):
                observer = Observer(*args, **options)
                stack.callback(observer.close)
                return observer

            def telemetry(self, config, wait=True):
                controller, warnings = RecordingController(), []
                telemetry = MqttTelemetry(config, controller, warnings.append)
                telemetry.controller, telemetry.warnings = controller, warnings
                stack.callback(telemetry.close)
                telemetry.open()
                if wait:
                    wait_until(lambda: telemetry.connected, what=f"the connection; warnings: {warnings}")
                return telemetry

        yield Maker()


def online(payload):
    return payload["state"] == "online"


def validate(payload, name):
    jsonschema.Draft202012Validator(load_schema(name)).validate(payload)


@both_protocols
def test_status_telemetry_events_commands_and_the_end(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    telemetry = run.telemetry(broker.config(protocol=protocol))
    validate(observer.wait_for("edge/test/status", online), "status")

    telemetry.publish(make_snapshot(sequence=41))
    telemetry.publish(make_snapshot(sequence=42))
    payload = observer.wait_for("edge/test/telemetry", lambda p: p["sequence"] == 42)
    validate(payload, "telemetry")
    assert payload["device"] == "test"
    assert payload["dropped_messages"] == 0

    telemetry.event(Event("reload", "configuration read again", {"changed": ["mask"]}))
    event = observer.wait_for("edge/test/event")
    validate(event, "event")
    assert event["details"] == {"changed": ["mask"]}

    observer.send("edge/test/command/look", b'{"azimuth_deg": -45, "id": "q1"}')
    reply = observer.wait_for("edge/test/reply/look")
    validate(reply, "reply")
    assert (reply["ok"], reply["id"], reply["result"]["azimuth_deg"]) == (True, "q1", -45)
    assert telemetry.controller.commands == [("look", {"azimuth_deg": -45})]

    telemetry.event(Event("warning", "the last words"))
    telemetry.close()
    offline = observer.wait_for("edge/test/status", lambda p: p["state"] == "offline")
    validate(offline, "status")
    assert offline["reason"] == "stopped"
    assert observer.on("edge/test/event")[-1]["message"] == "the last words"
    assert telemetry.warnings == []

    late = run.observer(broker.port, protocol)
    wait_until(lambda: late.retained("edge/test/status"), what="the retained status")
    assert late.retained("edge/test/status") == [offline]


@both_protocols
@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("look", b"{", "not valid JSON"),
        ("look", b'{"azimuth_deg": 1000}', "azimuth_deg: got 1000, expected a number from -360 to 360"),
        ("dance", b"{}", "unknown command 'dance'"),
    ],
)
def test_wrong_commands_are_answered(run, protocol, name, payload, said):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    run.telemetry(broker.config(protocol=protocol))
    observer.wait_for("edge/test/status", online)
    observer.send(f"edge/test/command/{name}", payload)
    reply = observer.wait_for(f"edge/test/reply/{name}")
    validate(reply, "reply")
    assert reply["ok"] is False
    assert said in reply["error"]


def test_mqtt_5_reply_goes_where_the_sender_asked_with_its_correlation_data(run):
    broker = run.broker()
    observer = run.observer(broker.port, "5")
    run.telemetry(broker.config(protocol="5"))
    observer.wait_for("edge/test/status", online)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "panel/answers"
    properties.CorrelationData = b"\x00\x17"
    observer.send("edge/test/command/look", b'{"azimuth_deg": 5}', properties=properties)
    reply = observer.wait_for("panel/answers")
    validate(reply, "reply")
    (correlation,) = [got.CorrelationData for topic, _, _, got in observer.messages if topic == "panel/answers"]
    assert correlation == b"\x00\x17"
    assert observer.on("edge/test/reply/look") == []


def test_mqtt_5_response_topic_cannot_command_another_device(run):
    broker = run.broker()
    observer = run.observer(broker.port, "5")
    run.telemetry(broker.config(protocol="5"))
    observer.wait_for("edge/test/status", online)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "edge/other/command/reset"
    observer.send("edge/test/command/look", b'{"azimuth_deg": 5}', properties=properties)
    observer.wait_for("edge/test/reply/look")
    assert observer.on("edge/other/command/reset") == []


@both_protocols
def test_retained_commands_are_ignored(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 90}', retain=True)
    telemetry = run.telemetry(broker.config(protocol=protocol))
    wait_until(lambda: telemetry.warnings, what="the warning")
    assert telemetry.warnings == [
        "a retained command on edge/test/command/look is ignored; publish commands without the retain flag"
    ]
    observer.send("edge/test/command/look", b'{"azimuth_deg": 10}')
    observer.wait_for("edge/test/reply/look")
    assert telemetry.controller.commands == [("look", {"azimuth_deg": 10})]


def test_commands_can_be_switched_off(run):
    broker = run.broker()
    observer = run.observer(broker.port)
    telemetry = run.telemetry(broker.config(commands=False))
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 10}')
    telemetry.publish(make_snapshot())
    observer.wait_for("edge/test/telemetry")
    assert telemetry.controller.commands == []


def test_home_assistant_finds_the_device(run):
    broker = run.broker()
    run.telemetry(broker.config(home_assistant=True))
    observer = run.observer(broker.port, topic="homeassistant/#")
    topic = "homeassistant/number/edge_test/azimuth/config"
    wait_until(lambda: observer.retained(topic), what="discovery")
    assert observer.retained(topic)[0]["command_topic"] == "edge/test/command/look"
    wait_until(lambda: len(observer.messages) == 9, what="all nine entities")


def password_lines(folder, *access):
    """Broker settings with one user `mic` and, if given, an access list."""
    passwords = folder / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([tool, "-b", "-c", str(passwords), "mic", PASSWORD], check=True, timeout=30, capture_output=True)
    subprocess.run([tool, "-b", str(passwords), "boss", PASSWORD], check=True, timeout=30, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    if access:
        (folder / "access").write_text("\n".join(["user boss", "topic readwrite #", *access]) + "\n")
        lines.append(f"acl_file {folder / 'access'}")
    return lines


@both_protocols
def test_user_and_password_from_a_file(run, tmp_path, protocol):
    broker = run.broker(*password_lines(tmp_path))
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    config = broker.config(protocol=protocol, username="mic", password_file=str(tmp_path / "secret"))
    probe_broker(config)
    telemetry = run.telemetry(config)
    assert telemetry.warnings == []


@both_protocols
def test_refused_user_is_one_sentence_and_audio_would_go_on(run, tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", "a wrong secret")
    broker = run.broker(*password_lines(tmp_path))
    config = broker.config(protocol=protocol, username="mic")
    with pytest.raises(TelemetryError) as caught:
        probe_broker(config)
    assert caught.value.exit_code == 7
    telemetry = run.telemetry(config, wait=False)
    attempts = tmp_path / "mosquitto.log"
    wait_until(lambda: attempts.read_text().count("not authorised") >= 4, 15, "repeated attempts")
    assert telemetry.warnings == [str(caught.value)]
    (warning,) = telemetry.warnings
    assert f"the MQTT broker at 127.0.0.1:{broker.port} refused the connection (not authorized)" in warning
    assert 'for user "mic"; check telemetry.mqtt.username and the password' in warning
    assert "wrong secret" not in warning
    telemetry.publish(make_snapshot())  # goes nowhere, disturbs nobody


def test_access_list_that_forbids_publishing_is_told_with_mqtt_5(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", PASSWORD)
    broker = run.broker(*password_lines(tmp_path, "user mic", "topic readwrite other/#"))
    config = broker.config(protocol="5", username="mic")
    with pytest.raises(TelemetryError, match=r'does not allow user "mic" to publish on edge/test/event; extend'):
        probe_broker(config)
    telemetry = run.telemetry(config)
    wait_until(lambda: telemetry.warnings, what="the warning")
    telemetry.publish(make_snapshot())
    telemetry.event(Event("warning", "never arrives"))
    wait_until(lambda: len(telemetry.outbox) == 0, what="the outbox to drain")
    assert len(telemetry.warnings) == 1
    assert 'does not allow user "mic" to publish below edge/test' in telemetry.warnings[0]


def test_minimal_access_list_of_the_documentation_is_enough(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", PASSWORD)
    access = ["user mic", "topic readwrite edge/test/#"]
    broker = run.broker(*password_lines(tmp_path, *access))
    observer = run.observer(broker.port, username="boss", password=PASSWORD)
    config = broker.config(protocol="5", username="mic")
    probe_broker(config)
    telemetry = run.telemetry(config)
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 1}')
    assert observer.wait_for("edge/test/reply/look")["ok"] is True
    assert telemetry.warnings == []


def certificates(folder, name):
    """A certificate authority and a server certificate for `name` (a subjectAltName), made with openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")

    def call(*arguments):
        subprocess.run([openssl, *arguments], check=True, timeout=60, capture_output=True, cwd=folder)

    authority = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = [part for extension in authority for part in ("-addext", extension)]
    (folder / "none.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    config = ["-config", "none.cnf"]
    call(
        "req",
        "-x509",
        *config,
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=A",
        *extensions,
    )
    call("req", *config, *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=broker")
    (folder / "san.cnf").write_text(f"subjectAltName={name}\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san.cnf"]
    call("x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    return [f"certfile {folder / 'server.pem'}", f"keyfile {folder / 'server.key'}"]


@both_protocols
def test_tls_with_an_authority_of_its_own(run, tmp_path, protocol):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    config = broker.config(protocol=protocol, tls=True, ca_file=str(tmp_path / "ca.pem"))
    probe_broker(config)
    telemetry = run.telemetry(config)
    telemetry.publish(make_snapshot())
    wait_until(lambda: len(telemetry.outbox) == 0 and not telemetry._busy(), what="everything to be sent")
    before_s = time.monotonic()
    telemetry.close()
    assert time.monotonic() - before_s < 4.0
    assert telemetry.warnings == []


def test_tls_with_an_unknown_authority_is_refused_in_one_sentence(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    config = broker.config(tls=True)
    with pytest.raises(TelemetryError, match=r"certificate of .* was not accepted .*set telemetry\.mqtt\.ca_file"):
        probe_broker(config)
    telemetry = run.telemetry(config, wait=False)
    wait_until(lambda: telemetry.warnings, what="the warning")
    time.sleep(1.5)  # another attempt, no other warning
    assert len(telemetry.warnings) == 1
    assert "was not accepted" in telemetry.warnings[0]


def test_tls_with_a_certificate_for_another_name(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "DNS:broker.lan"))
    with pytest.raises(TelemetryError, match=r"was not accepted \(IP address mismatch"):
        probe_broker(broker.config(tls=True, ca_file=str(tmp_path / "ca.pem")))


def test_no_tls_towards_a_tls_port(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    with pytest.raises(
        TelemetryError, match="did not answer as an MQTT broker; set tls = true if that is its TLS port"
    ):
        probe_broker(broker.config())


CHILD = """
import sys, time
from telemetry_samples import RecordingController, make_snapshot
from edge.config.schema import MqttConfig, TelemetryConfig
from edge.telemetry.mqtt import MqttTelemetry
config = TelemetryConfig(device_name="test", mqtt=MqttConfig(enabled=True, port=int(sys.argv[1]), protocol=sys.argv[2]))
telemetry = MqttTelemetry(config, RecordingController())
telemetry.open()
while True:
    telemetry.publish(make_snapshot())
    time.sleep(0.1)
"""


@both_protocols
def test_last_will_after_a_violent_death(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(broker.port), protocol], env=environment)
    try:
        observer.wait_for("edge/test/telemetry", timeout_s=30)
        assert observer.on("edge/test/status")[-1]["state"] == "online"
        child.send_signal(signal.SIGKILL)
        will = observer.wait_for("edge/test/status", lambda p: p["state"] == "offline")
    finally:
        child.kill()
        child.wait(10)
    validate(will, "status")
    assert will["reason"] == "connection lost"
    assert will["time_unix_s"] is None
    late = run.observer(broker.port)
    wait_until(lambda: late.retained("edge/test/status") == [will], what="the retained last will")


@both_protocols
def test_broker_that_starts_after_the_daemon(run, protocol):
    broker = run.broker(start=False)
    telemetry = run.telemetry(broker.config(protocol=protocol), wait=False)
    for number in range(20):
        telemetry.publish(make_snapshot(sequence=number))
    telemetry.event(Event("device_lost", "gone before the broker came"))
    wait_until(lambda: telemetry.warnings, what="the warning")
    assert "is not there (nothing listens on that port); start the broker" in telemetry.warnings[0]
    broker.start()
    observer = run.observer(broker.port, protocol)
    wait_until(lambda: telemetry.connected, 20, "the connection")
    wait_until(lambda: observer.on("edge/test/status"), what="the status")
    wait_until(lambda: len(telemetry.outbox) == 0, what="everything to be sent")
    assert telemetry.outbox.dropped_snapshots == 19  # only the newest still matters
    assert len(telemetry.warnings) == 1


@both_protocols
def test_broker_that_is_killed_and_comes_back(run, protocol):
    broker = run.broker()
    telemetry = run.telemetry(broker.config(protocol=protocol))
    telemetry.publish(make_snapshot(sequence=1))
    wait_until(lambda: len(telemetry.outbox) == 0 and not telemetry._busy(), what="everything to be sent")
    broker.kill()
    wait_until(lambda: not telemetry.connected, what="the loss to be noticed")
    for number in range(2, 200):
        telemetry.publish(make_snapshot(sequence=number))
    for number in range(3):
        telemetry.event(Event("overrun", f"overrun {number}"))
    broker.start()
    observer = run.observer(broker.port, protocol)
    observer.wait_for("edge/test/status", online, timeout_s=20)
    wait_until(lambda: telemetry.connected and len(telemetry.outbox) == 0, what="everything to be sent")
    telemetry.publish(make_snapshot(sequence=200))
    last = observer.wait_for("edge/test/telemetry", lambda p: p["sequence"] == 200)
    assert last["dropped_messages"] == 197
    observer.send("edge/test/command/look", b'{"azimuth_deg": 7}')
    assert observer.wait_for("edge/test/reply/look")["ok"] is True


def test_events_during_an_outage_arrive_afterwards(run):
    broker = run.broker()
    observer = run.observer(broker.port)
    telemetry = run.telemetry(broker.config())
    observer.wait_for("edge/test/status", online)
    # Someone with our client id throws us out, so that the observer stays connected throughout.
    intruder = Client(CallbackAPIVersion.VERSION2, client_id="edge-test", reconnect_on_failure=False)
    intruder.connect("127.0.0.1", broker.port)
    intruder.loop_start()
    wait_until(lambda: not telemetry.connected, what="the loss to be noticed")
    for number in range(3):
        telemetry.event(Event("overrun", f"overrun {number}"))
    wait_until(lambda: len(observer.on("edge/test/event")) == 3, 20, "the three events")
    intruder.loop_stop()
    assert [event["message"] for event in observer.on("edge/test/event")] == [f"overrun {n}" for n in range(3)]


def test_two_devices_of_one_name_are_told(run):
    broker = run.broker()
    first = run.telemetry(broker.config())
    second = run.telemetry(broker.config())
    wait_until(lambda: first.warnings or second.warnings, 20, "the warning")
    (warning,) = dict.fromkeys(first.warnings + second.warnings)
    assert "another client has the same name; give every device its own telemetry.device_name" in warning


def test_the_whole_thread_with_a_real_broker(run):
    broker = run.broker()
    observer = run.observer(broker.port)
    warnings = []
    numbers = iter(range(100_000))
    transport = MqttTelemetry(broker.config(), RecordingController(), warnings.append)
    thread = TelemetryThread(lambda: make_snapshot(sequence=next(numbers)), [transport], 0.05, warnings.append)
    thread.start()
    thread.event("device_regained", "hw:CARD=mics is back")
    wait_until(lambda: len(observer.on("edge/test/telemetry")) >= 5, what="five snapshots")
    thread.stop()
    assert observer.wait_for("edge/test/status", lambda p: p["state"] == "offline")["reason"] == "stopped"
    assert observer.on("edge/test/event")[0]["kind"] == "device_regained"
    assert warnings == []


needs_amqtt = pytest.mark.skipif(
    importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed (extra demo)"
)


@needs_amqtt
def test_embedded_broker_serves_the_demo_and_ends(run):
    with EmbeddedBroker() as broker:
        assert broker.embedded
        with EmbeddedBroker(broker.port) as same:
            assert not same.embedded
        config = TelemetryConfig(device_name="test", mqtt=MqttConfig(enabled=True, port=broker.port))
        probe_broker(config)
        observer = Observer(broker.port)
        telemetry = run.telemetry(config)
        telemetry.publish(make_snapshot(sequence=5))
        validate(observer.wait_for("edge/test/telemetry"), "telemetry")
        observer.send("edge/test/command/look", b'{"azimuth_deg": 2}')
        assert observer.wait_for("edge/test/reply/look")["ok"] is True
        telemetry.close()
        observer.wait_for("edge/test/status", lambda p: p["state"] == "offline")
        observer.close()
        port = broker.port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@needs_amqtt
def test_embedded_broker_does_not_speak_mqtt_5_and_the_probe_says_so():
    with EmbeddedBroker() as broker:
        config = TelemetryConfig(device_name="test", mqtt=MqttConfig(enabled=True, port=broker.port, protocol="5"))
        with pytest.raises(TelemetryError, match=r'set telemetry\.mqtt\.protocol = "3\.1\.1" if it is an older broker'):
            probe_broker(config, timeout_s=1)


@needs_amqtt
def test_embedded_broker_dies_with_a_killed_demo():
    script = (
        "import time\nfrom edge.demo.broker import EmbeddedBroker\n"
        "with EmbeddedBroker() as broker:\n    print(broker.port, flush=True)\n    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        port = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()

    def refused():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
        return False

    wait_until(refused, what="the broker to end with its parent")


def test_embedded_broker_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TelemetryError, match=r"needs the package amqtt.*pip install 'mic-edge\[demo\]'"):
        EmbeddedBroker().__enter__()
