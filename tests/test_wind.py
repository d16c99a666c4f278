"""Wind, knocks and self-noise: told apart from sound in a room, and kept from being passed on or learnt."""

import numpy as np
import pytest
from signal_path import SQUARE

from edge.beamform.wind import Wind
from edge.geometry import ArrayGeometry
from edge.kernels import wind as kernels
from edge.profiles import PROFILES
from edge.stft import Stft

F32 = np.float32
RATE = 16000
PAIR = ((0.0, 0.03, 0.0), (0.0, -0.03, 0.0))


def db(power_ratio):
    return 10 * np.log10(power_ratio)


def turbulence(rng, samples, mics, level_dbfs):
    """Independent at every microphone, most of it below 100 Hz, falling by 12 dB an octave above."""
    spectrum = np.fft.rfft(rng.standard_normal((samples, mics)), axis=0)
    f = np.fft.rfftfreq(samples, 1 / RATE)[:, None]
    x = np.fft.irfft(spectrum * (f > 20) / (1 + (f / 100) ** 2), samples, axis=0)
    return x * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(x**2, axis=0))


def waves(rng, geometry, samples, azimuths_deg, level_dbfs=-30.0):
    """Independent coloured noise from each direction, far away: exact delays by phase."""
    f = np.fft.rfftfreq(samples, 1 / RATE)
    out = np.zeros((samples, geometry.mics))
    for azimuth_deg in azimuths_deg:
        source = np.fft.rfft(rng.standard_normal(samples)) / (1 + f / 300)
        turn = np.exp(-2j * np.pi * f * geometry.steering_delays_s(azimuth_deg)[:, None])
        out += np.fft.irfft(source * turn, samples, axis=1).T
    return out * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(out**2))


def make(positions=SQUARE, profile="assistant"):
    geometry, chosen = ArrayGeometry(positions), PROFILES[profile]
    stft = Stft(chosen, geometry.mics)
    return Wind(geometry, stft.frequencies_hz, chosen.hop_ms / 1000, stft.analysis_window), stft, geometry


