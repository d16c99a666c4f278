"""Band layout and its kernels against slow references."""

from __future__ import annotations

import numpy as np
import pytest

from edge.kernels import bands
from edge.mask.features import POWER_FLOOR, BandLayout, Rates, band_layout, layout_from_centres
from edge.profiles import PROFILES


@pytest.fixture(params=sorted(PROFILES))
def layout(request: pytest.FixtureRequest) -> BandLayout:
    return band_layout(PROFILES[request.param])


def spectrum_of(layout: BandLayout, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(layout.bins) + 1j * rng.standard_normal(layout.bins)).astype(np.complex64)


def log_power(layout: BandLayout, spectrum: np.ndarray) -> np.ndarray:
    out = np.zeros(layout.bands, np.float32)
    floor = np.float32(POWER_FLOOR)
    bands.band_log_power(spectrum, layout.band, layout.fraction, layout.inverse_weight, floor, out)
    return out


def test_layout_covers_every_bin_once(layout: BandLayout) -> None:
    matrix = layout.matrix()
    assert matrix.shape == (layout.bands, layout.bins)
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, atol=1e-6)
    assert layout.centre_bins[0] == 0
    assert layout.centre_bins[-1] == layout.bins - 1


def test_single_bins_below_1250_hz_then_wider() -> None:
    for profile in PROFILES.values():
        layout = band_layout(profile)
        spacing = np.diff(layout.centre_bins) * profile.rate_hz / profile.window_samples
        low = layout.centre_bins[1:] * profile.rate_hz / profile.window_samples <= 1250.0
        assert np.all(spacing[low] == profile.rate_hz / profile.window_samples)
        assert spacing[:-1].max() > 300.0
    assert 65 <= band_layout(PROFILES["assistant"]).bands <= 75


def test_band_log_power_is_the_mean_power_under_the_triangles(layout: BandLayout) -> None:
    spectrum = spectrum_of(layout)
    weights = layout.matrix().astype(np.float64)
    power = weights @ np.abs(spectrum.astype(np.complex128)) ** 2 / weights.sum(axis=1)
    np.testing.assert_allclose(log_power(layout, spectrum), np.log10(power + POWER_FLOOR), atol=2e-5)


def test_normalisation_is_applied() -> None:
    rng = np.random.default_rng(0)
    raw, mean, inverse_std = rng.standard_normal((3, 50)).astype(np.float32)
    out = np.zeros(50, np.float32)
    bands.normalise(raw, mean, inverse_std, out)
    np.testing.assert_allclose(out, (raw - mean) * inverse_std, rtol=1e-6)


def test_powers_of_bins_become_powers_of_bands(layout: BandLayout) -> None:
    power = np.random.default_rng(2).random(layout.bins).astype(np.float32)
    weights = layout.matrix().astype(np.float64)
    out = np.zeros(layout.bands, np.float32)
    bands.band_power(power, layout.band, layout.fraction, layout.inverse_weight, out)
    np.testing.assert_allclose(out, weights @ power / weights.sum(axis=1), rtol=1e-5)
    power[3], power[9] = np.nan, np.inf
    bands.band_power(power, layout.band, layout.fraction, layout.inverse_weight, out)
    assert np.isfinite(out).all()


def above(frames: np.ndarray) -> np.ndarray:
    """Log powers (frames, n) above their floors, with the rates of the assistant profile."""
    rates = Rates(8.0)
    smooth, noise, out = np.zeros(frames.shape[1], np.float32), np.zeros(frames.shape[1], np.float32), frames.copy()
    for seen, frame in enumerate(frames):
        bands.above_floor(frame, seen, rates.smoothing, rates.fall, rates.rise, smooth, noise, out[seen])
    return out


