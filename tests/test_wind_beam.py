"""Wind and self-noise through the whole signal path: not amplified, not passed on, not learnt."""

import itertools

import numpy as np
import pytest
from signal_path import SQUARE, make_pipeline, run
from test_wind import RATE, db, turbulence, waves

from edge.geometry import ArrayGeometry
from edge.kinds import BEAMFORMER_KINDS

LINE = tuple((0.0, 0.035 * k, 0.0) for k in range(4))
OCTAVES_HZ = (62.5, 125, 250, 500, 1000, 2000, 4000, 8000)
FORMED = [kind for kind in BEAMFORMER_KINDS if kind != "none"]


def band_power(x, low_hz, high_hz):
    """Power of x (samples, channels) between two frequencies."""
    spectrum = np.abs(np.fft.rfft(x, axis=0)) ** 2
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    return spectrum[(f >= low_hz) & (f < high_hz)].sum(axis=0)


@pytest.mark.parametrize("noisier_db", [0.0, 8.0])
@pytest.mark.parametrize("positions", [SQUARE, LINE], ids=["square", "line"])
@pytest.mark.parametrize("kind", FORMED)
def test_self_noise_is_never_louder_than_at_the_best_microphone(kind, positions, noisier_db):
    """From the very first second, when weights are superdirective for want of knowledge."""
    rng = np.random.default_rng(20)
    x = 10 ** (-65 / 20) * rng.standard_normal((2 * RATE, 4))
    x[:, 2] *= 10 ** (noisier_db / 20)
    y = run(make_pipeline(positions, kind, mask="network"), x)[:, 1:]
    for part in (slice(0, RATE), slice(RATE, None)):
        for low_hz, high_hz in itertools.pairwise(OCTAVES_HZ):
            louder_db = db(band_power(y[part], low_hz, high_hz) / band_power(x[part], low_hz, high_hz).min())
            assert louder_db < 0.5, (kind, part, low_hz)


@pytest.mark.parametrize("kind", FORMED)
def test_wind_at_one_microphone_is_left_out(kind):
    rng = np.random.default_rng(21)
    room = waves(rng, ArrayGeometry(SQUARE), 4 * RATE, (0.0, 90.0, 180.0, 270.0), -50.0)
    x = room.copy()
    x[:, 1] += turbulence(rng, 4 * RATE, 1, -20.0)[:, 0]
    y = run(make_pipeline(SQUARE, kind, azimuth_deg=45.0, steering="fixed"), x)[RATE:, 1:]
    passed_db = db(band_power(y, 60, 400) / band_power(room[RATE:], 60, 400).mean())
    assert passed_db < 3.0
    assert db(band_power(x[RATE:], 60, 400).max() / band_power(room[RATE:], 60, 400).mean()) > 20.0


@pytest.mark.parametrize("kind", FORMED)
def test_wind_at_all_microphones_comes_out_as_of_an_average_without_gain(kind):
    rng = np.random.default_rng(22)
    room = waves(rng, ArrayGeometry(SQUARE), 3 * RATE, (0.0, 120.0), -50.0)
    x = room + turbulence(rng, 3 * RATE, 4, -20.0)
    y = run(make_pipeline(SQUARE, kind, azimuth_deg=45.0), x)[:, 1:]
    assert db(band_power(y, 60, 400) / band_power(x, 60, 400).min()) < -4.0


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_a_gust_leaves_nothing_behind(profile):
    """Half a second after 2 s of strong wind the noise is cancelled as if there had been none."""
    rng = np.random.default_rng(23)
    geometry = ArrayGeometry(SQUARE)
    room = waves(rng, geometry, 6 * RATE, (130.0, 200.0, 280.0), -45.0) + 1e-4 * rng.standard_normal((6 * RATE, 4))
    gust = np.zeros_like(room)
    swell = np.minimum(1.0, np.minimum(np.arange(2 * RATE), np.arange(2 * RATE)[::-1]) / (0.1 * RATE))[:, None]
    gust[2 * RATE : 4 * RATE] = turbulence(rng, 2 * RATE, 4, -12.0) * swell
    calm, blown = (
        run(make_pipeline(SQUARE, "mvdr", profile=profile, azimuth_deg=0.0, steering="fixed"), x)[:, 1:]
        for x in (room, room + gust)
    )
    after = slice(round(4.6 * RATE), round(5.1 * RATE))
    for low_hz, high_hz, most_db in ((60, 300, 2.5), (300, 1000, 2.5), (1000, 7000, 4.0)):
        more_db = db(band_power(blown[after], low_hz, high_hz) / band_power(calm[after], low_hz, high_hz))
        assert more_db < most_db, low_hz


def test_the_state_is_told():
    rng = np.random.default_rng(24)
    pipeline = make_pipeline(SQUARE, "mvdr")
    run(pipeline, waves(rng, ArrayGeometry(SQUARE), RATE, (0.0, 120.0), -50.0))
    assert pipeline.spatial.wind.level_dbfs is None
    run(pipeline, turbulence(rng, 2 * RATE, 4, -20.0))
    assert pipeline.spatial.wind.level_dbfs == pytest.approx(-20.0, abs=3.0)
    pipeline.reset()
    assert pipeline.spatial.wind.level_dbfs is None
