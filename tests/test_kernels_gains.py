"""Gain and level kernels against slow numpy references, and their bounds on odd input."""

import numpy as np
import pytest

from edge.kernels import gains, levels

F32 = np.float32
BINS = 65


def spectrum_of(power, rng):
    phase = rng.uniform(-np.pi, np.pi, len(power))
    return (np.sqrt(power) * np.exp(1j * phase)).astype(np.complex64)


def test_noise_tracker_equals_reference_and_finds_the_level():
    rng = np.random.default_rng(0)
    noise, age, presence, mean = *np.zeros((2, BINS), F32), *np.full((2, BINS), 0.5, F32)
    ref_noise, ref_mean = np.zeros(BINS), np.full(BINS, 0.5)
    xi = 10**1.5
    for frame in range(600):
        seen = (0.02 * rng.exponential(1.0, BINS)).astype(F32)
        gains.track_noise(seen, noise, presence, mean, age, F32(0.9), F32(0.9), F32(0.95))
        if frame < gains.LEARNING_FRAMES:
            ref_noise += (seen - ref_noise) / (frame + 1)
        p = 1 / (1 + (1 + xi) * np.exp(-np.minimum(seen / ref_noise * xi / (1 + xi), 60)))
        ref_mean = 0.95 * ref_mean + 0.05 * p
        p = np.where(ref_mean > 0.99, np.minimum(p, 0.99), p)
        ref_noise = 0.9 * ref_noise + 0.1 * ((1 - p) * seen + p * ref_noise)
    np.testing.assert_allclose(noise, ref_noise, rtol=1e-3)
    assert 10 * np.log10(noise.mean() / 0.02) == pytest.approx(0.0, abs=1.5)


def test_noise_tracker_follows_a_jump_up():
    """A stuck tracker is the classic failure: noise 20 dB louder from one frame to the next, for ever."""
    rng = np.random.default_rng(1)
    noise, age, presence, mean = *np.zeros((2, BINS), F32), *np.full((2, BINS), 0.5, F32)
    for level in (0.001, 0.1):
        for _ in range(800):
            gains.track_noise(
                (level * rng.exponential(1.0, BINS)).astype(F32),
                noise,
                presence,
                mean,
                age,
                F32(0.9),
                F32(0.9),
                F32(0.95),
            )
        assert abs(10 * np.log10(noise.mean() / level)) < 3.0


def test_wiener_gain_is_near_one_on_speech_and_low_on_noise():
    rng = np.random.default_rng(2)
    noise = np.ones(BINS, F32)
    speech = np.zeros(BINS, F32)
    gain = np.zeros(BINS, F32)
    quiet = []
    for _ in range(300):
        seen = rng.exponential(1.0, BINS).astype(F32)
        gains.wiener_gain(seen, seen, noise, speech, F32(0.98), F32(10**-2.5), gain)
        quiet.append(gain.mean())
    loud = np.full(BINS, 1000.0, F32)
    for _ in range(20):
        gains.wiener_gain(loud, loud, noise, speech, F32(0.98), F32(10**-2.5), gain)
    assert np.mean(quiet[100:]) < 0.15
    assert gain.min() > 0.99


def test_wiener_gain_equals_reference():
    rng = np.random.default_rng(12)
    noise = rng.uniform(0.1, 2.0, BINS).astype(F32)
    speech, gain = np.zeros((2, BINS), F32)
    past = np.zeros(BINS)
    for _ in range(40):
        seen, near = rng.exponential(3.0, (2, BINS)).astype(F32)
        gains.wiener_gain(seen, near, noise, speech, F32(0.96), F32(0.003), gain)
        xi = np.maximum(0.96 * past / noise + 0.04 * np.maximum(near / noise - 1.0, 0.0), 0.003)
        expected = xi / (1.0 + xi)
        past = expected**2 * seen
        np.testing.assert_allclose(gain, expected, rtol=1e-4)


