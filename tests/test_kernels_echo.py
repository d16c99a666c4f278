"""Echo kernels against slow numpy references."""

from __future__ import annotations

import numpy as np
import pytest

from edge.kernels import echo, echo_watch, fft

HOP, PARTITIONS, SLOTS, REFERENCES, MICS = 32, 4, 9, 2, 3
BINS = HOP + 1
SANE = np.float32(1e4)


def _random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def _ring(rng):
    """Spectra of a random reference in a ring, and which slots are silent."""
    x = _random(rng, SLOTS, REFERENCES, BINS), _random(rng, SLOTS, REFERENCES, BINS)
    energy = np.ones((SLOTS, REFERENCES), np.float32)
    energy[5, 1] = 0.0  # its spectrum is stale and must not be used
    return x[0], x[1], energy


def _rows(x_re, x_im, energy, newest, delay):
    """Complex (rows, bins): what each row of the weights meets, silent slots as zeros."""
    slots = [(newest - delay - k) % SLOTS for k in range(PARTITIONS)]
    x = (x_re + 1j * x_im) * (energy > 0)[..., None]
    return np.concatenate([x[slots, r] for r in range(REFERENCES)])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_inverse_undoes_analysis(channels):
    rng = np.random.default_rng(1)
    signals = _random(rng, channels, 2 * HOP)
    tw, work = fft.twiddles(2 * HOP), np.zeros((2, 2, 2 * HOP), np.float32)
    re, im = np.zeros((2, channels, BINS), np.float32)
    fft.analyze(signals, np.ones(2 * HOP, np.float32), tw, work[0], work[1], re, im)
    np.testing.assert_allclose(re + 1j * im, np.fft.rfft(signals), atol=1e-4)
    back = np.zeros_like(signals)
    fft.inverse(re, im, tw, work[0], work[1], back)
    np.testing.assert_allclose(back, signals, atol=1e-5)


@pytest.mark.parametrize("delay", [0, 3])
def test_estimate_sums_partitions_and_references(delay):
    rng = np.random.default_rng(2)
    x_re, x_im, energy = _ring(rng)
    w = _random(rng, 2, REFERENCES * PARTITIONS, MICS, BINS)
    y = np.zeros((2, MICS, BINS), np.float32)
    echo.estimate(x_re, x_im, energy, 6, delay, w[0], w[1], y[0], y[1])
    expected = np.einsum("rmb,rb->mb", w[0] + 1j * w[1], _rows(x_re, x_im, energy, 6, delay))
    np.testing.assert_allclose(y[0] + 1j * y[1], expected, atol=1e-4)


def test_adapt_is_the_partitioned_kalman_filter():
    rng = np.random.default_rng(3)
    x_re, x_im, energy = _ring(rng)
    rows = REFERENCES * PARTITIONS
    w = _random(rng, 2, rows, MICS, BINS)
    covariance = rng.uniform(0.01, 1.0, (rows, MICS, BINS)).astype(np.float32)
    noise = rng.uniform(0.1, 1.0, (MICS, BINS)).astype(np.float32)
    error = _random(rng, 2, MICS, BINS)
    power = np.array([1.0, 1e-12, 1.0], np.float32)  # the second microphone is silent
    x, e = _rows(x_re, x_im, energy, 7, 1), (error[0] + 1j * error[1]).astype(np.complex128)
    heard = (np.abs(x) > 0).any(axis=1)
    expected_w, expected_c, expected_n = (w[0] + 1j * w[1]).astype(np.complex128), covariance.copy(), noise.copy()
    keep, least, forget = 0.9, 1e-3, 0.01
    for m in (0, 2):
        expected_n[m] = np.maximum(keep * noise[m] + (1 - keep) * np.abs(e[m]) ** 2, least)
        total = np.maximum(expected_n[m], 0.5 * np.abs(e[m]) ** 2)
        total = total + 0.5 * np.sum(np.abs(x) ** 2 * covariance[:, m], axis=0)
        gain = 0.5 * covariance[:, m] / total  # c / (x c x* + 2 noise)
        fresh = expected_w[:, m] + gain * np.conj(x) * e[m]
        left = (1 - forget) * (1 - 0.5 * gain * np.abs(x) ** 2) * covariance[:, m] + forget * np.abs(fresh) ** 2
        expected_w[heard, m], expected_c[heard, m] = fresh[heard], left[heard]
    echo.adapt(
        x_re, x_im, energy, 7, 1, error[0], error[1], power, np.float32(1e-10), np.float32(keep), np.float32(least),
        np.float32(forget), noise, np.zeros(BINS, np.float32), covariance, w[0], w[1],
    )  # fmt: skip
    np.testing.assert_allclose(noise, expected_n, rtol=1e-4)
    np.testing.assert_allclose(w[0] + 1j * w[1], expected_w, atol=1e-4)
    np.testing.assert_allclose(covariance, expected_c, rtol=1e-3)


