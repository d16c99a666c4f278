"""Real brokers and an observer for the tests of telemetry."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess

import jsonschema
import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from telemetry_samples import wait_until

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.telemetry.payload import load_schema

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin:/usr/local/sbin")
PASSWORD = "swordfish-7"
both_protocols = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def telemetry_toml(port):
    """Tables of a configuration that publishes five times a second as `array`."""
    return f'[telemetry]\ndevice_name = "array"\ninterval_s = 0.2\n[telemetry.mqtt]\nenabled = true\nport = {port}'


@contextlib.contextmanager
def started(command):
    """A process whose outputs are kept as text, killed in the end if it still runs."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


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


def online(payload):
    return payload["state"] == "online"


def validate(payload, name):
    jsonschema.Draft202012Validator(load_schema(name)).validate(payload)
