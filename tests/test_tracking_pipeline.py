"""The pipeline finds a talker by itself: network, localizer, beam and commands together, on the sound of the demo."""

import numpy as np
import pytest
from signal_path import SQUARE, make_pipeline

from edge.config.schema import MaskConfig
from edge.demo.bundled import load_scene
from edge.geometry import ArrayGeometry
from edge.mask.factory import make_estimator

SCENE = load_scene()
POSITIONS = tuple(tuple(position) for position in SCENE.facts["positions_m"])
MIX = SCENE.speech + SCENE.noise


def apart_deg(a, b):
    return abs((a - b + 180.0) % 360.0 - 180.0)


def follow(pipeline, x):
    """Look direction after each hop."""
    hop = pipeline.hop_samples
    out = np.zeros((hop, len(pipeline.outputs)), np.float32)
    track = []
    for start in range(0, len(x) - hop + 1, hop):
        pipeline.process(np.ascontiguousarray(x[start : start + hop], np.float32), out)
        assert np.isfinite(out).all()
        track.append(pipeline.azimuth_deg)
    return np.array(track)


def speaking(pipeline, hops):
    return SCENE.active[: hops * pipeline.hop_samples : pipeline.hop_samples]


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_told_nothing_it_looks_at_the_talker_of_the_demo(profile):
    """A vacuum cleaner at 0 dB or so from elsewhere, RT60 0.3 s; the beam starts opposite to the talker."""
    pipeline = make_pipeline(
        POSITIONS, "mvdr", "network", profile, steering="track", azimuth_deg=SCENE.azimuth_deg - 180.0
    )
    track = follow(pipeline, MIX)
    error = apart_deg(track, SCENE.azimuth_deg)[speaking(pipeline, len(track))]
    assert np.median(error) < 5.0
    assert np.mean(error < 15.0) > 0.8
    assert pipeline.spatial.tracking
    assert pipeline.spatial.localizer.confidence > 0.5
    assert pipeline.elevation_deg == 0.0


def test_a_fixed_direction_stays_and_the_talker_is_told_all_the_same():
    pipeline = make_pipeline(POSITIONS, "mvdr", "network", steering="fixed", azimuth_deg=-70.0)
    track = follow(pipeline, MIX[: 6 * SCENE.rate_hz])
    assert (track == -70.0).all()
    assert apart_deg(pipeline.spatial.localizer.azimuth_deg, SCENE.azimuth_deg) < 15.0
    pipeline.set_tracking(True)
    assert apart_deg(follow(pipeline, MIX[:1280])[0], SCENE.azimuth_deg) < 15.0
    pipeline.set_look(5.0, 10.0)
    assert not pipeline.spatial.tracking
    assert (follow(pipeline, MIX[:1280]) == 5.0).all()


@pytest.mark.parametrize("kind", ["delay_sum", "superdirective", "mvdr"])
def test_a_reset_starts_again_and_repeats_every_bit(kind):
    pipeline = make_pipeline(POSITIONS, kind, "network", steering="track", azimuth_deg=-100.0)
    first = follow(pipeline, MIX[: 5 * SCENE.rate_hz])
    pipeline.reset()
    assert pipeline.azimuth_deg == -100.0
    assert np.array_equal(follow(pipeline, MIX[: 5 * SCENE.rate_hz]), first)


def test_a_reset_with_a_microphone_out_is_a_fresh_start():
    pipeline = make_pipeline(SQUARE, "mvdr", "wiener", azimuth_deg=60.0)
    fresh = pipeline.weights
    noise = 0.01 * np.random.default_rng(1).standard_normal((16000, 4)).astype(np.float32)
    noise[:, 2] = 0.0
    follow(pipeline, noise)
    assert not pipeline.front.active[2]
    assert not pipeline.weights[2].any()
    pipeline.reset()
    assert pipeline.front.active.all()
    np.testing.assert_array_equal(pipeline.weights, fresh)


