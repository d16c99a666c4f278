"""Streaming resampling: against sines and soxr's one-shot, bit for bit over any chunking, no frame lost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.audio.resample import ResampledSink, ResampledSource, SincResampler

RATES = [(48000, 16000), (44100, 16000), (16000, 48000), (16000, 44100), (32000, 16000), (16000, 16000)]


def resample(signal: np.ndarray, in_rate: int, out_rate: int, cuts: list[int] | None = None) -> np.ndarray:
    """Whole signal (frames, channels) through the stream, cut where told, with zeros behind it."""
    r = SincResampler(signal.shape[1], in_rate, out_rate, 1024)
    tail = np.zeros((r.lookahead_frames, signal.shape[1]), np.float32)
    signal = np.concatenate([signal, tail]).astype(np.float32)
    out = np.zeros((4096, signal.shape[1]), np.float32)
    parts, at = [], 0
    cuts = cuts or [1024]
    for n in range(10**9):
        piece = np.ascontiguousarray(signal[at : at + cuts[n % len(cuts)]])
        if not len(piece):
            break
        r.push(piece)
        parts.append(out[: r.pull(out)].copy())
        at += len(piece)
    return np.concatenate(parts)


def sine(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)[:, None]


def inner(x: np.ndarray) -> np.ndarray:
    return x[len(x) // 8 : -len(x) // 8]


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
@pytest.mark.parametrize("frequency", [50.0, 1000.0, 3333.3, 6500.0])
def test_sine_is_the_sine_at_the_other_rate(in_rate, out_rate, frequency):
    got = inner(resample(0.5 * sine(frequency, in_rate), in_rate, out_rate)[:out_rate, 0])
    want = inner(0.5 * sine(frequency, out_rate)[:, 0])
    snr_db = 10 * np.log10(np.mean(want**2) / np.mean((got - want) ** 2))
    # 6.5 kHz is near the edge, where the gain has a ripple but no delay or distortion is allowed either
    assert snr_db > (75 if frequency < 6000 else 45)


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES[:4])
def test_agrees_with_soxr_one_shot(in_rate, out_rate):
    soxr = pytest.importorskip("soxr")
    rng = np.random.default_rng(7)
    spectrum = np.zeros(in_rate // 2 + 1, complex)
    spectrum[20:6000] = rng.standard_normal(5980) + 1j * rng.standard_normal(5980)
    noise = np.fft.irfft(spectrum)
    noise = (0.3 * noise / np.abs(noise).max())[:, None]
    got = inner(resample(noise, in_rate, out_rate)[:out_rate, 0])
    want = inner(soxr.resample(noise, in_rate, out_rate, quality="VHQ")[:, 0])
    assert 10 * np.log10(np.mean(want**2) / np.mean((got - want) ** 2)) > 70


@pytest.mark.parametrize("frequency", [9000.0, 12000.0, 20000.0])
def test_what_does_not_fit_the_lower_rate_is_removed(frequency):
    out = inner(resample(sine(frequency, 48000), 48000, 16000)[:, 0])
    assert 20 * np.log10(np.sqrt(2 * np.mean(out**2))) < -75


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
def test_streaming_equals_one_shot_bit_for_bit(in_rate, out_rate):
    rng = np.random.default_rng(8)
    signal = rng.standard_normal((9000, 3)).astype(np.float32)
    whole = resample(signal, in_rate, out_rate)
    for cuts in ([1], [128], [353, 352], [7, 1000, 64, 1]):
        np.testing.assert_array_equal(resample(signal, in_rate, out_rate, cuts), whole)


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
def test_no_frame_is_lost_in_minutes(in_rate, out_rate):
    """Counting only: two minutes of silence in large pieces."""
    r = SincResampler(1, in_rate, out_rate, 8000)
    out = np.zeros((40000, 1), np.float32)
    piece = np.zeros((8000, 1), np.float32)
    pieces = math.ceil(120 * in_rate / 8000)
    made = 0
    for _ in range(pieces):
        r.push(piece)
        made += r.pull(out)
    exact = (pieces * 8000 - r.lookahead_frames) * out_rate / in_rate
    assert abs(made - exact) <= 1


class Counting:
    """A source that hands out numbered frames; finite if told."""

    overruns = gap_frames = reopens = 0
    latency_frames = 441

    def __init__(self, rate_hz: int, channels: int, frames: int = 10**9) -> None:
        self.rate_hz, self.channels, self.frames = rate_hz, channels, frames
        self.at = 0
        self.capture_time_ns = 0

    def open(self) -> None:
        self.at = 0

    def close(self) -> None:
        pass

    def read(self, block: np.ndarray) -> int:
        n = min(len(block), self.frames - self.at)
        t = np.arange(self.at, self.at + n) / self.rate_hz
        block[:n] = np.sin(2 * np.pi * 440 * t)[:, None]
        block[n:] = 0
        self.at += n
        self.capture_time_ns = self.at * 1_000_000_000 // self.rate_hz
        return n


@pytest.mark.parametrize("device_rate", [44100, 48000])
@pytest.mark.parametrize("hop", [32, 128])
def test_source_gives_fixed_blocks_and_takes_no_more_than_it_needs(device_rate, hop):
    inner_source = Counting(device_rate, 2)
    source = ResampledSource(inner_source, 16000)
    source.open()
    out = np.zeros((200 * hop, 2), np.float32)
    for n in range(200):
        assert source.read(out[n * hop : (n + 1) * hop]) == hop
        ahead = inner_source.at - (n + 1) * hop * device_rate / 16000
        assert 0 <= ahead <= 32 * device_rate / 16000 + 3
    want = np.sin(2 * np.pi * 440 * np.arange(len(out)) / 16000)
    assert np.abs(out[200:, 0] - want[200:]).max() < 1e-3
    assert source.latency_frames == pytest.approx(441 * 16000 / device_rate + 32, abs=1)
    # the frame that closes the block is older than the newest one taken
    assert abs(source.capture_time_ns - len(out) / 16000 * 1e9) < 2e9 / 16000


def test_source_to_the_end_of_a_finite_one():
    source = ResampledSource(Counting(48000, 1, frames=4801), 16000)
    source.open()
    out = np.ones((128, 1), np.float32)
    total = 0
    while got := source.read(out):
        total += got
    assert total == math.ceil(4801 / 3)
    assert source.read(out) == 0
    assert not out.any()


class Collecting:
    underruns = dropped_frames = 0
    latency_frames = 960

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        self.blocks: list[np.ndarray] = []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, block: np.ndarray) -> None:
        self.blocks.append(block.copy())


@pytest.mark.parametrize("device_rate", [44100, 48000])
def test_sink_resamples_everything_written(device_rate):
    device = Collecting(device_rate, 2)
    sink = ResampledSink(device, 16000)
    sink.open()
    signal = np.repeat(0.5 * sine(700, 16000, 2.0), 2, 1).astype(np.float32)
    for first in range(0, len(signal), 128):
        sink.write(np.ascontiguousarray(signal[first : first + 128]))
    # what is missing is the look-ahead, reported as latency
    assert abs(sum(map(len, device.blocks)) - (len(signal) - 32) * device_rate / 16000) <= 3
    assert sink.latency_frames == math.ceil(960 * 16000 / device_rate) + 32
    sink.close()
    sink.close()
    got = np.concatenate(device.blocks)
    # one frame more where the last position was rounded to just before the end
    assert 0 <= len(got) - 2 * device_rate <= 1, "closing gives out the rest"
    want = 0.5 * sine(700, device_rate, 2.1)[: len(got), 0]
    assert np.abs(inner(got[:, 1]) - inner(want)).max() < 1e-3
    # 4 ms before the end the filter has run out of signal only with its outermost taps
    assert np.abs(got[-100:-4, 1] - want[-100:-4]).max() < 0.2
    assert sink.drift_ppm is None


def test_sink_that_took_nothing_closes_without_a_sound():
    device = Collecting(48000, 1)
    sink = ResampledSink(device, 16000)
    sink.open()
    sink.close()
    assert device.blocks == []


def test_sink_takes_blocks_longer_than_it_was_made_for():
    device = Collecting(48000, 1)
    sink = ResampledSink(device, 16000, max_block_frames=64)
    sink.open()
    sink.write(np.zeros((1000, 1), np.float32))
    assert abs(sum(map(len, device.blocks)) - (1000 - 32) * 3) <= 3
