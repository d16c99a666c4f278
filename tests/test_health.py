"""Microphones that fail are found in time and named, left out without a jump, and taken back; others are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from health_scenes import CIRCLE, RATE_HZ, SQUARE, as_16_bit, broken, diffuse, plane_wave, scene, talking, wind
from signal_path import make_pipeline

from edge.health.reasons import REASONS, UNITS, explain

FAIL_S = 2.5


def watch(x, positions=SQUARE, pipeline=None, **options):
    """Run x through a pipeline: (events, output); an event is (seconds, microphone, reason or 'back')."""
    pipeline = pipeline or make_pipeline(positions, **options)
    hop, health = pipeline.hop_samples, pipeline.front.health
    out = np.zeros((len(x), len(pipeline.outputs)), np.float32)
    before, events = health.active.copy(), []
    for start in range(0, len(x) - hop + 1, hop):
        pipeline.process(x[start : start + hop], out[start : start + hop])
        for m in np.flatnonzero(before != health.active):
            events.append(((start + hop) / RATE_HZ, int(m), REASONS[health.reason[m]] or "back"))
        before = health.active.copy()
    return events, out


@pytest.mark.parametrize(
    ("how", "reason", "within_s"),
    [
        ("zero", "dead", 0.05),
        ("constant", "stuck", 0.05),
        ("repeated", "stuck", 0.4),
        ("faint", "dead", 1.0),
        ("self-noise", "dead", 1.0),
        ("clipped", "clipped", 1.0),
        ("noise", "noisy", 1.0),
        ("noise as loud", "noisy", 1.0),
        ("inverted", "delay", 1.0),
        ("late", "delay", 1.2),
    ],
)
def test_a_fault_is_found_in_time_and_named(how, reason, within_s):
    events, out = watch(broken(scene(seconds=4.0, seed=3), 2, how, FAIL_S))
    assert [(m, why) for _, m, why in events] == [(2, reason)]
    assert FAIL_S <= events[0][0] <= FAIL_S + within_s
    assert np.isfinite(out).all()


def test_a_circle_of_six_loses_one_and_then_another():
    x = broken(broken(scene(CIRCLE, 4.5, seed=3), 5, "noise as loud", 1.5), 2, "inverted", 3.0)
    events, _ = watch(x, CIRCLE)
    assert [(m, why) for _, m, why in events] == [(5, "noisy"), (2, "delay")]
    assert events[0][0] < 2.5
    assert events[1][0] < 4.0


def test_the_hearing_profile_watches_as_well():
    events, _ = watch(broken(scene(seconds=3.5), 1, "zero", FAIL_S), profile="hearing")
    assert [(m, why) for _, m, why in events] == [(1, "dead")]
    assert events[0][0] <= FAIL_S + 0.02


@pytest.mark.parametrize("microphone", [0, 3])
@pytest.mark.parametrize("beamformer", ["none", "delay_sum", "mvdr"])
def test_the_output_goes_on_when_a_microphone_dies(microphone, beamformer):
    rng = np.random.default_rng(5)
    whole = as_16_bit(
        plane_wave(0.1 * talking(int(5 * RATE_HZ), rng), SQUARE, 0.0) + 1e-3 * rng.standard_normal((80000, 4))
    )
    _, out = watch(broken(whole, microphone, "zero", FAIL_S), beamformer=beamformer)
    _, reference = watch(whole, beamformer=beamformer)
    moment = slice(int((FAIL_S - 0.02) * RATE_HZ), int((FAIL_S + 0.1) * RATE_HZ))
    # no click: nothing larger than the sound itself, and no steeper
    assert np.abs(out[moment]).max() < 1.5 * np.abs(reference).max()
    assert np.abs(np.diff(out[moment], axis=0)).max() < 2.0 * np.abs(np.diff(reference, axis=0)).max()
    after = slice(int((FAIL_S + 0.5) * RATE_HZ), None)
    change_db = 10 * np.log10(np.mean(out[after, 1] ** 2) / np.mean(reference[after, 1] ** 2))
    assert abs(change_db) < 2.0


def test_a_dead_microphone_has_no_weight():
    pipeline = make_pipeline(SQUARE, "mvdr")
    watch(broken(scene(seconds=4.0), 0, "zero", FAIL_S), pipeline=pipeline)
    np.testing.assert_array_equal(pipeline.weights[0], 0.0)
    assert (np.abs(pipeline.weights[1:]).max(axis=1) > 0.01).all()


def test_taken_back_after_a_while_and_later_the_second_time():
    x = scene(seconds=16.0, seed=2)
    x = broken(broken(x, 1, "zero", 1.5, 2.0), 1, "zero", 6.5, 7.0)
    events, _ = watch(x)
    (lost, _, _), (back, _, _), (lost_again, _, _), (back_again, _, _) = events
    assert [why for _, _, why in events] == ["dead", "back", "dead", "back"]
    assert 2.0 <= back - 2.0 < 3.5
    assert lost_again == pytest.approx(6.5, abs=0.05)
    assert 4.0 <= back_again - 7.0 < 7.5  # twice as long
    assert lost == pytest.approx(1.5, abs=0.05)


def test_a_noisy_microphone_comes_back_when_it_hears_the_same_again():
    events, _ = watch(broken(scene(seconds=8.0, seed=4), 3, "noise", 1.5, 3.0))
    assert [(m, why) for _, m, why in events] == [(3, "noisy"), (3, "back")]
    assert 4.5 < events[1][0] < 7.0


def test_a_loose_contact_does_not_make_it_flap():
    x = scene(seconds=7.0, seed=6)
    for start_s in np.arange(1.0, 6.5, 0.7):
        x = broken(x, 2, "zero", start_s, start_s + 0.2)
    events, _ = watch(x)
    assert [why for _, _, why in events] == ["dead"]


def test_two_may_fail_and_one_always_stays():
    x = scene(seconds=5.0, seed=7)
    for m, from_s in ((0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)):
        x = broken(x, m, "zero", from_s)
    pipeline = make_pipeline(SQUARE)
    events, out = watch(x, pipeline=pipeline)
    assert [m for _, m, _ in events] == [0, 1, 2]
    assert pipeline.front.health.active.tolist() == [False, False, False, True]
    assert np.isfinite(out).all()


@pytest.mark.parametrize("positions", [SQUARE, CIRCLE])
def test_most_may_die_at_once(positions):
    x = scene(positions, 5.0, seed=3).copy()
    dead = list(range(len(positions) - 1 - len(positions) // 4))
    x[int(FAIL_S * RATE_HZ) :, dead] = 0.0
    events, out = watch(x, positions)
    assert sorted((m, why) for _, m, why in events) == [(m, "dead") for m in dead]
    assert max(when for when, _, _ in events) < FAIL_S + 1.5
    assert np.isfinite(out).all()


def test_not_a_number_for_good_is_a_dead_microphone():
    x = scene(seconds=3.5)
    x[int(FAIL_S * RATE_HZ) :, 1] = np.nan
    events, out = watch(x)
    assert [(m, why) for _, m, why in events] == [(1, "dead")]
    assert np.isfinite(out).all()


def test_two_microphones():
    pair = SQUARE[:2]
    events, _ = watch(broken(scene(pair, 4.0), 1, "zero", FAIL_S), pair)
    assert [(m, why) for _, m, why in events] == [(1, "dead")]
    assert watch(scene(pair, 4.0), pair)[0] == []


@pytest.mark.parametrize(
    "what",
    [
        "scene",
        "speech alone",
        "noise alone",
        "digital silence",
        "faint room",
        "overload",
        "mismatch",
        "near",
        "wind",
        "gaps",
    ],
)
def test_harmless_scenes_are_left_alone(what):
    rng = np.random.default_rng(11)
    positions = CIRCLE if what in ("wind", "mismatch", "speech alone") else SQUARE
    seconds, mics = 8.0, len(positions)
    samples = int(seconds * RATE_HZ)
    x = scene(positions, seconds, seed=12, snr_db=5.0).astype(np.float64)
    if what == "speech alone":
        x = as_16_bit(plane_wave(0.05 * talking(samples, rng), positions, 100.0))
    elif what == "noise alone":
        x = 0.01 * diffuse(samples, positions, rng)
    elif what == "digital silence":
        x[: samples // 2] = 0.0
    elif what == "faint room":
        x = 4e-5 * rng.standard_normal(x.shape) * rng.uniform(0.7, 1.4, mics)
    elif what == "overload":
        x = x * 60.0
    elif what == "mismatch":
        x = x * 10 ** (rng.uniform(-3, 3, mics) / 20)
    elif what == "near":
        # a talker 3 cm from one microphone of the array
        towards = np.asarray(positions)[0] * (1 + 0.03 / np.linalg.norm(positions[0]))
        distance = np.linalg.norm(np.asarray(positions) - towards, axis=1)
        f = np.fft.rfftfreq(samples, 1 / RATE_HZ)
        source = np.fft.rfft(0.1 * talking(samples, rng))[:, None]
        x = 0.1 * x + np.fft.irfft(
            source * np.exp(-2j * np.pi * f[:, None] * distance / 343.0) * 0.03 / distance, samples, axis=0
        )
    elif what == "wind":
        x = x + wind(samples, mics, rng)
    elif what == "gaps":
        for start in rng.integers(0, samples - 4000, 12):
            x[start : start + rng.integers(50, 4000)] = 0.0
    assert watch(as_16_bit(x), positions)[0] == []


def test_switched_off_it_leaves_all_in():
    from edge.config.schema import Config, HealthConfig
    from edge.geometry import ArrayGeometry
    from edge.health.monitor import HealthMonitor
    from edge.profiles import PROFILES

    assert Config().health.enabled
    monitor = HealthMonitor(
        HealthConfig(enabled=False), ArrayGeometry(SQUARE), PROFILES["assistant"], 4, 1e-5, np.float32(1e4)
    )
    x = broken(scene(seconds=1.0), 1, "zero", 0.2)
    spectrum = np.ones((4, 257), np.float32)
    for start in range(0, len(x), 128):
        monitor.update(x[start : start + 128], np.arange(4), spectrum, spectrum)
    assert monitor.active.all()


def test_reset_takes_all_back():
    pipeline = make_pipeline(SQUARE)
    watch(broken(scene(seconds=1.0), 1, "zero", 0.2), pipeline=pipeline)
    assert not pipeline.front.health.active.all()
    pipeline.reset()
    assert pipeline.front.health.active.all()
    assert not pipeline.front.health.reason.any()


def test_digital_silence_for_long_is_told_apart():
    pipeline = make_pipeline(SQUARE)
    watch(np.zeros((4 * RATE_HZ, 4), np.float32), pipeline=pipeline)
    assert not pipeline.front.health.silent
    watch(np.zeros((2 * RATE_HZ, 4), np.float32), pipeline=pipeline)
    assert pipeline.front.health.silent
    watch(scene(seconds=0.5), pipeline=pipeline)
    assert not pipeline.front.health.silent


def test_every_reason_has_words_and_a_unit():
    assert set(UNITS) == set(REASONS[1:])
    assert len({explain(reason, -20.0) for reason in REASONS[1:]}) == len(REASONS) - 1
    assert explain("dead", 0.0) == "digital zero"
