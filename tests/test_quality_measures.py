"""Artifact score, spectral distortion, SRMR, dynamic range, clipping, and all metrics in one call."""

import importlib
import math

import numpy as np
import pytest
from test_quality import RATE_HZ, speech_like

from edge.quality import srmr
from edge.quality.artifacts import artifact_score, log_kurtosis_ratio
from edge.quality.evaluate import DNSMOS, METRICS, PAIRED, evaluate
from edge.quality.signal import clipping_percent, dynamic_range_db
from edge.quality.spectral import RANGE_DB, spectral_distortion_db

SPEECH = speech_like(3.0)
SPEECH[: RATE_HZ // 2] = 0.0
NOISE = 0.03 * np.random.default_rng(1).standard_normal(SPEECH.size)
NOISY = SPEECH + NOISE


# ---- artifacts ----


def filtered(signal, gain_of):
    """signal through gain_of(power (frames, bins)) in Hann frames of 512, half overlapped."""
    window = np.sqrt(np.hanning(513)[:-1])
    padded = np.pad(signal, 512)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::256]
    spectra = np.fft.rfft(frames * window, axis=1)
    made = np.fft.irfft(spectra * gain_of(np.abs(spectra) ** 2), 512, axis=1) * window
    out = np.zeros(padded.size)
    for i, frame in enumerate(made):
        out[i * 256 : i * 256 + 512] += frame
    return out[512 : 512 + signal.size]


def subtraction(over, floor_db):
    def gain_of(power):
        level = power[4:30].mean(axis=0)
        return np.maximum(
            np.sqrt(np.maximum(1.0 - over * level / np.maximum(power, 1e-20), 0.0)), 10 ** (floor_db / 20)
        )

    return gain_of


def score(estimate):
    return artifact_score(SPEECH, NOISY, estimate).value


def test_textbook_spectral_subtraction_is_musical_and_a_floor_hides_it():
    """Berouti et al. 1979 made the floor for exactly that."""
    bare, shallow, shallower = (score(filtered(NOISY, subtraction(1.0, floor))) for floor in (-60.0, -5.0, -1.0))
    assert bare > 0.5
    assert 0.3 < shallow < bare
    assert shallower < 0.05


def test_what_leaves_the_noise_as_it_is_or_takes_all_of_it_is_not_musical():
    assert artifact_score(SPEECH, NOISY, np.zeros_like(SPEECH)).reason == "the estimate is silent"

    assert score(NOISY) == 0.0
    assert score(0.1 * NOISY) < 0.01
    assert score(SPEECH) == 0.0
    # half of the noise gone everywhere, and noise that slowly swells and fades
    assert score(SPEECH + 0.5 * NOISE) < 0.01
    assert score(SPEECH + NOISE * 0.5 * (1.2 + np.sin(2 * np.pi * 0.7 * np.arange(NOISE.size) / RATE_HZ))) < 0.05
    # a fixed filter colours the noise and adds no tones
    assert score(filtered(NOISY, lambda power: np.linspace(1.0, 0.2, power.shape[1]))) < 0.05


def test_more_and_louder_tones_score_higher():
    rng = np.random.default_rng(3)

    def chirpy(share, level):
        """Noise at a tenth of its amplitude, in which single points of the spectrogram keep `level`."""
        return filtered(NOISY, lambda power: np.where(rng.random(power.shape) < share, level, 0.1))

    scores = [score(chirpy(0.1, level)) for level in (0.1, 0.3, 1.0)]
    assert scores[0] < 0.02 < scores[1] < 0.3 < scores[2]
    assert score(chirpy(0.02, 1.0)) < scores[2]


def test_level_and_scale_do_not_matter():
    made = filtered(NOISY, subtraction(1.0, -20.0))
    for level in (1e-8, 0.01, 1e4):
        same = artifact_score(level * SPEECH, level * NOISY, level * made).value
        assert same == pytest.approx(score(made), abs=1e-6)


