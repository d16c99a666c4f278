"""Late reverberation in the quality benchmark: SRMR, simulated rooms, and the ratio of early to late energy."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_sounds import RATE_HZ, speech_like

from benchmarks.quality import ours, reverb, srmr


def tail(rt60_s: float, seed: int = 1) -> np.ndarray:
    """A response that decays by 60 dB in rt60_s, a direct path of equal energy before it."""
    samples = round(1.2 * rt60_s * RATE_HZ)
    h = np.random.default_rng(seed).standard_normal(samples) * 10.0 ** (-3.0 * np.arange(samples) / RATE_HZ / rt60_s)
    h /= np.sqrt(np.sum(h**2))
    h[0] = 1.0
    return h


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


def test_srmr_is_of_slow_modulation_whatever_the_level() -> None:
    slow, fast = (srmr.srmr(speech_like(3.0, syllables_hz=hz)) for hz in (4.0, 64.0))
    assert slow > 3.0 * fast
    assert srmr.srmr(1e-3 * speech_like(3.0).astype(np.float64)) == pytest.approx(slow, rel=1e-3)
    assert np.isnan(srmr.srmr(np.zeros(RATE_HZ)))
    assert np.isnan(srmr.srmr(np.ones(100)))


def test_srmr_falls_with_reverberation() -> None:
    from scipy.signal import fftconvolve

    dry = speech_like(3.0).astype(np.float64)
    found = [srmr.srmr(dry)] + [srmr.srmr(fftconvolve(dry, tail(rt60_s))[: dry.size]) for rt60_s in (0.3, 0.8)]
    assert found[0] > found[1] > found[2]


# ---- late reverberation ----


@pytest.mark.parametrize("rt60_s", [0.3, 0.8])
def test_measured_reverberation_time(rt60_s: float) -> None:
    assert reverb.measured_rt60_s(tail(rt60_s)[1:]) == pytest.approx(rt60_s, rel=0.1)


def test_a_room_is_split_50_ms_after_the_direct_path() -> None:
    pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed (extra: development)")
    whole, early, distance_m = reverb.responses(reverb.Room(0.3, 1))
    assert whole.shape == early.shape == (4, whole.shape[1])
    arrival = 40 + distance_m / 343.0 * RATE_HZ
    for mic in range(4):
        late = np.flatnonzero(whole[mic] - early[mic])
        assert late[0] == pytest.approx(arrival + 0.05 * RATE_HZ, abs=12)
        np.testing.assert_array_equal(early[mic][: late[0]], whole[mic][: late[0]])
    assert 0.2 < reverb.measured_rt60_s(whole[0]) < 0.45
    again = reverb.responses(reverb.Room(0.3, 1))[0]
    np.testing.assert_array_equal(again, whole)


def test_every_room_and_a_part_of_them_in_turn() -> None:
    assert len(reverb.all_rooms()) == reverb.ROOMS * len(reverb.RT60S_S)
    assert [room.rt60_s for room in reverb.all_rooms(len(reverb.RT60S_S))] == list(reverb.RT60S_S)


def test_gains_that_do_nothing_leave_the_early_to_late_ratio_and_no_state_behind() -> None:
    early = speech_like(1.5)[:, None]
    parts = {"early": early, "late": 0.3 * np.roll(early, 1600, axis=0)}
    before_db = reverb._ratio_db({name: part[:, 0] for name, part in parts.items()})
    open_mask = ours.make(mask={"kind": "wiener", "floor_db": 0.0}).pipeline
    for sound, ratio_db in reverb._ours(open_mask, parts).values():
        assert ratio_db == pytest.approx(before_db, abs=0.05)
        assert np.corrcoef(sound, (parts["early"] + parts["late"])[:, 0])[0, 1] > 0.999
    closing = ours.make(mask={"kind": "wiener"}).pipeline
    first = reverb._ours(closing, parts)["listen"][1]
    assert reverb._ours(closing, parts)["listen"][1] == first
