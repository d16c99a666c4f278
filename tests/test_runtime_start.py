"""Opening devices, readiness, warnings and the measured latency of a live run."""

import errno
import socket
import time

import pytest
from alsa_pcm import FakeCard, VirtualClock, alsa_error
from live_parts import ArraySink, ArraySource, live_config, recording
from test_runtime_live import Recorder, quiet_runtime
from test_runtime_notify import messages, notifier_for

from edge.audio.alsa_source import AlsaSource
from edge.errors import AudioFileError, DeviceError, UnfitDeviceError
from edge.runtime import live
from edge.runtime.chain import Chain
from edge.runtime.collect import SnapshotMaker
from edge.runtime.loop import AudioLoop
from edge.runtime.signals import SignalInbox

HOP = 128
MS_NS = 1_000_000


def test_a_missing_input_leaves_an_existing_output_alone(tmp_path):
    (tmp_path / "out.wav").write_bytes(b"a year of sound")
    runtime, _ = quiet_runtime(live_config(tmp_path / "none.wav", tmp_path / "out.wav"))
    with pytest.raises(AudioFileError):
        runtime.run()
    assert (tmp_path / "out.wav").read_bytes() == b"a year of sound"


@pytest.mark.parametrize(
    ("input_kind", "output_kind", "order"),
    [
        ("alsa", "loopback", ["sink", "source"]),
        ("file", "loopback", ["source", "sink"]),
        ("alsa", "file", ["source", "sink"]),
    ],
)
def test_order_of_opening(tmp_path, input_kind, output_kind, order):
    opened = []

    class Source(ArraySource):
        def open(self):
            opened.append("source")
            super().open()

    class Sink(ArraySink):
        def open(self):
            opened.append("sink")
            super().open()

    config = live_config(
        input__kind=input_kind,
        input__path="in.wav" if input_kind == "file" else None,
        output__kind=output_kind,
        output__path=str(tmp_path / "out.wav") if output_kind == "file" else None,
        runtime__realtime_priority=0,
        runtime__lock_memory=False,
    )
    quiet_runtime(config, source=Source(recording(HOP)), sink=Sink())[0].run()
    assert opened == order


class Failing(ArraySource):
    """A device that fails to open in one way and then another."""

    def __init__(self, *errors):
        super().__init__(recording(4 * HOP))
        self.errors, self.attempts = list(errors), 0

    def open(self):
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        super().open()


def test_only_a_device_that_is_away_or_busy_is_tried_again(monkeypatch):
    monkeypatch.setattr(SignalInbox, "wait", lambda self, timeout_s: set())
    source = Failing(
        DeviceError("is in use"), DeviceError("is not there"), UnfitDeviceError("offers 2 channels, not 4")
    )
    runtime, _ = quiet_runtime(live_config(), source=source, sink=ArraySink(), wait_device_s=3600.0)
    with pytest.raises(UnfitDeviceError, match="2 channels"):
        runtime.run()
    assert source.attempts == 3
    assert UnfitDeviceError.exit_code == 4


def test_other_channels_than_asked_are_not_waited_for():
    runtime, _ = quiet_runtime(
        live_config(), source=ArraySource(recording(HOP, channels=2)), sink=ArraySink(), wait_device_s=3600.0
    )
    with pytest.raises(UnfitDeviceError, match="2 channels at 16000 Hz, expected 4"):
        runtime.run()


@pytest.mark.parametrize(
    ("number", "unfit"), [(errno.EBUSY, False), (errno.ENODEV, False), (errno.EACCES, False), (errno.EINVAL, True)]
)
def test_what_alsa_refuses_to_do_is_unfit_and_what_is_away_is_not(number, unfit):
    def refuse(**asked):
        raise alsa_error(number, asked["device"])

    with pytest.raises(DeviceError) as caught:
        AlsaSource("hw:CARD=Fake", 16000, 4, opener=refuse).open()
    assert isinstance(caught.value, UnfitDeviceError) is unfit


@pytest.mark.parametrize("took", [{"channels": 2}, {"rate": 44100}, {"format_name": "S32_LE"}])
def test_a_card_that_took_something_else_is_unfit(took):
    card = FakeCard(VirtualClock(), **took)
    with pytest.raises(UnfitDeviceError):
        AlsaSource("hw:CARD=Fake", 16000, 4, opener=card.open, clock=card.clock).open()


class Silent(ArraySource):
    """A device that gives nothing: all of it is filler, until `blocks` have gone."""

    def __init__(self, silent_blocks):
        super().__init__(recording(80 * HOP))
        self.silent_blocks, self.gap_frames = silent_blocks, 0

    def read(self, block):
        time.sleep(0.01)
        if self._index < self.silent_blocks:
            self.gap_frames += len(block)
        return super().read(block)


