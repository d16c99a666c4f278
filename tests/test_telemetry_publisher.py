"""The telemetry thread: on time, unbreakable, bounded at the end."""

import io
import json
import os
import sys
import threading
import time

import jsonschema
import pytest
from telemetry_samples import RecordingController, make_snapshot, wait_until

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.errors import TelemetryError
from edge.telemetry.payload import load_schema
from edge.telemetry.publisher import MAX_WAITING_EVENTS, JsonLinesTelemetry, TelemetryThread, open_transports


class Recorder:
    """A transport that keeps what it gets, and fails or blocks where told to."""

    def __init__(self, fail_in=(), block=None):
        self.calls = []
        self.fail_in = fail_in
        self.block = block

    def _call(self, name, value=None):
        self.calls.append((name, value))
        if name in self.fail_in:
            raise OSError(28, "No space left on device")
        if name == "publish" and self.block is not None:
            self.block.wait(10)

    def open(self):
        self._call("open")

    def publish(self, snapshot):
        self._call("publish", snapshot)

    def event(self, event):
        self._call("event", event)

    def close(self):
        self._call("close")

    def of(self, name):
        return [value for called, value in self.calls if called == name]


def counting_snapshots():
    numbers = iter(range(1_000_000))
    return lambda: make_snapshot(sequence=next(numbers))


def test_snapshots_reach_every_transport_in_order_and_the_end_is_orderly():
    first, second = Recorder(), Recorder()
    thread = TelemetryThread(counting_snapshots(), [first, second], interval_s=0.02)
    thread.start()
    wait_until(lambda: len(first.of("publish")) >= 5)
    thread.stop()
    assert first.calls == second.calls
    assert first.calls[0][0] == "open"
    assert first.calls[-1][0] == "close"
    sequence = [snapshot.sequence for snapshot in first.of("publish")]
    assert sequence == list(range(len(sequence)))


def test_late_intervals_are_left_out_and_not_caught_up_with():
    gate = threading.Event()
    recorder = Recorder(block=gate)
    thread = TelemetryThread(counting_snapshots(), [recorder], interval_s=0.01)
    thread.start()
    wait_until(lambda: len(recorder.of("publish")) == 1)
    time.sleep(0.3)  # thirty intervals pass while the transport is stuck
    before_s = time.monotonic()
    gate.set()
    wait_until(lambda: len(recorder.of("publish")) >= 4)
    elapsed_s = time.monotonic() - before_s
    published = len(recorder.of("publish"))
    thread.stop()
    assert published <= 3 + elapsed_s / 0.01


def test_a_failing_transport_is_one_warning_and_the_others_go_on():
    warnings = []
    broken = Recorder(fail_in=("open", "publish", "event"))
    good = Recorder()
    thread = TelemetryThread(counting_snapshots(), [broken, good], 0.01, warnings.append)
    thread.start()
    wait_until(lambda: len(good.of("publish")) >= 5)
    thread.stop()
    assert len(broken.of("publish")) == len(good.of("publish"))
    assert warnings == [
        "Recorder failed (OSError: [Errno 28] No space left on device); audio goes on, and it is tried again"
    ]
    assert [(event.kind, event.message) for event in good.of("event")] == [("warning", warnings[0])]


def test_a_failing_snapshot_does_not_end_the_thread():
    warnings = []
    turns = iter(range(1_000_000))

    def sometimes():
        if next(turns) % 2 == 0:
            raise ZeroDivisionError("no hops")
        return make_snapshot()

    recorder = Recorder()
    thread = TelemetryThread(sometimes, [recorder], 0.01, warnings.append)
    thread.start()
    wait_until(lambda: len(recorder.of("publish")) >= 3)
    thread.stop()
    assert len(warnings) == 1
    assert "telemetry snapshot failed (ZeroDivisionError: no hops)" in warnings[0]


def test_a_warn_callback_that_fails_does_no_harm():
    def warn(sentence):
        raise RuntimeError(sentence)

    broken, good = Recorder(fail_in=("publish",)), Recorder()
    thread = TelemetryThread(counting_snapshots(), [broken, good], 0.01, warn)
    thread.start()
    wait_until(lambda: len(good.of("publish")) >= 3)
    thread.stop()
    assert good.calls[-1][0] == "close"


def test_events_leave_at_once_and_before_the_interval():
    recorder = Recorder()
    thread = TelemetryThread(counting_snapshots(), [recorder], interval_s=3600.0)
    thread.start()
    thread.event("device_lost", "hw:CARD=mics is gone", {"device": "hw:CARD=mics"})
    wait_until(lambda: recorder.of("event"))
    assert recorder.of("publish") == []
    thread.stop()
    (event,) = recorder.of("event")
    assert (event.kind, event.details) == ("device_lost", {"device": "hw:CARD=mics"})
    assert len(recorder.of("publish")) == 1  # the last state before the end


def test_overruns_between_snapshots_become_one_event():
    counts = iter([0, 0, 3, 3, 3, 3])
    recorder = Recorder()
    thread = TelemetryThread(lambda: make_snapshot(overruns=next(counts)), [recorder], 0.01)
    thread.start()
    wait_until(lambda: len(recorder.of("publish")) >= 4)
    thread.stop()
    assert [event.details["count"] for event in recorder.of("event") if event.kind == "overrun"] == [3]


