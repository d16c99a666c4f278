"""Replacing parts of a running chain: nothing is leaked, nothing made twice, nothing lost on the way."""

import gc
import weakref

import numpy as np
import pytest
from live_parts import ArraySink, ArraySource, live_config, recording
from test_runtime_controller import Daemon, Seconds

from edge.config import config_from_dict
from edge.errors import ConfigError, EdgeError
from edge.mask import network
from edge.mask.classical import WienerMask
from edge.profiles import PROFILES
from edge.runtime import realtime
from edge.runtime.chain import Chain
from edge.runtime.loop import AudioLoop
from edge.runtime.overload import LATE_HOPS, RESETS, ResetGuard
from edge.runtime.reload import live_part, needs_restart

HOP = 128


def test_reloads_leave_at_most_two_pipelines_alive_without_a_collector():
    ceilings = iter(range(-40, -10))
    daemon = Daemon(live_config(), lambda: live_config(post__limiter_dbfs=float(next(ceilings))), hops=400)
    pipelines = [weakref.ref(daemon.loop.chain.pipeline)]
    alive = []

    def reload():
        daemon.controller.reload()
        pipelines.append(weakref.ref(daemon.controller._chain.pipeline))
        alive.append(sum(each() is not None for each in pipelines))

    for index in range(10, 300, 20):
        daemon.script[index] = reload
    realtime.settle_interpreter()
    try:
        daemon.loop.run()
        assert not gc.isenabled()
    finally:
        realtime.release_interpreter()
    assert daemon.loop.error is None
    assert len(alive) == 15
    # one in use and the one just made; the one frozen at the start was freed too
    assert max(alive) <= 2
    assert pipelines[0]() is None


def test_a_chain_is_freed_without_a_collector():
    gc.disable()
    try:
        chain = Chain(live_config(beamformer__kind="mvdr"))
        gone = weakref.ref(chain), weakref.ref(chain.pipeline), weakref.ref(chain.estimator)
        del chain
        assert [each() for each in gone] == [None, None, None]
    finally:
        gc.enable()


def test_what_was_in_use_is_used_again():
    # named: for auto another network suits a single microphone
    daemon = Daemon(live_config(mask__kind="network", mask__model="mono-assistant", beamformer__kind="mvdr"))
    first = daemon.loop.chain.estimator
    beam = daemon.loop.chain.pipeline.beamformer
    pipeline = daemon.run_with(
        ("mask", {"kind": "bypass"}),
        ("beamformer", {"kind": "none"}),
        ("mask", {"kind": "network"}),
        ("beamformer", {"kind": "mvdr"}),
    )
    assert daemon.loop.chain.estimator is first
    assert pipeline.beamformer is beam


def test_a_reload_opens_no_network_again(monkeypatch):
    config = live_config(mask__kind="network")
    daemon = Daemon(config, lambda: live_config(mask__kind="network", post__limiter_dbfs=-6.0))
    before = daemon.loop.chain.estimator
    opened = []
    monkeypatch.setattr(network, "open_session", opened.append)
    daemon.run_with(("reload", {}))
    assert daemon.replies[0]["changed"] == ["post.limiter_dbfs"]
    after = daemon.loop.chain.estimator
    assert after is not before, "both run during the crossfade, each with its own state"
    assert after._session is before._session
    assert opened == []


@pytest.mark.parametrize("second", ["mask", "beamformer", "reload"])
def test_costly_commands_are_one_a_second(second):
    clock = Seconds(0.0)
    daemon = Daemon(live_config(), lambda: live_config(mask__floor_db=-6.0), clock=clock)
    payload = {"mask": {"kind": "bypass"}, "beamformer": {"kind": "none"}, "reload": {}}
    daemon.controller.command("mask", {"kind": "spectral_subtraction"})
    before = daemon.controller.config
    with pytest.raises(EdgeError, match="within 1 s of another") as caught:
        daemon.controller.command(second, payload[second])
    assert "\n" not in str(caught.value)
    assert daemon.controller.config == before
    daemon.controller.command("look", {"azimuth_deg": 5.0})  # the cheap ones are not counted
    assert daemon.controller.reload_due_in_s == 1.0
    clock.now_s += 1.0
    assert daemon.controller.reload_due_in_s == 0.0
    daemon.controller.command(second, payload[second])
    assert daemon.controller.config != before


