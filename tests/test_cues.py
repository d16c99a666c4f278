"""Spatial cues: the kernel against numpy, what known sound fields measure as, and when the pipeline fills them."""

import tracemalloc

import numpy as np
import pytest
from signal_path import MONO, SQUARE, make_pipeline, plane_wave, run

from edge.beamform.base import Steering
from edge.beamform.fixed import DelayAndSum, ReferenceMicrophone
from edge.cues import Cues
from edge.geometry import ArrayGeometry
from edge.kernels import cues
from edge.listener import StrictPresence
from edge.mask.classical import BypassMask
from edge.profiles import PROFILES

F32 = np.float32
BINS = 257
FREQUENCIES_HZ = np.arange(BINS) * 31.25


class HearsCues(BypassMask):
    """A real estimator that also wants cues, and keeps what it was given."""

    def __init__(self, profile):
        super().__init__(profile)
        self.cue_power = np.zeros((2, profile.bins), F32)
        self.beams, self.given = [], []

    def step(self, spectrum, gain):
        self.beams.append(spectrum.copy())
        self.given.append(self.cue_power.copy())
        super().step(spectrum, gain)


def parts(x):
    return np.ascontiguousarray(x.real, F32), np.ascontiguousarray(x.imag, F32)


def measure(x, h, active=None):
    mics, bins = x.shape
    active = np.ones(mics, np.bool_) if active is None else np.asarray(active)
    power = np.full((2, bins), 7.0, F32)
    cues.look_residual(*parts(x), *parts(h), active, np.full((3, bins), 3.0, F32), power)
    return power


def gaussian(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def circle(mics, radius_m=0.04):
    angle = 2.0 * np.pi * np.arange(mics) / mics
    return ArrayGeometry(np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle), 0.0 * angle], axis=1))


def look(geometry, azimuth_deg):
    steering = Steering(geometry, FREQUENCIES_HZ)
    steering.set_look(azimuth_deg, 0.0)
    return steering.re + 1j * steering.im


