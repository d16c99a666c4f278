"""Channels that change places: recognised by roles, by geometry, by comparison across a gap; never on healthy sound."""

from __future__ import annotations

import numpy as np
import pytest
from health_scenes import CIRCLE, LINE, RATE_HZ, SQUARE, as_16_bit, coloured, diffuse, plane_wave, scene, talking
from signal_path import make_pipeline

from edge.config.schema import ArrayConfig, Config, HealthConfig, MaskConfig
from edge.geometry import ArrayGeometry
from edge.health.order import MISFIT, NONE, SHIFT, SHIFT_SUSPECTED, SWAP, misfit_projector, pair_of
from edge.health.report import order_details, order_sentence, order_state
from edge.kernels import order as kernels
from edge.pipeline import Pipeline


def follow(pipeline, x, gaps_s=()):
    """Run x through; returns the findings as (seconds, kind, detail, corrected)."""
    hop, order, found = pipeline.hop_samples, pipeline.front.order, []
    out = np.zeros((hop, 2), np.float32)
    for start in range(0, len(x) - hop + 1, hop):
        if any(start <= gap * RATE_HZ < start + hop for gap in gaps_s):
            pipeline.front.order.note_gap()
        before = order.findings
        pipeline.process(np.ascontiguousarray(x[start : start + hop], np.float32), out)
        if order.findings != before:
            found.append(((start + hop) / RATE_HZ, order.finding, order.detail, order.corrected))
    return found


def with_channels(x, extra):
    """Microphones followed by other channels."""
    return as_16_bit(np.concatenate([x, extra], axis=1))


def playback(samples, channels=2, seed=9):
    rng = np.random.default_rng(seed)
    return np.repeat(0.05 * coloured(samples, rng)[:, None], channels, axis=1)


@pytest.mark.parametrize("playing", [False, True], ids=["idle", "playing"])
@pytest.mark.parametrize("shift", [1, 2, 5])
def test_rotation_at_the_start_is_corrected_by_roles(shift, playing):
    x = scene(seconds=3.0, seed=1)
    extra = playback(len(x)) if playing else np.zeros((len(x), 2))
    pipeline = make_pipeline(SQUARE, roles="MMMMRR")
    found = follow(pipeline, np.roll(with_channels(x, extra), shift, axis=1))
    assert [entry[1:] for entry in found] == [(SHIFT, shift, True)]
    assert found[0][0] < 2.0
    assert pipeline.front.mic_channels.tolist() == [(m + shift) % 6 for m in range(4)]
    assert pipeline.front.health.active.all()
    assert order_state(pipeline.front.order) == "rotated, corrected"


def test_rotation_while_running_and_back_again():
    x = with_channels(scene(seconds=9.0, seed=2), np.zeros((9 * RATE_HZ, 2)))
    third = len(x) // 3
    x[third : 2 * third] = np.roll(x[third : 2 * third], 3, axis=1)
    pipeline = make_pipeline(SQUARE, roles="MMMMRR")
    found = follow(pipeline, x)
    assert [entry[1:] for entry in found] == [(SHIFT, 3, True), (NONE, 0, True)]
    assert found[0][0] < 3.0 + 1.2
    assert found[1][0] < 6.0 + 1.2
    assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]
    assert order_state(pipeline.front.order) == "as configured"


def test_the_playback_reference_moves_with_the_microphones():
    x = np.roll(with_channels(scene(seconds=2.5), np.zeros((int(2.5 * RATE_HZ), 2))), 2, axis=1)
    pipeline = make_pipeline(SQUARE, roles="MMMMRR")
    follow(pipeline, x)
    assert pipeline.front.order.references.tolist() == [0, 1]


@pytest.mark.parametrize("what", ["idle", "playing", "dead microphone", "processed channel", "echo", "silence"])
def test_an_order_that_is_right_is_left_alone(what):
    x = scene(seconds=5.0, seed=3)
    extra = np.zeros((len(x), 2))
    if what != "idle":
        extra = playback(len(x))
    if what == "dead microphone":
        x[:, 1] = 0.0
        extra[:] = 0.0
    elif what == "processed channel":
        extra = np.stack([x.mean(axis=1), x[:, 0]], axis=1)
    elif what == "echo":
        late = np.roll(extra[:, :1], 300, axis=0)
        x = x + np.repeat(late, 4, axis=1)
    elif what == "silence":
        x[:] = 0.0
    pipeline = make_pipeline(SQUARE, roles="MMMMRR")
    assert follow(pipeline, with_channels(x, extra)) == []
    assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]


