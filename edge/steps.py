"""Steps of a stream that comes in chunks of any length: conversions of rate, and the hops of a pipeline.

Each gives the same samples however the stream is cut, and as many as its rate makes of what went in, nothing delayed.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.audio.resample import SincResampler
from edge.errors import AudioFileError
from edge.health.log import HealthLog
from edge.heard import HeardDirections
from edge.pipeline import Pipeline
from edge.runtime.timing import HopClock, RunStatistics

F32 = NDArray[np.float32]

SOXR_CHUNK_FRAMES = 128
"""longer pieces would add to its delay"""
SINC_CHUNK_FRAMES = 1024
HELD_CHUNKS = 2000
"""of a millisecond"""
NOTE_EVERY_S = 0.5
"""between two looks at SNR and direction"""


def as_float(samples: NDArray[Any]) -> F32:
    """Samples as float32 of full scale 1.0. Raises AudioFileError for a dtype whose full scale nobody can know."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype in (np.int16, np.int32):
        return np.multiply(samples, 2.0 ** (1 - 8 * samples.itemsize), dtype=np.float64).astype(np.float32)
    raise AudioFileError(
        f"the samples are {samples.dtype}, expected floats of full scale 1.0, int16 or int32; convert them first"
    )


class Step(Protocol):
    """float32 (frames, channels) in, what is finished of it out; flush() gives the rest."""

    def push(self, samples: F32) -> F32: ...
    def flush(self) -> F32: ...


class Cutter:
    """Cuts a stream into pieces of one length, so that what follows cannot depend on how it arrived."""

    def __init__(self, frames: int, channels: int) -> None:
        self._frames = frames
        self.rest: F32 = np.zeros((0, channels), np.float32)

    def pieces(self, samples: F32) -> Iterator[F32]:
        stream = np.concatenate([self.rest, samples])
        whole = len(stream) - len(stream) % self._frames
        self.rest = stream[whole:]
        for first in range(0, whole, self._frames):
            yield stream[first : first + self._frames]


class SoxrStep:
    """Conversion by soxr: transparent, but what is finished comes some 40 ms late."""

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        import soxr

        self._stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
        self._cutter = Cutter(SOXR_CHUNK_FRAMES, channels)
        self._nothing: F32 = np.zeros((0, channels), np.float32)

    def push(self, samples: F32) -> F32:
        made = [self._resample(piece) for piece in self._cutter.pieces(samples)]
        return np.concatenate([self._nothing, *made])

    def flush(self) -> F32:
        return self._resample(self._cutter.rest, last=True)

    def _resample(self, piece: F32, last: bool = False) -> F32:
        made: F32 = self._stream.resample_chunk(np.ascontiguousarray(piece), last=last)
        return made.reshape(-1, self._nothing.shape[1])


class SincStep:
    """Conversion as live devices have it: some 2 ms late, stop-band 80 dB down."""

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self._from_hz, self._to_hz, self._channels = from_hz, to_hz, channels
        self._resampler = SincResampler(channels, from_hz, to_hz, SINC_CHUNK_FRAMES)
        taps = self._resampler.taps
        self._out: F32 = np.zeros((int((SINC_CHUNK_FRAMES + taps) * to_hz / from_hz) + 2, channels), np.float32)
        self._taken = self._given = 0

    def push(self, samples: F32) -> F32:
        self._taken += len(samples)
        return self._resample(samples)

    def flush(self) -> F32:
        owed = round(self._taken * self._to_hz / self._from_hz) - self._given
        # a frame more than the filter looks ahead, for an output right at the end
        return self._resample(np.zeros((self._resampler.lookahead_frames + 1, self._channels), np.float32))[:owed]

    def _resample(self, samples: F32) -> F32:
        made: list[F32] = [self._out[:0].copy()]
        for first in range(0, len(samples), SINC_CHUNK_FRAMES):
            self._resampler.push(samples[first : first + SINC_CHUNK_FRAMES])
            made.append(self._out[: self._resampler.pull(self._out)].copy())
        joined = np.concatenate(made)
        self._given += len(joined)
        return joined


