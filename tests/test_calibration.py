"""Gains and delays of simulated microphones are found again, or refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from signal_path import SQUARE
from sound_fields import noise_field, sphere

from edge.calibration.effect import beam_effects
from edge.calibration.field import measure_field
from edge.calibration.gains import gain_differences_db
from edge.calibration.known_signal import PERIOD_S, make_test_signal
from edge.calibration.measure import Deviation, Measurement, SourcePlace, measure, referred_to
from edge.calibration.polarity import check_polarity
from edge.calibration.report import as_text, report
from edge.config import config_from_dict
from edge.errors import AudioFileError
from edge.geometry import ArrayGeometry, unit_vector

RATE_HZ = 16000
GEOMETRY = ArrayGeometry(SQUARE)
LATE_US = np.array([30.0, -30.0, 12.0, -12.0])
LOUD_DB = np.array([1.5, -1.5, -0.5, 0.5])
CONFIG = config_from_dict({"array": {"positions_m": [list(p) for p in SQUARE]}, "mask": {"kind": "bypass"}})
LINE = [(0.0, y, 0.0) for y in (-0.05, -0.0167, 0.0167, 0.05)]


@pytest.fixture(scope="module")
def diffuse() -> np.ndarray:
    return noise_field(SQUARE, sphere(120), 12.0, np.random.default_rng(0), LATE_US, LOUD_DB)


@pytest.fixture(scope="module")
def measured(diffuse: np.ndarray) -> Measurement:
    return measure(diffuse, RATE_HZ, GEOMETRY)


def reverberant(late_us=LATE_US, loud_db=LOUD_DB) -> np.ndarray:
    """Half of the power from 40 degrees, the rest from everywhere."""
    direct = noise_field(SQUARE, unit_vector(40.0), 12.0, np.random.default_rng(1), late_us, loud_db)
    return direct + noise_field(SQUARE, sphere(60), 12.0, np.random.default_rng(2), late_us, loud_db)


def played(place: SourcePlace, seconds: float = 12.0) -> np.ndarray:
    """The test signal from `place` with walls, recorded from the middle of a period on."""
    rng = np.random.default_rng(3)
    signal = make_test_signal(RATE_HZ, seconds + PERIOD_S).astype(np.float64)
    f = np.fft.rfftfreq(len(signal), 1.0 / RATE_HZ)
    arrivals = [(place.delays_s(GEOMETRY), 10.0 ** (place.levels_db(GEOMETRY) / 20.0), 0.010)]
    arrivals += [
        (GEOMETRY.steering_delays_s(*angles), 0.4 * np.ones(4), 0.010 + 0.004 + 0.05 * rng.random())
        for angles in zip(rng.uniform(0, 360, 20), rng.uniform(-60, 60, 20), strict=True)
    ]
    channels = 10.0 ** (LOUD_DB / 20.0)[:, None] * np.exp(-2j * np.pi * f * LATE_US[:, None] * 1e-6)
    heard = np.zeros((4, len(f)), np.complex128)
    for delays_s, levels, way_s in arrivals:
        heard += levels[:, None] * np.exp(-2j * np.pi * f * (delays_s + way_s)[:, None])
    x = np.fft.irfft(np.fft.rfft(signal) * heard * channels, len(signal)).T[5000:]
    return 0.1 * x + 0.002 * rng.standard_normal(x.shape)


def test_ambient_noise_gives_gains_and_delays(measured: Measurement) -> None:
    found = measured
    assert found.method == "diffuse"
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    np.testing.assert_allclose(found.found.delays_us, LATE_US, atol=3.0)
    assert found.uncertainty.gains_db.max() < 0.3
    assert found.uncertainty.delays_us.max() < 3.0
    assert np.abs(found.repeats.gains_db).max() < 0.3
    assert np.abs(found.repeats.delays_us).max() < 3.0


@pytest.mark.parametrize("positions", [LINE, [(0, 0.03, 0), (0, -0.03, 0)]], ids=["line", "pair"])
def test_ambient_noise_with_other_arrays(positions) -> None:
    mics = len(positions)
    late_us, loud_db = LATE_US[:mics] - LATE_US[:mics].mean(), LOUD_DB[:mics] - LOUD_DB[:mics].mean()
    x = noise_field(positions, sphere(100), 12.0, np.random.default_rng(4), late_us, loud_db)
    found = measure(x, RATE_HZ, ArrayGeometry(positions))
    np.testing.assert_allclose(found.found.gains_db, loud_db, atol=0.3)
    np.testing.assert_allclose(found.found.delays_us, late_us, atol=3.0)


def test_a_talker_near_one_microphone_now_and_then_does_not_count(diffuse: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    disturbed = diffuse.copy()
    near = 0.4 * rng.standard_normal(3 * RATE_HZ)
    for start_s in (1, 4, 8):
        start = start_s * RATE_HZ
        disturbed[start : start + RATE_HZ, 0] += near[:RATE_HZ]
        disturbed[start : start + RATE_HZ, 1:] += 0.3 * near[:RATE_HZ, None]
    found = measure(np.clip(disturbed, -0.99, 0.99), RATE_HZ, GEOMETRY)
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    np.testing.assert_allclose(found.found.delays_us, LATE_US, atol=3.0)
    plain_db = 10.0 * np.log10(np.mean(disturbed**2, axis=0))
    assert np.ptp(plain_db - plain_db.mean() - LOUD_DB) > 3.0, "the disturbance is a strong one"


def test_a_known_direction_in_a_room() -> None:
    found = measure(reverberant(), RATE_HZ, GEOMETRY, SourcePlace(40.0))
    assert found.method == "direction"
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    np.testing.assert_allclose(found.found.delays_us, LATE_US, atol=3.0)


def test_walls_that_spoil_a_direction_leave_the_delays_out() -> None:
    """A single strong reflection, coherent with the sound itself."""
    direct = noise_field(SQUARE, unit_vector(40.0), 12.0, np.random.default_rng(1), np.zeros(4), np.zeros(4))
    wall = noise_field(SQUARE, unit_vector(160.0), 12.0, np.random.default_rng(1), np.zeros(4), np.zeros(4))
    found = measure(direct + 0.8 * np.roll(wall, 160, axis=0), RATE_HZ, GEOMETRY, SourcePlace(40.0))
    assert found.found.delays_us.size == 0
    assert "walls send too much of the sound back; use the test signal" in found.without_delays


def test_the_test_signal_in_a_room_from_nearby() -> None:
    place = SourcePlace(40.0, 10.0, 0.8)
    found = measure(played(place), RATE_HZ, GEOMETRY, place, test_signal=True)
    assert found.method == "signal"
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    np.testing.assert_allclose(found.found.delays_us, LATE_US, atol=3.0)
    far = measure(played(place), RATE_HZ, GEOMETRY, SourcePlace(40.0, 10.0), test_signal=True)
    assert np.abs(far.found.gains_db - LOUD_DB).max() > 0.3, "at 0.8 m the distance counts"


def test_the_test_signal_without_a_direction_gives_gains_alone() -> None:
    found = measure(played(SourcePlace(40.0)), RATE_HZ, GEOMETRY, None, test_signal=True)
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    assert found.found.delays_us.size == 0
    assert "--azimuth" in found.without_delays


def test_noise_from_one_side_gives_gains_but_no_delays() -> None:
    """It looks just like delays, so they are left out rather than measured wrong."""
    half = [direction for direction in sphere(160) if direction[0] > -0.3]
    found = measure(noise_field(SQUARE, half, 12.0, np.random.default_rng(6), LATE_US, LOUD_DB), RATE_HZ, GEOMETRY)
    np.testing.assert_allclose(found.found.gains_db, LOUD_DB, atol=0.3)
    assert found.found.delays_us.size == 0
    assert "does not come evenly from everywhere" in found.without_delays
    assert "delays were not measured: " in as_text(report(found, CONFIG, ["delay_sum"]))


@pytest.mark.parametrize("kind", ["delay_sum", "mvdr"])
def test_the_beam_is_restored(measured: Measurement, kind: str) -> None:
    numbers = report(measured, CONFIG, [kind])
    beam = numbers["beams"][0]
    assert beam["before"]["directivity_db"] < beam["perfect"]["directivity_db"] - 0.3
    assert beam["after"]["directivity_db"] == pytest.approx(beam["perfect"]["directivity_db"], abs=0.1)
    assert beam["after"]["look_gain_db"] == pytest.approx(0.0, abs=0.1)
    assert numbers["before"]["gain_spread_db"] == pytest.approx(3.0, abs=0.3)
    assert numbers["repeats_within"]["gain_spread_db"] < 0.3
    assert numbers["before"]["delay_spread_us"] == pytest.approx(60.0, abs=3.0)
    assert numbers["repeats_within"]["delay_spread_us"] < 6.0


def test_what_mismatch_costs_delay_and_sum_in_closed_form() -> None:
    """Gains alone: the look gain of delay-and-sum is the mean gain."""
    gains_db = np.array([6.0, -6.0, 0.0, 3.0])
    (effect,) = beam_effects(CONFIG, "delay_sum", [Deviation(gains_db, np.zeros(0))])
    assert effect.look_gain_db == pytest.approx(20.0 * np.log10(np.mean(10.0 ** (gains_db / 20.0))), abs=1e-3)


def test_relative_to_one_microphone(measured: Measurement) -> None:
    found = referred_to(measured, 2)
    assert found.found.gains_db[2] == found.found.delays_us[2] == found.uncertainty.gains_db[2] == 0.0
    np.testing.assert_allclose(found.found.delays_us, LATE_US - LATE_US[2], atol=3.0)


def with_hum(x: np.ndarray) -> np.ndarray:
    t = np.arange(len(x)) / RATE_HZ
    return 1e-6 * x + 0.1 * np.sin(2 * np.pi * 1234.5 * t)[:, None]


def without_sound(x: np.ndarray) -> np.ndarray:
    return 0.01 * np.random.default_rng(7).standard_normal(x.shape)


def one_alone(x: np.ndarray) -> np.ndarray:
    return np.where(np.arange(4) == 1, without_sound(x), x)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: 0.0 * x, "silence"),
        (lambda x: x[: 5 * RATE_HZ], r"5\.0 s are too short, expected at least 10 s"),
        (lambda x: np.clip(30.0 * x, -1.0, 1.0), r"microphone \d is clipped"),
        (lambda x: x * [1.0, 1.0, 0.01, 1.0], "microphone 2 is .* dB below the others"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 7, np.nan, x), "4 samples are not finite"),
        (with_hum, "too tonal"),
        (without_sound, "the microphones hear mostly noise of their own"),
        (one_alone, "microphone 1 hears mostly noise of its own"),
    ],
)
def test_an_unfit_recording_is_refused_with_one_sentence(diffuse: np.ndarray, spoil, words: str) -> None:
    with pytest.raises(AudioFileError, match=words) as raised:
        measure(spoil(diffuse), RATE_HZ, GEOMETRY, source="name.wav")
    assert str(raised.value).startswith("name.wav: ")
    assert "\n" not in str(raised.value)


def test_a_recording_without_the_test_signal_is_refused(diffuse: np.ndarray) -> None:
    with pytest.raises(AudioFileError, match=r"the test signal is clear in 0 of its periods"):
        measure(diffuse, RATE_HZ, GEOMETRY, test_signal=True)


def test_gains_that_differ_from_moment_to_moment_are_refused(diffuse: np.ndarray) -> None:
    rng = np.random.default_rng(8)
    wander_db = np.repeat(rng.uniform(-12.0, 12.0, (12, 4)), RATE_HZ, axis=0)
    with pytest.raises(AudioFileError, match="comes out differently from band to band and moment to moment"):
        measure(diffuse * 10.0 ** (wander_db / 20.0), RATE_HZ, GEOMETRY)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ([1], "microphone 1 is wired the wrong way round"),
        ([1, 2, 3], "microphone 0 is wired the wrong way round"),
        ([0, 3], "microphones 1 and 2 are wired the wrong way round, or microphones 0 and 3"),
    ],
)
def test_a_microphone_with_the_wrong_sign_is_refused_by_name(diffuse: np.ndarray, odd: list[int], words: str) -> None:
    sign = np.where(np.isin(np.arange(4), odd), -1.0, 1.0)
    direction = noise_field(SQUARE, unit_vector(250.0), 12.0, np.random.default_rng(1), LATE_US, LOUD_DB)
    place = SourcePlace(40.0, 10.0, 0.8)
    for samples, where, signal in (
        (diffuse, None, False),
        (reverberant(), SourcePlace(40.0), False),
        (direction, SourcePlace(70.0), False),  # told the wrong side
        (played(place), place, True),
        (played(place), None, True),
    ):
        with pytest.raises(AudioFileError, match=r"^name.wav: microphone") as raised:
            measure(sign * samples, RATE_HZ, GEOMETRY, where, signal, source="name.wav")
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)


def test_no_wrong_sign_is_seen_where_the_side_is_told_wrong_or_the_array_is_wide() -> None:
    wide = [(0.0, y, 0.0) for y in (-0.3, -0.1, 0.1, 0.3)]
    for positions in (SQUARE, wide, [(0.0, -0.5, 0.0), (0.0, 0.5, 0.0)]):
        geometry = ArrayGeometry(positions)
        mics = len(positions)
        for azimuth_deg in (0.0, 90.0, 250.0):
            x = noise_field(
                positions, unit_vector(azimuth_deg), 10.0, np.random.default_rng(3), LATE_US[:mics], LOUD_DB[:mics]
            )
            check_polarity(measure_field(x, RATE_HZ), geometry, "name.wav")


def test_what_bends_the_whole_recording_alike_is_no_remainder_of_nothing() -> None:
    """An uneven field whose delays are still taken: halves agree better than they are right."""
    even = noise_field(SQUARE, sphere(120), 12.0, np.random.default_rng(0), LATE_US, LOUD_DB)
    side = noise_field(SQUARE, unit_vector(20.0), 12.0, np.random.default_rng(9), LATE_US, LOUD_DB)
    found = measure(even + 0.25 * side, RATE_HZ, GEOMETRY)
    wrong_us = found.found.delays_us - LATE_US
    numbers = report(found, CONFIG, ["superdirective"])
    assert np.ptp(wrong_us) > 2.0 * numbers["repeats_within"]["delay_spread_us"]
    assert np.abs(wrong_us).max() < 3.0 * found.uncertainty.delays_us.max()
    text = as_text(numbers)
    assert "repeats within: one half of the recording, corrected by what the other half says" in text
    assert text.index("delay, latest to earliest") < text.index("  after\n") < text.index("superdirective")
    beam = numbers["beams"][0]
    assert beam["after"]["directivity_db"] < beam["perfect"]["directivity_db"] - 0.01


def test_the_test_signal_from_an_unknown_place_has_the_uncertainty_of_a_near_one() -> None:
    truth = SourcePlace(75.0, 0.0, 1.0)
    found = measure(played(truth), RATE_HZ, GEOMETRY, None, test_signal=True)
    wrong_db = found.found.gains_db - LOUD_DB
    assert np.abs(wrong_db).max() > 0.2, "the distance counts"
    assert np.abs(wrong_db).max() < 2.0 * found.uncertainty.gains_db.max()
    assert "the place of the loudspeaker is not given" in as_text(report(found, CONFIG, ["delay_sum"]))
    told = measure(played(truth), RATE_HZ, GEOMETRY, truth, test_signal=True)
    assert told.uncertainty.gains_db.max() < 0.1
    assert told.doubts == ()
    wide = ArrayGeometry(10.0 * np.asarray(SQUARE))
    with pytest.raises(AudioFileError, match="say where it is with --azimuth and --distance"):
        measure(played(truth), RATE_HZ, wide, None, test_signal=True)


def test_a_talker_in_place_of_the_noise_of_a_room_is_said_to_be_doubtful(diffuse: np.ndarray) -> None:
    assert measure(diffuse, RATE_HZ, GEOMETRY).doubts == ()
    side = noise_field(SQUARE, unit_vector(60.0), 12.0, np.random.default_rng(5), LATE_US, LOUD_DB)
    t = np.arange(len(side))[:, None] / RATE_HZ
    talker = 2.0 * side * np.where(np.sin(2 * np.pi * 0.7 * t) > 0.0, 1.0, 0.1)
    doubts = measure(0.2 * diffuse + talker, RATE_HZ, GEOMETRY).doubts
    assert "swells and fades like speech" in doubts[0]
    assert "comes mostly from one side" in doubts[1]


def test_the_test_signal_is_the_same_sound_at_every_rate() -> None:
    low, high = make_test_signal(16000, 3.0), make_test_signal(48000, 3.0)
    assert len(low) * 3 == len(high)
    assert 0.45 < np.abs(high).max() <= 0.51
    a, b = np.fft.rfft(low[: 2 * 16384][:32768]), np.fft.rfft(high[: 3 * 32768])
    line = round(1000.0 * PERIOD_S)
    assert np.angle(a[line]) == pytest.approx(np.angle(b[line]), abs=0.05)


def test_halves_of_a_field_have_nothing_in_common(diffuse: np.ndarray) -> None:
    field = measure_field(diffuse, RATE_HZ)
    first, second = field.only(0), field.only(1)
    assert len(first.band_db) + len(second.band_db) == len(field.band_db)
    np.testing.assert_allclose(first.cross.sum(axis=0) + second.cross.sum(axis=0), field.cross.sum(axis=0))
    np.testing.assert_allclose(gain_differences_db(replace(field, part=field.part)), gain_differences_db(field))
