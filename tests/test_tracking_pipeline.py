"""The pipeline finds a talker by itself: network, localizer, beam and commands together, on the sound of the demo."""

import numpy as np
import pytest
from signal_path import SQUARE, make_pipeline

from edge.demo.bundled import load_scene

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


def test_a_reset_starts_again_and_repeats_every_bit():
    pipeline = make_pipeline(POSITIONS, "delay_sum", "network", steering="track", azimuth_deg=-100.0)
    first = follow(pipeline, MIX[: 5 * SCENE.rate_hz])
    pipeline.reset()
    assert pipeline.azimuth_deg == -100.0
    assert np.array_equal(follow(pipeline, MIX[: 5 * SCENE.rate_hz]), first)


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
