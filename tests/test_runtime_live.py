"""A whole live run in this process: snapshots, events, devices that come late or go away, the summary."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from jsonschema import Draft202012Validator
from live_parts import ArraySink, ArraySource, live_config, recording, write_recording

from edge.errors import AudioFileError, DeviceError
from edge.runtime.live import LiveRuntime
from edge.runtime.signals import SignalInbox
from edge.runtime.watch import DeviceWatch
from edge.telemetry.payload import load_schema, telemetry_payload

HOP = 128


class Recorder:
    """A telemetry transport that keeps everything."""

    def __init__(self):
        self.snapshots, self.events, self.closed = [], [], False

    def open(self):
        pass

    def publish(self, snapshot):
        self.snapshots.append(snapshot)

    def event(self, event):
        self.events.append(event)

    def close(self):
        self.closed = True


def quiet_runtime(config, **options):
    said = []
    return LiveRuntime(config, warn=said.append, **options), said


@pytest.fixture
def input_file(tmp_path):
    return write_recording(tmp_path / "in.wav", 16000)


def test_a_file_runs_to_its_end(tmp_path, input_file):
    recorder = Recorder()
    config = live_config(input_file, tmp_path / "out.wav", output__channels=["listen"])
    runtime, said = quiet_runtime(config, transports=[recorder], telemetry_file=tmp_path / "telemetry.jsonl")
    summary = runtime.run()
    assert summary.reason == "end of input"
    assert summary.hops == 125
    assert soundfile.info(tmp_path / "out.wav").frames == 16000 + HOP
    assert said == []
    assert recorder.closed
    assert sum(snapshot.hops for snapshot in recorder.snapshots) == 125
    lines = [json.loads(line) for line in (tmp_path / "telemetry.jsonl").read_text().splitlines()]
    assert len(lines) >= 1
    validator = Draft202012Validator(load_schema("telemetry"))
    for line in lines:
        line.pop("type")
        validator.validate(line)


def test_the_summary_is_json_and_text(input_file):
    summary = quiet_runtime(live_config(input_file))[0].run()
    values = json.loads(json.dumps(summary.as_dict(), allow_nan=False))
    assert values["hops"] == 125
    assert {"condition", "analyze", "health", "beamform", "mask", "post", "synthesize"} <= set(values["stage_ms"])
    assert 0.0 <= values["deadline_met_share"] <= 1.0
    assert values["latency_ms"]["algorithmic"] == 16.0
    assert values["latency_ms"]["total"] == pytest.approx(
        sum(ms for name, ms in values["latency_ms"].items() if name != "total"), abs=1e-3
    )
    for words in ("p99.9", "beamform", "deadline misses", "overruns", "algorithmic 16.0"):
        assert words in summary.as_text()
    assert "SNR estimate" not in summary.as_text(), "without a network there is none"
    with_estimates = replace(summary, snr_in_db=1.33, snr_out_db=14.6).as_text()
    assert "SNR estimate, dB   1.3 at the first microphone, 14.6 out (of the last 3 s alone)\n" in with_estimates + "\n"


def test_a_snapshot_says_what_went_through():
    samples = np.zeros((100 * HOP, 4), np.float32)
    samples[:, 0] = 0.1
    samples[7, 1] = 1.0
    samples[9, 2] = np.nan
    recorder = Recorder()
    config = live_config(beamformer__azimuth_deg=30.0)
    quiet_runtime(config, source=ArraySource(samples), sink=ArraySink(), transports=[recorder])[0].run()
    snapshot = recorder.snapshots[0]
    assert snapshot.level_in_dbfs[0] == pytest.approx(-20.0, abs=0.1)  # the tail is in it
    assert snapshot.level_in_dbfs[3] == -np.inf
    assert snapshot.peak_in_dbfs[1] == pytest.approx(0.0, abs=0.01)
    assert snapshot.clipped_samples[1] == 1
    assert snapshot.nonfinite_samples == 1
    assert (snapshot.azimuth_deg, snapshot.beamformer, snapshot.mask) == (30.0, "mvdr", "wiener")
    assert snapshot.mode == "normal"
    assert snapshot.deadline_ms == 8.0
    assert snapshot.model == ""
    assert telemetry_payload(snapshot)["level_in_dbfs"][3] is None


def test_stop_from_another_thread_ends_a_paced_run(input_file):
    runtime, _ = quiet_runtime(live_config(input_file, input__realtime=True, input__loop=True))

    def stop_later():
        wait_for(lambda: runtime.loop.delivered)
        runtime.stop()

    threading.Thread(target=stop_later).start()
    summary = runtime.run()
    assert summary.reason == "stopped"
    assert summary.hops > 0


def test_duration(input_file):
    summary = quiet_runtime(live_config(input_file, input__loop=True), duration_s=2.5)[0].run()
    assert summary.reason == "duration reached"
    assert summary.seconds == pytest.approx(2.5, abs=0.008)


def test_commands_while_it_runs(input_file):
    recorder = Recorder()
    config = live_config(input_file, input__realtime=True, input__loop=True, telemetry__interval_s=0.1)
    runtime, _ = quiet_runtime(config, transports=[recorder])
    thread = threading.Thread(target=runtime.run)  # off the main thread: no signals, everything else as ever
    thread.start()
    try:
        wait_for(lambda: recorder.snapshots)
        runtime.controller.command("look", {"azimuth_deg": 77.0})
        runtime.controller.command("mask", {"kind": "bypass"})
        wait_for(lambda: recorder.snapshots[-1].azimuth_deg == 77.0 and recorder.snapshots[-1].mask == "bypass")
    finally:
        runtime.stop()
        thread.join(20.0)
    assert not thread.is_alive()


def wait_for(condition, timeout_s=20.0):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)


class LateSource(ArraySource):
    """A device that cannot be opened at first."""

    failures = 2

    def open(self):
        if self.failures:
            self.failures -= 1
            raise DeviceError('no ALSA device "hw:CARD=late"; edge devices lists them')
        super().open()


def test_a_missing_device_ends_the_start():
    runtime, _ = quiet_runtime(live_config(), source=LateSource(recording(HOP)), sink=ArraySink())
    with pytest.raises(DeviceError, match="hw:CARD=late"):
        runtime.run()


def test_a_device_that_comes_late_is_waited_for(monkeypatch):
    monkeypatch.setattr(SignalInbox, "wait", lambda self, timeout_s: set())  # no pauses between the attempts
    runtime, said = quiet_runtime(
        live_config(), source=LateSource(recording(20 * HOP)), sink=ArraySink(), wait_device_s=3600.0
    )
    assert runtime.run().hops == 20
    assert len(said) == 1
    assert "hw:CARD=late" in said[0]


def test_a_source_with_other_channels_is_refused_with_both_numbers():
    runtime, _ = quiet_runtime(live_config(), source=ArraySource(recording(HOP, channels=2)), sink=ArraySink())
    with pytest.raises(DeviceError, match="2 channels at 16000 Hz, expected 4"):
        runtime.run()


def test_a_missing_file_is_no_device_to_wait_for(tmp_path):
    runtime, _ = quiet_runtime(live_config(tmp_path / "none.wav"), wait_device_s=3600.0)
    with pytest.raises(AudioFileError, match="no such file"):
        runtime.run()


def test_a_truncated_file_runs_and_is_told(tmp_path, input_file):
    data = input_file.read_bytes()
    input_file.write_bytes(data[: len(data) // 2])
    runtime, said = quiet_runtime(live_config(input_file))
    summary = runtime.run()
    assert 50 < summary.hops < 70
    assert len(said) == 1
    assert "truncated" in said[0]
    assert len(summary.warnings) == 1


def test_what_breaks_the_loop_is_raised_after_everything_is_closed(tmp_path):
    class Breaking(ArraySource):
        closed = False

        def read(self, block):
            raise DeviceError("broken beyond repair; replace it")

        def close(self):
            self.closed = True

    source, recorder = Breaking(recording(HOP)), Recorder()
    runtime, _ = quiet_runtime(live_config(), source=source, sink=ArraySink(), transports=[recorder])
    with pytest.raises(DeviceError, match="beyond repair"):
        runtime.run()
    assert source.closed
    assert recorder.closed


class Plug:
    """The attributes of a device source that the watch reads."""

    connected, reopens, last_error = True, 0, ""


def test_losing_and_regaining_a_device_are_one_event_each():
    class Loop:
        source, sink = Plug(), Plug()

    watch = DeviceWatch(Loop)
    assert list(watch.look()) == []
    Loop.source.connected, Loop.source.last_error = False, "No such device"
    lost = list(watch.look())
    assert [event.kind for event in lost] == ["device_lost"]
    assert "No such device" in lost[0].message
    assert list(watch.look()) == []
    Loop.source.connected, Loop.source.reopens = True, 1
    assert [event.kind for event in watch.look()] == ["device_regained"]
    assert list(watch.look()) == []
    # gone and back between two looks
    Loop.sink.reopens = 1
    assert [event.kind for event in watch.look()] == ["device_lost", "device_regained"]


def test_files_cannot_be_unplugged():
    class Loop:
        source, sink = ArraySource(recording(HOP)), ArraySink()

    assert list(DeviceWatch(Loop).look()) == []