@pytest.mark.parametrize("mics", [1, 2, 3, 8])
def test_kernel_equals_numpy(mics):
    rng = np.random.default_rng(mics)
    x, h = gaussian(rng, mics, BINS), gaussian(rng, mics, BINS)
    y = np.sum(h.conj() * x, axis=0) / np.sum(np.abs(h) ** 2, axis=0)
    power = measure(x, h)
    np.testing.assert_allclose(power[0], np.mean(np.abs(x) ** 2, axis=0), rtol=1e-5)
    rest = np.sum(np.abs(x - h * y) ** 2, axis=0) / max(mics - 1, 1)
    np.testing.assert_allclose(power[1], rest if mics > 1 else 0.0 * rest, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mics", range(2, 9))
def test_a_plane_wave_from_the_look_leaves_nothing_and_one_from_elsewhere_much(mics):
    rng = np.random.default_rng(mics)
    geometry, wave = circle(mics), gaussian(rng, 1, BINS)
    ahead = measure(wave * look(geometry, 30.0), look(geometry, 30.0))
    assert np.all(ahead[1] < 1e-5 * ahead[0])
    aside = measure(wave * look(geometry, 120.0), look(geometry, 30.0))
    audible = slice(32, 200)  # 1 to 6 kHz
    assert np.mean(aside[1, audible]) > 0.3 * np.mean(aside[0, audible])


@pytest.mark.parametrize("mics", range(2, 9))
def test_diffuse_noise_measures_the_same_in_both_rows_for_any_number_of_microphones(mics):
    """With sinc coherence the rest is short of row 0 by the mean coherence towards the look, which h knows."""
    rng = np.random.default_rng(20 + mics)
    geometry, h = circle(mics), look(circle(mics), 75.0)
    coherence = geometry.diffuse_coherence(FREQUENCIES_HZ).transpose(2, 0, 1)
    root = np.linalg.cholesky(coherence + 1e-6 * np.eye(mics))
    rows = np.mean([measure(np.einsum("bij,jb->ib", root, gaussian(rng, mics, BINS)), h) for _ in range(400)], axis=0)
    along = np.einsum("mb,bmn,nb->b", h.conj(), coherence, h).real / mics
    smooth = np.full(16, 1.0 / 16.0)
    expected = np.convolve((mics - along) / (mics - 1), smooth, "valid")
    np.testing.assert_allclose(np.convolve(rows[1] / rows[0], smooth, "valid"), expected, atol=0.05)
    high = slice(128, None)  # from 4 kHz on such an array hears it nearly incoherent
    assert abs(np.log10(np.mean(rows[1, high]) / np.mean(rows[0, high]))) < 0.05


def test_a_microphone_left_out_counts_for_nothing():
    rng = np.random.default_rng(3)
    x, h = gaussian(rng, 4, BINS), gaussian(rng, 4, BINS)
    kept = [0, 2, 3]
    expected = measure(x[kept], h[kept])
    x[1] = 1e6
    np.testing.assert_allclose(measure(x, h, [True, False, True, True]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_broken_numbers_stay_in_their_bin_and_become_zero(bad):
    rng = np.random.default_rng(4)
    x, h = gaussian(rng, 3, BINS), gaussian(rng, 3, BINS)
    good = measure(x, h)
    x[1, 40] = bad
    h[2, 50] = bad
    power = measure(x, h)
    assert np.all(np.isfinite(power))
    assert np.all(power >= 0.0)
    assert np.all(power[:, 40] == 0.0)
    others = np.delete(np.arange(BINS), [40, 50])
    np.testing.assert_array_equal(power[:, others], good[:, others])


def test_silence_and_a_look_of_zeros_are_harmless():
    rng = np.random.default_rng(5)
    nothing = np.zeros((3, BINS), complex)
    assert np.all(measure(nothing, gaussian(rng, 3, BINS)) == 0.0)
    power = measure(gaussian(rng, 3, BINS), nothing)
    np.testing.assert_allclose(power[1], power[0] * 1.5, rtol=1e-5)


def test_nothing_is_allocated():
    rng = np.random.default_rng(6)
    geometry = circle(4)
    estimator, filler = HearsCues(PROFILES["assistant"]), Cues(4, BINS)
    active, x = np.ones(4, np.bool_), parts(gaussian(rng, 4, BINS))
    for beamformer in (DelayAndSum(geometry, FREQUENCIES_HZ), ReferenceMicrophone(4, BINS)):
        filler.fill(estimator, *x, active, beamformer)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(50):
            filler.fill(estimator, *x, active, beamformer)
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert now - before < 512
        assert peak - before < 4096  # less than one row


# ---- in the pipeline ----


def through(pipeline, x):
    """What the estimator was given over x (samples, mics): beam power and the two rows, each (hops, bins)."""
    estimator = HearsCues(pipeline.profile)
    pipeline.set_mask(estimator, "bypass")
    run(pipeline, x)
    given = np.array(estimator.given)
    return np.abs(np.array(estimator.beams)) ** 2, given[:, 0], given[:, 1]


def loud(*rows):
    """Totals over the hops after the start."""
    return [float(np.sum(row[20:], dtype=np.float64)) for row in rows]


@pytest.mark.parametrize("beamformer", ["delay_sum", "superdirective", "mvdr"])
def test_the_pipeline_measures_talker_and_noise(beamformer):
    rng = np.random.default_rng(7)
    samples = 128 * 80
    wave, _ = plane_wave(ArrayGeometry(SQUARE), 50.0, 0.0, samples, 16000, rng, low_hz=500.0)
    beam, heard, rest = loud(*through(make_pipeline(beamformer=beamformer, azimuth_deg=50.0), wave))
    assert rest < 2e-3 * heard
    assert beam == pytest.approx(heard, rel=0.1)
    noise = 0.01 * rng.standard_normal((samples, 4))
    beam, heard, rest = loud(*through(make_pipeline(beamformer=beamformer, azimuth_deg=50.0), noise))
    assert rest == pytest.approx(heard, rel=0.1)


def test_the_pipeline_leaves_a_dead_microphone_out():
    rng = np.random.default_rng(8)
    x = 0.02 * rng.standard_normal((128 * 700, 4))
    x[:, 2] = 0.0
    pipeline = make_pipeline(azimuth_deg=50.0)
    _, heard, rest = through(pipeline, x)
    assert pipeline.front.active.tolist() == [True, True, False, True]
    whole = np.mean(np.abs(pipeline.front.spectrum_re[[0, 1, 3]] + 1j * pipeline.front.spectrum_im[[0, 1, 3]]) ** 2, 0)
    np.testing.assert_allclose(heard[-1], whole, rtol=1e-4)
    assert np.sum(rest[-100:]) == pytest.approx(np.sum(heard[-100:]), rel=0.1)


@pytest.mark.parametrize("plain", ["none", "bypass", "one microphone"])
def test_a_plain_microphone_agrees_with_itself(plain):
    rng = np.random.default_rng(9)
    x = 0.02 * rng.standard_normal((128 * 30, 1 if plain == "one microphone" else 4))
    pipeline = make_pipeline(
        positions=MONO if plain == "one microphone" else SQUARE, beamformer="none" if plain == "none" else "mvdr"
    )
    pipeline.set_bypass(plain == "bypass")
    beam, heard, rest = through(pipeline, x)
    assert np.all(rest == 0.0)
    # the weights have to glide to the microphone first where there was a beam
    np.testing.assert_allclose(heard[-1], beam[-1], rtol=5e-2 if plain == "bypass" else 1e-4)


def test_the_network_of_an_array_brings_another_one_for_the_listener():
    profile = PROFILES["assistant"]
    ears = BypassMask(profile)

    class ArrayNetwork(HearsCues):
        def listener(self):
            return ears

        def twin(self):
            raise AssertionError("a twin hears cues, a single microphone has none")

    pipeline = make_pipeline(steering="track", beamformer="mvdr", azimuth_deg=10.0)
    pipeline.set_mask(ArrayNetwork(profile), "network")
    run(pipeline, 0.02 * np.random.default_rng(10).standard_normal((128 * 5, 4)))
    assert pipeline.listener is not None
    heard = pipeline.listener.hear(*pipeline.front.spectrum_re[:2])
    np.testing.assert_array_equal(heard, StrictPresence(profile.bins).of(ears.presence))
