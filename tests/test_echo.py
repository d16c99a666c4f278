"""The echo canceller on synthetic rooms: what it takes off, what it leaves alone, what must not harm it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from echo_scenes import MICS, RATE_HZ, cancel, make, played, ratio_db, room, span, voice


def _scene(seed, seconds, delay_ms=1.0):
    """(reference (samples, 1), echo, self-noise at -60 dBFS (samples, mics), generator)."""
    rng = np.random.default_rng(seed)
    reference = voice(rng, seconds)
    echo = played(reference, room(rng, delay_ms=delay_ms))
    return reference[:, None], echo, 1e-3 * rng.standard_normal(echo.shape), rng


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
@pytest.mark.parametrize("seed", [1, 2])
def test_echo_goes_and_the_talker_stays(profile, seed):
    reference, echo, noise, rng = _scene(seed, 16.0)
    talker = played(voice(rng, 16.0), room(rng))
    talker[: 12 * RATE_HZ] = 0.0
    canceller = make(profile=profile)
    out = cancel(canceller, echo + talker + noise, reference, profile)
    left = out - talker - noise
    assert ratio_db(span(echo, 10, 12), span(left, 10, 12)) > 20.0
    # double talk at 0 dB: echo stays away, so the talker is left as he was
    assert ratio_db(span(talker, 12, 16), span(left, 12, 16)) > 15.0
    assert ratio_db(span(echo, 12, 16), span(left, 12, 16)) > 15.0
    assert canceller.active
    assert 0.0 < canceller.erle_db < 10.0  # the talker is in both powers
    assert canceller.delay_ms == 0.0


def test_a_changed_echo_path_is_learnt_anew():
    reference, echo, noise, rng = _scene(3, 14.0)
    other = played(reference[:, 0], room(rng))
    echo[8 * RATE_HZ :] = other[8 * RATE_HZ :]
    left = cancel(make(), echo + noise, reference) - noise
    assert ratio_db(span(echo, 7, 8), span(left, 7, 8)) > 20.0
    assert ratio_db(span(echo, 8, 8.1), span(left, 8, 8.1)) < 6.0
    assert ratio_db(span(echo, 10.5, 11.5), span(left, 10.5, 11.5)) > 12.0
    assert ratio_db(span(echo, 12, 14), span(left, 12, 14)) > 18.0


@pytest.mark.parametrize("delay_ms", [120.0, 230.0])
def test_a_late_echo_is_found(delay_ms):
    reference, echo, noise, _ = _scene(4, 16.0, delay_ms)
    canceller = make()
    left = cancel(canceller, echo + noise, reference) - noise
    assert delay_ms - 24.0 < canceller.delay_ms < delay_ms
    assert ratio_db(span(echo, 14, 16), span(left, 14, 16)) > 20.0


@pytest.mark.parametrize("wanders", [True, False])
def test_half_a_success_holds_the_filter_only_where_the_strongest_part_stays(wanders):
    # speech at a delay beyond the window: vowels are predicted from what was played before, by weights that wander
    canceller = make(profile="hearing")
    weights = canceller.filter._w_re
    for look in range(8):
        canceller._lasting[:] = 1.0, 0.5, 0.5, 0.0
        weights[:] = 0.0
        weights[(37 * look) % 70 if wanders else 4 + look % 2] = 1.0
        canceller._place_window()
    assert (canceller.delay_ms > 0.0) == wanders


def test_two_loudspeakers():
    rng = np.random.default_rng(5)
    references = np.stack([voice(rng, 12.0), voice(rng, 12.0)], axis=1)
    echo = sum(played(references[:, r], room(rng)) for r in range(2))
    noise = 1e-3 * rng.standard_normal(echo.shape)
    left = cancel(make(references=2), echo + noise, references) - noise
    assert ratio_db(span(echo, 10, 12), span(left, 10, 12)) > 18.0


def test_a_reference_channel_without_sound_is_no_hindrance():
    reference, echo, noise, _ = _scene(6, 4.0)
    one = cancel(make(), echo + noise, reference)
    two = cancel(make(references=2), echo + noise, np.concatenate([0.0 * reference, reference], axis=1))
    assert ratio_db(span(echo, 3, 4), span(two - noise, 3, 4)) > 15.0
    assert ratio_db(span(one, 3, 4), span(two - one, 3, 4)) > -3.0


@pytest.mark.parametrize(
    "bad", [0.0, 5e-6, np.nan, np.inf, 1e9], ids=["zero", "-106 dBFS", "NaN", "infinite", "absurd"]
)
def test_a_silent_or_broken_reference_leaves_the_microphones_bit_by_bit(bad):
    rng = np.random.default_rng(7)
    microphones = (0.1 * rng.standard_normal((RATE_HZ, MICS))).astype(np.float32)
    canceller = make()
    out = cancel(canceller, microphones, np.full((RATE_HZ, 1), bad))
    np.testing.assert_array_equal(out, microphones[: len(out)])
    assert not canceller.active
    assert canceller.erle_db is None


def test_switch():
    reference, echo, noise, _ = _scene(8, 10.0)
    canceller = make()
    hop_ms = 8.0

    def switch(i):
        if i * hop_ms == 4000.0:
            canceller.set_enabled(False)
        if i * hop_ms == 6000.0:
            canceller.set_enabled(True)

    microphones = (echo + noise).astype(np.float32)
    out = cancel(canceller, microphones, reference, on_hop=switch)
    np.testing.assert_array_equal(span(out, 4.1, 5.9), span(microphones, 4.1, 5.9))
    # what was learnt before is still known: nothing has to be learnt again
    assert ratio_db(span(echo, 6.4, 7.4), span(out - noise, 6.4, 7.4)) > 15.0
    off = make(enabled=False)
    np.testing.assert_array_equal(cancel(off, microphones, reference), microphones[: len(out)])
    assert (off.active, off.erle_db) == (False, None)


def test_a_muted_loudspeaker_costs_the_talker_nothing():
    rng = np.random.default_rng(9)
    reference, talker = voice(rng, 10.0)[:, None], played(voice(rng, 10.0), room(rng))
    microphones = talker + 1e-3 * rng.standard_normal(talker.shape)
    removed = cancel(make(), microphones, reference) - microphones
    assert ratio_db(span(talker, 0, 2), span(removed, 0, 2)) > 10.0
    assert ratio_db(span(talker, 2, 10), span(removed, 2, 10)) > 20.0


def test_an_echo_that_comes_after_minutes_without_is_still_learnt():
    reference, echo, noise, rng = _scene(10, 40.0)
    echo[: 30 * RATE_HZ] = 0.0
    talker = played(voice(rng, 40.0), room(rng))
    talker[30 * RATE_HZ :] = 0.0
    left = cancel(make(), echo + talker + noise, reference) - talker - noise
    assert ratio_db(span(echo, 36, 40), span(left, 36, 40)) > 18.0


def test_bad_samples_clipping_and_dead_microphones_do_not_spoil_it():
    reference, echo, noise, rng = _scene(11, 12.0)
    microphones = echo + noise
    microphones[:, 1] = 0.0  # dead
    microphones[2 * RATE_HZ : 3 * RATE_HZ, 2] = 0.0  # dies and comes back
    heard = reference.copy()
    heard[rng.integers(0, len(heard), 50)] = np.nan
    heard[4 * RATE_HZ : 5 * RATE_HZ] = np.clip(20.0 * heard[4 * RATE_HZ : 5 * RATE_HZ], -1.0, 1.0)
    heard[6 * RATE_HZ : 7 * RATE_HZ] = np.nan
    out = cancel(make(), microphones, heard)
    assert np.isfinite(out).all()
    assert not out[:, 1].any()
    for begin_s in (2.0, 4.0, 6.0):  # worse than nothing at no time
        assert ratio_db(span(out, begin_s, begin_s + 1.0), span(microphones, begin_s, begin_s + 1.0)) < 0.5
    for mic in (0, 2, 3):
        assert ratio_db(span(echo, 10, 12)[:, mic], span(out - noise, 10, 12)[:, mic]) > 15.0


def test_minutes_of_silence_then_playback():
    reference, echo, noise, _ = _scene(12, 8.0)
    canceller = make()
    cancel(canceller, echo + noise, reference)
    silence = np.zeros((60 * RATE_HZ, MICS), np.float32)
    assert not cancel(canceller, silence, silence[:, :1]).any()
    assert not canceller.active
    left = cancel(canceller, echo + noise, reference) - noise
    assert ratio_db(span(echo, 0.5, 1.5), span(left, 0.5, 1.5)) > 15.0
    # playing to dead microphones: nothing is learnt, nothing vanishes into denormal numbers
    assert not cancel(canceller, np.zeros((len(reference), MICS)), reference).any()
    # they seem to have lost the echo, so it is learnt anew
    left = cancel(canceller, echo + noise, reference) - noise
    assert ratio_db(span(echo, 0.5, 1.5), span(left, 0.5, 1.5)) > 12.0


def test_reset_is_as_new_and_take_goes_on():
    reference, echo, noise, _ = _scene(13, 2.0)
    first, second, other = make(), make(), make(tail_ms=100)
    fresh = cancel(first, echo + noise, reference)
    second.take(first)
    other.take(first)  # has another size: stays as it was
    other.take(None)
    again = cancel(first, echo + noise, reference)
    assert ratio_db(fresh, again) > 1.0
    np.testing.assert_array_equal(cancel(second, echo + noise, reference), again)
    assert other.erle_db is None
    first.reset()
    np.testing.assert_array_equal(cancel(first, echo + noise, reference), fresh)


def test_nothing_is_allocated():
    reference, echo, noise, _ = _scene(14, 1.0)
    canceller = make()
    cancel(canceller, echo + noise, reference)
    block = np.ascontiguousarray(np.concatenate([echo + noise, reference], axis=1)[:128], np.float32)
    history = np.zeros((MICS, 512), np.float32)
    tracemalloc.start()
    canceller.process(block, history, np.float32(1e4), True)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in range(300):
        canceller.process(block, history, np.float32(1e4), True)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now - before < 2000
    assert (
        peak - before < 8000
    )  # views of arrays come and go; one copy of a spectrum of all microphones is not among them
