"""What a live run tells of its microphones: events while it runs, the state in every snapshot."""

from __future__ import annotations

import time

import numpy as np
from health_scenes import RATE_HZ, SQUARE, broken, scene
from jsonschema import Draft202012Validator
from live_parts import ArraySink, ArraySource, live_config
from telemetry_samples import make_snapshot

from edge.runtime.live import LiveRuntime
from edge.runtime.loop import AudioLoop
from edge.telemetry.payload import event_payload, load_schema, telemetry_payload


class Recorder:
    """A telemetry transport that keeps everything."""

    def __init__(self):
        self.snapshots, self.events = [], []

    def open(self):
        pass

    def publish(self, snapshot):
        self.snapshots.append(snapshot)

    def event(self, event):
        self.events.append(event)

    def close(self):
        pass


def live(samples, roles="MMMM", source=None):
    """Run samples live, five times as fast as they would come; returns what was published and said."""
    recorder, said = Recorder(), []
    source = source or ArraySource(samples, lambda index: time.sleep(0.0016))
    config = live_config(
        array__positions_m=[list(p) for p in SQUARE], array__roles=roles, telemetry__interval_s=0.3, mask__kind="bypass"
    )
    LiveRuntime(config, source=source, sink=ArraySink(), transports=[recorder], warn=said.append).run()
    return recorder, said


def test_a_microphone_that_dies_and_comes_back_is_told():
    recorder, said = live(broken(scene(seconds=12.0, seed=2), 1, "zero", 1.0, 4.0))
    lost, back = [event for event in recorder.events if event.kind.startswith("microphone")]
    assert lost.kind == "microphone_lost"
    assert lost.details == {"microphone": 1, "channel": 1, "reason": "dead", "value": 0.0, "left": 3}
    assert lost.message == "microphone 1 (channel 1) is dead: digital zero; going on with 3"
    assert back.kind == "microphone_regained"
    assert back.details["left"] == 4
    assert lost.message in said
    assert back.message in said
    for event in (lost, back):
        Draft202012Validator(load_schema("event")).validate(event_payload(event))
    during = [snapshot.microphones_out for snapshot in recorder.snapshots if snapshot.microphones_out]
    assert during
    assert during[0] == ({"microphone": 1, "channel": 1, "reason": "dead", "value": 0.0},)
    assert recorder.snapshots[-1].microphones_out == ()


def test_rotated_channels_are_told():
    x = np.concatenate([scene(seconds=6.0), np.zeros((6 * RATE_HZ, 2))], axis=1).astype(np.float32)
    recorder, said = live(np.roll(x, 1, axis=1), "MMMMRR")
    (event,) = [event for event in recorder.events if event.kind == "channel_order"]
    assert event.message == "the captured channels have moved on by 1; corrected"
    assert event.details == {
        "finding": "rotated, corrected",
        "corrected": True,
        "channels": [1, 2, 3, 4],
        "moved_on": 1,
    }
    assert recorder.snapshots[-1].channel_order == "rotated, corrected"
    assert event.message in said


def test_digital_silence_on_all_is_told_once():
    recorder, _ = live(np.zeros((12 * RATE_HZ, 4), np.float32))
    assert [event.kind for event in recorder.events] == ["microphones_silent"]


class LossySource(ArraySource):
    """Loses captured sound once."""

    def read(self, block):
        got = super().read(block)
        self.overruns = int(self._index > 100)
        return got


def test_an_overrun_starts_a_comparison_of_the_channels(monkeypatch):
    from edge.runtime.chain import Chain

    chain = Chain(live_config(array__positions_m=[list(p) for p in SQUARE]))
    loop = AudioLoop(LossySource(scene(seconds=2.0)), ArraySink(), chain)
    noted = []
    monkeypatch.setattr(chain.pipeline.front.order, "note_gap", lambda: noted.append(loop.clock.hops))
    loop.run()
    assert noted == [100]


def test_the_state_of_the_microphones_fits_the_schema():
    entries = tuple(
        {"microphone": m, "channel": m + 1, "reason": reason, "value": -31.5}
        for m, reason in enumerate(("dead", "stuck", "clipped", "noisy", "delay"))
    )
    payload = telemetry_payload(make_snapshot(microphones_out=entries, channel_order="rotated, not certain"))
    Draft202012Validator(load_schema("telemetry")).validate(payload)


def test_a_reset_neither_gives_a_dead_microphone_back_nor_hides_it():
    from edge.runtime.chain import Chain
    from edge.runtime.health_watch import HealthWatch

    chain = Chain(live_config(array__positions_m=[list(p) for p in SQUARE], mask__kind="bypass"))
    pipeline, x = chain.pipeline, broken(scene(seconds=8.0, seed=2), 1, "zero", 0.0)
    watch = HealthWatch(AudioLoop(ArraySource(x), ArraySink(), chain))
    hop, out, told = pipeline.hop_samples, np.zeros((pipeline.hop_samples, 2), np.float32), []
    for start in range(0, len(x) - hop + 1, hop):
        if start // hop == 4 * RATE_HZ // hop:
            pipeline.reset()
        pipeline.process(x[start : start + hop].astype(np.float32), out)
        told += [event.kind for event in watch.look()]
    assert told == ["microphone_lost", "microphone_lost"]