def test_the_floor_follows_the_noise_and_not_the_speech() -> None:
    rng = np.random.default_rng(3)
    log = rng.normal(-3.0, 0.3, (1500, 4)).astype(np.float32)
    speech = (np.arange(1500) // 25) % 3 == 0
    log[speech, 1] += 2.0  # 20 dB of speech in a third of the time
    log[700:, 2] += 1.0  # louder noise from then on
    log[700:, 3] -= 1.0
    out = above(log)
    settled = out[500:690]
    assert abs(float(settled[:, 0].mean())) < 0.5
    assert float(settled[speech[500:690], 1].mean()) > 1.5
    assert abs(float(settled[~speech[500:690], 1].mean())) < 0.8
    assert abs(float(out[1400:, 2].mean()) - float(settled[:, 2].mean())) < 0.1  # caught up after seconds
    assert abs(float(out[760:, 3].mean()) - float(settled[:, 3].mean())) < 0.1  # downwards at once


def test_the_first_frames_do_not_hold_the_floor_down() -> None:
    log = np.full((60, 1), -3.0, np.float32)
    log[:3] = -7.0
    assert abs(float(above(log)[59, 0])) < 0.7


def test_height_above_the_floor_ignores_the_level() -> None:
    log = np.random.default_rng(4).normal(-3.0, 0.5, (200, 5)).astype(np.float32)
    np.testing.assert_allclose(above(log + np.float32(2.0)), above(log), atol=2e-5)


def test_cues_are_smoothed_ratios(layout: BandLayout) -> None:
    rng = np.random.default_rng(5)
    beam, mics, rest = rng.gamma(2.0, 1.0, (3, 40, 6)).astype(np.float32)
    share = Rates(8.0).cue
    smooth, out = np.full((3, 6), -1.0, np.float32), np.zeros((2, 6), np.float32)
    state = np.stack([beam[0], mics[0], rest[0]]).astype(np.float64)
    floor = np.float32(POWER_FLOOR)
    for frame in zip(beam, mics, rest, strict=True):
        log = np.log10(frame[0] + floor)
        bands.spatial_cues(log, np.stack(frame[1:]), share, floor, smooth, out)
        state += share * (np.stack(frame) - state)
        np.testing.assert_allclose(out, np.log10(state[::2] / state[1]), atol=1e-4)
    silence = np.full(6, np.log10(floor), np.float32)
    for _ in range(400):
        bands.spatial_cues(silence, np.zeros((2, 6), np.float32), share, floor, smooth, out)
    np.testing.assert_allclose(out, 0.0, atol=1e-2)
    bands.spatial_cues(silence, np.full((2, 6), 1e12, np.float32), share, floor, smooth, out)
    assert out[0].min() == -3.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, complex(0.0, np.nan), 1e30])
def test_bad_bins_give_finite_features(layout: BandLayout, bad: complex) -> None:
    spectrum = spectrum_of(layout)
    spectrum[5] = bad
    spectrum[-1] = bad
    assert np.isfinite(log_power(layout, spectrum)).all()


def test_silence_is_the_floor(layout: BandLayout) -> None:
    np.testing.assert_allclose(log_power(layout, np.zeros(layout.bins, np.complex64)), np.log10(POWER_FLOOR), rtol=1e-5)


def test_bands_to_bins_interpolates(layout: BandLayout) -> None:
    gains = np.random.default_rng(1).random(layout.bands).astype(np.float32)
    out = np.zeros(layout.bins, np.float32)
    assert bands.bands_to_bins(gains, layout.band, layout.fraction, out, np.zeros_like(out))
    np.testing.assert_allclose(out, gains @ layout.matrix(), atol=1e-6)
    np.testing.assert_array_equal(out[layout.centre_bins], gains)


def test_bands_to_bins_clips_and_refuses_what_is_not_a_number(layout: BandLayout) -> None:
    out = np.full(layout.bins, 0.25, np.float32)
    gains = np.full(layout.bands, 1.5, np.float32)
    assert bands.bands_to_bins(gains, layout.band, layout.fraction, out, np.zeros_like(out))
    assert out.max() == 1.0
    for bad in (np.nan, np.inf, -np.inf):
        gains[3] = bad
        kept = out.copy()
        assert not bands.bands_to_bins(gains, layout.band, layout.fraction, out, np.zeros_like(out))
        np.testing.assert_array_equal(out, kept)


@pytest.mark.parametrize("centres", [[1, 2, 3], [0, 2, 2], [0, 3, 1], [0]])
def test_wrong_centres_are_refused(centres: list[int]) -> None:
    with pytest.raises(ValueError, match="centres"):
        layout_from_centres(centres)