class HopStep:
    """A pipeline, its delay taken out, and what it has found out so far."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.clock = HopClock([name for name, _ in pipeline.stages], round(pipeline.profile.hop_ms * 1e6))
        self.statistics = RunStatistics(self.clock)
        self.health = HealthLog(pipeline.front.health, pipeline.front.order, pipeline.profile.hop_ms / 1000.0)
        self.heard = HeardDirections()
        self.snr_in_db = Median()
        self.snr_out_db = Median()
        self._stages = tuple(stage for _, stage in pipeline.stages)
        self._cutter = Cutter(pipeline.hop_samples, pipeline.channels)
        self._skip = pipeline.latency_samples
        """frames of delay still to be left out"""
        self._owed = 0
        """frames taken in and not yet given out"""
        self._note_every_hops = max(1, round(1000.0 * NOTE_EVERY_S / pipeline.profile.hop_ms))

    def push(self, samples: F32) -> F32:
        self._owed += len(samples)
        return self._process(samples)

    def flush(self) -> F32:
        hop, owed = self._pipeline.hop_samples, self._owed
        whole = -(-(self._skip + owed) // hop) * hop
        silence = np.zeros((whole - len(self._cutter.rest), self._pipeline.channels), np.float32)
        return self._process(silence)[:owed]

    def _process(self, samples: F32) -> F32:
        pipeline, clock = self._pipeline, self.clock
        made = np.zeros((len(samples) + pipeline.hop_samples, len(pipeline.outputs)), np.float32)
        filled = 0
        for piece in self._cutter.pieces(samples):
            out = made[filled : filled + len(piece)]
            clock.run_hop(pipeline.load, self._stages, pipeline.store, piece, out)
            filled += len(piece)
            self.health.note()
            if clock.hops % self._note_every_hops == 0:
                self._note()
            if clock.hops % (clock.ring_hops // 2) == 0:
                self.statistics.drain()
        skipped = min(self._skip, filled)
        self._skip -= skipped
        self._owed -= filled - skipped
        return made[skipped:filled]

    def _note(self) -> None:
        pipeline = self._pipeline
        snr_in_db, snr_out_db = pipeline.snr.input_db, pipeline.snr.output_db
        if snr_in_db is not None and snr_out_db is not None:
            self.snr_in_db.note(snr_in_db)
            self.snr_out_db.note(snr_out_db)
        if pipeline.spatial.localizer is not None:
            self.heard.note(pipeline.spatial.localizer)


class Median:
    """Median of a stream of numbers to a hundredth, in memory that does not grow with the stream."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def note(self, value: float) -> None:
        self._counts[round(value, 2)] += 1

    @property
    def value(self) -> float | None:
        """None where nothing was noted."""
        values = sorted(self._counts)
        if not values:
            return None
        up_to = np.cumsum([self._counts[value] for value in values])
        middle = np.searchsorted(up_to, [(up_to[-1] - 1) // 2, up_to[-1] // 2], side="right")
        return float(np.mean([values[i] for i in middle]))


def conversion(low_latency: bool, from_hz: int, to_hz: int, channels: int) -> SoxrStep | SincStep:
    """A conversion of rate, by the sinc of live devices or by soxr."""
    return (SincStep if low_latency else SoxrStep)(from_hz, to_hz, channels)


def lag_frames(low_latency: bool, rate_hz: int, chain_hz: int, held_frames: int) -> int:
    """Most frames at `rate_hz` by which what has come out can be behind what went in, through a step at `chain_hz` that
    holds back up to `held_frames`: what each step holds back at worst.
    """
    if rate_hz == chain_hz:
        return held_frames
    before, after = _held_frames(low_latency, rate_hz, chain_hz), _held_frames(low_latency, chain_hz, rate_hz)
    return before + math.ceil((held_frames + after) * rate_hz / chain_hz) + 2  # a rounding of each


@functools.lru_cache(maxsize=32)
def _held_frames(low_latency: bool, from_hz: int, to_hz: int) -> int:
    """Most frames that a conversion holds back. Played through on silence, for soxr does not tell its blocks."""
    step = conversion(low_latency, from_hz, to_hz, 1)
    chunk: F32 = np.zeros((max(1, from_hz // 1000), 1), np.float32)
    taken = given = most = 0
    for _ in range(HELD_CHUNKS):
        taken += len(chunk)
        given += len(step.push(chunk))
        most = max(most, taken - given * from_hz // to_hz)
    return most + len(chunk) - 1  # chunks of another length may stop anywhere between two of these
