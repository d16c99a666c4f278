"""From one estimator to another without a jump: what is heard, when, and that nothing is made on the way."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from edge.config.schema import MaskConfig
from edge.mask.classical import BypassMask, WienerMask
from edge.mask.crossfade import FADE_S, LISTEN_S, CrossfadeMask
from edge.mask.factory import make_estimator
from edge.profiles import PROFILES

PROFILE = PROFILES["assistant"]
LISTEN_HOPS = round(LISTEN_S * 1000 / PROFILE.hop_ms)
FADE_HOPS = round(FADE_S * 1000 / PROFILE.hop_ms)


class Constant:
    """Always the same gain; counts what it was given."""

    latency_samples = 0

    def __init__(self, value: float, cue_power: np.ndarray | None = None) -> None:
        self.value = value
        self.presence = np.zeros(PROFILE.bins, np.float32)
        self.cue_power = cue_power
        self.cues_seen: list[np.ndarray] = []
        self.steps = self.resets_asked = 0

    def step(self, spectrum: np.ndarray, gain: np.ndarray) -> None:
        self.steps += 1
        if self.cue_power is not None:
            self.cues_seen.append(self.cue_power.copy())
        gain[:] = self.value
        self.presence[:] = self.value / 2

    def reset(self) -> None:
        self.resets_asked += 1


def noise(hops: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((hops, PROFILE.bins)) + 1j * rng.standard_normal((hops, PROFILE.bins))
    return (0.1 * x).astype(np.complex64)


def run(fade: CrossfadeMask, hops: int) -> tuple[np.ndarray, np.ndarray]:
    """First bin of gain and presence, hop by hop."""
    spectrum = np.zeros(PROFILE.bins, np.complex64)
    gain = np.zeros(PROFILE.bins, np.float32)
    rows = []
    for _ in range(hops):
        fade.step(spectrum, gain)
        assert np.ptp(gain) == 0.0
        rows.append((gain[0], fade.presence[0]))
    gains, presences = np.array(rows).T
    return gains, presences


def test_the_old_one_counts_alone_then_less_and_less_then_not_at_all() -> None:
    old, new = Constant(1.0), Constant(0.2)
    fade = CrossfadeMask(new, PROFILE)
    fade.begin(old)
    gains, presences = run(fade, LISTEN_HOPS)
    assert np.all(gains == 1.0)
    assert np.all(presences == 0.5)
    assert new.steps == LISTEN_HOPS, "the new one hears all of it"
    assert not fade.done
    gains, presences = run(fade, FADE_HOPS)
    expected = 1.0 - 0.8 * (np.arange(FADE_HOPS) + 1.0) / (FADE_HOPS + 1)
    np.testing.assert_allclose(gains, expected, atol=1e-6)
    np.testing.assert_allclose(presences, expected / 2, atol=1e-6)
    assert fade.done
    gains, presences = run(fade, 5)
    assert np.all(gains == np.float32(0.2))
    assert np.all(presences == np.float32(0.1))
    assert old.steps == LISTEN_HOPS + FADE_HOPS, "the old one is left alone"


def test_the_name_in_force_changes_in_the_middle_of_the_fade() -> None:
    old, new = Constant(1.0), Constant(0.0)
    fade = CrossfadeMask(new, PROFILE)
    fade.begin(old)
    run(fade, LISTEN_HOPS)
    assert fade.in_force is old
    run(fade, FADE_HOPS - 1)
    assert fade.in_force is new


@pytest.mark.parametrize(("old_wants", "new_wants"), [(True, False), (False, True), (True, True), (False, False)])
def test_cue_power_is_for_whichever_wants_it(old_wants: bool, new_wants: bool) -> None:
    old, new = (Constant(0.5, np.zeros((2, PROFILE.bins), np.float32) if w else None) for w in (old_wants, new_wants))
    fade = CrossfadeMask(new, PROFILE)
    assert fade.cue_power is None
    fade.begin(old)
    assert (fade.cue_power is not None) == (old_wants or new_wants)
    for hop in range(3):
        if fade.cue_power is not None:
            fade.cue_power[:] = hop  # as the pipeline does before each step
        run(fade, 1)
    for each, wants in ((old, old_wants), (new, new_wants)):
        assert [cues[0, 0] for cues in each.cues_seen] == ([0.0, 1.0, 2.0] if wants else [])


def test_numbers_that_are_none_do_not_come_through_before_their_time() -> None:
    fade = CrossfadeMask(Constant(np.nan), PROFILE)
    fade.begin(Constant(0.7))
    gains, presences = run(fade, LISTEN_HOPS)
    assert np.isfinite(gains).all()
    assert np.isfinite(presences).all()


def test_reset_reaches_both() -> None:
    old, new = Constant(1.0), Constant(0.0)
    fade = CrossfadeMask(new, PROFILE)
    fade.begin(old)
    fade.reset()
    assert (old.resets_asked, new.resets_asked) == (1, 1)


def test_a_network_ends_with_the_state_of_one_that_has_listened_all_the_while() -> None:
    alone, incoming = (make_estimator("network", MaskConfig(), PROFILE) for _ in range(2))
    fade = CrossfadeMask(incoming, PROFILE)
    fade.begin(BypassMask(PROFILE))
    gain, expected = (np.zeros(PROFILE.bins, np.float32) for _ in range(2))
    for hop, spectrum in enumerate(noise(LISTEN_HOPS + FADE_HOPS + 10)):
        fade.step(spectrum, gain)
        alone.step(spectrum, expected)
        if hop < LISTEN_HOPS:
            assert np.all(gain == 1.0), "what is bypassed stays bypassed"
    np.testing.assert_array_equal(gain, expected)
    np.testing.assert_array_equal(fade.presence, alone.presence)


def test_nothing_is_allocated_per_step() -> None:
    fade = CrossfadeMask(WienerMask(PROFILE), PROFILE)
    old = WienerMask(PROFILE)
    spectrum, gain = noise(1)[0], np.zeros(PROFILE.bins, np.float32)
    gc.collect()
    gc.disable()
    try:
        # the first round fills the interpreter's free lists
        for _ in range(2):
            before = sys.getallocatedblocks()
            for _ in range(5):
                fade.begin(old)
                for _ in range(LISTEN_HOPS + FADE_HOPS + 3):
                    fade.step(spectrum, gain)
            growth = sys.getallocatedblocks() - before
    finally:
        gc.enable()
    assert growth <= 3
