"""Spectra and their shape against closed forms, and against scipy.signal with the features written out again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal, stats

from edge.analysis import Analyzer, analyze_array
from edge.analysis.features import FEATURES, band_powers, octave_bands, shape_of
from edge.analysis.pooling import MOST_COLUMNS, Columns, Distribution
from edge.analysis.result import decibels
from edge.errors import AudioFileError, UsageError

RATE_HZ = 16000
WINDOW = 512
BIN_HZ = RATE_HZ / WINDOW


def noise(seconds=20.0, deviation=0.1, seed=1, rate_hz=RATE_HZ):
    return deviation * np.random.default_rng(seed).standard_normal(int(seconds * rate_hz))


def sine(hz, amplitude=0.5, seconds=2.0, rate_hz=RATE_HZ):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)


def values(scores):
    return {name: float(score) for name, score in scores.items()}


# ---- closed forms ----


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 1e-4])
@pytest.mark.parametrize("bin_", [20, 100])
def test_a_sine_in_the_middle_of_a_bin(amplitude, bin_):
    """Power A^2/2. Hann spreads it over three bins as 1/6, 4/6, 1/6, so everything about its shape is known."""
    (found,) = analyze_array(sine(bin_ * BIN_HZ, amplitude), RATE_HZ)
    level_db = 10 * math.log10(amplitude**2 / 2)
    assert found.level_dbfs.value == pytest.approx(level_db, abs=1e-3)
    assert 10 * np.log10(found.density.sum() * BIN_HZ) == pytest.approx(level_db, abs=1e-3)
    tone_db = 10 * np.log10(found.density[bin_] * found.noise_bandwidth_hz)
    assert tone_db == pytest.approx(level_db, abs=1e-3), "a steady tone reads its power in its own bin"
    assert found.noise_bandwidth_hz == pytest.approx(1.5 * BIN_HZ)
    np.testing.assert_allclose(
        found.density[bin_ - 1 : bin_ + 2] / found.density.sum(), [1 / 6, 4 / 6, 1 / 6], atol=1e-4
    )
    shape = values(found.long_term)
    assert shape["centroid_hz"] == pytest.approx(bin_ * BIN_HZ, abs=0.05)
    assert shape["bandwidth_hz"] == pytest.approx(BIN_HZ * math.sqrt(1 / 3), rel=0.01)
    assert shape["rolloff_hz"] == (bin_ + 1) * BIN_HZ, "5/6 of the power lie below, which is less than 85 %"
    assert shape["flatness"] < 1e-4
    assert found.over_time["centroid_hz"].median.value == pytest.approx(bin_ * BIN_HZ, abs=2.0)
    assert found.over_time["centroid_hz"].deviation.value < 0.1


def test_a_full_scale_square_has_0_dbfs_and_a_sine_3_less():
    square = np.where(np.arange(16000) % 40 < 20, 1.0, -1.0)
    assert analyze_array(square, RATE_HZ)[0].level_dbfs.value == pytest.approx(0.0, abs=1e-9)
    assert analyze_array(sine(1000, 1.0), RATE_HZ)[0].level_dbfs.value == pytest.approx(-3.0103, abs=1e-3)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_white_noise(rate_hz):
    """Density 2 s^2 / rate everywhere; centroid at half of Nyquist, deviation Nyquist / sqrt(12), roll-off at 85 %."""
    (found,) = analyze_array(noise(20.0, 0.1, rate_hz=rate_hz), rate_hz)
    nyquist_hz = rate_hz / 2
    middle = found.density[2:-2]
    assert middle.mean() == pytest.approx(2 * 0.01 / rate_hz, rel=0.01)
    assert found.density[-1] < 0.7 * middle.mean() or len(found.density) % 2 == 0, "Nyquist is one bin, not two"
    shape = values(found.long_term)
    assert shape["centroid_hz"] == pytest.approx(nyquist_hz / 2, rel=0.01)
    assert shape["bandwidth_hz"] == pytest.approx(nyquist_hz / math.sqrt(12), rel=0.01)
    assert shape["rolloff_hz"] == pytest.approx(0.85 * nyquist_hz, rel=0.01)
    assert shape["flatness"] > 0.98


def test_flatness_of_single_frames_of_white_noise_is_e_to_minus_gamma():
    """A periodogram of noise is exponentially distributed, of which the mean logarithm is minus Euler's constant."""
    (found,) = analyze_array(noise(60.0), RATE_HZ)
    assert found.over_time["flatness"].mean.value == pytest.approx(math.exp(-np.euler_gamma), abs=0.01)
    assert found.over_time["flatness"].median.value == pytest.approx(math.exp(-np.euler_gamma), abs=0.02)