def test_the_first_weights_look_where_the_look_is():
    pipeline = make_pipeline(SQUARE, "mvdr", "wiener", azimuth_deg=180.0)
    beam = pipeline.beamformer
    response = np.sum(pipeline.weights.conj() * (beam.look_re + 1j * beam.look_im), axis=0)
    np.testing.assert_allclose(response, 1.0, atol=1e-3)
    delays_s = ArrayGeometry(SQUARE).steering_delays_s(180.0, 0.0)
    d = np.exp(-2j * np.pi * pipeline.frequencies_hz * (delays_s - delays_s[0])[:, None])
    np.testing.assert_allclose(beam.look_re + 1j * beam.look_im, d, atol=1e-5)


def test_the_listener_hears_a_talker_whom_the_beam_shuts_out():
    """A beam stuck on a null towards the talker: only the microphone tells that he is there."""
    pipeline = make_pipeline(POSITIONS, "delay_sum", "network", steering="track")
    beam = pipeline.beamformer
    beam.update = lambda *_: (beam.target_re.fill(0.0), beam.target_im.fill(0.0))  # the deepest null there is
    heard = []
    for start in range(0, 6 * SCENE.rate_hz, pipeline.hop_samples):
        pipeline.process(MIX[start : start + pipeline.hop_samples], np.zeros((pipeline.hop_samples, 2), np.float32))
        heard.append((pipeline.presence.mean(), pipeline._heard_presence.mean(), pipeline._gate.mean()))
    beam_hears, microphone_hears, gate = np.max(heard, axis=0)
    assert microphone_hears > 0.2
    assert beam_hears < 0.75 * microphone_hears  # for a hop after each turn it hears him
    assert gate >= microphone_hears
    assert pipeline.spatial.localizer.azimuth_deg is not None


@pytest.mark.parametrize("upright", [False, True])
def test_what_a_beam_learns_by_is_the_power_of_a_networks_gains_not_their_amplitude(upright):
    """To the power of 1.5, of the larger of both that hear; an array that hears no azimuth has no listener."""
    positions = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.05), (0.0, 0.0, 0.1), (0.0, 0.0, 0.15)) if upright else POSITIONS
    pipeline = make_pipeline(positions, "mvdr", "network", steering="track")
    learnt = []
    pipeline.beamformer.update = lambda re, im, presence: learnt.append(presence.copy())
    block, out = MIX[24000 : 24000 + pipeline.hop_samples], np.zeros((pipeline.hop_samples, 2), np.float32)
    for _ in range(20):
        behind = pipeline.presence.copy()
        pipeline.process(np.ascontiguousarray(block, np.float32), out)
    heard = behind if upright else np.maximum(behind, pipeline.listener.own.presence)
    assert 0.0 < heard.min() < heard.max() <= 1.0
    np.testing.assert_allclose(learnt[-1], heard**1.5, rtol=1e-5)
    if not upright:
        np.testing.assert_allclose(pipeline._heard_presence, pipeline.listener.own.presence**1.5, rtol=1e-5)


def test_a_network_put_in_later_brings_its_listener():
    pipeline = make_pipeline(POSITIONS, "mvdr", "wiener", steering="track")
    assert pipeline.listener is None
    pipeline.set_mask(make_estimator("network", MaskConfig(), pipeline.profile), "network")
    assert pipeline.listener is not None
    assert make_pipeline(mask="network", positions=((0.0, 0.0, 0.0),), beamformer="none").listener is None


def test_silence_and_garbage_turn_no_beam():
    pipeline = make_pipeline(SQUARE, "mvdr", "network", steering="track", azimuth_deg=25.0)
    rng = np.random.default_rng(0)
    silence, hiss = np.zeros((16000, 4)), 1e-3 * rng.standard_normal((16000, 4))
    garbage = np.where(rng.random((3200, 4)) < 0.5, np.nan, 1e30)
    assert (follow(pipeline, np.concatenate([silence, hiss, garbage, silence])) == 25.0).all()
    assert pipeline.spatial.localizer.azimuth_deg is None


def test_without_a_beamformer_or_an_azimuth_nothing_is_sought():
    pipeline = make_pipeline(POSITIONS, "none", "wiener", steering="track")
    follow(pipeline, MIX[:32000])
    assert pipeline.spatial.localizer.azimuth_deg is None
    upright = make_pipeline(((0.0, 0.0, 0.0), (0.0, 0.0, 0.05)), "delay_sum", "wiener", steering="track")
    assert upright.spatial.localizer is None
    assert not upright.spatial.tracking
    upright.set_tracking(True)
    assert not upright.spatial.tracking