def test_reference_is_made_sane_and_silent():
    rng = np.random.default_rng(4)
    history, energy = np.zeros((2, 2 * HOP), np.float32), np.zeros(2, np.float32)
    channels = np.array([2, 0])
    block = 0.1 * _random(rng, HOP, 3)
    block[3, 2], block[4, 2], block[5, 2] = np.nan, np.inf, -1e9
    block[:, 0] *= 1e-6
    level = echo.push_reference(block, channels, SANE, np.float32(1e-10), history, energy)
    clean = block[:, 2].copy()
    clean[3:6] = 0.0
    np.testing.assert_array_equal(history[0, HOP:], clean)
    assert not history[1].any()  # -140 dBFS is silence
    assert energy[1] == 0.0
    assert level == pytest.approx(np.mean(clean**2), rel=1e-5)
    assert echo.push_reference(np.zeros_like(block), channels, SANE, np.float32(1e-10), history, energy) == 0.0
    np.testing.assert_array_equal(history[0, :HOP], clean)
    assert energy[0] == pytest.approx(np.sum(clean**2), rel=1e-5)  # the hop before is still in it


def _subtract(microphone, estimate, strength, wanted=1.0, sums=None):
    history = np.zeros((len(microphone), 3 * HOP), np.float32)
    history[:, -HOP:] = microphone
    echoes = np.concatenate([np.full_like(estimate, 9.0), estimate], axis=1)
    error, power = np.zeros_like(echoes), np.zeros(len(microphone), np.float32)
    sums = np.zeros((len(microphone), 4), np.float32) if sums is None else sums
    echo.subtract(history, echoes, np.float32(0.9), np.float32(wanted), error, strength, sums, power)
    assert not history[:, :-HOP].any()
    return history[:, -HOP:], error, sums


def test_subtraction_fades_in_and_keeps_account():
    rng = np.random.default_rng(5)
    estimate = _random(rng, 2, HOP)
    microphone = estimate + 0.3 * _random(rng, 2, HOP)
    microphone[1] = 0.0  # a dead microphone stays dead
    strength = np.array([0.0, 1.0], np.float32)
    out, error, sums = _subtract(microphone, estimate, strength)
    ramp = np.arange(1, HOP + 1) / HOP
    np.testing.assert_allclose(out[0], microphone[0] - ramp * estimate[0], atol=1e-6)
    assert not out[1].any()
    np.testing.assert_allclose(error[:, HOP:], microphone - estimate, atol=1e-6)
    assert not error[:, :HOP].any()
    e = microphone - estimate
    expected = 0.1 * np.mean(np.stack([microphone**2, e**2, estimate**2, e * estimate]), axis=2).T
    np.testing.assert_allclose(sums, expected, rtol=1e-4)
    assert strength.tolist() == [1.0, 0.0]


