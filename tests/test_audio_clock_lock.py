"""The clock lock: simulated crystals for hours, then real source, resampler and sink on cards in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from alsa_pcm import FakeCard, VirtualClock

from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
from edge.audio.clock_lock import DRIFT_LIMIT, PULL_LIMIT, ClockLock
from edge.audio.resample import ResampledSink

RATE, HOP = 16000, 128
TARGET, BUFFER = 2 * HOP, 4 * HOP


def simulate(ppm: float, hours: float, granularity: int, jitter_s: float = 0.001, seed: int = 0, drift_step_ppm=0.0):
    """Queue of a device whose clock is off by ppm (and by drift_step_ppm more from half time on).

    Returns (least queue, greatest queue, corrections in ppm once a second, lock).
    """
    lock = ClockLock(RATE, RATE, TARGET, granularity)
    late = np.abs(np.random.default_rng(seed).normal(0.0, jitter_s, round(hours * 3600 * RATE / HOP))).tolist()
    least, greatest, corrections = math.inf, -math.inf, []
    written, made, fraction = float(TARGET), 0, 0.0
    half, half_played = len(late) // 2, 0.0
    factor = RATE * (1.0 + ppm * 1e-6)
    for n, extra in enumerate(late):
        if n == half:
            half_played = (n * HOP / RATE) * factor
            factor = RATE * (1.0 + (ppm + drift_step_ppm) * 1e-6)
        base = half * HOP / RATE if n >= half else 0.0
        played = half_played + (n * HOP / RATE + extra - base) * factor
        level = written - played
        seen = written - played // granularity * granularity
        ratio = lock.update(HOP, int(seen) if n else -1, 0)
        fraction += HOP * ratio
        made = int(fraction)
        fraction -= made
        written += made
        lock.written(made)
        if n:
            least = min(least, level)
        greatest = max(greatest, level + made)
        if n % 125 == 0:
            corrections.append(1e6 * lock.correction)
    return least, greatest, np.array(corrections), lock


@pytest.mark.parametrize(("ppm", "granularity"), [(100, 1), (-100, 1), (100, HOP), (-100, HOP), (30, HOP), (0, 16)])
def test_hours_of_two_clocks(ppm, granularity):
    least, greatest, corrections, lock = simulate(ppm, 1.0 if ppm == 100 else 0.5, granularity)
    assert least > 0, "never runs dry"
    assert greatest < BUFFER, "never full"
    # the level that the device shows is right to one step only, and half of it is the mean error
    assert greatest - least < HOP + 2 * granularity + 100
    assert lock.drift_ppm == pytest.approx(ppm, abs=0.1 if granularity < HOP else 2.0)
    # pitch: below 0.3 cents (170 ppm) away from the true ratio after the first minute, below 0.1 with a fine device
    assert np.abs(corrections[60:] - ppm).max() < (20 if granularity < HOP else 170)


def test_clock_that_changes_with_temperature_is_followed():
    least, greatest, corrections, _lock = simulate(20, 1.0, 16, drift_step_ppm=40)
    assert least > 0
    assert greatest < BUFFER
    assert abs(np.mean(corrections[-300:]) - 60) < 5


def test_correction_is_bounded_whatever_the_device_says():
    lock = ClockLock(RATE, RATE, TARGET, 1)
    rng = np.random.default_rng(9)
    for level in rng.integers(0, 10**6, 20000):
        ratio = lock.update(HOP, int(level), 0)
        lock.written(HOP)
        assert abs(ratio - 1.0) <= DRIFT_LIMIT + PULL_LIMIT + 1e-12
    assert math.isfinite(lock.correction)


def test_a_jump_of_the_queue_is_no_drift_and_the_drift_survives_it():
    lock = ClockLock(RATE, RATE, TARGET, 1)
    written, fraction = TARGET, 0.0
    events = 0
    for n in range(125 * 600):
        if n == 125 * 300:
            written += 10 * HOP  # an underrun was refilled
            events = 1
        level = written - n * HOP * (1 + 50e-6)
        if n > 125 * 300:
            level -= 10 * HOP
        ratio = lock.update(HOP, round(level), events)
        fraction += HOP * ratio
        made = int(fraction)
        fraction -= made
        lock.written(made)
        written += made
        if n == 125 * 300 + 1:
            assert lock.drift_ppm is None, "unknown again until enough was seen"
            assert 1e6 * lock.correction == pytest.approx(50, abs=5), "but still used"
    assert lock.drift_ppm == pytest.approx(50, abs=5)


def test_a_device_that_tells_nothing_is_left_alone():
    lock = ClockLock(RATE, 48000, TARGET, HOP)
    for _ in range(2000):
        assert lock.update(HOP, -1, 0) == 3.0
    assert lock.drift_ppm is None


@pytest.mark.parametrize(("capture_ppm", "playback_ppm", "out_rate"), [(60, -60, RATE), (-20, 90, 48000)])
def test_source_to_sink_through_real_objects(capture_ppm, playback_ppm, out_rate):
    """Three minutes: no underrun, nothing dropped, the drift found; without the lock it goes wrong."""
    glitches, drift_ppm = run_live(capture_ppm, playback_ppm, out_rate, locked=True)
    assert glitches == 0
    assert drift_ppm == pytest.approx(playback_ppm - capture_ppm, abs=15)


def test_the_same_without_the_lock_has_glitches():
    glitches, drift_ppm = run_live(60, -60, RATE, locked=False)
    assert glitches > 0
    assert drift_ppm is None


def run_live(capture_ppm: float, playback_ppm: float, out_rate: int, locked: bool) -> tuple[int, float | None]:
    """AlsaSource to ResampledSink over AlsaSink for three minutes: (underruns + dropped frames, drift found)."""
    clock = VirtualClock()
    clock.poll_ms = 5
    mic, speaker = FakeCard(clock, capture_ppm), FakeCard(clock, playback_ppm)
    hop_out = HOP * out_rate // RATE
    source = AlsaSource("hw:CARD=Mic", RATE, 1, opener=mic.open, clock=clock)
    device = AlsaSink("hw:CARD=Out", out_rate, 1, period_frames=hop_out, opener=speaker.open, clock=clock)
    sink = ResampledSink(device, RATE, ClockLock(RATE, out_rate, 0, hop_out) if locked else None)
    source.open()
    sink.open()
    block = np.zeros((HOP, 1), np.float32)
    for _ in range(180 * RATE // HOP):
        source.read(block)
        sink.write(block)
        speaker.opened[0].sound.clear()
    return sink.underruns + sink.dropped_frames, sink.drift_ppm