@pytest.mark.parametrize(("silent_blocks", "ready"), [(80, False), (20, True)])
def test_ready_only_after_real_sound(tmp_path, monkeypatch, silent_blocks, ready):
    monkeypatch.setattr(live, "TICK_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        source = Silent(silent_blocks)
        runtime, _ = quiet_runtime(live_config(), source=source, sink=ArraySink(), notifier=notifier_for(manager))
        runtime.run()
        sent = [message.splitlines() for message in messages(manager)]
    assert any(lines[0] == "READY=1" for lines in sent) is ready
    waiting = [lines for lines in sent if "STATUS=waiting for the first sound from the microphones" in lines]
    assert waiting
    assert waiting[0][0].startswith("EXTEND_TIMEOUT_USEC=")


def test_whatever_a_reload_raises_the_old_one_goes_on():
    """A file can make a library raise what is no error of ours."""
    recorder = Recorder()

    def reread():
        raise RecursionError("maximum recursion depth exceeded")

    def at_block(index):
        if index == 3:
            runtime._reload()

    runtime, said = quiet_runtime(
        live_config(),
        source=ArraySource(recording(20 * HOP), at_block),
        sink=ArraySink(),
        transports=[recorder],
        reread=reread,
    )
    assert runtime.run().hops == 20
    assert said == [
        "reload failed, the old configuration goes on: RecursionError: maximum recursion depth exceeded",
    ]
    assert [(event.kind, event.details["ok"]) for event in recorder.events] == [("reload", False)]


def test_warnings_are_events_and_only_the_latest_are_kept():
    recorder = Recorder()
    runtime, said = quiet_runtime(
        live_config(), source=ArraySource(recording(HOP)), sink=ArraySink(), transports=[recorder]
    )
    for index in range(live.MAX_WARNINGS + 50):
        runtime._warn(f"trouble {index}")
    summary = runtime.run()
    assert len(said) == live.MAX_WARNINGS + 50
    assert len(summary.warnings) == live.MAX_WARNINGS
    assert summary.warnings[-1] == f"trouble {live.MAX_WARNINGS + 49}"
    assert {event.kind for event in recorder.events} == {"warning"}
    assert recorder.events[-1].message == summary.warnings[-1]


def test_a_warning_before_there_is_telemetry_is_published_later(monkeypatch):
    recorder = Recorder()

    def early(config, controller, warn, telemetry_file):
        warn("no password file; going on without MQTT")
        return []

    monkeypatch.setattr(live, "open_transports", early)
    runtime, said = quiet_runtime(
        live_config(), source=ArraySource(recording(HOP)), sink=ArraySink(), transports=[recorder]
    )
    runtime.run()
    assert [event.message for event in recorder.events] == ["no password file; going on without MQTT"]
    assert said == ["warning: no password file; going on without MQTT"]


# ---- latency as measured ----


class Stamped(ArraySource):
    """Blocks whose newest frame is 5 ms old, from a device with a period of 64 frames."""

    latency_frames = 64

    def read(self, block):
        self.capture_time_ns = time.monotonic_ns() - 5 * MS_NS
        return super().read(block)


class Queue(ArraySink):
    """A device at 48 kHz with 1200 frames waiting; its buffer is meant to hold 720."""

    latency_frames, waiting, rate = 720, 1200, 48000

    def __init__(self):
        super().__init__()
        self.rate_hz = self.rate

    def queue_frames(self):
        return self.waiting


class Converter:
    """Stands before a device at another rate with 32 frames of look-ahead at 16 kHz."""

    underruns = dropped_frames = 0
    rate_hz, channels = 16000, 2
    drift_ppm = 41.5

    def __init__(self, inner):
        self.inner = inner

    @property
    def latency_frames(self):
        return self.inner.latency_frames // 3 + 32

    def write(self, block):
        self.inner.write(block)


def latency_of(source, sink):
    loop = AudioLoop(source, sink, Chain(live_config()))
    loop.ask_rotation()
    loop.run()
    return SnapshotMaker(loop).make()


def test_latency_is_what_the_devices_say_and_counts_nothing_twice():
    snapshot = latency_of(Stamped(recording(4 * HOP)), Converter(Queue()))
    lines = dict(snapshot.latency_ms)
    total = lines.pop("total")
    assert lines["playback"] == pytest.approx(25.0)  # 1200 frames at 48 kHz, not the 15 ms it is meant to be
    assert lines["resampling"] == pytest.approx(2.0)
    assert lines["algorithmic"] == 16.0
    assert 5.0 <= lines["capture"] < 1000.0
    assert total == pytest.approx(sum(lines.values()))
    assert snapshot.clock_drift_ppm == 41.5


def test_latency_of_devices_that_do_not_tell_is_their_buffering():
    class Mute(ArraySource):
        latency_frames = 64

    sink = Queue()
    sink.waiting = -1
    lines = latency_of(Mute(recording(4 * HOP)), sink).latency_ms
    assert lines["capture"] == pytest.approx(4.0)
    assert lines["playback"] == pytest.approx(15.0)
    assert lines["resampling"] == 0.0


def test_a_standstill_has_no_levels_rather_than_old_ones(monkeypatch):
    monkeypatch.setattr("edge.runtime.collect.ROTATION_WAIT_S", 0.01)
    loop = AudioLoop(ArraySource(recording(HOP)), ArraySink(), Chain(live_config()))
    block = recording(HOP)
    loop.chain.pipeline.process(block, loop._out)
    loop.rotate_meters()
    snapshot = SnapshotMaker(loop).make()  # nobody runs the loop
    assert set(snapshot.level_in_dbfs) == set(snapshot.peak_in_dbfs) == {float("-inf")}
    assert loop.reading.peak.max() > 0.0