def test_an_estimate_that_adds_power_is_not_subtracted():
    rng = np.random.default_rng(6)
    microphone = 0.01 * _random(rng, 2, HOP)
    estimate = np.stack([30.0 * microphone[0], 0.5 * microphone[1]])
    strength = np.ones(2, np.float32)
    out, _, _ = _subtract(microphone, estimate, strength)
    np.testing.assert_array_equal(out[0], microphone[0])  # at once, not by and by
    np.testing.assert_allclose(out[1], 0.5 * microphone[1], rtol=1e-5)
    out, _, _ = _subtract(microphone, estimate, np.zeros(2, np.float32), wanted=0.0)
    np.testing.assert_array_equal(out, microphone)


def test_moving_the_window_is_exact():
    rng = np.random.default_rng(7)
    x_re, x_im, energy = _ring(rng)
    rows = REFERENCES * PARTITIONS
    w = _random(rng, 2, rows, MICS, BINS)
    w[:, [0, 1, PARTITIONS, PARTITIONS + 1]] = 0.0
    covariance = np.ones((rows, MICS, BINS), np.float32)
    before, after = np.zeros((2, 2, MICS, BINS), np.float32)
    echo.estimate(x_re, x_im, energy, 8, 1, w[0], w[1], before[0], before[1])
    profile, energies = np.linspace(1, 0.1, PARTITIONS, dtype=np.float32), np.array([1, 2, 3], np.float32)
    echo.move_window(PARTITIONS, 2, profile, energies, covariance, w[0], w[1])
    echo.estimate(x_re, x_im, energy, 8, 3, w[0], w[1], after[0], after[1])
    np.testing.assert_array_equal(before, after)
    assert not w[:, [2, 3, 6, 7]].any()
    np.testing.assert_allclose(covariance[[2, 7], :, 0], np.outer(profile[2:], energies), rtol=1e-6)
    echo.move_window(PARTITIONS, PARTITIONS, profile, energies, covariance, w[0], w[1])
    assert not w.any()


def test_weighing_finds_the_strongest_partition_and_the_energies():
    rng = np.random.default_rng(8)
    w = _random(rng, 2, REFERENCES * PARTITIONS, MICS, BINS)
    w[:, PARTITIONS + 2] *= 5.0
    energy, paths = np.zeros(PARTITIONS, np.float32), np.zeros(MICS, np.float32)
    assert echo_watch.weigh(w[0], w[1], energy, paths) == 2
    np.testing.assert_allclose(paths, np.sum(w**2, axis=(0, 1)).mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("yy", "ee", "hh", "eh", "verdict"),
    [
        (1.0, 0.01, 1.0, 0.0, echo_watch.GOOD),
        (2.0, 1.0, 1.0, -0.02, echo_watch.GOOD),  # a talker as loud as the echo
        (1.5, 1.0, 1.0, -0.4, echo_watch.CHANGED),
        (1.0, 2.0, 1.0, -1.0, echo_watch.WORTHLESS),
        (1.0, 1.1, 0.1, -0.1, echo_watch.WORTHLESS),
        (1.0, 0.5, 0.05, 0.1, echo_watch.WEAK),
    ],
)
def test_verdicts(yy, ee, hh, eh, verdict):
    sums = np.array([[yy, ee, hh, eh]], np.float32)
    power, lasting = np.ones(1, np.float32), np.zeros(4, np.float32)
    levels, waits, found = np.zeros(2), np.zeros(1, np.int64), np.zeros(1, np.int64)

    def judge():
        quiet, keep = np.float32(1e-10), np.float32(0.9)
        return echo_watch.supervise(sums, power, np.float32(0.5), quiet, keep, lasting, levels, waits, 3, found)

    assert judge() == (verdict != echo_watch.GOOD)
    assert found[0] == verdict
    np.testing.assert_allclose(lasting, 0.1 * sums[0], rtol=1e-5)
    assert levels.tolist() == [1.0, 0.5]
    if verdict != echo_watch.GOOD:
        assert [judge(), judge(), judge()] == [0, 0, 1]  # not again at once
