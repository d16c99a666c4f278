"""What a beamformer must do on real signals: leave the talker, reduce the rest, for every board."""

import numpy as np
import pytest
from signal_path import SQUARE, make_pipeline, plane_wave, run

from edge.boards import board_names, load_board
from edge.geometry import ArrayGeometry

RATE = 16000


def db(power_ratio):
    return 10 * np.log10(power_ratio)


class EverythingIsSpeech:
    """A mask estimator that is sure of speech in every bin, so that nothing is learnt as noise."""

    latency_samples = 0

    def __init__(self, bins):
        self.presence = np.ones(bins, np.float32)

    def step(self, spectrum, gain):
        gain[:] = 1.0

    def reset(self):
        """Nothing to forget."""


@pytest.mark.parametrize("kind", ["delay_sum", "superdirective", "mvdr"])
@pytest.mark.parametrize("board", board_names())
def test_every_board_is_distortionless_at_the_look_direction(board, kind):
    """A noise source and self-noise are learnt first; then a wave from the look direction must pass unchanged."""
    positions = load_board(board).positions_m
    geometry = ArrayGeometry(positions)
    rng = np.random.default_rng(7)
    for azimuth, elevation in ((0.0, 0.0), (50.0, 0.0), (-130.0, 25.0)):
        pipeline = make_pipeline(positions, kind, azimuth_deg=azimuth, elevation_deg=elevation)
        noise, _ = plane_wave(geometry, azimuth + 100.0, 0.0, 128 * 60, RATE, rng, tones=60)
        run(pipeline, noise + 1e-3 * rng.standard_normal(noise.shape))
        pipeline.set_mask(EverythingIsSpeech(pipeline.profile.bins), "wiener")
        x, _ = plane_wave(geometry, azimuth, elevation, 128 * 80, RATE, rng, tones=25)
        y = run(pipeline, x)[:, 1]
        lag = pipeline.latency_samples
        got, wanted = y[4096 + lag :], x[4096:-lag, 0]
        # turning phases within a window is not quite delaying: across 23 cm that is 0.11 dB
        assert abs(db(np.mean(got**2) / np.mean(wanted**2))) < 0.12
        assert db(np.mean((got - wanted) ** 2) / np.mean(wanted**2)) < -25.0


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_mvdr_cancels_a_directional_noise_and_keeps_the_talker(profile):
    geometry = ArrayGeometry(SQUARE)
    rng = np.random.default_rng(8)
    samples = 128 * 400
    noise, _ = plane_wave(geometry, 120.0, 0.0, samples, RATE, rng, tones=300)
    self_noise = 1e-3 * rng.standard_normal((samples, 4))
    pipeline = make_pipeline(SQUARE, "mvdr", profile=profile, azimuth_deg=0.0)
    # bypass tracks presence by level alone, and steady tones are no speech: it learns
    y = run(pipeline, noise + self_noise)[:, 1]
    second_half = samples // 2
    reduction = db(np.mean(y[second_half:] ** 2) / np.mean(noise[second_half:, 0] ** 2))
    delay_sum = run(make_pipeline(SQUARE, "delay_sum", profile=profile), noise)[:, 1]
    assert reduction < db(np.mean(delay_sum[second_half:] ** 2) / np.mean(noise[second_half:, 0] ** 2)) - 6.0
    assert reduction < -8.0
    beam = pipeline.beamformer
    w, h = beam.target_re + 1j * beam.target_im, beam.look_re + 1j * beam.look_im
    assert np.abs(np.sum(w.conj() * h, axis=0) - 1.0).max() < 1e-3


def test_white_noise_gain_is_bounded():
    rng = np.random.default_rng(9)
    pipeline = make_pipeline(SQUARE, "mvdr", white_noise_gain_min_db=-3.0)
    common = rng.standard_normal((128 * 200, 1))
    run(pipeline, 0.1 * common + 1e-5 * rng.standard_normal((128 * 200, 4)))  # fully coherent: tempts it to explode
    assert np.sum(np.abs(pipeline.weights) ** 2, axis=0).max() <= 10**0.3 * 1.01


def test_steering_glides_to_a_new_direction():
    geometry = ArrayGeometry(SQUARE)
    rng = np.random.default_rng(10)
    pipeline = make_pipeline(SQUARE, "delay_sum", azimuth_deg=0.0)
    x, _ = plane_wave(geometry, 90.0, 0.0, 128 * 100, RATE, rng, low_hz=3000.0)
    heard = x[:, 0]
    run(pipeline, x)
    pipeline.set_look(90.0, 0.0)
    y = run(pipeline, x)[:, 1]
    lag = pipeline.latency_samples
    assert db(np.mean((y[8000 + lag :] - heard[8000:-lag]) ** 2) / np.mean(heard**2)) < -30.0
    jumps = np.abs(np.diff(y))
    assert jumps.max() < 3.0 * np.abs(np.diff(x[:, 0])).max()