def test_alarm_only_where_so_configured():
    x = np.roll(with_channels(scene(seconds=2.5), np.zeros((int(2.5 * RATE_HZ), 2))), 1, axis=1)
    for policy, expected in (("alarm", [(SHIFT, 1, False)]), ("ignore", [])):
        config = Config(
            array=ArrayConfig(positions_m=SQUARE, roles="MMMMRR"),
            mask=MaskConfig(kind="bypass"),
            health=HealthConfig(channel_order=policy),
        )
        pipeline = Pipeline(config, ArrayGeometry(SQUARE))
        assert [entry[1:] for entry in follow(pipeline, x)] == expected
        assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]


def test_channels_that_are_back_in_order_are_told_so():
    x = np.concatenate([scene(seconds=8.0), np.zeros((8 * RATE_HZ, 2))], axis=1).astype(np.float32)
    x[: 4 * RATE_HZ] = np.roll(x[: 4 * RATE_HZ], 1, axis=1)
    config = Config(array=ArrayConfig(positions_m=SQUARE, roles="MMMMRR"), mask=MaskConfig(kind="bypass"))
    pipeline = Pipeline(config, ArrayGeometry(SQUARE))
    assert [entry[1] for entry in follow(pipeline, x)] == [SHIFT, NONE]
    assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]
    assert order_sentence(pipeline.front.order) == "the order of the captured channels is as configured again"
    assert order_state(pipeline.front.order) == "as configured"


