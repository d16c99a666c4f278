"""Metrics against values that others publish or compute, and against implementations written from the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_quality import RATE_HZ, noise, speech_like

from edge.quality import metrics
from edge.quality.srmr import srmr

SPEECH = speech_like()


def torch_randn(seed: int, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """What torch.manual_seed(seed) and torch.randn(size) give on a processor, for sizes of whole sixteens: the Mersenne
    Twister's 24 lower bits, Box and Muller's transform of eight and eight. Publishers of metrics use it in examples.
    """
    twister = np.random.RandomState(seed)
    found = []
    for size in sizes:
        uniform = (np.frombuffer(twister.bytes(4 * size), "<u4") & 0xFFFFFF).reshape(-1, 2, 8) / 2.0**24
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - uniform[:, 0])), 2.0 * np.pi * uniform[:, 1]
        found.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel())
    return found


def test_the_noise_of_the_published_examples_is_theirs() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    for ours in torch_randn(1, (8000, 8000)):
        np.testing.assert_allclose(ours, torch.randn(8000).numpy(), atol=1e-5)


def test_snr_and_si_sdr_of_the_torchmetrics_documentation() -> None:
    """SignalNoiseRatio and ScaleInvariantSignalNoiseRatio, examples of torchmetrics 1.9."""
    reference, estimate = [3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]
    assert metrics.snr_db(reference, estimate).value == pytest.approx(16.1805, abs=5e-5)
    assert metrics.si_sdr_db(reference, estimate).value == pytest.approx(15.0918, abs=5e-5)


def test_pesq_and_stoi_of_the_torchmetrics_documentation() -> None:
    """PerceptualEvaluationSpeechQuality(16000, "wb"): 1.7359; ShortTimeObjectiveIntelligibility(8000): -0.0100."""
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    estimate, reference = torch_randn(1, (8000, 8000))
    assert metrics.pesq_wb(reference, estimate).value == pytest.approx(1.7359, abs=5e-4)
    assert metrics.stoi(reference, estimate, 8000).value == pytest.approx(-0.0100, abs=5e-5)


def test_segmental_snr_is_what_pysepm_says() -> None:
    """SNRseg of pysepm-evo 0.1.1, run once: 3.797 dB. It counts frames of digital silence as -10 dB, which are left out
    here, so there are none in this signal; and it stops one or two frames before the end.
    """
    reference = SPEECH + 1e-4 * np.random.default_rng(9).standard_normal(SPEECH.size)
    found = metrics.segmental_snr_db(reference, reference + noise(SPEECH.size, level=0.01)).value
    assert found == pytest.approx(3.797, abs=0.05)


def test_pesq_takes_out_gain_and_delay_and_falls_from_its_ceiling_with_noise() -> None:
    """ITU-T P.862 aligns in time and level; P.862.2 maps its range onto 1.04 to 4.644."""
    pytest.importorskip("pesq")
    levels = [
        metrics.pesq_wb(SPEECH, SPEECH + noise(SPEECH.size, level=level)).value for level in (1e-4, 1e-3, 1e-2, 1)
    ]
    assert 4.644 > levels[0] > levels[1] > levels[2] > levels[3] > 1.0
    assert levels[3] < 1.2
    noisy = SPEECH + noise(SPEECH.size, level=1e-3)
    late = np.concatenate([np.zeros(160), noisy[:-160]])
    for changed in (0.1 * noisy, late):
        assert metrics.pesq_wb(SPEECH, changed).value == pytest.approx(levels[1], abs=0.1)


def paused(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three seconds at 10 kHz of noise in syllables, with pauses that count as silent, and with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(30000) / 10000.0
    clean = rng.standard_normal(t.size) * np.clip(np.sin(2.0 * np.pi * 1.5 * t), 1e-4, None)
    return clean, clean + 0.4 * rng.standard_normal(t.size)


def loud_parts(clean: np.ndarray, noisy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the frames more than 40 dB below the loudest of the clean signal (Taal et al. 2011, section II)."""
    window = np.hanning(258)[1:-1]
    starts = range(0, clean.size - 256, 128)
    levels = [20.0 * math.log10(np.linalg.norm(window * clean[i : i + 256]) + 1e-12) for i in starts]
    kept = [i for i, level in zip(starts, levels, strict=True) if level > max(levels) - 40.0]
    assert len(kept) < len(levels), "this signal has pauses"
    joined = np.zeros((2, 128 * (len(kept) - 1) + 256))
    for n, i in enumerate(kept):
        joined[0, 128 * n : 128 * n + 256] += window * clean[i : i + 256]
        joined[1, 128 * n : 128 * n + 256] += window * noisy[i : i + 256]
    return joined[0], joined[1]


