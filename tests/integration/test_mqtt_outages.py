"""Brokers that die, come late or come back; a daemon that dies."""

import os
import signal
import subprocess
import sys

import pytest
from mqtt_parts import both_protocols, online, validate
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from telemetry_samples import RecordingController, make_snapshot, wait_until

from edge.telemetry.events import Event
from edge.telemetry.mqtt import MqttTelemetry
from edge.telemetry.publisher import TelemetryThread

pytestmark = pytest.mark.integration


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
