"""The demo's own broker."""

import importlib.util
import socket
import subprocess
import sys

import pytest
from mqtt_parts import Observer, validate
from telemetry_samples import make_snapshot, wait_until

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.demo.broker import EmbeddedBroker
from edge.errors import TelemetryError
from edge.telemetry.connection import probe_broker

pytestmark = pytest.mark.integration


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
