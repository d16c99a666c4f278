"""ALSA playback on a card in virtual time: underruns, a full device, unplugging, pacing; a live loop never waits."""

from __future__ import annotations

import errno

import numpy as np
from alsa_pcm import FakeCard, VirtualClock

from edge.audio.alsa_sink import AlsaSink
from edge.audio.playback import DeviceSink

RATE, HOP, CHANNELS = 16000, 128, 2
HOP_S = HOP / RATE


def make(card: FakeCard, **options) -> AlsaSink:
    options = {"period_frames": HOP, "periods": 4, **options}
    return AlsaSink("hw:CARD=Fake", RATE, CHANNELS, opener=card.open, clock=card.clock, **options)


def blocks(count: int, first: int = 0) -> np.ndarray:
    """Numbered frames from 1 on, so that 0 is silence."""
    n = np.arange(first * HOP, (first + count) * HOP) % 30000 + 1
    return (np.stack([n, -n], 1) / 32768.0).astype(np.float32).reshape(count, HOP, CHANNELS)


def start(**options) -> tuple[FakeCard, AlsaSink]:
    card = FakeCard(VirtualClock())
    sink = make(card, **options)
    sink.open()
    return card, sink


def play(card: FakeCard, sink: AlsaSink, data: np.ndarray) -> None:
    """Write one block per hop of time, as a live loop does."""
    for block in data:
        sink.write(block)
        card.clock.pass_s(HOP_S)


def heard(card: FakeCard) -> np.ndarray:
    """What was played, channel 0, silence left out."""
    sound = np.concatenate([s for pcm in card.opened for s in pcm.sound])
    assert np.array_equal(sound[:, 0], -sound[:, 1])
    return sound[sound[:, 0] != 0, 0]


def test_live_writes_arrive_in_order_behind_the_prefill():
    card, sink = start()
    play(card, sink, blocks(100))
    sink.close()
    sound = np.concatenate(card.opened[0].sound)
    assert sink.latency_frames == 2 * HOP
    assert not sound[: 2 * HOP].any()
    np.testing.assert_array_equal(sound[2 * HOP :, 0], np.arange(100 * HOP) + 1)
    assert (sink.underruns, sink.dropped_frames) == (0, 0)
    assert card.opened[0].closed


def test_jitter_of_a_period_is_no_underrun():
    card, sink = start()
    rng = np.random.default_rng(2)
    begin_ns = card.clock.ns
    for n, block in enumerate(blocks(500)):
        card.clock.sleep_until_ns(begin_ns + round((n + rng.uniform(0, 1.5)) * HOP_S * 1e9))
        sink.write(block)
    assert (sink.underruns, sink.dropped_frames) == (0, 0)


def test_underrun_is_counted_and_refilled():
    card, sink = start()
    play(card, sink, blocks(10))
    card.clock.pass_s(0.5)
    play(card, sink, blocks(50, first=10))
    assert sink.underruns == 1
    assert sink.dropped_frames == 0
    np.testing.assert_array_equal(heard(card), np.arange(60 * HOP) + 1)
    assert sink.queue_frames() == 2 * HOP


def test_a_burst_is_dropped_without_waiting_and_the_queue_goes_back_to_its_target():
    card, sink = start()
    play(card, sink, blocks(10))
    before_ns = card.clock.ns
    for block in blocks(25, first=10):  # what a source hands over after an overrun of 200 ms
        sink.write(block)
    assert card.clock.ns == before_ns
    assert sink.dropped_frames >= 20 * HOP
    play(card, sink, blocks(50, first=35))
    dropped = sink.dropped_frames
    assert sink.queue_frames() == 2 * HOP
    assert dropped <= 26 * HOP
    play(card, sink, blocks(50, first=85))
    assert sink.dropped_frames == dropped
    assert sink.underruns == 0


def test_unplugged_device_takes_nothing_and_costs_no_time():
    card, sink = start()
    play(card, sink, blocks(10))
    card.unplug()
    card.attempts_ns.clear()
    before_ns = card.clock.ns
    play(card, sink, blocks(250, first=10))
    assert card.clock.ns - before_ns == round(250 * HOP_S * 1e9)
    assert sink.dropped_frames == 250 * HOP
    assert len(card.attempts_ns) <= 6
    assert not sink.connected
    card.plug()
    play(card, sink, blocks(300, first=260))
    assert sink.reopens == 1
    assert sink.connected
    assert np.array_equal(heard(card)[-HOP:], np.arange(559 * HOP, 560 * HOP) % 30000 + 1)


