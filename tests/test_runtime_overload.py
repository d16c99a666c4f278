"""Falling back when processing is late, and coming back."""

import time

import numpy as np
import pytest
from live_parts import ArraySink, ArraySource, live_config, recording

from edge.mask.classical import WienerMask
from edge.profiles import PROFILES
from edge.runtime import overload
from edge.runtime.chain import Chain
from edge.runtime.loop import AudioLoop
from edge.runtime.overload import LATE_HOPS, OverloadGuard, rungs_for

HOP_MS = 8.0


def feed(guard, late, hops):
    """Levels after each change."""
    return [guard.level for _ in range(hops) if guard.update(late)]


def test_rungs_go_from_what_was_asked_to_the_cheapest():
    assert [(r.mask, r.beamformer) for r in rungs_for("network", "mvdr")] == [
        ("network", "mvdr"),
        ("wiener", "mvdr"),
        ("wiener", "delay_sum"),
        ("bypass", "delay_sum"),
    ]


def test_the_cheapest_choice_has_nowhere_to_fall():
    assert [r.instead for r in rungs_for("bypass", "none")] == [""]


@pytest.mark.parametrize("mask", ["network", "wiener", "spectral_subtraction", "bypass"])
@pytest.mark.parametrize("beamformer", ["mvdr", "delay_sum", "none"])
def test_every_ladder_starts_normal_and_names_each_rung_differently(mask, beamformer):
    modes = [r.instead for r in rungs_for(mask, beamformer)]
    assert modes[0] == ""
    assert len(set(modes)) == len(modes)


def test_a_few_late_hops_are_forgiven():
    guard = OverloadGuard(4, HOP_MS)
    for _ in range(50):
        assert feed(guard, True, LATE_HOPS - 1) == []
        assert feed(guard, False, 1) == []
    assert guard.level == 0


def test_late_hops_in_a_row_go_down_one_rung_at_a_time_to_the_last():
    guard = OverloadGuard(4, HOP_MS)
    assert feed(guard, True, LATE_HOPS) == [1]
    assert feed(guard, True, LATE_HOPS - 1) == []
    assert feed(guard, True, 10 * LATE_HOPS) == [2, 3]


def test_it_comes_back_by_itself():
    guard = OverloadGuard(4, HOP_MS)
    feed(guard, True, 2 * LATE_HOPS)
    wait = round(1000 * overload.RECOVER_S / HOP_MS)
    assert feed(guard, False, wait - 1) == []
    assert feed(guard, False, wait + 1) == [1, 0]


def test_a_trial_that_fails_waits_twice_as_long_and_up_to_a_bound():
    guard = OverloadGuard(2, HOP_MS)
    shortest = guard.recover_hops
    waits = []
    feed(guard, True, LATE_HOPS)
    for _ in range(12):
        waits.append(guard.recover_hops)
        feed(guard, False, guard.recover_hops)
        assert guard.level == 0
        feed(guard, True, LATE_HOPS)
        assert guard.level == 1
    assert waits[:3] == [shortest, 2 * shortest, 4 * shortest]
    assert waits[-1] == round(1000 * overload.RECOVER_MAX_S / HOP_MS)


def test_a_trial_that_lasts_forgets_the_failures():
    guard = OverloadGuard(2, HOP_MS)
    shortest = guard.recover_hops
    for _ in range(3):
        feed(guard, True, LATE_HOPS)
        feed(guard, False, guard.recover_hops)
    assert guard.recover_hops > shortest
    feed(guard, False, guard.recover_hops)
    assert guard.recover_hops == shortest


def test_rare_late_hops_do_not_keep_it_down():
    guard = OverloadGuard(2, HOP_MS)
    feed(guard, True, LATE_HOPS)
    changes = []
    for _ in range(20):
        changes += feed(guard, False, 500) + feed(guard, True, 1)
    assert changes == [0]


class SlowMask(WienerMask):
    """A real mask that is too slow for as long as `seconds` says."""

    seconds = 0.0

    def step(self, spectrum, gain):
        time.sleep(self.seconds)
        super().step(spectrum, gain)


def test_a_slow_stage_is_replaced_while_it_is_slow(monkeypatch):
    monkeypatch.setattr(overload, "RECOVER_S", 0.4)  # 50 hops
    config = live_config(mask__kind="network", output__channels=["listen"])
    slow = SlowMask(PROFILES["assistant"])
    chain = Chain(config, slow)
    samples = recording(128 * 300)
    modes = []

    def before_block(index):
        slow.seconds = 0.12 if index < 60 else 0.0
        modes.append(loop.chain.mode)

    sink = ArraySink(1)
    loop = AudioLoop(ArraySource(samples, before_block), sink, chain)
    # far above the cost of the other stages on the slowest machine, far below that of the slow one
    loop.clock.deadline_ns = 60_000_000
    loop.run()
    assert loop.error is None
    assert modes[0] == "normal"
    assert "overload: wiener instead of network" in modes
    assert modes[-1] == "normal"
    assert loop.clock.misses >= LATE_HOPS
    # the delay is the same on every rung, so every block came out
    assert len(sink.samples) == len(samples) + 128
    assert np.isfinite(sink.samples).all()