def one_side(positions, seconds=8.0, seed=4, azimuth_deg=65.0):
    """Somebody talks from one side in little noise."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * RATE_HZ)
    x = plane_wave(talking(samples, rng), positions, azimuth_deg) + 0.15 * diffuse(samples, positions, rng)
    return as_16_bit(0.03 * x + 1e-4 * rng.standard_normal(x.shape))


def test_two_exchanged_microphones_of_a_line_are_put_right():
    x = one_side(LINE)
    x[:, [0, 1]] = x[:, [1, 0]]
    pipeline = make_pipeline(LINE)
    found = follow(pipeline, x)
    assert [entry[1] for entry in found] == [SWAP]
    assert pair_of(found[0][2]) == (1, 0)
    assert found[0][3]
    assert pipeline.front.mic_channels.tolist() == [1, 0, 2, 3]
    assert "microphones 0 and 1 were exchanged" in order_sentence(pipeline.front.order)


def test_a_rotated_line_is_an_alarm_since_an_exchange_would_mirror_it():
    pipeline = make_pipeline(LINE)
    found = follow(pipeline, np.roll(one_side(LINE), 1, axis=1))
    assert [entry[1:] for entry in found] == [(SHIFT_SUSPECTED, 1, False)]
    assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]
    assert "not certain" in order_sentence(pipeline.front.order)


def test_a_rotated_uneven_line_is_put_right_without_having_been_heard_before():
    uneven = tuple((0.0, y, 0.0) for y in (0.06, 0.02, 0.01, -0.05))
    pipeline = make_pipeline(uneven)
    found = follow(pipeline, np.roll(one_side(uneven), 1, axis=1))
    assert [entry[1:] for entry in found] == [(SHIFT, 1, True)]
    assert pipeline.front.mic_channels.tolist() == [1, 2, 3, 0]


def test_neighbours_exchanged_on_a_square_are_an_alarm_since_two_pairs_explain_it():
    x = one_side(SQUARE, azimuth_deg=20.0)
    x[:, [0, 1]] = x[:, [1, 0]]
    pipeline = make_pipeline(SQUARE)
    found = follow(pipeline, x)
    assert [(kind, corrected) for _, kind, _, corrected in found] == [(SWAP, False)]
    assert pipeline.front.mic_channels.tolist() == [0, 1, 2, 3]
    assert order_details(pipeline.front.order)["finding"] == "exchanged"


def test_positions_that_no_exchange_explains():
    wrong = (SQUARE[0], (-0.08, 0.01, 0.0), (0.05, -0.029, 0.0), SQUARE[3])
    pipeline = make_pipeline(wrong)
    found = follow(pipeline, one_side(SQUARE, 10.0, azimuth_deg=20.0))
    assert [(kind, corrected) for _, kind, _, corrected in found] == [(MISFIT, False)]
    assert "positions_m" in order_sentence(pipeline.front.order)


@pytest.mark.parametrize("positions", [SQUARE, CIRCLE, LINE], ids=["square", "circle", "line"])
def test_arrays_that_are_in_order_are_left_alone(positions):
    for azimuth_deg in (0.0, 65.0):
        assert follow(make_pipeline(positions), one_side(positions, 5.0, azimuth_deg=azimuth_deg)) == []


def gap_then(x, shift, at_s=4.0):
    """Lost sound at `at_s`, after which the channels have moved on."""
    n = int(at_s * RATE_HZ)
    return np.concatenate([x[:n], np.zeros((800, x.shape[1])), np.roll(x[n:], shift, axis=1)]).astype(np.float32)


def test_a_ring_that_rotated_at_a_gap_is_corrected_when_levels_and_phases_say_so():
    # gains of real microphones, and a talker whom the array hears from one side all the time
    x = one_side(CIRCLE, 9.0) * np.array([1.0, 1.3, 0.8, 1.15, 0.9, 0.7])
    pipeline = make_pipeline(CIRCLE)
    found = follow(pipeline, gap_then(x, 2), [4.0])
    assert [entry[1:] for entry in found] == [(SHIFT, 2, True)]
    assert pipeline.front.mic_channels.tolist() == [2, 3, 4, 5, 0, 1]


def test_a_ring_of_equal_microphones_is_never_corrected():
    pipeline = make_pipeline(CIRCLE)
    found = follow(pipeline, gap_then(one_side(CIRCLE, 9.0), 2), [4.0])
    assert all(kind == SHIFT_SUSPECTED and not corrected for _, kind, _, corrected in found)
    assert pipeline.front.mic_channels.tolist() == list(range(6))


@pytest.mark.parametrize("positions", [SQUARE, CIRCLE], ids=["square", "circle"])
def test_a_gap_alone_is_no_rotation(positions):
    x = one_side(positions, 9.0) * np.linspace(0.8, 1.25, len(positions))
    assert follow(make_pipeline(positions), gap_then(x, 0), [4.0]) == []


def test_shift_kernel_against_all_rotations():
    is_microphone = np.array([True, True, True, False, False])
    for shift in range(5):
        kind = np.roll(is_microphone, shift)
        pairs = [0.9 if kind[i] and kind[j] else 0.1 for i in range(1, 5) for j in range(i)]
        assert kernels.find_shift(np.array(pairs, np.float32), is_microphone) == shift
        assert kernels.find_shift(np.full(10, 0.9, np.float32), is_microphone) == -1
        assert kernels.find_shift(np.full(10, 0.1, np.float32), is_microphone) == -1


def test_correlation_kernel_against_numpy():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1280, 3)).astype(np.float32) * 0.1
    x[:, 1] += x[:, 0]
    x[5, 2] = np.nan
    memory, slow, got = np.zeros((3, 3), np.float32), np.zeros((3, 16), np.float32), np.zeros(3, np.float32)
    for start in range(0, 1280, 128):
        kernels.correlate_channels(x[start : start + 128], 0.25, 0.6, 0.8, memory, slow, got)
    clean = np.nan_to_num(x, nan=0.0).astype(np.float64).reshape(-1, 8, 3).mean(axis=1)
    y, z = np.zeros((160, 3)), np.zeros((160, 3))
    for n in range(160):
        y[n] = 0.6 * ((y[n - 1] if n else 0.0) + clean[n] - (clean[n - 1] if n else 0.0))
        z[n] = (z[n - 1] if n else 0.0) + 0.8 * (y[n] - (z[n - 1] if n else 0.0))
    wanted = np.zeros(3)
    for block in z.reshape(10, 16, 3):
        energy = (block**2).sum(axis=0)
        products = [(i, j) for i in range(1, 3) for j in range(i)]
        now = np.array([(block[:, i] * block[:, j]).sum() / np.sqrt(energy[i] * energy[j]) for i, j in products])
        wanted += 0.25 * (now - wanted)
    np.testing.assert_allclose(got, wanted, atol=2e-3)


def test_the_misfit_of_far_sound_is_nothing():
    for positions in (SQUARE, CIRCLE, LINE):
        geometry = ArrayGeometry(positions)
        projector, least_s = misfit_projector(geometry)
        for azimuth_deg in range(0, 360, 30):
            delays = geometry.steering_delays_s(azimuth_deg, 20.0)
            assert np.abs(projector @ delays).max() < 1e-9
        assert 0.0 < least_s < geometry.aperture_m / 343.0


def test_pairs_are_numbered_like_the_kernels_do():
    assert [pair_of(p) for p in range(6)] == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