def follow(wind, stft, x, look=lambda hop: None, active=None):
    """x (samples, mics) through the measurement, hop by hop; look(hop) after each."""
    hop, mics = stft.profile.hop_samples, x.shape[1]
    active = np.ones(mics, bool) if active is None else active
    for i in range(len(x) // hop):
        stft.history[:, :-hop] = stft.history[:, hop:].copy()
        stft.history[:, -hop:] = x[i * hop : (i + 1) * hop].T
        stft.analyze()
        wind.update(stft.spectrum_re, stft.spectrum_im, active)
        look(i)


def shares(wind, stft, x):
    """Incoherent share of all power per bin, mean over the time after the first half second."""
    own, whole = np.zeros_like(wind.noise), np.zeros_like(wind.noise)

    def look(hop):
        if hop * stft.profile.hop_ms > 500:
            nonlocal own, whole
            own, whole = own + wind.noise, whole + wind.power

    follow(wind, stft, x, look)
    return own / whole


# ---- kernels against slow numpy ----


def test_tracking_and_incoherent_power_equal_numpy():
    rng = np.random.default_rng(0)
    mics, bins, low, reach = 4, 20, 12, 2
    first, second = (a.astype(np.int64) for a in np.tril_indices(mics, -1))
    inverse_least = (1 / rng.uniform(0.5, 1.0, (6, low))).astype(F32)
    inverse_least[0] = 0.0  # too far apart to tell
    active = np.array([True, True, True, False])
    alive = np.zeros(mics, bool)
    power, noise = np.zeros((2, mics, low), F32)
    cross, coherence = np.zeros((2, 6, low), F32)
    wanted_power, wanted_cross = np.zeros((mics, low)), np.zeros((6, low))
    for _ in range(10):
        x = rng.standard_normal((mics, bins)) + 0.7 * rng.standard_normal((1, bins)) + 1j * rng.standard_normal(bins)
        x *= np.array([1.0, 0.5, 6.0, 1.0])[:, None]
        parts = np.ascontiguousarray(x.real, F32), np.ascontiguousarray(x.imag, F32)
        kernels.track(*parts, active, first, second, F32(0.2), alive, power, cross)
        wanted_power += 0.2 * (np.abs(x[:, :low]) ** 2 - wanted_power)
        wanted_cross += 0.2 * ((x[first] * x[second].conj()).real[:, :low] - wanted_cross)
    np.testing.assert_allclose(power, wanted_power, rtol=1e-4)
    np.testing.assert_allclose(cross, wanted_cross, rtol=1e-3, atol=1e-4)
    assert alive.tolist() == active.tolist()

    gain = np.array([1.0, 1.0, 1.5, 1.0], F32)
    scratch = coherence, np.zeros((2, low), F32)
    kernels.incoherent(power, cross, first, second, inverse_least, alive, reach, F32(0.1), gain, *scratch, noise)
    gamma = wanted_cross / np.sqrt(wanted_power[first] * wanted_power[second])
    votes = np.zeros(3)
    before = np.array([1.0, 1.0, 1.5])
    for b in range(low):
        near = slice(max(b - reach, 0), b + reach + 1)
        shared = np.clip(gamma[:, near].mean(axis=1) * inverse_least[:, b], 0, 1)
        second_quietest = np.sort(wanted_power[:3, b])[1]
        for m in range(3):
            best = max(
                shared[p]
                for p in range(6)
                if m in (first[p], second[p]) and 3 not in (first[p], second[p]) and inverse_least[p, b]
            )
            louder = wanted_power[m, b] > before[m] * second_quietest
            votes[m] += (1 if louder else -1) if best > 0.8 else 0
            wanted = max(wanted_power[m, b] * (1 - best), wanted_power[m, b] - 6 * gain[m] * second_quietest)
            assert noise[m, b] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert votes.any()
    np.testing.assert_allclose(gain, [*np.maximum(before * (1 + 0.1 * votes / low), 1.0), 1.0], rtol=1e-5)


def test_digital_zeros_do_not_count():
    alive = np.ones(3, bool)
    first, second = np.array([1, 2, 2]), np.array([0, 0, 1])
    x = np.ones((3, 5), F32)
    x[1] = 0.0
    power, cross = np.zeros((3, 4), F32), np.zeros((3, 4), F32)
    kernels.track(x, x, np.ones(3, bool), first, second, F32(0.5), alive, power, cross)
    assert alive.tolist() == [True, False, True]


@pytest.mark.parametrize("mics", [2, 4, 7])
@pytest.mark.parametrize("unequal", [1.0, 100.0])
def test_bound_passes_hardly_more_than_the_least_and_keeps_the_look(mics, unequal):
    rng = np.random.default_rng(mics)
    bins, low = 12, 8
    power = rng.uniform(1.0, 2.0, (mics, low)).astype(F32)
    power[0] *= F32(unequal)
    noise = power.copy()
    d = np.exp(1j * rng.uniform(-0.5, 0.5, (mics, bins)))
    w = d / mics + 3.0 * (rng.standard_normal((mics, bins)) + 1j * rng.standard_normal((mics, bins)))
    w += d * (1.0 - np.sum(w.conj() * d, axis=0)).conj() / mics
    alive = np.ones(mics, bool)
    d_re, d_im, w_re, w_im = (np.ascontiguousarray(a, F32) for a in (d.real, d.imag, w.real, w.imag))
    kernels.bound(power, noise, alive, F32(0.03), d_re, d_im, w_re, w_im)
    got = w_re + 1j * w_im
    np.testing.assert_allclose(np.sum(got.conj() * d, axis=0), 1.0, atol=1e-4)
    np.testing.assert_allclose(got[:, low:], w[:, low:], rtol=1e-5)
    passed = np.sum(np.abs(got[:, :low]) ** 2 * noise, axis=0)
    assert np.all(passed <= 1.2 / np.sum(1.0 / noise, axis=0))
    assert np.all(passed <= noise.min(axis=0) * 10**0.05)


def test_bound_leaves_weights_alone_where_the_noise_is_hidden():
    rng = np.random.default_rng(3)
    power = np.full((4, 6), 1.0, F32)
    noise = np.full((4, 6), 1e-3, F32)
    d_re, d_im = np.ones((4, 6), F32), np.zeros((4, 6), F32)
    w = rng.standard_normal((4, 6)).astype(F32)
    w_re, w_im = w.copy(), np.zeros((4, 6), F32)
    assert np.all(np.sum(w**2, axis=0) * 1e-3 < 0.03 * 0.999)
    kernels.bound(power, noise, np.ones(4, bool), F32(0.03), d_re, d_im, w_re, w_im)
    np.testing.assert_array_equal(w_re, w)


def test_bound_never_gives_weight_to_a_microphone_left_out():
    power = np.full((4, 6), 1.0, F32)
    noise = power.copy()
    noise[2] = power[2] = 1e-6
    d_re, d_im = np.ones((4, 6), F32), np.zeros((4, 6), F32)
    w_re, w_im = np.zeros((4, 6), F32), np.zeros((4, 6), F32)
    w_re[0], w_re[1] = 3.0, -2.0
    kernels.bound(power, noise, np.array([True, True, False, True]), F32(0.03), d_re, d_im, w_re, w_im)
    assert np.all(w_re[2] == 0.0)
    assert np.all(w_re[3] > 0.1)


# ---- telling noise from sound ----


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
@pytest.mark.parametrize("azimuths_deg", [(40.0,), (0.0, 180.0), (45.0, -135.0), tuple(range(0, 360, 15))], ids=len)
def test_sound_in_the_room_is_no_noise(azimuths_deg, profile):
    rng = np.random.default_rng(4)
    wind, stft, geometry = make(profile=profile)
    seen = []
    x = waves(rng, geometry, 2 * RATE, azimuths_deg) + 1e-4 * rng.standard_normal((2 * RATE, 4))
    follow(wind, stft, x, lambda hop: seen.append((wind.windy.max(), wind.corner_hz, wind.level_dbfs)))
    assert np.mean([s[0] for s in seen]) < 0.01
    assert seen[-1][2] is None
    wind, stft, _ = make(profile=profile)
    assert shares(wind, stft, x).mean() < 0.02


def test_gain_errors_of_3_db_are_no_noise():
    rng = np.random.default_rng(5)
    wind, stft, geometry = make()
    x = waves(rng, geometry, 2 * RATE, (10.0, 200.0)) * 10 ** (np.array([3.0, -3.0, 0.0, 2.0]) / 20)
    assert shares(wind, stft, x).max() < 0.05


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
@pytest.mark.parametrize("positions", [SQUARE, PAIR], ids=["square", "pair"])
def test_noise_of_each_sensor_is_noise(positions, profile):
    rng = np.random.default_rng(6)
    wind, stft, geometry = make(positions, profile)
    x = 10 ** (-65 / 20) * rng.standard_normal((2 * RATE, geometry.mics))
    x[:, 1] *= 10 ** (8 / 20)
    share = shares(wind, stft, x)
    assert share.mean() > 0.7
    ratio = db(wind.noise[1].mean() / wind.noise[0].mean())
    assert ratio == pytest.approx(8.0, abs=4.0)
    assert wind.level_dbfs is None  # steady and quiet: no wind


def test_wind_is_reported_with_its_level_and_ends():
    rng = np.random.default_rng(7)
    wind, stft, geometry = make()
    calm = waves(rng, geometry, 14 * RATE, (30.0, 150.0), -50.0)
    blowing = np.zeros_like(calm)
    blowing[2 * RATE : 7 * RATE] = turbulence(rng, 5 * RATE, 4, -25.0)
    seen = []
    follow(wind, stft, calm + blowing, lambda hop: seen.append((wind.level_dbfs, wind.corner_hz)))
    levels, corners = zip(*seen, strict=True)
    hops_s = RATE // 128
    assert all(level is None for level in levels[: 2 * hops_s])
    assert all(level is not None for level in levels[round(2.6 * hops_s) : 7 * hops_s])
    assert levels[6 * hops_s] == pytest.approx(-25.0, abs=2.5)
    assert levels[-1] is None
    assert np.mean(corners[: 2 * hops_s]) == 0.0
    assert np.median(corners[3 * hops_s : 7 * hops_s]) > 300.0
    assert max(corners[round(7.6 * hops_s) :]) == 0.0  # half a second after a gust all is as before


@pytest.mark.parametrize(("level_dbfs", "called"), [(-40.0, True), (-75.0, False)])
def test_faint_incoherent_sound_is_not_called_wind(level_dbfs, called):
    wind, stft, _ = make()
    rng = np.random.default_rng(12)
    levels = []
    x = 10 ** (-100.0 / 20) * rng.standard_normal((10 * RATE, 4))  # quiet sensors, so that faint sound stands out
    x[6 * RATE :] += turbulence(rng, 4 * RATE, 4, level_dbfs)
    follow(wind, stft, x, lambda hop: levels.append(wind.level_dbfs))
    assert any(level is not None for level in levels) == called


def test_a_knock_on_one_microphone_is_seen_within_two_hops():
    rng = np.random.default_rng(8)
    wind, stft, geometry = make()
    x = waves(rng, geometry, RATE, (30.0, 150.0), -50.0)
    t = np.arange(RATE // 5) / RATE
    x[RATE // 2 : RATE // 2 + len(t), 3] += 0.3 * np.sin(2 * np.pi * 120 * t) * np.exp(-t / 0.04)
    windy, nearest = [], []

    def look(hop):
        windy.append(wind.windy[3:6].max())
        nearest.append(wind.noise[:, 4].argmax())

    follow(wind, stft, x, look)
    knock = RATE // 2 // 128
    assert max(windy[20 : knock - 1]) < 0.1
    assert min(windy[knock + 2 : knock + 8]) > 0.9
    assert set(nearest[knock + 2 : knock + 8]) == {3}


def test_one_microphone_never_has_wind():
    rng = np.random.default_rng(9)
    wind, stft, _ = make(((0.0, 0.0, 0.0),))
    follow(wind, stft, turbulence(rng, RATE, 1, -20.0))
    assert wind.level_dbfs is None
    assert wind.corner_hz == 0.0
    assert not wind.windy.any()
    weights = np.ones((1, 257), F32)
    wind.bound(weights, 0 * weights, weights, 0 * weights)
    assert np.all(weights == 1.0)


def test_silence_then_wind_then_silence_stays_finite():
    rng = np.random.default_rng(10)
    wind, stft, _ = make()
    x = np.zeros((12 * RATE, 4))
    x[4 * RATE : 5 * RATE] = turbulence(rng, RATE, 4, -10.0)
    follow(wind, stft, x)
    assert np.isfinite(wind.noise).all()
    assert np.isfinite(wind.power).all()
    assert not wind.windy.any()
    smallest = min(np.abs(wind.power[wind.power != 0]).min(), np.abs(wind._cross[wind._cross != 0]).min())
    assert smallest > np.finfo(F32).tiny  # no denormals, which are slow


def test_reset_forgets_all():
    rng = np.random.default_rng(11)
    wind, stft, _ = make()
    x = turbulence(rng, RATE, 4, -20.0)
    first, again = [], []
    follow(wind, stft, x, lambda hop: first.append(wind.noise.copy()))
    wind.reset()
    stft.reset()
    assert wind.level_dbfs is None
    assert not wind.windy.any()
    follow(wind, stft, x, lambda hop: again.append(wind.noise.copy()))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("louder_db", [10.0, 12.0])
def test_a_microphone_that_is_always_louder_is_no_wind(louder_db):
    rng = np.random.default_rng(12)
    wind, stft, geometry = make()
    x = waves(rng, geometry, 5 * RATE, (10.0, 200.0)) + 1e-4 * rng.standard_normal((5 * RATE, 4))
    x[:, 2] *= 10 ** (louder_db / 20)
    t = np.arange(RATE // 5) / RATE
    knock = 4 * RATE
    x[knock : knock + len(t), 0] += 3.0 * np.sin(2 * np.pi * 120 * t) * np.exp(-t / 0.04)
    seen = []
    follow(wind, stft, x, lambda hop: seen.append((wind.corner_hz, wind.windy[3:6].max(), wind.level_dbfs)))
    corners, windy, levels = zip(*seen, strict=True)
    before = slice(2 * RATE // 128, knock // 128 - 1)
    assert max(corners[before]) == 0.0
    assert set(levels[: before.stop]) == {None}
    assert min(windy[knock // 128 + 2 : knock // 128 + 8]) > 0.9  # a knock on another one is still seen


def test_a_loud_event_near_one_microphone_is_not_learnt_as_its_level():
    rng = np.random.default_rng(13)
    wind, stft, geometry = make()
    x = waves(rng, geometry, 2 * RATE, (30.0,), -50.0)
    gone = slice(RATE, RATE + RATE // 10)
    x[gone, 1] *= 100.0  # alike at all, so only its level gives it away
    windy = []
    follow(wind, stft, x, lambda hop: windy.append(wind.windy[3:20].mean()))
    assert min(windy[RATE // 128 + 2 : gone.stop // 128]) > 0.9
    assert max(windy[round(1.8 * RATE / 128) :]) < 0.1
