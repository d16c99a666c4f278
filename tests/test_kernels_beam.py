"""Beamforming kernels against slow numpy, and the invariants they must keep whatever comes in."""

import numpy as np
import pytest

from edge.kernels import beam

BINS = 33
F32 = np.float32


def pack(matrix):
    """(bins, mics, mics) Hermitian -> packed lower triangle, two float32 arrays (pairs, bins)."""
    mics = matrix.shape[1]
    rows = [matrix[:, i, j] for i in range(mics) for j in range(i + 1)]
    packed = np.array(rows)
    return np.ascontiguousarray(packed.real, F32), np.ascontiguousarray(packed.imag, F32)


def unpack(re, im, mics):
    matrix = np.zeros((re.shape[1], mics, mics), complex)
    p = 0
    for i in range(mics):
        for j in range(i + 1):
            matrix[:, i, j] = re[p] + 1j * im[p]
            matrix[:, j, i] = re[p] - 1j * im[p]
            p += 1
    return matrix


def random_steering(rng, mics):
    d = np.exp(1j * rng.uniform(-np.pi, np.pi, (mics, BINS)))
    return np.ascontiguousarray(d.real, F32), np.ascontiguousarray(d.imag, F32)


def solve(r, d, loading, norm_max):
    r_re, r_im = r
    d_re, d_im = d
    mics = d_re.shape[0]
    pairs = r_re.shape[0]
    l_re, l_im = np.zeros((2, pairs, BINS), F32)
    z_re, z_im, w_re, w_im = np.zeros((4, mics, BINS), F32)
    scratch = np.zeros((mics + 1, BINS), F32)
    loading, norm_max = np.full(BINS, loading, F32), np.full(BINS, norm_max, F32)
    load = np.zeros(BINS, F32)
    beam.mvdr_weights(r_re, r_im, d_re, d_im, loading, norm_max, load, l_re, l_im, z_re, z_im, scratch, w_re, w_im)
    return (w_re + 1j * w_im).T.astype(complex), (d_re + 1j * d_im).T.astype(complex)


def random_hermitian(rng, mics, condition):
    basis = np.linalg.qr(rng.standard_normal((BINS, mics, mics)) + 1j * rng.standard_normal((BINS, mics, mics)))[0]
    values = np.geomspace(1.0, 1.0 / condition, mics)
    return (basis * values) @ basis.conj().transpose(0, 2, 1)


@pytest.mark.parametrize("mics", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_mvdr_equals_numpy_solve(mics, condition):
    rng = np.random.default_rng(mics)
    r = random_hermitian(rng, mics, condition)
    w, d = solve(pack(r), random_steering(rng, mics), 1e-2, 1e9)
    loaded = r + 1e-2 * np.trace(r, axis1=1, axis2=2).real[:, None, None] / mics * np.eye(mics)
    expected = np.linalg.solve(loaded, d[..., None])[..., 0]
    expected /= np.sum(d.conj() * expected, axis=1)[:, None]
    assert np.abs(w - expected).max() < 2e-4


@pytest.mark.parametrize("mics", [2, 4, 8])
def test_weights_are_distortionless_and_bounded(mics):
    rng = np.random.default_rng(10 + mics)
    for condition in (1.0, 1e3, 1e8):
        for norm_max in (1.0 / mics, 1.0, 4.0):
            r = random_hermitian(rng, mics, condition)
            w, d = solve(pack(r), random_steering(rng, mics), 1e-4, norm_max)
            assert np.abs(np.sum(w.conj() * d, axis=1) - 1.0).max() < 1e-4
            assert np.sum(np.abs(w) ** 2, axis=1).max() <= max(norm_max, 1.0 / mics) * 1.001


def test_a_microphone_left_out_gets_no_weight_and_the_rest_is_as_if_it_were_not_there():
    rng = np.random.default_rng(4)
    r, (d_re, d_im) = random_hermitian(rng, 4, 100.0), random_steering(rng, 4)
    packed, active = pack(r), np.array([True, False, True, True])
    beam.leave_out(active, *packed)
    d_re[1] = d_im[1] = 0.0
    w, _ = solve(packed, (d_re, d_im), 1e-2, 1e9)
    fewer = pack(r[:, active][:, :, active])
    expected, _ = solve(fewer, (np.ascontiguousarray(d_re[active]), np.ascontiguousarray(d_im[active])), 1e-2, 1e9)
    assert np.all(w[:, 1] == 0.0)
    np.testing.assert_allclose(w[:, active], expected, atol=1e-4)


def test_broken_covariances_give_delay_and_sum():
    mics = 4
    rng = np.random.default_rng(0)
    steering = random_steering(rng, mics)
    for value in (0.0, np.nan, np.inf, -1.0):
        r = np.full((mics * (mics + 1) // 2, BINS), value, F32)
        w, d = solve((r, np.zeros_like(r)), steering, 1e-2, 4.0)
        np.testing.assert_allclose(w, d / mics, atol=1e-5)


def test_apply_and_approach_equal_numpy():
    rng = np.random.default_rng(5)
    w_re, w_im, x_re, x_im, t_re, t_im = rng.standard_normal((6, 3, BINS)).astype(F32)
    out = np.zeros(BINS, np.complex64)
    beam.apply_weights(w_re, w_im, x_re, x_im, out)
    np.testing.assert_allclose(out, np.sum((w_re - 1j * w_im) * (x_re + 1j * x_im), axis=0), atol=1e-5)
    expected = w_re + 0.25 * (t_re - w_re)
    beam.approach(t_re, t_im, F32(0.25), w_re, w_im)
    np.testing.assert_allclose(w_re, expected, atol=1e-6)
