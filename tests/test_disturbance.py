"""The simulated wind, knocks and self-noise of benchmarks/array are what they claim to be."""

import numpy as np
import pytest

from benchmarks.array.disturbance import handling, self_noise, wind

RATE = 16000
PLACES_M = np.array([[0.029, 0.029, 0.0], [-0.029, 0.029, 0.0], [-0.029, -0.029, 0.0]])


def spectra(x):
    frames = np.lib.stride_tricks.sliding_window_view(x, 1024, axis=0)[::512]
    return np.fft.rfft(frames * np.hanning(1024), axis=-1)  # (frames, mics, bins)


def test_wind_has_the_level_slope_and_swing_that_it_should():
    x = wind(PLACES_M, 10 * RATE, np.random.default_rng(0), level_dbfs=-20.0)
    rms_dbfs = 10 * np.log10(np.mean(x**2, axis=0))
    assert rms_dbfs.max() == pytest.approx(-20.0, abs=0.5)
    assert np.abs(x).max() <= 1.0
    soft = wind(PLACES_M, 10 * RATE, np.random.default_rng(0), level_dbfs=-40.0)  # louder, its peaks are clipped
    power_db = 10 * np.log10(np.mean(np.abs(spectra(soft)) ** 2, axis=(0, 1)))
    f = np.fft.rfftfreq(1024, 1 / RATE)
    at = {hz: power_db[np.argmin(np.abs(f - hz))] for hz in (62, 250, 1000)}
    assert 6.0 < at[62] - at[250] < 13.0
    assert at[250] - at[1000] > 13.0
    short_db = 10 * np.log10(np.mean(x[:, 0].reshape(-1, RATE // 4) ** 2, axis=1))
    assert short_db.max() - short_db.min() > 12.0
    steady = wind(PLACES_M, 10 * RATE, np.random.default_rng(0), gusts=0.0)
    short_db = 10 * np.log10(np.mean(steady[:, 0].reshape(-1, RATE // 4) ** 2, axis=1))
    assert short_db.max() - short_db.min() < 10.0


def test_wind_is_hardly_coherent_but_in_the_lowest_bins_along_its_way():
    s = spectra(wind(PLACES_M, 20 * RATE, np.random.default_rng(1), gusts=0.0))
    power = np.mean(np.abs(s) ** 2, axis=0)

    def coherence(i, j):
        return np.abs(np.mean(s[:, i] * s[:, j].conj(), axis=0)) / np.sqrt(power[i] * power[j])

    along, across = coherence(0, 1), coherence(1, 2)
    assert along[10:60].mean() < 0.15
    assert across[10:60].mean() < 0.15
    assert along[1:4].mean() > across[1:4].mean() + 0.1


def test_knocks_have_their_peak_and_some_are_at_one_microphone_alone():
    alone = handling(4, 4 * RATE, np.random.default_rng(2), level_dbfs=-12.0, per_s=0.25, near=1.0)
    assert np.abs(alone).max() == pytest.approx(10 ** (-12 / 20), rel=1e-6)
    assert np.count_nonzero(np.abs(alone).max(axis=0)) == 1
    shared = handling(4, 4 * RATE, np.random.default_rng(3), per_s=0.25, near=0.0)
    assert np.count_nonzero(np.abs(shared).max(axis=0)) == 4


def test_self_noise_has_its_levels_and_everything_is_seeded():
    x = self_noise(3, 4 * RATE, np.random.default_rng(4), -65.0, (0.0, 8.0))
    np.testing.assert_allclose(10 * np.log10(np.mean(x**2, axis=0)), [-65.0, -57.0, -65.0], atol=0.2)
    for make in (lambda rng: wind(PLACES_M, RATE, rng), lambda rng: handling(3, RATE, rng)):
        np.testing.assert_array_equal(make(np.random.default_rng(5)), make(np.random.default_rng(5)))
