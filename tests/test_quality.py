"""Metrics against independent formulas and known properties, alignment, shadow filtering, pictures."""

import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from edge.config.load import config_from_dict
from edge.geometry import ArrayGeometry
from edge.pipeline import build_pipeline
from edge.profiles import PROFILES
from edge.quality import alignment, metrics
from edge.quality.shadow import run_with_components

RATE_HZ = 16000


def speech_like(seconds=3.0, seed=0):
    """Harmonic tone complexes with formant-like tilt in syllables of 200 ms with pauses: enough for PESQ and STOI."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    f0 = 120.0 + 30.0 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(f0) / RATE_HZ
    voiced = sum(np.cos(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    syllable = np.clip(np.sin(2 * np.pi * 2.3 * t), 0.0, None) ** 0.5
    return 0.1 * (voiced + 0.3 * rng.standard_normal(n)) * syllable


def noise(n, seed=1, level=0.05):
    return level * np.random.default_rng(seed).standard_normal(n)


SPEECH = speech_like()
ALL_PAIRED = [
    metrics.snr_db,
    metrics.segmental_snr_db,
    metrics.si_sdr_db,
    metrics.pesq_wb,
    metrics.stoi,
    metrics.estoi,
]


def test_snr_is_the_power_ratio_of_what_was_added():
    added = noise(SPEECH.size)
    expected = 10 * math.log10(np.sum(SPEECH**2) / np.sum(added**2))
    assert metrics.snr_db(SPEECH, SPEECH + added).value == pytest.approx(expected, abs=1e-9)
    assert metrics.power_ratio_db(SPEECH, added).value == pytest.approx(expected, abs=1e-9)


def test_power_ratio_counts_only_where_speech_is_active():
    active = np.zeros(SPEECH.size, bool)
    active[RATE_HZ : 2 * RATE_HZ] = True
    added = noise(SPEECH.size)
    expected = 10 * math.log10(np.mean(SPEECH[active] ** 2) / np.mean(added[active] ** 2))
    assert metrics.power_ratio_db(SPEECH, added, active).value == pytest.approx(expected, abs=1e-9)
    assert "no speech" in metrics.power_ratio_db(SPEECH, added, np.zeros(SPEECH.size, bool)).reason


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.0, 30.0])
def test_si_sdr_equals_snr_for_orthogonal_noise(snr_db):
    s = SPEECH - SPEECH.mean()
    v = noise(s.size)
    v -= v.mean()
    v -= (v @ s) / (s @ s) * s
    v *= np.sqrt((s @ s) / (v @ v)) * 10 ** (-snr_db / 20)
    assert metrics.si_sdr_db(s, s + v).value == pytest.approx(snr_db, abs=1e-6)


def test_si_sdr_ignores_gain_offset_and_sign_but_snr_does_not():
    estimate = SPEECH + noise(SPEECH.size)
    plain = metrics.si_sdr_db(SPEECH, estimate).value
    for changed in (3.7 * estimate, -0.2 * estimate, estimate + 0.1):
        assert metrics.si_sdr_db(SPEECH, changed).value == pytest.approx(plain, abs=1e-6)
    assert metrics.snr_db(SPEECH, 0.5 * SPEECH).value == pytest.approx(20 * math.log10(2), abs=1e-9)


def test_si_sdr_is_the_ratio_of_projection_to_residual():
    """Le Roux et al. 2019, eq. 5, by least squares instead of the closed form."""
    estimate = 0.8 * SPEECH + noise(SPEECH.size, seed=3)
    s, e = SPEECH - SPEECH.mean(), estimate - estimate.mean()
    scale = np.linalg.lstsq(s[:, None], e, rcond=None)[0][0]
    expected = 10 * np.log10(np.sum((scale * s) ** 2) / np.sum((e - scale * s) ** 2))
    assert metrics.si_sdr_db(SPEECH, estimate).value == pytest.approx(expected, abs=1e-6)


def test_segmental_snr_against_a_loop_over_frames():
    estimate = SPEECH + noise(SPEECH.size, level=0.01)
    frame, values = 480, []
    window = np.hanning(frame + 2)[1:-1]
    for start in range(0, SPEECH.size - frame + 1, frame // 4):
        s = SPEECH[start : start + frame] * window
        v = (SPEECH - estimate)[start : start + frame] * window
        if s.any():
            values.append(min(35.0, max(-10.0, 10 * math.log10(s @ s / (v @ v)))))
    assert metrics.segmental_snr_db(SPEECH, estimate).value == pytest.approx(np.mean(values), abs=1e-9)
    assert metrics.segmental_snr_db(SPEECH, SPEECH).value == 35.0


@pytest.mark.parametrize("metric", [metrics.pesq_wb, metrics.stoi, metrics.estoi, metrics.segmental_snr_db])
def test_every_metric_falls_as_noise_rises(metric):
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    values = [metric(SPEECH, SPEECH + noise(SPEECH.size, level=level)).value for level in (0.001, 0.02, 0.3)]
    assert values[0] > values[1] > values[2]


def test_ceilings_of_identical_signals():
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    # the mapping of ITU-T P.862.2 from the raw score, whose highest value is 4.5, to MOS-LQO: 4.6439
    ceiling = 0.999 + 4.0 / (1.0 + math.exp(-1.3669 * 4.5 + 3.8224))
    assert metrics.pesq_wb(SPEECH, SPEECH).value == pytest.approx(ceiling, abs=1e-4)
    assert metrics.stoi(SPEECH, SPEECH).value == pytest.approx(1.0, abs=1e-6)
    assert metrics.estoi(SPEECH, SPEECH).value == pytest.approx(1.0, abs=1e-6)


def test_stoi_against_an_implementation_written_from_the_paper():
    """Taal et al. 2011 at its own rate of 10 kHz, without silent frames to remove."""
    pytest.importorskip("pystoi")
    rng = np.random.default_rng(5)
    clean = rng.standard_normal(30000) * (1.2 + np.sin(2 * np.pi * 3 * np.arange(30000) / 10000))
    noisy = clean + rng.standard_normal(30000)
    assert metrics.stoi(clean, noisy, 10000).value == pytest.approx(_slow_stoi(clean, noisy), abs=2e-3)


def _slow_stoi(clean, noisy):
    window = np.hanning(258)[1:-1]
    bands = [150 * 2 ** (k / 3) for k in range(15)]
    grid = np.arange(257) * 10000 / 512

    def envelopes(x):
        frames = [np.fft.rfft(window * x[i : i + 256], 512) for i in range(0, x.size - 256, 128)]
        power = np.abs(np.array(frames).T) ** 2
        rows = []
        for centre in bands:
            low = np.argmin((grid - centre * 2 ** (-1 / 6)) ** 2)
            high = np.argmin((grid - centre * 2 ** (1 / 6)) ** 2)
            rows.append(np.sqrt(power[low:high].sum(axis=0)))
        return np.array(rows)

    x, y = envelopes(clean), envelopes(noisy)
    scores = []
    for m in range(30, x.shape[1] + 1):
        for j in range(15):
            a, b = x[j, m - 30 : m], y[j, m - 30 : m]
            b = b * np.linalg.norm(a) / np.linalg.norm(b)
            b = np.minimum(b, a * (1 + 10 ** (15 / 20)))
            scores.append(np.corrcoef(a, b)[0, 1])
    return np.mean(scores)


LEVELS_COUNT = (metrics.snr_db, metrics.segmental_snr_db)


def test_silence_gives_nan_and_the_reason():
    for metric in ALL_PAIRED:
        for pair, who in (((np.zeros(RATE_HZ), SPEECH[:RATE_HZ]), "reference"), ((SPEECH, 0 * SPEECH), "estimate")):
            score = metric(*pair)
            if who == "estimate" and metric in LEVELS_COUNT:
                assert score == metrics.Score(0.0)  # all of the speech is error
                continue
            assert math.isnan(score.value)
            assert who in score.reason
            assert "silent" in score.reason


def test_short_and_bad_signals_give_nan_and_the_reason():
    short = metrics.estoi(SPEECH[:3000], SPEECH[:3000])
    assert math.isnan(short.value)
    assert "too short: 3000 samples" in short.reason
    assert "too short" in metrics.pesq_wb(SPEECH[:100], SPEECH[:100]).reason
    broken = SPEECH.copy()
    broken[7] = np.nan
    for metric in ALL_PAIRED:
        assert "NaN" in metric(SPEECH, broken).reason
    assert "16 kHz" in metrics.pesq_wb(SPEECH, SPEECH, 8000).reason
    pytest.importorskip("pystoi")
    mostly_silent = np.zeros(2 * RATE_HZ)
    mostly_silent[:2000] = SPEECH[RATE_HZ : RATE_HZ + 2000]
    assert "0.4 s of speech" in metrics.stoi(mostly_silent, mostly_silent).reason


def test_lengths_that_differ_are_a_programming_error():
    with pytest.raises(ValueError, match="equal length"):
        metrics.si_sdr_db(SPEECH, SPEECH[:-1])


def test_score_in_json_has_no_nan():
    assert metrics.Score(math.nan, "silent").as_json() is None
    assert metrics.Score(math.inf).as_json() is None
    assert metrics.Score(1.23456789).as_json() == 1.2346
    assert float(metrics.Score(2.5)) == 2.5


def test_dnsmos_prefers_clean_over_noisy_and_repeats_short_signals():
    pytest.importorskip("speechmos.dnsmos_models", reason="speechmos is not installed")
    clean, noisy = metrics.dnsmos(SPEECH), metrics.dnsmos(SPEECH + noise(SPEECH.size, level=0.1))
    assert clean.bak.value > noisy.bak.value + 0.3
    assert all(1.0 <= s.value <= 5.0 for s in (clean.sig, clean.bak, clean.ovrl))
    # 3 s are repeated to 12 s, of which the published count of windows takes 3
    assert_allclose(metrics.dnsmos(np.tile(SPEECH, 4)).ovrl.value, clean.ovrl.value, atol=1e-6)


def test_dnsmos_without_a_signal_says_why():
    assert "silent" in metrics.dnsmos(np.zeros(RATE_HZ)).ovrl.reason
    assert "too short" in metrics.dnsmos(SPEECH[:100]).sig.reason
    assert "16 kHz" in metrics.dnsmos(SPEECH, 8000).bak.reason


@pytest.mark.parametrize("lag", [-300, -1, 0, 1, 256])
def test_lag_is_found_in_noise_to_the_sample(lag):
    late = np.roll(np.pad(SPEECH, 400), lag) + noise(SPEECH.size + 800)
    found = alignment.find_lag(np.pad(SPEECH, 400), -2.0 * late, 500)
    assert found.lag_samples == lag
    assert 0.5 < found.correlation <= 1.0


def test_align_returns_the_shared_part():
    reference, estimate, found = alignment.align(SPEECH, np.concatenate([np.zeros(100), SPEECH]), 200)
    assert found.lag_samples == 100
    assert_allclose(reference, SPEECH)
    assert_allclose(estimate, SPEECH)
    reference, estimate, found = alignment.align(SPEECH, SPEECH[50:], 200)
    assert found.lag_samples == -50
    assert_allclose(reference, estimate)


def test_unrelated_signals_are_not_shifted():
    rng = np.random.default_rng(0)
    _, estimate, found = alignment.align(rng.standard_normal(RATE_HZ), rng.standard_normal(RATE_HZ), 1000)
    assert found.correlation < alignment.MIN_CORRELATION
    assert found.lag_samples == 0
    assert estimate.size == RATE_HZ
    assert alignment.find_lag(np.zeros(100), SPEECH, 10) == alignment.Alignment(0, 0.0)


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
@pytest.mark.parametrize("beamformer", ["mvdr", "none"])
def test_shadow_components_add_up_to_the_output(profile, beamformer):
    """The way of speech and the way of noise are one linear way: together they are the output, before any limiting."""
    config = _array_config(profile, beamformer)
    rng = np.random.default_rng(2)
    speech = np.stack([np.roll(SPEECH[:16000], i) for i in range(4)], axis=1).astype(np.float32)
    added = (0.02 * rng.standard_normal((16000, 4))).astype(np.float32)
    result = run_with_components(build_pipeline(config), {"speech": speech, "noise": added})
    assert result.output.shape == (16000, 2)
    for column, parts in enumerate((result.listen, result.asr)):
        assert_allclose(parts["speech"] + parts["noise"], result.output[:, column], atol=2e-6)
    assert np.abs(result.output).max() > 0.01


def test_shadow_of_a_bypassed_chain_is_the_component_itself():
    config = _array_config("assistant", "none", mask="bypass")
    speech = np.zeros((8000, 4), np.float32)
    speech[:, 0] = SPEECH[:8000]
    result = run_with_components(build_pipeline(config), {"speech": speech, "noise": 0.1 * speech[::-1].copy()})
    assert_allclose(result.listen["speech"], speech[:, 0], atol=2e-6)


def test_shadow_refuses_components_of_different_shape():
    config = _array_config("assistant", "mvdr")
    with pytest.raises(ValueError, match=r"\(samples, 4\)"):
        run_with_components(build_pipeline(config), {"speech": np.zeros((100, 3))})


def _array_config(profile, beamformer, mask="wiener"):
    return config_from_dict(
        {
            "profile": profile,
            "array": {"board": "respeaker_4mic_square"},
            "beamformer": {"kind": beamformer, "azimuth_deg": 40.0},
            "mask": {"kind": mask},
            "input": {"kind": "file", "path": "scene.wav"},
            "output": {"kind": "null"},
        }
    )


def test_beam_response_is_unity_towards_the_look_direction_and_follows_geometry():
    pytest.importorskip("matplotlib")
    from edge.quality.plots import beam_response_db

    profile = PROFILES["assistant"]
    geometry = ArrayGeometry([[0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]])
    frequencies_hz = np.fft.rfftfreq(512, 1 / 16000)
    delays_s = geometry.steering_delays_s(0.0)
    weights = np.exp(-2j * np.pi * frequencies_hz * delays_s[:, None]) / 2
    response = beam_response_db(weights, geometry, profile, 875.0, [0.0, 90.0, 180.0])
    # two mics 0.2 m apart, steered to endfire: cos(pi f d (1 - cos a) / c)
    expected = [abs(math.cos(math.pi * 875.0 * 0.2 * (1 - c) / 343.0)) for c in (1.0, 0.0, -1.0)]
    assert_allclose(response, 20 * np.log10(np.maximum(expected, 1e-6)), atol=1e-6)
    assert response[0] == pytest.approx(0.0, abs=1e-9)


def test_spectrogram_of_a_tone_shows_its_level_and_place():
    pytest.importorskip("matplotlib")
    from edge.quality.plots import level_dbfs, spectrogram_db

    tone = 0.1 * np.sin(2 * np.pi * 2000 * np.arange(RATE_HZ) / RATE_HZ)
    level_db, times_s = spectrogram_db(tone, RATE_HZ)
    middle = level_db[:, times_s.size // 2]
    assert middle.argmax() == 64  # 2000 Hz at 31.25 Hz per bin
    assert middle.max() == pytest.approx(-20.0, abs=0.1)
    assert_allclose(level_dbfs(tone, RATE_HZ)[1], -23.01, atol=0.05)
    assert level_dbfs(np.zeros(RATE_HZ), RATE_HZ)[1].max() == -100.0


def test_only_plots_imports_matplotlib_and_only_when_drawing():
    modules = ", ".join(f"edge.quality.{name}" for name in ("alignment", "metrics", "plots", "shadow"))
    code = f"import sys, {modules}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