def test_subtraction_gain_equals_reference():
    rng = np.random.default_rng(3)
    noise = np.full(BINS, 0.5, F32)
    smooth = np.zeros(BINS, F32)
    gain = np.zeros(BINS, F32)
    reference = np.zeros(BINS)
    for _ in range(50):
        seen = rng.exponential(3.0, BINS).astype(F32)
        gains.subtraction_gain(seen, noise, smooth, F32(0.6), F32(3.0), gain)
        reference = 0.6 * reference + 0.4 * seen
    ratio = 0.5 / reference
    over = np.clip(3.0 - 2.0 * (-10 * np.log10(ratio) + 5.0) / 25.0, 1.0, 3.0)
    np.testing.assert_allclose(gain, np.sqrt(np.maximum(1.0 - over * ratio, 0.0)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("power", [0.0, 1e-30, 1e-12, 1.0, 1e12])
def test_gains_stay_finite_and_bounded_at_any_level(power):
    seen = np.full(BINS, power, F32)
    noise, presence, mean, age, speech, smooth, gain = np.zeros((7, BINS), F32)
    for _ in range(50):
        gains.track_noise(seen, noise, presence, mean, age, F32(0.9), F32(0.9), F32(0.95))
        gains.wiener_gain(seen, seen, noise, speech, F32(0.98), F32(0.003), gain)
        assert (gain >= 0).all()
        assert (gain <= 1).all()
        gains.subtraction_gain(seen, noise, smooth, F32(0.6), F32(3.0), gain)
        assert (gain >= 0).all()
        assert (gain <= 1).all()
    assert np.isfinite(noise).all()


@pytest.mark.parametrize("reach", [0, 1, 3, BINS + 5])
def test_around_is_the_mean_of_the_neighbours_there_are(reach):
    seen = np.random.default_rng(5).exponential(1.0, BINS).astype(F32)
    out = np.zeros(BINS, F32)
    gains.around(seen, reach, out)
    expected = [seen[max(0, b - reach) : b + reach + 1].mean() for b in range(BINS)]
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_a_gain_rises_at_once_and_falls_slowly():
    gain, held = np.zeros((2, 3), F32)
    for given, expected in (([1.0, 0.5, 0.0], [1.0, 0.5, 0.0]), ([0.0, 0.4, 0.3], [0.75, 0.475, 0.3])):
        gain[:] = given
        gains.fall_slowly(np.ones(3, F32), gain, held, F32(0.75))
        np.testing.assert_allclose(gain, expected)
        np.testing.assert_array_equal(held, gain)


def test_nothing_falls_slowly_from_the_gain_that_silence_passes_with():
    gain, held = np.ones((2, 4), F32)
    for seen in ([0.0, 1.0, np.nan, 1e35], [1.0, 1.0, 1.0, 1.0]):
        gains.fall_slowly(np.array(seen, F32), gain, held, F32(0.75))
        gain[:] = 0.0
    np.testing.assert_allclose(held, [0.0, 0.75, 0.0, 0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e35])
def test_one_bad_frame_is_forgotten(bad):
    """What is no number leaves neither the noise nor the gains of later frames behind."""
    rng = np.random.default_rng(7)
    frames = rng.exponential(1.0, (60, BINS)).astype(F32)

    def last_gains(frames):
        noise, presence, mean, age, speech, near, held, smooth = np.zeros((8, BINS), F32)
        found = np.zeros((2, BINS), F32)
        for seen in frames:
            gains.track_noise(seen, noise, presence, mean, age, F32(0.9), F32(0.9), F32(0.95))
            gains.around(seen, 2, near)
            gains.wiener_gain(seen, near, noise, speech, F32(0.85), F32(0.01), found[0])
            gains.fall_slowly(seen, found[0], held, F32(0.7))
            gains.subtraction_gain(seen, noise, smooth, F32(0.6), F32(3.0), found[1])
        return np.concatenate([found, noise[None]])

    broken = frames.copy()
    broken[20, 5:9] = bad
    given = last_gains(broken)
    assert np.isfinite(given).all()
    np.testing.assert_allclose(given, last_gains(frames), atol=0.02)


def test_apply_gain_keeps_the_floor_and_survives_nan():
    rng = np.random.default_rng(4)
    spectrum = spectrum_of(np.ones(4), rng)
    gain = np.array([0.001, 0.5, np.nan, 7.0], F32)
    out = np.zeros(4, np.complex64)
    gains.apply_gain(spectrum, gain, F32(0.1), F32(2.0), out)
    np.testing.assert_allclose(np.abs(out), [0.2, 1.0, 0.2, 2.0], rtol=1e-5)


def test_condition_meters_replaces_bad_samples_and_orders_channels():
    hop, channels, length = 8, 3, 16
    block = np.full((hop, channels), 0.25, F32)
    block[2, 0], block[3, 1], block[4, 2], block[5, 2] = np.nan, np.inf, 1.0, -2e5
    history = np.arange(2 * length, dtype=F32).reshape(2, length)
    old = history.copy()
    energy, peak, clipped = np.zeros(channels), np.zeros(channels, F32), np.zeros(channels, np.int64)
    gains_linear = np.array([2.0, 1.0], F32)
    bad = levels.condition(block, np.array([2, 0]), gains_linear, history, energy, peak, clipped, F32(1e4))
    assert bad == 3
    np.testing.assert_array_equal(history[:, : length - hop], old[:, hop:])
    np.testing.assert_allclose(history[0, -hop:], [0.5, 0.5, 0.5, 0.5, 2.0, 0.0, 0.5, 0.5])
    np.testing.assert_allclose(history[1, -hop:], [0.25, 0.25, 0.0, 0.25, 0.25, 0.25, 0.25, 0.25])
    np.testing.assert_allclose(peak, [0.25, 0.25, 1.0])
    np.testing.assert_array_equal(clipped, [0, 0, 1])
    np.testing.assert_allclose(energy, [7 * 0.0625, 7 * 0.0625, 1 + 6 * 0.0625])


def test_limiter_never_passes_the_ceiling_and_leaves_quiet_signals_alone():
    rng = np.random.default_rng(6)
    order = np.array([1, 0])
    gain = np.ones(2, F32)
    out = np.zeros((64, 2), F32)
    energy, peak = np.zeros(2), np.zeros(2, F32)
    quiet = rng.uniform(-0.5, 0.5, (2, 64)).astype(F32)
    levels.limit(quiet, order, F32(0.89), F32(1e-3), gain, out, energy, peak)
    np.testing.assert_array_equal(out, quiet[::-1].T)
    for _ in range(50):
        loud = rng.uniform(-5, 5, (2, 64)).astype(F32)
        loud[0, 7] = np.nan
        levels.limit(loud, order, F32(0.89), F32(1e-3), gain, out, energy, peak)
        assert np.abs(out).max() <= F32(0.89)
    assert np.isfinite(out).all()
    assert peak.max() <= F32(0.89)


def test_snr_sums_equal_reference():
    rng = np.random.default_rng(13)
    sums, expected = np.zeros(6), np.zeros(6)
    for _ in range(30):
        x = (rng.standard_normal(BINS) + 1j * rng.standard_normal(BINS)).astype(np.complex64)
        beam = (rng.standard_normal(BINS) + 1j * rng.standard_normal(BINS)).astype(np.complex64)
        gain = rng.uniform(-0.1, 1.1, BINS).astype(F32)
        re, im = np.ascontiguousarray(x.real), np.ascontiguousarray(x.imag)
        levels.track_snr(re, im, beam, gain, F32(0.1), 0.9, sums)
        g, p, mic = np.clip(gain, 0.0, 1.0), np.abs(beam) ** 2, np.abs(x) ** 2
        a = np.maximum(g, 0.1) ** 2
        frame = [g * (mic + p) / 2, (1 - g) ** 2.5 * mic, a * g * p, a * (1 - g) ** 2 * p]
        expected[:4] = 0.9 * expected[:4] + 0.1 * np.sum(frame, axis=1)
        expected[4:] = np.sum(p), np.sum(g * p)
    np.testing.assert_allclose(sums, expected, rtol=1e-4)
    held = sums.copy()
    levels.track_snr(np.zeros(BINS, F32), np.zeros(BINS, F32), np.zeros(BINS, np.complex64), gain, F32(0.1), 0.9, sums)
    np.testing.assert_array_equal(sums[:4], held[:4])
