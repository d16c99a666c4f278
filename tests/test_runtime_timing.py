"""Deadline accounting: what the audio thread stamps and what others make of it."""

import numpy as np
import pytest

from edge.runtime.timing import DurationHistogram, HopClock, RunStatistics, percentiles_ms

NOTHING = np.zeros((1, 1), np.float32)


def run_hops(clock, count, stages=(lambda: None, lambda: None)):
    return [clock.run_hop(lambda b: None, stages, lambda o: None, NOTHING, NOTHING) for _ in range(count)]


def test_hops_run_in_order_between_load_and_finish():
    clock = HopClock(["a", "b"], 10**12)
    order = []
    stages = [lambda: order.append("a"), lambda: order.append("b")]
    clock.run_hop(lambda b: order.append("load"), stages, lambda o: order.append("finish"), NOTHING, NOTHING)
    assert order == ["load", "a", "b", "finish"]
    assert clock.hops == 1


def test_a_deadline_that_nothing_can_meet_counts_every_hop():
    clock = HopClock(["a", "b"], -1)
    assert run_hops(clock, 7) == [True] * 7
    assert clock.misses == 7


def test_a_deadline_of_an_hour_counts_none():
    clock = HopClock(["a", "b"], 3600 * 10**9)
    assert run_hops(clock, 7) == [False] * 7
    assert clock.misses == 0


def test_durations_of_stages_sum_to_the_hop():
    clock = HopClock(["a", "b"], 10**12)
    run_hops(clock, 5)
    durations, next_hop = clock.since(0)
    assert durations.shape == (5, 2)
    assert next_hop == 5
    assert (durations >= 0).all()
    assert durations.sum() > 0


def test_since_goes_on_where_it_stopped():
    clock = HopClock(["a", "b"], 10**12)
    run_hops(clock, 3)
    _, at = clock.since(0)
    run_hops(clock, 4)
    durations, at = clock.since(at)
    assert len(durations) == 4
    assert clock.since(at)[0].shape == (0, 2)


def test_a_reader_that_is_too_late_gets_the_newest_hops_only():
    clock = HopClock(["a"], 10**12, ring_hops=64)
    run_hops(clock, 1000, stages=[lambda: None])
    durations, at = clock.since(0)
    assert at == 1000
    assert 0 < len(durations) <= 64
    # a row torn between two laps would show as a negative or huge duration
    assert (durations >= 0).all()


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99, 0.999])
def test_histogram_quantiles_are_within_a_bin_of_numpy(q):
    durations = np.random.default_rng(3).lognormal(11.0, 1.0, 20000).astype(np.int64)
    histogram = DurationHistogram()
    for part in np.array_split(durations, 7):
        histogram.add(part)
    exact = float(np.quantile(durations, q, method="inverted_cdf")) / 1e6
    assert histogram.quantile_ms(q) == pytest.approx(exact, rel=0.011)


def test_histogram_keeps_the_exact_maximum_and_never_exceeds_it():
    histogram = DurationHistogram()
    histogram.add(np.array([1000, 123457], np.int64))
    assert histogram.max_ns == 123457
    assert histogram.quantile_ms(1.0) == 0.123457
    assert histogram.sum_ns == 124457


@pytest.mark.parametrize("duration_ns", [0, 1, 10**15])
def test_histogram_takes_absurd_durations(duration_ns):
    histogram = DurationHistogram()
    histogram.add(np.array([duration_ns], np.int64))
    assert histogram.count == 1
    assert histogram.quantile_ms(0.5) <= duration_ns / 1e6


def test_nothing_measured_gives_zeros():
    assert DurationHistogram().quantile_ms(0.5) == 0.0
    assert percentiles_ms(np.zeros(0, np.int64)).max == 0.0


def test_statistics_count_each_hop_once():
    clock = HopClock(["a", "b"], 10**12)
    statistics = RunStatistics(clock)
    run_hops(clock, 3)
    statistics.skip()
    run_hops(clock, 10)
    statistics.drain()
    statistics.drain()
    hop, stages = statistics.costs()
    assert statistics.hop.count == 10
    assert set(stages) == {"a", "b"}
    assert 0.0 < hop.p50 <= hop.p95 <= hop.p99 <= hop.p99_9 <= hop.max


def test_percentiles_are_in_ms():
    result = percentiles_ms(np.arange(1, 101, dtype=np.int64) * 1_000_000)
    assert result.p50 == pytest.approx(50.5)
    assert result.max == 100.0
