"""What mvdr learns, against slow numpy: covariances of noise and speech, the talker's transfer function."""

import tracemalloc

import numpy as np
import pytest
from signal_path import SQUARE
from test_kernels_beam import BINS, F32, pack, random_hermitian, unpack

from edge.beamform.base import Steering
from edge.beamform.mvdr import Mvdr
from edge.config.schema import BeamformerConfig
from edge.geometry import ArrayGeometry
from edge.kernels import covariance, rtf

FREQUENCIES_HZ = np.arange(BINS) * 250.0


class Learnt:
    """Arrays of the covariance kernel for `mics` microphones."""

    def __init__(self, mics):
        pairs = mics * (mics + 1) // 2
        self.diffuse = np.zeros((pairs, BINS), F32)
        self.diffuse[[i * (i + 1) // 2 + i for i in range(mics)]] = 1.0
        self.step, self.evidence = np.zeros((2, 2, BINS), F32)
        self.noise, self.speech = np.zeros((2, 2, pairs, BINS), F32)
        self.active = np.ones(mics, np.bool_)

    def update(self, x, presence, noise_rate=0.05, speech_rate=0.01):
        x_re, x_im = np.ascontiguousarray(x.real, F32), np.ascontiguousarray(x.imag, F32)
        covariance.covariance_update(
            x_re,
            x_im,
            presence,
            self.active,
            F32(noise_rate),
            F32(speech_rate),
            self.diffuse,
            self.step,
            self.evidence,
            *self.noise,
            *self.speech,
        )


def noise_frame(rng, mics):
    return rng.standard_normal((mics, BINS)) + 1j * rng.standard_normal((mics, BINS))


def test_covariances_follow_the_reference_recursion_and_stay_positive_definite():
    mics, noise_rate, speech_rate = 4, 0.05, 0.01
    rng = np.random.default_rng(1)
    learnt = Learnt(mics)
    presence = rng.uniform(0, 1, BINS).astype(F32)
    noise, speech = None, np.zeros((BINS, mics, mics), complex)
    seen, heard = np.full(BINS, covariance.PRIOR_FRAMES), np.zeros(BINS)
    for _ in range(300):
        x = noise_frame(rng, mics)
        learnt.update(x, presence, noise_rate, speech_rate)
        if noise is None:
            noise = np.eye(mics) * np.mean(np.abs(x) ** 2, axis=0)[:, None, None]
        outer = x.T[:, :, None] * x.T.conj()[:, None, :]
        absent, present = (1.0 - presence) ** 2, presence**2
        seen += absent
        noise = noise + (np.maximum(noise_rate, 1.0 / seen) * absent)[:, None, None] * (outer - noise)
        heard = heard * (1.0 - present * speech_rate) + present
        speech = speech + (present / np.maximum(heard, 1e-6))[:, None, None] * (outer - speech)
    matrix = unpack(*learnt.noise, mics)
    np.testing.assert_allclose(matrix, noise, atol=3e-4)
    np.testing.assert_allclose(unpack(*learnt.speech, mics), speech, atol=3e-4)
    assert np.linalg.eigvalsh(matrix).min() > 0.0


def test_a_loud_noise_that_has_stopped_is_forgotten_in_a_second():
    rng = np.random.default_rng(5)
    learnt = Learnt(4)
    nobody = np.zeros(BINS, F32)
    for level, hops in ((1.0, 1000), (0.01, 125)):
        for _ in range(hops):
            learnt.update(level * noise_frame(rng, 4), nobody, noise_rate=0.008)
    power = np.mean(learnt.noise[0][[0, 2, 5, 9]])
    assert power < 30.0 * 2e-4  # 15 dB; without forgetting faster it is 36


def test_noise_freezes_on_speech_speech_on_noise_and_both_on_digital_silence():
    rng = np.random.default_rng(2)
    learnt = Learnt(2)
    for _ in range(20):
        learnt.update(noise_frame(rng, 2), np.full(BINS, 0.5, F32))
    before = learnt.noise.copy(), learnt.speech.copy()
    everything = np.ones(BINS, F32)
    learnt.update(noise_frame(rng, 2), everything)
    np.testing.assert_array_equal(learnt.noise, before[0])
    assert (learnt.speech[0] != before[1][0]).all()
    before = learnt.noise.copy(), learnt.speech.copy()
    learnt.update(noise_frame(rng, 2), 0.0 * everything)
    assert (learnt.noise[0] != before[0][0]).all()
    np.testing.assert_array_equal(learnt.speech, before[1])
    before = learnt.noise.copy(), learnt.speech.copy()
    learnt.update(np.zeros((2, BINS), complex), np.full(BINS, 0.5, F32))
    np.testing.assert_array_equal(learnt.noise, before[0])
    np.testing.assert_array_equal(learnt.speech, before[1])


def test_a_microphone_left_out_learns_nothing_and_comes_back_as_loud_as_the_others_alike_with_none():
    rng = np.random.default_rng(3)
    learnt = Learnt(3)
    learnt.active[1] = False
    for _ in range(30):
        learnt.update(3.0 * noise_frame(rng, 3), np.full(BINS, 0.3, F32))
    alone = [1, 2, 4]  # entries (1, 0), (1, 1), (2, 1)
    assert not learnt.noise[:, alone].any()
    assert not learnt.speech[:, alone].any()
    learnt.active[1] = True
    covariance.admit(1, learnt.active, *learnt.noise, *learnt.speech)
    matrix = unpack(*learnt.noise, 3)
    np.testing.assert_allclose(matrix[:, 1, 1], 0.5 * (matrix[:, 0, 0] + matrix[:, 2, 2]), rtol=1e-5)
    assert not matrix[:, 0, 1].any()
    assert np.linalg.eigvalsh(matrix).min() > 0.0


def talker(rng, mics, spread):
    """Steering (bins, mics), and a transfer function that differs from it by `spread`, same size and phase at 0."""
    d = np.exp(1j * rng.uniform(-np.pi, np.pi, (BINS, mics)))
    d /= d[:, :1]
    h = d + np.sqrt(spread / 2.0) * (rng.standard_normal(d.shape) + 1j * rng.standard_normal(d.shape))
    h *= np.sqrt(mics) / np.linalg.norm(h, axis=1, keepdims=True)
    return d, h * (h[:, :1].conj() / np.abs(h[:, :1]))


def estimate(noise, speech, d, frames, spread=0.3, rounds=30, loading=1e-3):
    """The kernel's transfer function (bins, mics), trust and loading, weights solved by numpy after each round."""
    mics = d.shape[1]
    split = lambda z: (np.ascontiguousarray(z.T.real, F32), np.ascontiguousarray(z.T.imag, F32))  # noqa: E731
    h, w, steering = split(d), split(d / mics), split(d)
    load = (loading * np.trace(noise, axis1=1, axis2=2).real / mics).astype(F32)
    loaded = noise + load[:, None, None] * np.eye(mics)
    evidence = np.full((2, BINS), frames, F32)
    scratch, v = np.zeros((7, BINS), F32), np.zeros((2, mics, BINS), F32)
    trust, found_loading = np.zeros((2, BINS), F32)
    rs, rn = pack(speech), pack(noise)
    for _ in range(rounds):
        rtf.rtf_update(
            *rs,
            *rn,
            *w,
            *steering,
            evidence,
            load,
            0,
            np.full(BINS, spread, F32),
            F32(loading),
            F32(0.05),
            scratch,
            *v,
            *h,
            trust,
            found_loading,
        )
        found = (h[0] + 1j * h[1]).T.astype(complex)
        z = np.linalg.solve(loaded, found[..., None])[..., 0]
        w = split(z / np.sum(found.conj() * z, axis=1, keepdims=True))
    return found, trust, found_loading


@pytest.mark.parametrize("mics", [2, 4, 8])
def test_with_much_speech_the_transfer_function_is_the_principal_generalised_eigenvector(mics):
    rng = np.random.default_rng(20 + mics)
    noise = random_hermitian(rng, mics, 30.0)
    d, h = talker(rng, mics, 0.1)
    speech = 4.0 * h[:, :, None] * h[:, None, :].conj() + 1.5 * noise
    found, trust, loading = estimate(noise, speech, d, 1e5)
    assert trust.min() > 0.95
    assert loading.max() < 2e-3
    assert np.abs(found - h).max() < 0.1
    assert np.abs(found - h).mean() < 0.3 * np.abs(d - h).mean()


def test_without_speech_or_evidence_geometry_holds():
    rng = np.random.default_rng(30)
    noise = random_hermitian(rng, 4, 30.0)
    d, h = talker(rng, 4, 0.1)
    speech = 4.0 * h[:, :, None] * h[:, None, :].conj() + noise
    for covariance_of_speech, frames in ((speech, 0.0), (noise, 1e5), (0.0 * noise, 0.0), (np.nan * noise, 100.0)):
        found, trust, _ = estimate(noise, covariance_of_speech, d, frames, rounds=3)
        assert trust.max() < 0.2
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, d, atol=0.15)


def test_trust_grows_and_caution_falls_with_evidence():
    rng = np.random.default_rng(31)
    noise = random_hermitian(rng, 4, 30.0)
    d, h = talker(rng, 4, 0.1)
    speech = h[:, :, None] * h[:, None, :].conj() + noise
    trusts, loadings = [], []
    for frames in (1.0, 10.0, 100.0, 1000.0):
        _, trust, loading = estimate(noise, speech, d, frames)
        trusts.append(trust.mean())
        loadings.append(loading.mean())
    assert np.all(np.diff(trusts) > 0.0)
    assert np.all(np.diff(loadings) < 0.0)


def test_levels_of_microphones_are_matched_within_limits():
    rng = np.random.default_rng(32)
    gains = np.array([1.0, 0.7, 1.4, 9.0])
    noise = np.eye(4) * gains**2 * rng.uniform(0.5, 2.0, BINS)[:, None, None]
    active, gain = np.array([True, True, True, True]), np.ones(4, F32)
    for _ in range(400):
        rtf.match_levels(pack(noise)[0], active, 0, 2, 12, F32(0.05), F32(2.0), gain)
    np.testing.assert_allclose(gain, [1.0, 0.7, 1.4, 2.0], rtol=1e-3)
    active[2] = False
    rtf.match_levels(pack(noise)[0], active, 0, 2, 12, F32(0.05), F32(2.0), gain)
    assert gain[2] == 0.0


def test_two_microphones_that_come_back_at_once_are_as_loud_as_those_in_use():
    rng = np.random.default_rng(33)
    beamformer = Mvdr(ArrayGeometry(SQUARE), FREQUENCIES_HZ, 0.008, BeamformerConfig())
    everyone = np.ones(4, np.bool_)
    beamformer.set_active(np.array([True, True, False, False]))
    for _ in range(200):
        x = noise_frame(rng, 4)
        beamformer.update(np.ascontiguousarray(x.real, F32), np.ascontiguousarray(x.imag, F32), np.zeros(BINS, F32))
    beamformer.set_active(everyone)
    diagonal = beamformer._noise_re[[0, 2, 5, 9]]
    np.testing.assert_allclose(diagonal[2:], np.broadcast_to(diagonal[:2].mean(axis=0), (2, BINS)), rtol=1e-4)


def test_what_was_heard_fades_with_the_turn_in_any_direction_and_not_with_trembling():
    beamformer = Mvdr(ArrayGeometry(SQUARE), FREQUENCIES_HZ, 0.008, BeamformerConfig())
    for turn, kept in (((1.0, 0.0), 1.0), ((20.0, 0.0), np.exp(-1.0)), ((0.0, 60.0), np.exp(-3.0))):
        beamformer.set_look(0.0, 0.0)
        beamformer._evidence[1] = 100.0
        beamformer.set_look(*turn)
        np.testing.assert_allclose(beamformer._evidence[1], 100.0 * kept, rtol=1e-3)
    beamformer.set_look(0.0, 0.0)
    beamformer._evidence[1] = 100.0
    for _ in range(40):
        beamformer.set_look(1.5, 0.0)
        beamformer.set_look(0.0, 0.0)
    assert (beamformer._evidence[1] == 100.0).all()


def test_a_turning_beam_allocates_no_arrays():
    steering = Steering(ArrayGeometry(SQUARE), FREQUENCIES_HZ)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for azimuth_deg in range(50):
            steering.set_look(float(azimuth_deg), 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 1000