def test_eio_reopens():
    card, sink = start()
    play(card, sink, blocks(10))
    card.fail_with = errno.EIO
    play(card, sink, blocks(10, first=10))
    assert sink.reopens == 1
    assert sink.dropped_frames == HOP
    assert "Input/output error" in sink.last_error


def test_output_that_never_stops_running_dry_is_reopened_ever_more_seldom():
    card, sink = start()
    play(card, sink, blocks(10))
    card.always_dry = True
    card.attempts_ns.clear()
    before_ns = card.clock.ns
    play(card, sink, blocks(10 * 125, first=10))
    assert card.clock.ns - before_ns == round(10 * 125 * HOP_S * 1e9)
    assert len(card.attempts_ns) <= 8
    card.always_dry = False
    play(card, sink, blocks(6 * 125))
    assert np.array_equal(heard(card)[-HOP:], np.arange((6 * 125 - 1) * HOP, 6 * 125 * HOP) % 30000 + 1)


class LateSpeaker:
    """A device that takes frames in the very call that says that it had run dry, as PortAudio's streams do."""

    prefill_frames = 2 * HOP

    def __init__(self) -> None:
        self.underrun = False
        self.queue = 0
        self.sound = np.zeros(0, np.float32)

    def write(self, block: np.ndarray) -> int:
        self.underrun = self.queue < 0
        self.queue = max(self.queue, 0) + len(block)
        self.sound = np.concatenate([self.sound, block[:, 0]])
        return len(block)

    def wait(self, timeout_ms: int) -> bool:
        return True

    def queue_frames(self) -> int:
        return max(self.queue, 0)

    def close(self, drain: bool) -> None: ...


class LateSink(DeviceSink):
    def open_device(self) -> LateSpeaker:
        return LateSpeaker()


def test_frames_taken_after_running_dry_are_followed_by_what_the_queue_lacks():
    sink = LateSink(RATE, CHANNELS, clock=VirtualClock())
    sink.open()
    speaker = sink._device
    sound = blocks(6)
    sink.write(sound[0])
    assert speaker.queue == 3 * HOP
    speaker.queue = -1
    sink.write(sound[1])
    assert sink.underruns == 1
    assert speaker.queue == HOP, "nothing goes behind the block before it is known what is missing"
    speaker.queue -= 28
    sink.write(sound[2])
    assert speaker.queue == 3 * HOP, "the target and one block"
    sink.write(sound[3])
    silence = np.zeros(HOP + 28)
    expected = [np.zeros(2 * HOP), sound[0][:, 0], sound[1][:, 0], silence, sound[2][:, 0], sound[3][:, 0]]
    np.testing.assert_array_equal(speaker.sound, np.concatenate(expected))
    assert (sink.underruns, sink.dropped_frames) == (1, 0)


def test_pacing_sink_takes_everything_at_the_device_pace():
    card, sink = start(paces=True)
    before_ns = card.clock.ns
    for block in blocks(100):
        sink.write(block)
    assert sink.dropped_frames == sink.underruns == 0
    assert abs(card.clock.ns - before_ns - 98 * HOP_S * 1e9) <= 2 * HOP_S * 1e9
    np.testing.assert_array_equal(heard(card), np.arange(100 * HOP) + 1)


def test_close_lets_the_queue_play_out_but_no_longer():
    card, sink = start()
    play(card, sink, blocks(10))
    before_ns = card.clock.ns
    sink.close()
    assert 0 < card.clock.ns - before_ns <= 5 * HOP_S * 1e9
    sink.close()


def test_odd_device_period():
    card = FakeCard(VirtualClock(), period_size=100, buffer_size=1000)
    sink = make(card)
    sink.open()
    play(card, sink, blocks(50))
    assert sink.latency_frames == 500
    np.testing.assert_array_equal(heard(card), np.arange(50 * HOP) + 1)