def test_gaussian_noise_has_the_kurtosis_of_its_theory():
    """Power of Gaussian noise is exponential: E[p^2] / E[p]^2 = 2; gated at random to a share q it is 2 / q."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(60 * RATE_HZ)
    silent = np.zeros_like(noise)
    # one gain per 30 frames and 30 bins: within a neighbourhood the kurtosis stays that of the noise
    assert log_kurtosis_ratio(silent, noise, filtered(noise, lambda p: np.full(p.shape, 0.5))) == pytest.approx(
        0.0, abs=0.01
    )
    # an independent frame every 512 samples, no overlap: points kept at random with probability q
    keep = 0.3
    kept = filtered(noise, lambda p: (rng.random(p.shape) < keep).astype(float))
    assert 0.2 < log_kurtosis_ratio(silent, noise, kept) < math.log(1.0 / keep)


def test_where_no_noise_is_alone_there_is_no_score():
    assert "noise alone" in artifact_score(SPEECH, SPEECH, SPEECH).reason
    assert "too short" in artifact_score(SPEECH[:2000], NOISY[:2000], NOISY[:2000]).reason
    assert "16000" in artifact_score(SPEECH, NOISY, NOISY, 48000).reason
    assert "NaN" in artifact_score(SPEECH, NOISY, np.full_like(SPEECH, np.nan)).reason
    with pytest.raises(ValueError, match="equal length"):
        artifact_score(SPEECH, NOISY, NOISY[1:])


# ---- spectral distortion ----


def test_distortion_of_a_gain_is_that_gain():
    noise = np.random.default_rng(2).standard_normal(RATE_HZ)
    for gain_db in (-12.0, 3.0):
        found = spectral_distortion_db(noise, noise * 10 ** (gain_db / 20)).value
        # points near the limit of the range cannot fall by all of it
        assert found == pytest.approx(abs(gain_db), rel=0.01)
    assert spectral_distortion_db(noise, noise).value == 0.0


def test_distortion_against_a_loop_over_points():
    r, e = SPEECH[RATE_HZ : 2 * RATE_HZ], NOISY[RATE_HZ : 2 * RATE_HZ]

    def log_spectra(x):
        frames = [x[i : i + 512] * np.hanning(513)[:512] for i in range(0, x.size - 511, 256)]
        return [[10 * math.log10(abs(v) ** 2 + 1e-300) for v in np.fft.rfft(f)] for f in frames]

    first, second = log_spectra(r), log_spectra(e)
    least = max(max(row) for row in first) - RANGE_DB
    values = []
    for a, b in zip(first, second, strict=True):
        squares = [(max(x, least) - max(y, least)) ** 2 for x, y in zip(a, b, strict=True)]
        values.append(math.sqrt(sum(squares) / len(squares)))
    assert spectral_distortion_db(r, e).value == pytest.approx(sum(values) / len(values), abs=1e-9)


# ---- one signal alone ----


def test_dynamic_range_is_the_step_between_loud_and_quiet():
    rng = np.random.default_rng(0)
    x = 0.3 * np.sign(rng.standard_normal(4 * RATE_HZ))
    x[: 2 * RATE_HZ] *= 0.01
    assert dynamic_range_db(x).value == pytest.approx(40.0, abs=1e-6)
    assert dynamic_range_db(x[2 * RATE_HZ :]).value == pytest.approx(0.0, abs=1e-6)
    x[: 2 * RATE_HZ] = 0.0
    assert "digital silence" in dynamic_range_db(x).reason
    assert "silent" in dynamic_range_db(np.zeros(RATE_HZ)).reason


def test_clipping_is_the_share_of_samples_at_full_scale():
    sine = np.sin(2 * np.pi * 100 * np.arange(RATE_HZ) / RATE_HZ)
    for amplitude in (1.5, 4.0):
        # |sin| is above 1 / a for that share of the time
        share = 100.0 * (1.0 - 2.0 / math.pi * math.asin(1.0 / amplitude))
        assert clipping_percent(np.clip(amplitude * sine, -1, 1)).value == pytest.approx(share, abs=0.7)
    assert clipping_percent(0.99 * sine).value == 0.0
    assert clipping_percent(np.array([1.0])).value == 100.0
    assert not clipping_percent(np.zeros(0)).ok


# ---- all in one call ----


def values_of(scores):
    return {name: score.value for name, score in scores.items()}


def test_every_metric_is_that_of_its_own_function():
    for package in ("pesq", "pystoi"):
        pytest.importorskip(package)
    found = evaluate(SPEECH, NOISY, noisy=NOISY, wanted=[m for m in METRICS if m not in DNSMOS])
    for name, metric in PAIRED.items():
        # the last bit of a sum depends on where in memory its vectors lie
        assert found[name].value == pytest.approx(metric(SPEECH, NOISY).value, rel=1e-9), name
    assert found["artifacts"].value == 0.0
    assert found["srmr"].value == pytest.approx(srmr.srmr(NOISY).value, rel=1e-9)
    assert found["dynamic_range_db"].value == pytest.approx(dynamic_range_db(NOISY).value, rel=1e-9)
    assert list(evaluate(SPEECH, NOISY, wanted=["stoi", "snr_db"])) == ["stoi", "snr_db"]
    with pytest.raises(ValueError, match="unknown metric 'pesk'"):
        evaluate(SPEECH, NOISY, wanted=["pesk"])


FAST = ["snr_db", "segmental_snr_db", "si_sdr_db", "spectral_distortion_db", "artifacts"]


@pytest.mark.parametrize("late", [400, -300])
def test_a_late_or_early_estimate_is_aligned_first(late):
    made = filtered(NOISY, subtraction(1.0, -20.0))
    moved = np.concatenate([np.zeros(late), made]) if late > 0 else made[-late:]
    here, there = (values_of(evaluate(SPEECH, x, noisy=NOISY, wanted=FAST)) for x in (made, moved))
    assert here == pytest.approx(there, rel=0.03, abs=0.1)
    assert there["snr_db"] > 5.0


@pytest.mark.parametrize(("late", "side"), [(12800, "0.80 s late"), (-12800, "0.80 s early")])
def test_an_estimate_further_away_than_is_taken_out_has_the_reason_and_no_value(late, side):
    made = SPEECH + 0.1 * NOISE
    moved = np.concatenate([np.zeros(late), made]) if late > 0 else made[-late:]
    found = evaluate(SPEECH, moved, noisy=NOISY, wanted=[*FAST, "clipping_percent"])
    for name in FAST:
        assert found[name].reason == f"the estimate is {side}, at most 0.5 s are taken out"
    assert found["clipping_percent"].ok, "which needs no reference"
    assert "noisy signal is" in evaluate(SPEECH, made, noisy=moved, wanted=["artifacts"])["artifacts"].reason
    assert evaluate(SPEECH, moved, wanted=["snr_db"], max_lag_s=1.0)["snr_db"].value > 15.0 or late < 0


def test_what_is_nothing_like_the_reference_is_measured_where_it_is():
    rng = np.random.default_rng(7)
    strange = rng.standard_normal(SPEECH.size)
    assert evaluate(SPEECH, strange, wanted=["si_sdr_db"])["si_sdr_db"].value < -20.0
    tone = np.sin(2 * np.pi * 200 * np.arange(SPEECH.size) / RATE_HZ)  # as like itself at any distance
    assert evaluate(tone, tone + 0.1 * strange, wanted=["snr_db"])["snr_db"].value == pytest.approx(17.0, abs=0.2)


def test_an_estimate_may_lack_half_a_second_and_no_more():
    estimate = SPEECH + 0.1 * NOISE
    for samples, measured in ((SPEECH.size - 7000, True), (SPEECH.size - 9000, False)):
        found = evaluate(SPEECH, estimate[:samples], wanted=["snr_db"])["snr_db"]
        assert found.ok is measured
    assert found.reason == "the estimate has 2.44 s of the 3.00 s of the reference, it may lack 0.5 s"
    longer = np.concatenate([estimate, NOISE])
    assert evaluate(SPEECH, longer, wanted=["snr_db"])["snr_db"].value == pytest.approx(
        evaluate(SPEECH, estimate, wanted=["snr_db"])["snr_db"].value, abs=1e-9
    )


def test_other_rates_and_channels_become_16_khz_and_one_channel():
    import soxr

    def narrow(x):
        """Nothing next to 8 kHz, where resampling takes some away."""
        spectrum = np.fft.rfft(x)
        spectrum[int(0.8 * spectrum.size) :] = 0.0
        return np.fft.irfft(spectrum, x.size)

    clean, noisy = narrow(SPEECH), narrow(NOISY)
    stereo_clean, stereo = (np.stack([soxr.resample(x, RATE_HZ, 48000)] * 2, axis=1) for x in (clean, noisy))
    found = values_of(evaluate(stereo_clean, stereo, 48000, noisy=stereo, wanted=FAST))
    assert found == pytest.approx(values_of(evaluate(clean, noisy, noisy=noisy, wanted=FAST)), rel=0.02, abs=0.02)
    # clipping is counted before anything else
    loud = np.clip(20.0 * stereo, -1.0, 1.0)
    clipped = evaluate(None, loud, 48000, wanted=["clipping_percent"])["clipping_percent"].value
    assert clipped == pytest.approx(100.0 * np.mean(np.abs(loud) >= 0.999))
    assert clipped > 1.0


STRANGE = {
    "silent reference": (np.zeros(RATE_HZ), NOISY[:RATE_HZ]),
    "silent estimate": (SPEECH[: 2 * RATE_HZ], np.zeros(2 * RATE_HZ)),
    "both silent": (np.zeros(RATE_HZ), np.zeros(RATE_HZ)),
    "one sample": (np.ones(1), np.ones(1)),
    "nothing": (np.zeros(0), np.zeros(0)),
    "not numbers": (SPEECH[:RATE_HZ], np.full(RATE_HZ, np.nan)),
    "clipped": (SPEECH, np.clip(50.0 * NOISY, -1.0, 1.0)),
    "another length": (SPEECH, NOISY[: 2 * RATE_HZ]),
    "constant": (np.ones(RATE_HZ), np.ones(RATE_HZ)),
    "no reference": (None, NOISY),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_strange_sound_has_a_value_or_a_reason_for_everything(name, rate_hz):
    reference, estimate = STRANGE[name]
    found = evaluate(reference, estimate, rate_hz, noisy=reference)
    assert tuple(found) == METRICS
    for metric, score in found.items():
        assert math.isfinite(score.value) != bool(score.reason), (metric, score)
    assert not any(type(score.as_json()) is float and math.isnan(score.as_json()) for score in found.values())


@pytest.mark.parametrize("package", ["pesq", "pystoi", "speechmos"])
def test_dnsmos_and_all_are_there_with_the_extra(package):
    pytest.importorskip(package)
    importlib.import_module(package)
    name = {"pesq": "pesq_wb", "pystoi": "estoi", "speechmos": "dnsmos_ovr"}[package]
    assert evaluate(SPEECH, NOISY, wanted=[name])[name].ok


# ---- SRMR ----


def test_gammatone_filters_answer_most_to_their_own_frequency() -> None:
    centres = srmr.band_centres_hz()
    assert centres[0] == pytest.approx(125.0)
    assert (np.diff(centres, 2) > 0.0).all()
    assert centres[-1] < RATE_HZ / 2
    for band in (0, 9, 22):
        tone = np.sin(2.0 * np.pi * centres[band] * np.arange(RATE_HZ // 2) / RATE_HZ)
        level = srmr.envelopes(tone)[:, RATE_HZ // 4 : RATE_HZ // 4 + 1000].mean(axis=1)
        assert np.argmax(level) == band
        assert level[band] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("band", [0, 3, 7])
def test_modulation_filters_are_band_passes_of_unit_gain(band: int) -> None:
    from scipy.signal import freqz

    filters, lower_hz = srmr._modulation_filters()
    centre = srmr.MODULATIONS_HZ[band]
    _, response = freqz(*filters[band], worN=[lower_hz[band], centre, centre**2 / lower_hz[band]], fs=RATE_HZ)
    np.testing.assert_allclose(np.abs(response), [np.sqrt(0.5), 1.0, np.sqrt(0.5)], atol=2e-3)
    assert (centre**2 / lower_hz[band] - lower_hz[band]) * srmr.MODULATION_Q == pytest.approx(centre)


def modulated(hz):
    rng = np.random.default_rng(0)
    return rng.standard_normal(3 * RATE_HZ) * (1.0 + np.sin(2 * np.pi * hz * np.arange(3 * RATE_HZ) / RATE_HZ))


def test_srmr_is_of_slow_modulation_whatever_the_level() -> None:
    slow, fast = (srmr.srmr(modulated(hz)).value for hz in (4.0, 64.0))
    assert slow > 3.0 * fast
    assert srmr.srmr(1e-3 * modulated(4.0)).value == pytest.approx(slow, rel=1e-3)
    assert "silent" in srmr.srmr(np.zeros(RATE_HZ)).reason
    assert "too short" in srmr.srmr(np.ones(100)).reason
    assert "48000" in srmr.srmr(np.ones(RATE_HZ), 48000).reason


def test_srmr_falls_with_reverberation() -> None:
    from scipy.signal import fftconvolve

    def tail(rt60_s):
        t = np.arange(int(rt60_s * RATE_HZ)) / RATE_HZ
        return np.random.default_rng(1).standard_normal(t.size) * 10.0 ** (-3.0 * t / rt60_s)

    wet = [fftconvolve(SPEECH, tail(rt60_s))[: SPEECH.size] for rt60_s in (0.3, 0.8)]
    found = [srmr.srmr(x).value for x in (SPEECH, *wet)]
    assert found[0] > found[1] > found[2]


def test_an_estimate_that_lacks_half_has_no_artifact_score_either():
    found = evaluate(SPEECH, NOISY[: SPEECH.size // 2], noisy=NOISY, wanted=["snr_db", "artifacts"])
    assert found["artifacts"].reason == found["snr_db"].reason
    assert "may lack 0.5 s" in found["artifacts"].reason
