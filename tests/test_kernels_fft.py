"""FFT kernels against numpy, and perfect reconstruction of the window pair."""

import numpy as np
import pytest

from edge.kernels import fft
from edge.profiles import PROFILES
from edge.stft import Stft
from edge.windows import asymmetric_windows


@pytest.mark.parametrize("length", [16, 32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_analysis_equals_numpy_rfft(length, channels):
    rng = np.random.default_rng(length + channels)
    history = rng.standard_normal((channels, length)).astype(np.float32)
    window = rng.uniform(0.1, 1.0, length).astype(np.float32)
    work = np.zeros((2, 2, length), np.float32)
    re = np.zeros((channels, length // 2 + 1), np.float32)
    im = np.zeros_like(re)
    fft.analyze(history, window, fft.twiddles(length), work[0], work[1], re, im)
    expected = np.fft.rfft(history.astype(np.float64) * window, axis=1)
    assert np.abs(re + 1j * im - expected).max() < 3e-7 * np.abs(expected).max() * np.log2(length)


@pytest.mark.parametrize("length", [16, 64, 128, 512])
def test_synthesis_equals_numpy_irfft_for_two_signals_at_once(length):
    rng = np.random.default_rng(length)
    hop = length // 4
    half = length // 2
    spectra = rng.standard_normal((2, half + 1)) + 1j * rng.standard_normal((2, half + 1))
    spectra[:, 0] = spectra[:, 0].real
    spectra[:, half] = spectra[:, half].real
    window = rng.uniform(0.1, 1.0, length).astype(np.float32)
    work = np.zeros((2, 2, length), np.float32)
    tail = np.zeros((2, hop), np.float32)
    before = rng.standard_normal((2, hop)).astype(np.float32)
    tail[:] = before
    out = np.zeros((2, hop), np.float32)
    first, second = spectra.astype(np.complex64)
    fft.synthesize(first, second, window, fft.twiddles(length), work[0], work[1], tail, hop, out)
    frames = np.fft.irfft(spectra, axis=1) * window
    np.testing.assert_allclose(out, before + frames[:, length - 2 * hop : length - hop], atol=2e-6)
    np.testing.assert_allclose(tail, frames[:, length - hop :], atol=2e-6)


@pytest.mark.parametrize("profile", list(PROFILES.values()), ids=list(PROFILES))
def test_windows_multiply_to_a_hann_that_adds_up_to_one(profile):
    k, m = profile.window_samples, profile.hop_samples
    analysis, synthesis = asymmetric_windows(k, m)
    product = analysis.astype(np.float64) * synthesis
    assert np.all(product[: k - 2 * m] == 0.0)
    np.testing.assert_allclose(product[k - 2 * m : k - m] + product[k - m :], 1.0, atol=2e-7)
    assert analysis.max() <= 1.0 + 1e-6
    assert np.isfinite(synthesis).all()


@pytest.mark.parametrize("profile", list(PROFILES.values()), ids=list(PROFILES))
def test_stft_reconstructs_both_signals_after_one_hop(profile):
    rng = np.random.default_rng(3)
    hop = profile.hop_samples
    x = rng.uniform(-1, 1, (2, 60 * hop)).astype(np.float32)
    stft = Stft(profile, 2)
    out = []
    for start in range(0, x.shape[1], hop):
        stft.history[:, :-hop] = stft.history[:, hop:].copy()
        stft.history[:, -hop:] = x[:, start : start + hop]
        stft.analyze()
        spectra = (stft.spectrum_re + 1j * stft.spectrum_im).astype(np.complex64)
        stft.synthesize(spectra[0], spectra[1])
        out.append(stft.signals.copy())
    y = np.concatenate(out, axis=1)
    assert np.abs(y[:, stft.latency_samples :] - x[:, : -stft.latency_samples]).max() < 1e-6


def test_power_scale_turns_spectral_power_into_mean_square():
    profile = PROFILES["assistant"]
    stft = Stft(profile, 1)
    rng = np.random.default_rng(0)
    levels = []
    for _ in range(400):
        stft.history[:] = 0.1 * rng.standard_normal(stft.history.shape)
        stft.analyze()
        levels.append(np.sum(stft.spectrum_re**2 + stft.spectrum_im**2) * stft.power_scale)
    assert np.mean(levels) == pytest.approx(0.01, rel=0.03)
