"""The audio loop: every frame comes out, in order, whatever happens around it."""

import numpy as np
import pytest
import soundfile
from live_parts import ArraySink, ArraySource, live_config, recording, write_recording

from edge.audio.factory import make_sink, make_source
from edge.errors import DeviceError
from edge.offline import enhance_array
from edge.runtime.chain import Chain
from edge.runtime.loop import FADE_HOPS, AudioLoop

HOP = 128


def looped(config, samples, before_block=lambda index: None, limit=None):
    sink = ArraySink(len(config.output.channels))
    loop = AudioLoop(ArraySource(samples, before_block), sink, Chain(config), limit)
    return loop, sink


@pytest.mark.parametrize("frames", [1, HOP - 1, HOP, HOP + 1, 50 * HOP, 50 * HOP + 77])
def test_live_equals_offline_with_the_tail_played_out(frames):
    config, samples = live_config(), recording(frames)
    loop, sink = looped(config, samples)
    loop.run()
    assert loop.error is None
    assert loop.end_reason == "end of input"
    assert sink.samples.shape == (frames + HOP, 2)
    np.testing.assert_array_equal(sink.samples[HOP:], enhance_array(samples, 16000, config))


def test_files_through_the_real_source_and_sink(tmp_path):
    path = write_recording(tmp_path / "in.wav", 10000, subtype="FLOAT")
    config = live_config(path, tmp_path / "out.wav", profile="hearing")
    loop = AudioLoop(make_source(config), make_sink(config), Chain(config))
    loop.source.open()
    loop.sink.open()
    loop.run()
    loop.sink.close()
    loop.source.close()
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    expected = enhance_array(soundfile.read(path, dtype="float32")[0], 16000, config)
    np.testing.assert_array_equal(out[32:], expected)


def test_nothing_in_nothing_out():
    loop, sink = looped(live_config(), recording(0))
    loop.run()
    assert loop.clock.hops == 0
    assert sink._blocks == []


def test_stop_ends_after_the_block_in_hand_and_plays_its_tail():
    loop, sink = looped(live_config(), recording(100 * HOP), lambda i: loop.stop() if i == 9 else None)
    loop.run()
    assert loop.end_reason == "stopped"
    assert loop.clock.hops == 10
    assert len(sink.samples) == 11 * HOP


def test_limit_of_hops():
    loop, sink = looped(live_config(), recording(100 * HOP), limit=25)
    loop.run()
    assert loop.end_reason == "duration reached"
    assert (loop.clock.hops, loop.delivered) == (25, 25)
    assert len(sink.samples) == 26 * HOP


def test_what_breaks_the_loop_is_kept_and_ends_it():
    def unplug(index):
        if index == 3:
            raise DeviceError("gone for good")

    loop, _ = looped(live_config(), recording(100 * HOP), unplug)
    loop.run()
    assert isinstance(loop.error, DeviceError)
    assert loop.ended.is_set()
    assert loop.delivered == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_bad_samples_are_silence_counted_and_forgotten(bad):
    samples = recording(60 * HOP)
    samples[1000:1010, 2] = bad
    loop, sink = looped(live_config(), samples)
    loop.run()
    assert loop.error is None
    assert np.isfinite(sink.samples).all()
    assert loop.chain.pipeline.meters.nonfinite == 10


def test_changes_are_made_between_two_hops_in_order():
    seen = []

    def before_block(index):
        if index == 5:
            loop.at_next_hop(lambda: seen.append((1, loop.clock.hops)))
            loop.at_next_hop(lambda: seen.append((2, loop.clock.hops)))

    loop, _ = looped(live_config(), recording(20 * HOP), before_block)
    loop.run()
    assert seen == [(1, 5), (2, 5)]


def swapped(samples, config, at):
    incoming = Chain(config)
    loop, sink = looped(
        config, samples, lambda i: loop.at_next_hop(lambda: loop.begin_swap(incoming)) if i == at else None
    )
    loop.run()
    assert loop.error is None
    return loop, sink.samples, incoming


def test_a_swap_to_the_same_settings_is_inaudible():
    options = {"mask__kind": "bypass", "beamformer__kind": "delay_sum", "beamformer__steering": "fixed"}
    config, samples = live_config(**options), recording(80 * HOP)
    loop, out, incoming = swapped(samples, config, 30)
    assert loop.chain is incoming
    expected = enhance_array(samples, 16000, config)
    np.testing.assert_allclose(out[HOP : 30 * HOP], expected[: 29 * HOP], atol=1e-6)
    # the incoming one has measured self-noise for a shorter time, which moves weights by less than is heard
    assert np.std(out[HOP:] - expected) < 0.01 * np.std(expected)


def test_a_swap_keeps_the_talker_and_the_order_of_channels_that_were_found():
    config, samples = live_config(mask__kind="bypass", beamformer__kind="delay_sum"), recording(80 * HOP)
    old, incoming = Chain(config), Chain(config)
    old.pipeline.spatial.localizer._tracker.azimuth_deg = 72.0
    old.pipeline.front.order.channels[:] = old.pipeline.front.mic_channels[:] = [1, 2, 3, 0]
    loop = AudioLoop(ArraySource(samples), ArraySink(2), old)
    loop.begin_swap(incoming)
    assert incoming.pipeline.spatial.localizer.azimuth_deg == 72.0
    assert incoming.pipeline.azimuth_deg == 72.0
    assert incoming.pipeline.front.mic_channels.tolist() == [1, 2, 3, 0]


def test_a_swap_fades_between_the_old_and_the_new():
    old = live_config(mask__kind="bypass", beamformer__kind="none", output__channels=["listen"])
    new = live_config(
        mask__kind="bypass", beamformer__kind="none", output__channels=["listen"], array__gains_db=[-20.0] * 4
    )
    samples = np.full((80 * HOP, 4), 0.5, np.float32)
    sink = ArraySink(1)
    incoming = Chain(new)
    loop = AudioLoop(
        ArraySource(samples, lambda i: loop.at_next_hop(lambda: loop.begin_swap(incoming)) if i == 30 else None),
        sink,
        Chain(old),
    )
    loop.run()
    out = sink.samples[2 * HOP : -2 * HOP, 0]
    assert out[0] == pytest.approx(0.5, abs=1e-3)
    assert out[-1] == pytest.approx(0.05, abs=1e-3)
    # a straight way down, no click: the largest step is that of the ramp
    assert np.abs(np.diff(out)).max() < 1.5 * 0.45 / (FADE_HOPS * HOP)
    assert loop.chain is incoming


def test_counters_go_on_over_a_swap():
    samples = recording(80 * HOP)
    samples[5 * HOP, :] = np.nan
    samples[10 * HOP, 1] = 1.0
    samples[60 * HOP, :] = np.nan
    _, _, incoming = swapped(samples, live_config(), 30)
    assert incoming.pipeline.meters.nonfinite == 8
    assert incoming.pipeline.meters.clipped.tolist()[1] >= 1


def test_warm_up_leaves_no_trace():
    config = live_config(beamformer__kind="mvdr")
    chain, other = Chain(config), Chain(config)
    block = recording(HOP)
    outs = [np.zeros((HOP, 2), np.float32) for _ in range(2)]
    other.pipeline.reset()
    for one, out in zip((chain, other), outs, strict=True):
        one.pipeline.process(block, out)
    np.testing.assert_array_equal(*outs)
    assert chain.pipeline.meters.frames == HOP
    assert chain.mode == "normal"
