"""Costs in the quality benchmark: in turns, again where disturbed, speech and silence side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmark_sounds import F32, speech_like

from benchmarks.quality import arrays, cost, mono, peers, silence_cost, timing
from benchmarks.quality.bench import Bench, Options
from edge.geometry import ArrayGeometry


def test_cost_counts_every_hop_after_the_first_ones() -> None:
    heard = []
    audio = np.arange(100 * 128 + 5, dtype=np.float32)
    took = timing.per_hop_us(lambda block: heard.append(block[0]), audio, 128)
    assert heard == [128.0 * i for i in range(100)]
    assert took.shape == (100 - timing.WARM_UP_HOPS,)
    assert (took > 0.0).all()


def test_cost_per_second_is_that_of_the_least_disturbed_turn() -> None:
    disturbed, quiet = np.full(100, 90.0), np.array([70.0] * 90 + [170.0] * 10)
    row = timing.summary([disturbed, quiet], 8.0, 16.0)
    assert row["ms_per_s"] == 10.0
    assert row["rtf"] == 0.01
    assert row["hop_us_p50"] == 90.0
    assert row["hop_us_p99"] == 170.0
    assert row["latency_ms"] == 16.0
    assert (row["disturbance"], row["timing"]) == (1.125, timing.QUIET)


def test_a_median_above_the_best_turn_is_a_disturbance_of_hops_or_of_turns() -> None:
    quiet, slow = np.full(100, 60.0), np.full(100, 100.0)
    assert timing.summary([quiet, quiet, slow], 8.0, 16.0)["timing"] == timing.QUIET
    assert timing.summary([quiet, slow, slow], 8.0, 16.0)["disturbance"] == pytest.approx(1.667)
    # nobody is ever alone, and in every turn some hops wait for others
    interrupted = np.concatenate([np.full(192, 60.0), np.full(8, 30_000.0)])
    assert timing.summary([interrupted] * 5, 8.0, 16.0)["timing"] == timing.DISTURBED
    # a network that runs in every fourth hop: the usual hop is cheap, the usual turn tells
    seldom = np.array([20.0, 20.0, 20.0, 180.0] * 25)
    found = timing.summary([seldom, 1.5 * seldom, 1.5 * seldom], 8.0, 16.0)
    assert (found["disturbance"], found["timing"]) == (1.5, timing.DISTURBED)


def test_only_what_was_disturbed_is_timed_again_and_at_most_so_often(monkeypatch) -> None:
    seen: list[str] = []
    times_us = {"quiet": [10.0, 10.0], "once": [10.0, 20.0, 10.0, 10.0], "always": [10.0, 20.0] * timing.ATTEMPTS}

    def took(process: Callable[[F32], object], audio: F32, hop_samples: int) -> np.ndarray:
        name = str(process(audio))
        seen.append(name)
        return np.full(100, times_us[name][seen.count(name) - 1])

    monkeypatch.setattr(timing, "per_hop_us", took)
    sound = np.zeros(128, np.float32)
    systems = {n: timing.Timed(lambda block, n=n: n, sound, 128, 8.0, 16.0) for n in ("quiet", "once", "always")}  # type: ignore[misc]
    found = timing.measure(systems, turns=2)
    assert list(found) == ["quiet", "once", "always"]
    assert [row["timing"] for row in found.values()] == [timing.QUIET, timing.QUIET, timing.DISTURBED]
    assert [seen.count(name) for name in found] == [2, 4, 2 * timing.ATTEMPTS]


def test_systems_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "CALM", np.inf)  # a busy machine is not to be timed again here
    order: list[str] = []
    sound = np.zeros(60 * 128, np.float32)
    systems = {
        name: timing.Timed(lambda block, n=name: order.append(n), sound, 128, 8.0, 16.0)  # type: ignore[misc]
        for name in ("a", "b")
    }
    found = timing.measure(systems, turns=2)
    assert order == (["a"] * 60 + ["b"] * 60) * 2
    assert all(row["ms_per_s"] > 0.0 for row in found.values())


def test_fixed_beam_gives_back_what_comes_from_the_front() -> None:
    geometry = ArrayGeometry(np.array([[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]]))
    beam, front = cost.FixedBeam(geometry), speech_like(0.5)
    hops = front.size // beam.hop_samples
    blocks = front[: hops * beam.hop_samples].reshape(hops, beam.hop_samples)
    out = np.concatenate([beam.process(np.stack([block, block], axis=1)) for block in blocks])
    # a frame later, less the hop that is given out with the last one of it
    np.testing.assert_allclose(out[256:], blocks.ravel()[:-256], atol=1e-5)


def test_silence_is_judged_by_the_speech_beside_it() -> None:
    """A machine that becomes twice as slow in the second turn, and 30 % dearer silence in the last stretch."""
    machine = np.array([[1.0], [2.0], [1.0]])
    speech = 80.0 * machine * np.ones((3, 4))
    silent = speech * np.array([0.9, 1.0, 1.0, 1.3])
    row = silence_cost.summary(silence_cost.Turns(speech, {"dither": silent}), "dither", 8.0, 10.5)
    assert row["worst_stretch_over_speech"] == 1.3
    assert row["worst_stretch_at_s"] == 3 * silence_cost.STRETCH_S
    assert row["ms_per_s_speech"] == 10.0
    assert row["timing"] == timing.QUIET
    # for as long as all of it was timed the machine was slower than for the tables
    row = silence_cost.summary(silence_cost.Turns(speech, {"dither": silent}), "dither", 8.0, 7.7)
    assert row["disturbance"] == pytest.approx(10.0 / 7.7, abs=1e-3)
    assert row["timing"] == timing.DISTURBED


class Listening:
    """A pipeline that only remembers the level of what it hears."""

    hop_samples, outputs = 100, ("listen",)

    def __init__(self) -> None:
        self.heard: list[float] = []

    def reset(self) -> None:
        self.heard.append(-1.0)

    def process(self, block: F32, out: F32) -> None:
        self.heard.append(float(block[0, 0]))


def test_every_pipeline_hears_speech_first_and_has_each_part_once(monkeypatch) -> None:
    monkeypatch.setattr(silence_cost, "STRETCH_S", 1.0)
    pipelines = [Listening() for _ in range(3)]
    speech, silences = np.full((8000, 1), 9.0, np.float32), {n: np.full((32000, 1), v) for n, v in (("a", 1), ("b", 2))}
    turns = silence_cost.time_turns(pipelines, speech, silences)  # type: ignore[arg-type]
    assert turns.speech_us.shape == turns.silent_us["a"].shape == turns.silent_us["b"].shape == (3, 2)
    assert not np.array_equal(turns.silent_us["a"], turns.silent_us["b"])
    parts = []
    for pipeline in pipelines:
        changes = [v for i, v in enumerate(pipeline.heard) if i == 0 or v != pipeline.heard[i - 1]]
        assert changes[:2] == [-1.0, 9.0]
        parts.append([v for v in changes if v not in (-1.0,)])
        assert pipeline.heard.count(1.0) == pipeline.heard.count(2.0) == 320
    assert parts == [[9.0, 9.0, 2.0, 9.0, 1.0], [9.0, 1.0, 9.0, 9.0, 2.0], [9.0, 2.0, 9.0, 1.0, 9.0]]


def test_costs_of_everything(monkeypatch) -> None:
    monkeypatch.setattr(silence_cost, "SILENCE_S", 3.0)
    monkeypatch.setattr(silence_cost, "STRETCH_S", 1.5)
    monkeypatch.setattr(silence_cost, "ATTEMPTS", 1)
    monkeypatch.setattr(timing, "ATTEMPTS", 1)
    tools = Bench(Options(Path(), None, peers=(), count_words=False))
    sound = speech_like(1.0)
    one = cost.mono_costs(tools, sound)
    assert list(one) == [mono.WIENER, mono.INT8, mono.FLOAT]
    assert {row["latency_ms"] for row in one.values()} == {16.0}
    square = cost.array_costs(tools, np.repeat(sound[:, None], 4, axis=1))
    assert list(square) == [arrays.INT8, arrays.FLOAT, arrays.MVDR]
    silent = silence_cost.silence_costs(tools, sound, {1: 1e-3})
    assert [(row["microphones"], row["in"]) for row in silent] == [
        (mics, kind) for mics in (1, 4) for kind in ("digital silence", "dither")
    ]
    for row in [*one.values(), *square.values()]:
        assert 0.0 < row["hop_us_p50"] <= row["hop_us_p99"]
    for row in silent:
        assert row["ms_per_s_silence"] > 0.0
        assert row["worst_stretch_at_s"] in (0.0, 1.5)
    assert [row["timing"] for row in silent[:2]] == [timing.DISTURBED] * 2  # nothing is as cheap as was expected


class Halving(peers.Peer):
    """Half of what it hears, at once."""

    hop_samples, delay_samples, identity = 160, 0, "halving 1"

    def reset(self) -> None:
        pass

    def process(self, block: F32) -> F32:
        return block * np.float32(0.5)


def test_chains_cost_the_beam_and_the_network_behind_it() -> None:
    tools = Bench(Options(Path(), None, count_words=False))
    tools.peers = {"halving": Halving()}  # type: ignore[misc]
    found = cost.array_costs(tools, np.repeat(speech_like(1.0)[:, None], 4, axis=1))
    beam, alone, both = (
        found[n] for n in (arrays.MVDR, arrays.behind(arrays.MIC, "halving"), arrays.behind(arrays.MVDR, "halving"))
    )
    assert both["ms_per_s"] == pytest.approx(beam["ms_per_s"] + alone["ms_per_s"], abs=1e-3)
    assert both["latency_ms"] == beam["latency_ms"] + 10.0 == 42.0
    assert both["timing"] == (
        timing.DISTURBED if timing.DISTURBED in (beam["timing"], alone["timing"]) else timing.QUIET
    )