def test_reload_to_another_number_of_microphones_holds_the_beam_back():
    one = live_config(array__positions_m=[[0.0, 0.0, 0.0]], beamformer__kind="none")
    four = live_config(beamformer__kind="mvdr", mask__floor_db=-3.0)
    merged = live_part(one, four)
    assert (merged.array, merged.beamformer, merged.mask) == (one.array, one.beamformer, four.mask)
    assert set(needs_restart(one, four)) >= {"array.positions_m", "array.roles", "beamformer.kind"}
    assert live_part(four, one).beamformer == four.beamformer


def test_a_merged_configuration_is_checked_as_a_whole():
    running = live_config()
    wanted = config_from_dict(
        {"array": {"positions_m": [[0.0, 0.0, 0.0]], "roles": "MRRR"}, "input": {"kind": "file", "path": "in.wav"}}
    )
    broken = live_config()
    object.__setattr__(broken.array, "gains_db", (1.0, 2.0))
    assert live_part(running, wanted).beamformer.kind == "none"
    with pytest.raises(ConfigError, match="gains_db"):
        live_part(running, broken)


class BrokenNetwork(WienerMask):
    """Counts a reset at every step for as long as it is broken, as a network that gives NaN does."""

    resets = 0
    broken = False

    def step(self, spectrum, gain):
        self.resets += self.broken
        super().step(spectrum, gain)


def test_a_network_that_is_reset_again_and_again_is_replaced():
    network_ = BrokenNetwork(PROFILES["assistant"])
    chain = Chain(live_config(mask__kind="network"), network_)
    network_.broken = True
    modes = []
    loop = AudioLoop(ArraySource(recording(40 * HOP), lambda i: modes.append(loop.chain.mode)), ArraySink(), chain)
    loop.run()
    assert loop.error is None
    assert modes[RESETS - 1] == "normal"
    assert modes[RESETS] == "network gave no numbers: wiener instead of network"
    assert chain.pipeline.mask_kind == "wiener"
    assert chain.network_resets == RESETS


def test_rare_resets_are_forgiven():
    guard = ResetGuard(8.0)
    found = [guard.update(hop // 1000) for hop in range(10000)]  # one in 8 s
    assert not any(found)
    assert guard.update(10 + RESETS) is True


def test_counts_of_resets_go_on_over_a_reload():
    network_ = BrokenNetwork(PROFILES["assistant"])
    network_.resets = 2
    old, new = Chain(live_config(mask__kind="network"), network_), Chain(live_config(mask__kind="network"))
    new.take_over(old)
    assert new.network_resets == old.network_resets >= 2


def test_a_rung_taken_before_a_reload_is_kept():
    old, new = (Chain(live_config(mask__kind="wiener", mask__floor_db=floor)) for floor in (-6.0, -9.0))
    for _ in range(LATE_HOPS):
        old.guard(True)
    assert old.mode != "normal"
    loop = AudioLoop(ArraySource(recording(40 * HOP)), ArraySink(), old)
    loop.at_next_hop(lambda: loop.begin_swap(new))
    loop.run()
    assert loop.chain is new
    assert new.mode == old.mode
    assert new.pipeline.beamformer_kind == old.pipeline.beamformer_kind


def test_two_pipelines_at_once_are_not_overload():
    """While one fades into the other a hop costs twice, which is no reason to fall back."""
    old, new = Chain(live_config()), Chain(live_config(mask__floor_db=-9.0))
    late_while_swapping = []
    loop = AudioLoop(ArraySource(recording(40 * HOP)), ArraySink(), old)

    def swap():
        loop.begin_swap(new)
        loop.clock.deadline_ns = 0  # everything is late from here on

    def before(index):
        late_while_swapping.append((loop._incoming is not None, loop.chain.mode))

    loop.source = ArraySource(recording(12 * HOP), before)
    loop.at_next_hop(swap)
    loop.run()
    assert loop.error is None
    assert all(mode == "normal" for swapping, mode in late_while_swapping if swapping)


def test_rotations_do_not_queue_up_and_the_reading_outlives_a_swap():
    loop = AudioLoop(ArraySource(np.full((4 * HOP, 4), 0.5, np.float32)), ArraySink(), Chain(live_config()))
    for _ in range(5):
        loop.ask_rotation()
    assert len(loop._changes) == 1
    loop.run()
    assert loop.rotations == 1
    loop.rotate_meters()
    reading = loop.reading
    loop.chain = Chain(live_config())
    assert loop.reading is reading
    assert reading.frames == 5 * HOP  # with the tail
    assert reading.energy[0] == pytest.approx(4 * HOP * 0.25)