def test_waiting_events_are_bounded_and_stopping_is_too():
    gate = threading.Event()
    recorder = Recorder(block=gate)
    thread = TelemetryThread(counting_snapshots(), [recorder], interval_s=0.01)
    thread.start()
    wait_until(lambda: recorder.of("publish"))
    for number in range(10_000):
        thread.event("warning", f"warning {number}")
    assert len(thread._events) == MAX_WAITING_EVENTS
    before_s = time.monotonic()
    thread.stop(timeout_s=0.2)  # the transport is still stuck
    assert time.monotonic() - before_s < 5
    gate.set()
    wait_until(lambda: recorder.calls[-1][0] == "close")
    assert recorder.of("event")[-1].message == "warning 9999"


def test_stop_without_start_does_nothing():
    recorder = Recorder()
    TelemetryThread(counting_snapshots(), [recorder], 1.0).stop()
    assert recorder.calls == []


@pytest.mark.skipif(not hasattr(os, "SCHED_FIFO"), reason="needs Linux scheduling")
def test_thread_is_ordinary_although_started_by_a_real_time_thread():
    """Real-time policy is inherited by new threads; telemetry must not compete with audio."""
    policies = []

    class Observer(Recorder):
        def open(self):
            policies.append(os.sched_getscheduler(0))

    refused = []

    def audio_thread():
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            refused.append(True)
            return
        thread = TelemetryThread(counting_snapshots(), [Observer()], 3600.0)
        thread.start()
        thread.stop()

    starter = threading.Thread(target=audio_thread)
    starter.start()
    starter.join(10)
    if refused:
        pytest.skip("no right to real-time priority here")
    assert policies == [os.SCHED_OTHER]


def test_json_lines_file_holds_valid_payloads(tmp_path):
    path = tmp_path / "telemetry.jsonl"
    path.write_text('{"type":"old"}\n')
    thread = TelemetryThread(counting_snapshots(), [JsonLinesTelemetry(path, "kitchen")], interval_s=0.01)
    thread.start()
    thread.event("reload", "configuration read again")
    wait_until(lambda: path.read_text().count('"telemetry"') >= 3)
    thread.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"type": "old"}
    assert {line["type"] for line in lines[1:]} == {"telemetry", "event"}
    for line in lines[1:]:
        jsonschema.Draft202012Validator(load_schema(line["type"])).validate(line)
        assert line["device"] == "kitchen"


def test_json_lines_to_standard_output_leave_it_open(monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    transport = JsonLinesTelemetry("-", "kitchen")
    transport.open()
    transport.publish(make_snapshot(sequence=7))
    transport.close()
    assert json.loads(output.getvalue())["sequence"] == 7


def test_json_lines_go_on_once_the_folder_is_there(tmp_path):
    warnings = []
    path = tmp_path / "missing" / "telemetry.jsonl"
    thread = TelemetryThread(counting_snapshots(), [JsonLinesTelemetry(path, "kitchen")], 0.01, warnings.append)
    thread.start()
    wait_until(lambda: warnings)
    path.parent.mkdir()
    wait_until(lambda: path.exists() and path.stat().st_size > 0)
    thread.stop()
    (warning,) = warnings
    said = f"telemetry file {path} cannot be written (the folder {path.parent} does not exist); audio goes on"
    assert warning.startswith(said)


@pytest.mark.parametrize(("name", "reason"), [("", "Is a directory"), ("x" * 300, "File name too long")])
def test_a_telemetry_file_that_cannot_be_one_is_one_sentence(tmp_path, name, reason):
    transport = JsonLinesTelemetry(tmp_path / name, "kitchen")
    with pytest.raises(TelemetryError) as caught:
        transport.open()
    assert str(caught.value) == f"telemetry file {tmp_path / name} cannot be written ({reason})"


def test_transports_are_what_the_configuration_asks_for(tmp_path):
    assert open_transports(TelemetryConfig(), RecordingController(), print) == []
    config = TelemetryConfig(device_name="living room", mqtt=MqttConfig(enabled=True))
    path = tmp_path / "telemetry.jsonl"
    transports = open_transports(config, RecordingController(), print, path)
    assert [type(transport).__name__ for transport in transports] == ["JsonLinesTelemetry", "MqttTelemetry"]
    transports[0].publish(make_snapshot())
    transports[0].close()
    assert json.loads(path.read_text())["device"] == transports[1].topics.device == "living-room"


def test_mqtt_that_can_never_work_is_a_warning_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGE_MQTT_PASSWORD", raising=False)
    warnings = []
    mqtt = MqttConfig(enabled=True, username="u", password_file=str(tmp_path / "missing"))
    config = TelemetryConfig(mqtt=mqtt)
    (transport,) = open_transports(config, RecordingController(), warnings.append, tmp_path / "telemetry.jsonl")
    assert isinstance(transport, JsonLinesTelemetry)
    (warning,) = warnings
    assert "cannot be read (No such file or directory)" in warning
    assert warning.endswith("going on without MQTT")