def band_envelopes(signal: np.ndarray) -> np.ndarray:
    """(15, frames): root of the power in third-octave bands from 150 Hz (eq. 1 of both papers)."""
    window = np.hanning(258)[1:-1]
    grid_hz = np.arange(257) * 10000.0 / 512.0
    spectra = [np.fft.rfft(window * signal[i : i + 256], 512) for i in range(0, signal.size - 256, 128)]
    rows = []
    for k in range(15):
        centre_hz = 150.0 * 2.0 ** (k / 3.0)
        low, high = (np.argmin(np.abs(grid_hz - centre_hz * 2.0 ** (side / 6.0))) for side in (-1, 1))
        rows.append([math.sqrt(sum(abs(spectrum[b]) ** 2 for b in range(low, high))) for spectrum in spectra])
    return np.array(rows)


def normalised(row: np.ndarray) -> np.ndarray:
    away = row - row.mean()
    return away / np.linalg.norm(away)


def test_estoi_against_an_implementation_written_from_the_paper() -> None:
    """Jensen and Taal 2016: rows, then columns, of every 30 frames brought to mean 0 and norm 1; the mean of the
    columns' products (eqs. 4 to 8).
    """
    pytest.importorskip("pystoi")
    clean, noisy = paused(4)
    x, y = (band_envelopes(signal) for signal in loud_parts(clean, noisy))
    scores = []
    for m in range(30, x.shape[1] + 1):
        parts = []
        for envelope in (x, y):
            rows = np.array([normalised(row) for row in envelope[:, m - 30 : m]])
            parts.append(np.array([normalised(column) for column in rows.T]))
        scores.append(sum(a @ b for a, b in zip(*parts, strict=True)) / 30.0)
    found = metrics.estoi(clean, noisy, 10000).value
    assert 0.1 < found < 0.95
    assert found == pytest.approx(np.mean(scores), abs=2e-3)


def test_stoi_with_pauses_against_an_implementation_written_from_the_paper() -> None:
    """Taal et al. 2011, eqs. 2 to 6."""
    pytest.importorskip("pystoi")
    clean, noisy = paused(4)
    x, y = (band_envelopes(signal) for signal in loud_parts(clean, noisy))
    scores = []
    for m in range(30, x.shape[1] + 1):
        for a, b in zip(x[:, m - 30 : m], y[:, m - 30 : m], strict=True):
            scaled = np.minimum(b * np.linalg.norm(a) / np.linalg.norm(b), a * (1.0 + 10.0 ** (15.0 / 20.0)))
            scores.append(normalised(a) @ normalised(scaled))
    found = metrics.stoi(clean, noisy, 10000).value
    assert 0.1 < found < 0.95
    assert found == pytest.approx(np.mean(scores), abs=2e-3)


@pytest.mark.parametrize("metric", [metrics.stoi, metrics.estoi, metrics.segmental_snr_db, metrics.pesq_wb])
def test_how_loud_a_pair_is_does_not_matter(metric) -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    noisy = SPEECH + noise(SPEECH.size, level=0.02)
    value = metric(SPEECH, noisy).value
    for gain in (1e-20, 1e10):
        assert metric(gain * SPEECH, gain * noisy).value == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize(
    ("signal", "sig", "bak", "ovrl"),
    [
        (SPEECH, 1.9645859, 3.2061258, 1.6381510),
        (speech_like(11.3, 2), 2.3424525, 3.5377506, 2.0123694),
    ],
    ids=["repeated", "two windows"],
)
def test_dnsmos_is_what_the_package_of_its_authors_says(
    signal: np.ndarray, sig: float, bak: float, ovrl: float
) -> None:
    """speechmos 0.0.1.1 of Microsoft, `speechmos.dnsmos.run(signal, 16000)`, run once with its own librosa."""
    pytest.importorskip("speechmos.dnsmos_models", reason="speechmos is not installed")
    found = metrics.dnsmos(signal)
    assert [found.sig.value, found.bak.value, found.ovrl.value] == pytest.approx([sig, bak, ovrl], abs=1e-4)


def reverberant(rt60_s: float) -> np.ndarray:
    from scipy.signal import fftconvolve

    t = np.arange(int(rt60_s * RATE_HZ)) / RATE_HZ
    tail = np.random.default_rng(1).standard_normal(t.size) * 10.0 ** (-3.0 * t / rt60_s)
    return fftconvolve(SPEECH, tail)[: SPEECH.size]


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        (SPEECH, 4.49838),
        (SPEECH + noise(SPEECH.size), 1.04157),
        (reverberant(0.3), 3.42686),
        (reverberant(0.8), 2.95739),
    ],
    ids=["dry", "noisy", "0.3 s", "0.8 s"],
)
def test_srmr_is_what_torchmetrics_says(signal: np.ndarray, value: float) -> None:
    """speech_reverberation_modulation_energy_ratio of torchmetrics 1.9.0, which follows SRMRpy, run once.

    There the lower end of a modulation band is put at 3/4 of its centre, here where the filter has -3 dB, at 0.78:
    sounds whose bandwidth is between the two get another number of bands, and 10 % more or so.
    """
    assert srmr(signal).value == pytest.approx(value, rel=2e-3)