@pytest.mark.parametrize(("loud", "soft"), [(0.5, 0.5), (0.4, 0.1)])
def test_two_tones(loud, soft):
    low_hz, high_hz = 40 * BIN_HZ, 160 * BIN_HZ
    (found,) = analyze_array(sine(low_hz, loud) + sine(high_hz, soft), RATE_HZ)
    share = soft**2 / (loud**2 + soft**2)
    shape = values(found.long_term)
    assert shape["centroid_hz"] == pytest.approx((1 - share) * low_hz + share * high_hz, rel=1e-3)
    expected_hz = math.sqrt(share * (1 - share) * (high_hz - low_hz) ** 2 + BIN_HZ**2 / 3)
    assert shape["bandwidth_hz"] == pytest.approx(expected_hz, rel=1e-3)
    assert shape["rolloff_hz"] == pytest.approx(high_hz if share > 0.15 else low_hz, abs=1.01 * BIN_HZ)


@pytest.mark.parametrize("cut_hz", [800.0, 3000.0])
def test_filtered_noise_has_the_spectrum_of_its_filter(cut_hz):
    b, a = signal.butter(2, cut_hz, fs=RATE_HZ)
    (found,) = analyze_array(signal.lfilter(b, a, noise(60.0)), RATE_HZ)
    _, response = signal.freqz(b, a, found.frequencies_hz, fs=RATE_HZ)
    expected = 2 * 0.01 / RATE_HZ * np.abs(response) ** 2
    heard = (expected > expected.max() * 1e-3) & (found.frequencies_hz > 2 * BIN_HZ)
    np.testing.assert_allclose(decibels(found.density[heard]), decibels(expected[heard]), atol=0.5)
    shape, wanted = values(found.long_term), shape_of(expected[1:], found.frequencies_hz[1:])
    assert shape["centroid_hz"] == pytest.approx(wanted[0], rel=0.02)
    assert shape["bandwidth_hz"] == pytest.approx(wanted[1], rel=0.02)
    assert shape["rolloff_hz"] == pytest.approx(wanted[3], abs=2 * BIN_HZ)


def test_octaves_of_white_noise_rise_by_3_db():
    (found,) = analyze_array(noise(60.0), RATE_HZ)
    assert list(found.octaves_dbfs) == [125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0]
    levels = [float(score) for score in found.octaves_dbfs.values()]
    # an octave around f is f / sqrt(2) wide
    expected = [10 * math.log10(2 * 0.01 / RATE_HZ * hz / math.sqrt(2)) for hz in found.octaves_dbfs]
    np.testing.assert_allclose(levels, expected, atol=0.25)


def test_a_tone_is_in_its_octave():
    (found,) = analyze_array(sine(1000.0, 0.5), RATE_HZ)
    assert found.octaves_dbfs[1000.0].value == pytest.approx(10 * math.log10(0.125), abs=0.01)
    assert found.octaves_dbfs[250.0].value < -80.0


def test_band_powers_split_bins_and_add_up():
    density = np.arange(1.0, 258.0)
    centres_hz = octave_bands(RATE_HZ, BIN_HZ)
    powers = band_powers(density, BIN_HZ, centres_hz)
    fine_hz = np.arange(0.5, 8000.0)
    fine = density[np.rint(fine_hz / BIN_HZ).astype(int)]
    for hz, power in zip(centres_hz, powers, strict=True):
        inside = (fine_hz >= hz / math.sqrt(2)) & (fine_hz < hz * math.sqrt(2))
        assert power == pytest.approx(fine[inside].sum(), rel=0.02)


# ---- scipy, and the features written out again ----


def plain_features(power, hz):
    """One spectrum, one loop, one definition at a time."""
    total = sum(power)
    centroid = sum(p * f for p, f in zip(power, hz, strict=True)) / total
    spread = math.sqrt(sum(p * (f - centroid) ** 2 for p, f in zip(power, hz, strict=True)) / total)
    flatness = stats.gmean(power) / np.mean(power)
    run = 0.0
    for p, f in zip(power, hz, strict=True):
        run += p
        if run >= 0.85 * total:
            return centroid, spread, flatness, f
    raise AssertionError


