"""Band layout and its kernels against slow references."""

from __future__ import annotations

import numpy as np
import pytest

from edge.kernels import bands
from edge.mask.features import POWER_FLOOR, BandLayout, band_layout, layout_from_centres
from edge.profiles import PROFILES


@pytest.fixture(params=sorted(PROFILES))
def layout(request: pytest.FixtureRequest) -> BandLayout:
    return band_layout(PROFILES[request.param])


def spectrum_of(layout: BandLayout, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(layout.bins) + 1j * rng.standard_normal(layout.bins)).astype(np.complex64)


def log_power(layout: BandLayout, spectrum: np.ndarray) -> np.ndarray:
    out = np.zeros(layout.bands, np.float32)
    zero, one = np.zeros(layout.bands, np.float32), np.ones(layout.bands, np.float32)
    floor = np.float32(POWER_FLOOR)
    bands.band_log_power(spectrum, layout.band, layout.fraction, layout.inverse_weight, floor, zero, one, out)
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


def test_normalisation_is_applied(layout: BandLayout) -> None:
    spectrum = spectrum_of(layout)
    mean = np.linspace(-2.0, 1.0, layout.bands).astype(np.float32)
    inverse_std = np.linspace(0.5, 2.0, layout.bands).astype(np.float32)
    out = np.zeros(layout.bands, np.float32)
    floor = np.float32(POWER_FLOOR)
    bands.band_log_power(spectrum, layout.band, layout.fraction, layout.inverse_weight, floor, mean, inverse_std, out)
    np.testing.assert_allclose(out, (log_power(layout, spectrum) - mean) * inverse_std, rtol=1e-5, atol=1e-5)


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
    assert bands.bands_to_bins(gains, layout.band, layout.fraction, out)
    np.testing.assert_allclose(out, gains @ layout.matrix(), atol=1e-6)
    np.testing.assert_array_equal(out[layout.centre_bins], gains)


def test_bands_to_bins_clips_and_refuses_what_is_not_a_number(layout: BandLayout) -> None:
    out = np.full(layout.bins, 0.25, np.float32)
    gains = np.full(layout.bands, 1.5, np.float32)
    assert bands.bands_to_bins(gains, layout.band, layout.fraction, out)
    assert out.max() == 1.0
    for bad in (np.nan, np.inf, -np.inf):
        gains[3] = bad
        kept = out.copy()
        assert not bands.bands_to_bins(gains, layout.band, layout.fraction, out)
        np.testing.assert_array_equal(out, kept)


@pytest.mark.parametrize("centres", [[1, 2, 3], [0, 2, 2], [0, 3, 1], [0]])
def test_wrong_centres_are_refused(centres: list[int]) -> None:
    with pytest.raises(ValueError, match="centres"):
        layout_from_centres(centres)
