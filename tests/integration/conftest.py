"""Fixtures of the broker tests."""

import contextlib

import pytest
from mqtt_parts import MOSQUITTO, Mosquitto, Observer
from telemetry_samples import RecordingController, wait_until

from edge.telemetry import connection
from edge.telemetry.mqtt import MqttTelemetry


@pytest.fixture(autouse=True)
def _quick_and_clean(monkeypatch):
    monkeypatch.setattr(connection, "RECONNECT_MAX_S", 1)
    monkeypatch.delenv("EDGE_MQTT_PASSWORD", raising=False)


@pytest.fixture
def broker(tmp_path):
    """One that runs as long as the test."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


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