@pytest.mark.parametrize(("rate_hz", "window_ms"), [(16000, 32.0), (44100, 20.0), (48000, 32.0), (16000, 63.0)])
def test_scipy_gives_the_same_spectra_and_features(rate_hz, window_ms):
    samples = signal.lfilter([1.0], [1.0, -0.9], noise(1.5, seed=4, rate_hz=rate_hz)) + 0.3
    analyzer = Analyzer(rate_hz, 1, window_ms)
    analyzer.push(samples)
    (found,) = analyzer.finish()
    window, hop = found.window_samples, found.hop_samples
    how = {"fs": rate_hz, "window": "hann", "nperseg": window, "noverlap": window - hop, "detrend": "constant"}
    hz, density = signal.welch(samples, scaling="density", **how)
    np.testing.assert_allclose(found.frequencies_hz, hz)
    np.testing.assert_allclose(found.density, density, rtol=1e-9, atol=1e-18)
    _, line = signal.welch(samples, scaling="spectrum", **how)
    np.testing.assert_allclose(found.density * found.noise_bandwidth_hz, line, rtol=1e-9, atol=1e-18)
    _, times_s, frames = signal.spectrogram(samples, mode="psd", **how)
    np.testing.assert_allclose(found.spectrogram, frames, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.times_s, times_s, atol=1e-9)
    expected = np.array([plain_features(frame[1:], hz[1:]) for frame in frames.T])
    for name, column in zip(FEATURES, expected.T, strict=True):
        np.testing.assert_allclose(found.tracks[name], column, rtol=2e-6)
        over = found.over_time[name]
        assert over.mean.value == pytest.approx(column.mean(), rel=1e-9)
        assert over.deviation.value == pytest.approx(column.std(), rel=1e-6)
        quantiles = [over.p10.value, over.median.value, over.p90.value]
        step = (rate_hz / 2 / 4096) if name.endswith("_hz") else 0.01
        np.testing.assert_allclose(quantiles, np.quantile(column, [0.1, 0.5, 0.9]), atol=2 * step + np.ptp(column) / 20)
    shape = plain_features(density[1:], hz[1:])
    np.testing.assert_allclose(list(values(found.long_term).values()), shape, rtol=1e-9)
    assert found.dc_offset.value == pytest.approx(samples.mean())


def test_an_offset_changes_no_shape():
    plain, shifted = (analyze_array(noise(2.0) + offset, RATE_HZ)[0] for offset in (0.0, 0.5))
    assert values(shifted.long_term) == pytest.approx(values(plain.long_term), rel=1e-6)
    assert shifted.dc_offset.value == pytest.approx(0.5, abs=0.01)


# ---- blocks, channels, long recordings ----


@pytest.mark.parametrize("largest", [7, 700, 40000])
def test_blocks_of_any_length_give_the_same(largest):
    rng = np.random.default_rng(largest)
    samples = np.stack([noise(1.0), sine(500, 0.1, 1.0)], axis=1)
    analyzer, at = Analyzer(RATE_HZ, 2), 0
    while at < len(samples):
        size = int(rng.integers(0, largest))
        analyzer.push(samples[at : at + size])
        at += size
    for found, whole in zip(analyzer.finish(), analyze_array(samples, RATE_HZ), strict=True):
        assert (found.frames, found.samples) == (whole.frames, 16000)
        np.testing.assert_allclose(found.density, whole.density, rtol=1e-12)
        assert values(found.long_term) == pytest.approx(values(whole.long_term))
        np.testing.assert_allclose(found.tracks["centroid_hz"], whole.tracks["centroid_hz"], rtol=1e-6)


def test_each_channel_is_what_it_is_alone():
    channels = [noise(1.0, seed=s) for s in range(3)]
    together = analyze_array(np.stack(channels, axis=1), RATE_HZ)
    for found, channel in zip(together, channels, strict=True):
        (alone,) = analyze_array(channel, RATE_HZ)
        np.testing.assert_allclose(found.density, alone.density, rtol=1e-12)


