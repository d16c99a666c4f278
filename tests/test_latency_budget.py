"""The latency budget: each line from its own rule, checked against a simulation or the code it speaks of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config, config_from_dict
from edge.latency import RESAMPLER_ZERO_CROSSINGS, latency_budget_ms, latency_lines, resampler_delay_ms
from edge.profiles import PROFILES


def budget(**sections: dict) -> dict[str, float]:
    return latency_budget_ms(config_from_dict(sections))


def longest_wait_frames(period: int, hop: int) -> int:
    """Longest time from a frame's capture until the hop that it is in has arrived in whole periods, by simulation."""
    longest = 0
    frames = 4 * period * hop
    for frame in range(frames):
        last_of_hop = (frame // hop + 1) * hop  # frames needed
        arrival = -(-last_of_hop // period) * period  # they come in whole periods
        longest = max(longest, arrival - frame)
    return longest


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(16, 60), st.sampled_from(["assistant", "hearing"]))
def test_capture_beside_the_hop_against_a_simulation(period: int, profile: str) -> None:
    config = config_from_dict({"profile": profile, "input": {"period_frames": period}})
    hop = PROFILES[profile].hop_samples
    slow_ms = (longest_wait_frames(period, hop) - hop) / 16.0
    assert latency_budget_ms(config)["capture"] == pytest.approx(slow_ms)


def test_a_period_that_divides_the_hop_costs_nothing() -> None:
    assert budget()["capture"] == 0.0
    assert budget(input={"period_frames": 32})["capture"] == 0.0
    assert budget(input={"rate_hz": 48000})["capture"] == 0.0
    assert budget(input={"period_frames": 256})["capture"] == pytest.approx(8.0)
    assert budget(input={"kind": "file", "path": "a.wav"})["capture"] == 0.0


def test_a_rate_whose_hop_is_no_whole_number_of_frames() -> None:
    assert budget(input={"rate_hz": 44100})["capture"] == pytest.approx(353 / 44.1, abs=0.01)


@pytest.mark.parametrize(("profile", "ms"), [("assistant", 16.0), ("hearing", 4.0)])
def test_algorithmic_and_processing(profile: str, ms: float) -> None:
    lines = budget(profile=profile)
    assert lines["algorithmic"] == ms
    assert lines["processing"] == ms / 2
    assert lines["playback"] == ms  # half of four hops


def test_resampling() -> None:
    shared = {"clock": "shared"}
    assert budget(output=shared)["resampling"] == 0.0
    assert budget()["resampling"] == pytest.approx(2.0)  # the clock lock, unless the clocks turn out to be one
    assert budget(input={"rate_hz": 48000}, output=shared)["resampling"] == pytest.approx(2.0)
    assert budget(output={"rate_hz": 48000, **shared})["resampling"] == pytest.approx(2.0)
    assert budget(output={"kind": "null"})["resampling"] == 0.0
    file = {"kind": "file", "path": "a.wav"}
    assert budget(input={**file, "realtime": False})["resampling"] == 0.0
    assert budget(input=file)["resampling"] == pytest.approx(2.0)


def test_the_resampler_has_the_delay_that_the_budget_says() -> None:
    from edge.audio.resample import ZERO_CROSSINGS, SincResampler

    assert ZERO_CROSSINGS == RESAMPLER_ZERO_CROSSINGS
    for rates in ((48000, 16000), (44100, 16000), (16000, 48000), (16000, 16000)):
        resampler = SincResampler(1, *rates, 512)
        assert resampler_delay_ms(*rates) == pytest.approx(1000 * resampler.lookahead_frames / rates[0])


def test_the_sum_and_the_reasons() -> None:
    lines = latency_lines(Config())
    names = ("capture", "resampling", "algorithmic", "processing", "playback")
    assert tuple(line.name for line in lines) == names
    assert all(line.why for line in lines)
    budget_ms = latency_budget_ms(Config(), PROFILES["assistant"])
    assert tuple(budget_ms) == (*names, "total")
    assert budget_ms["total"] == pytest.approx(sum(line.ms for line in lines))


def test_no_buffer_no_playback_latency() -> None:
    assert budget(output={"kind": "null"})["playback"] == 0.0
    assert budget(output={"kind": "file", "path": "a.wav"})["playback"] == 0.0
    assert budget(output={"periods": 2})["playback"] == 8.0
    assert budget(output={"periods": 3})["playback"] == 12.0
