"""Late reverberation in the quality benchmark: simulated rooms, and the ratio of early to late energy."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_sounds import RATE_HZ, speech_like

from benchmarks.quality import ours, reverb


def tail(rt60_s: float, seed: int = 1) -> np.ndarray:
    """A response that decays by 60 dB in rt60_s, a direct path of equal energy before it."""
    samples = round(1.2 * rt60_s * RATE_HZ)
    h = np.random.default_rng(seed).standard_normal(samples) * 10.0 ** (-3.0 * np.arange(samples) / RATE_HZ / rt60_s)
    h /= np.sqrt(np.sum(h**2))
    h[0] = 1.0
    return h


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