def test_a_long_recording_keeps_no_more_than_its_columns():
    """Ten times as many frames as columns: each column is the mean of the frames it stands for."""
    analyzer = Analyzer(8000, 1, window_ms=2.0)
    samples = noise(5.2, rate_hz=8000)
    for first in range(0, len(samples), 1000):
        analyzer.push(samples[first : first + 1000])
    (found,) = analyzer.finish()
    assert found.frames == (len(samples) - 16) // 4 + 1
    assert MOST_COLUMNS / 2 < len(found.times_s) <= MOST_COLUMNS
    pool = -(-found.frames // MOST_COLUMNS)
    pool = 1 << (pool - 1).bit_length()
    how = {"fs": 8000, "window": "hann", "nperseg": 16, "noverlap": 12, "detrend": "constant"}
    _, times_s, frames = signal.spectrogram(samples, mode="psd", **how)
    whole = frames.shape[1] // pool
    expected = frames[:, : whole * pool].reshape(len(frames), whole, pool).mean(axis=2)
    np.testing.assert_allclose(found.spectrogram[:, :whole], expected, rtol=1e-4)
    np.testing.assert_allclose(found.times_s[:whole], times_s[: whole * pool].reshape(whole, pool).mean(axis=1))


def test_columns_leave_nan_out():
    columns = Columns(1)
    columns.add(np.arange(3.0 * MOST_COLUMNS)[:, None])
    columns.add(np.full((4, 1), np.nan))
    assert columns.pool == 4
    assert columns.means[0, 0] == 1.5
    assert np.isnan(columns.means[3 * MOST_COLUMNS // 4, 0])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_distribution_is_that_of_its_values(logarithmic):
    x = np.random.default_rng(2).random(20000) ** 4
    distribution = Distribution(1e-6 if logarithmic else 0.0, 1.0, logarithmic)
    for part in np.array_split(x, 7):
        distribution.add(np.append(part, np.nan))
    assert distribution.count == 20000
    assert (distribution.mean, distribution.deviation) == (pytest.approx(x.mean()), pytest.approx(x.std()))
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert distribution.quantile(share) == pytest.approx(np.quantile(x, share), rel=0.01, abs=3e-4)


# ---- recordings that have no spectrum, or little ----


def reasons(samples):
    (found,) = analyze_array(samples, RATE_HZ)
    scores = [*found.long_term.values(), *found.octaves_dbfs.values()]
    scores += [score for over in found.over_time.values() for score in vars(over).values()]
    assert all(math.isfinite(score.value) or score.reason for score in scores)
    plain = found.as_dict()
    assert all(math.isfinite(v) for v in plain["long_term"].values() if v is not None)
    return found, {score.reason for score in scores}


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (np.zeros(0), "too short: 0 samples"),
        (np.ones(1), "too short: 1 samples"),
        (np.ones(15), "too short: 15 samples"),
        (np.zeros(16000), "silence"),
        (np.full(16000, 0.7), "silence"),
        (np.full(16000, np.nan), "not finite in every frame"),
        (np.tile([np.nan] + 99 * [0.1], 100), "not finite in every frame"),
    ],
)
def test_no_spectrum_has_a_reason(samples, why):
    _, found = reasons(samples)
    assert len(found) == 1
    assert why in found.pop()


def test_levels_of_what_has_no_spectrum():
    one, _ = reasons(np.full(1, 0.5))
    assert one.level_dbfs.value == pytest.approx(-6.02, abs=0.01)
    silent, _ = reasons(np.zeros(100))
    assert (silent.level_dbfs.value, silent.level_dbfs.reason) == (-math.inf, "digital silence")
    assert silent.as_dict()["level_dbfs"] is None
    assert silent.as_dict()["reasons"]["level_dbfs"] == "digital silence"


def test_less_than_a_window_is_one_frame():
    (found,) = analyze_array(sine(1000, 0.5)[:200], RATE_HZ)
    assert (found.frames, found.window_samples) == (1, 200)
    assert found.long_term["centroid_hz"].value == pytest.approx(1000, abs=20)


def test_damaged_frames_are_left_out():
    samples = noise(4.0)
    clean = analyze_array(samples, RATE_HZ)[0]
    samples[20000:20010] = np.nan
    samples[50000] = np.inf
    found, why = reasons(samples)
    assert why == {""}
    assert found.nonfinite_samples == 11
    assert found.damaged_frames == 8, "each sample is in four frames"
    assert values(found.long_term) == pytest.approx(values(clean.long_term), rel=0.02)


def test_pauses_do_not_count_for_the_shape_over_time():
    samples = np.concatenate([noise(2.0), np.zeros(32000)])
    found, _ = reasons(samples)
    assert found.silent_frames == pytest.approx(250, abs=5)
    assert found.over_time["centroid_hz"].mean.value == pytest.approx(4000, rel=0.02)
    assert np.isnan(found.tracks["centroid_hz"][-10:]).all()


@pytest.mark.parametrize("window_ms", [0.5, 0.0, -3.0, 1e6, math.nan, math.inf])
def test_a_window_that_makes_no_sense_is_refused(window_ms):
    with pytest.raises(UsageError, match="window of"):
        Analyzer(RATE_HZ, 1, window_ms)


def test_a_wrong_shape_is_refused():
    with pytest.raises(AudioFileError, match=r"expected \(samples, 2\)"):
        Analyzer(RATE_HZ, 2).push(np.zeros((5, 3)))
