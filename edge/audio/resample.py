"""Sample rate conversion for live devices: a streaming polyphase resampler, and the source and sink wrapped in it.

Why not soxr here: its streams work in blocks of hundreds of frames, so the frames it owes swing by 20 to 60 ms
(docs/audio-devices.md has the measurement). That is fine for files, where it is used, but more than the whole latency
of a profile. A windowed sinc evaluated per output frame costs 2 ms, and its ratio may vary, which the clock lock needs.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.audio.base import Block, Sink, Source
from edge.audio.clock_lock import ClockLock
from edge.kernels.sinc import interpolate

PHASES = 512
"""with linear interpolation between them the error is below -110 dB"""
ZERO_CROSSINGS = 32
"""of the sinc on each side: 2 ms of delay at 16 kHz"""
PASS_SHARE = 0.95
"""-6 dB point as a share of the lower Nyquist frequency"""
KAISER_BETA = 7.857
"""80 dB of stop-band attenuation"""


def sinc_table(step: float) -> NDArray[np.float32]:
    """Windowed-sinc phases (PHASES + 1, taps) for `step` input frames per output frame; each row sums to 1.

    Kaiser window, cutoff below the lower of the two Nyquist frequencies (Smith, "Digital Audio Resampling", 1984).
    """
    half = math.ceil(ZERO_CROSSINGS * max(1.0, step))
    cutoff = PASS_SHARE * min(1.0, 1.0 / step)
    tap = np.arange(2 * half) - (half - 1)
    t = tap[None, :] - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (t / half) ** 2))) / np.i0(KAISER_BETA)
    table = np.sinc(cutoff * t) * window
    return (table / table.sum(axis=1, keepdims=True)).astype(np.float32)


class SincResampler:
    """Streaming resampler: push input frames, pull output frames. Preallocated; output 0 is input 0, undelayed.

    An output needs `lookahead_frames` input frames behind its own position, which is the delay of the stream.
    """

    def __init__(self, channels: int, in_rate_hz: float, out_rate_hz: float, max_push_frames: int) -> None:
        self.nominal_step = in_rate_hz / out_rate_hz
        self._table = sinc_table(self.nominal_step)
        self.taps = self._table.shape[1]
        self.lookahead_frames = self.taps // 2
        self._history = np.zeros((channels, 2 * self.taps + max_push_frames), np.float32)
        self._weights = np.zeros(self.taps, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget all input; the next output is again the first input frame."""
        self.step = self.nominal_step
        self._history[:] = 0.0
        self._frames = self.lookahead_frames - 1
        self._fraction = 0.0

    def frames_wanted(self, out_frames: int) -> int:
        """Input frames to push before pull() can make `out_frames`."""
        last = int(self._fraction + (out_frames - 1) * self.step)
        return max(0, last + self.taps - self._frames)

    def push(self, block: Block) -> None:
        """Take input frames (frames, channels), at most max_push_frames after everything possible was pulled."""
        end = self._frames + len(block)
        self._history[:, self._frames : end] = block.T
        self._frames = end

    def pull(self, out: Block) -> int:
        """Make as many output frames as the input allows, at most len(out). Returns how many."""
        made, used, self._fraction = interpolate(
            self._history, self._frames, self._table, self._fraction, self.step, self._weights, out
        )
        self._frames -= used
        return int(made)


class ResampledSource:
    """A source at another rate than the pipeline's. Asks the inner one for just the frames that a block needs."""

    def __init__(self, source: Source, rate_hz: int, max_block_frames: int = 1024) -> None:
        self.inner = source
        self.rate_hz = rate_hz
        self.channels = source.channels
        self._most = math.ceil(max_block_frames * source.rate_hz / rate_hz) + 2
        self._max_block_frames = max_block_frames
        self._resampler = SincResampler(source.channels, source.rate_hz, rate_hz, self._most)
        self._input = np.zeros((self._most + self._resampler.taps, source.channels), np.float32)
        self._taken = self._given = 0
        self._ended = False

    @property
    def overruns(self) -> int:
        return self.inner.overruns

    @property
    def gap_frames(self) -> int:
        return round(self.inner.gap_frames * self.rate_hz / self.inner.rate_hz)

    @property
    def reopens(self) -> int:
        return self.inner.reopens

    @property
    def latency_frames(self) -> int:
        inner_frames = self.inner.latency_frames + self._resampler.lookahead_frames
        return math.ceil(inner_frames * self.rate_hz / self.inner.rate_hz)

    @property
    def capture_time_ns(self) -> int:
        # the look-ahead was captured after the last frame of the block
        time_ns = self.inner.capture_time_ns
        return time_ns - self._resampler.lookahead_frames * 1_000_000_000 // self.inner.rate_hz if time_ns else 0

    def open(self) -> None:
        self._resampler.reset()
        self._taken = self._given = 0
        self._ended = False
        self.inner.open()

    def close(self) -> None:
        self.inner.close()

    def read(self, block: Block) -> int:
        filled = 0
        while filled < len(block):
            part = block[filled : filled + self._max_block_frames]
            made = self._read_part(part)
            filled += made
            if made < len(part):
                block[filled:] = 0.0
                break
        return filled

    def _read_part(self, part: Block) -> int:
        made = self._resampler.pull(part)
        while made < len(part):
            wanted = max(1, self._resampler.frames_wanted(len(part) - made))
            frames = self._input[: min(wanted, len(self._input))]
            valid = 0 if self._ended else self.inner.read(frames)
            self._taken += valid
            self._ended = self._ended or valid < len(frames)
            frames[valid:] = 0.0
            self._resampler.push(frames)
            made += self._resampler.pull(part[made:])
        if self._ended:
            made = min(made, math.ceil(self._taken * self.rate_hz / self.inner.rate_hz) - self._given)
        self._given += made
        return made


class QueueSink(Sink, Protocol):
    """A sink that can tell how many frames wait in its device."""

    def queue_frames(self) -> int:
        """Frames written and not yet played; negative when the device does not tell."""


class ResampledSink:
    """A sink at another rate, or on another clock, than the pipeline: both are one pass through the resampler.

    With a ClockLock the ratio follows the measured drift and the level of the device's queue.
    """

    def __init__(
        self, sink: QueueSink | Sink, rate_hz: int, lock: ClockLock | None = None, max_block_frames: int = 1024
    ) -> None:
        self.inner = sink
        self.rate_hz = rate_hz
        self.channels = sink.channels
        self._lock = lock
        self._max_block_frames = max_block_frames
        self._resampler = SincResampler(sink.channels, rate_hz, sink.rate_hz, max_block_frames)
        # a lock moves the ratio by at most 0.1 %
        most = math.ceil((max_block_frames + self._resampler.taps) * sink.rate_hz / rate_hz * 1.002) + 2
        self._output = np.zeros((most, sink.channels), np.float32)
        self._holding = False
        """whether the filter still holds back the end of what was written"""

    @property
    def underruns(self) -> int:
        return self.inner.underruns

    @property
    def dropped_frames(self) -> int:
        return round(self.inner.dropped_frames * self.rate_hz / self.inner.rate_hz)

    @property
    def latency_frames(self) -> int:
        inner = math.ceil(self.inner.latency_frames * self.rate_hz / self.inner.rate_hz)
        return inner + self._resampler.lookahead_frames

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the playback clock runs than the capture clock; None without a lock or not known yet."""
        return self._lock.drift_ppm if self._lock else None

    def open(self) -> None:
        self._resampler.reset()
        self.inner.open()
        if self._lock:
            self._lock.target_frames = self.inner.latency_frames
            self._lock.reset()
        self._holding = False

    def close(self) -> None:
        if self._holding:
            self._holding = False
            for first in range(0, self._resampler.lookahead_frames, self._max_block_frames):
                frames = min(self._max_block_frames, self._resampler.lookahead_frames - first)
                self._resample(np.zeros((frames, self.channels), np.float32))
        self.inner.close()

    def write(self, block: Block) -> None:
        self._holding = True
        for first in range(0, len(block), self._max_block_frames):
            part = block[first : first + self._max_block_frames]
            if self._lock:
                self._steer(len(part))
            made = self._resample(part)
            if self._lock:
                self._lock.written(made)

    def _resample(self, part: Block) -> int:
        """Pass `part` on, as far as the filter has seen enough. Returns the frames written."""
        self._resampler.push(part)
        made = self._resampler.pull(self._output)
        self.inner.write(self._output[:made])
        return made

    def _steer(self, frames: int) -> None:
        assert self._lock is not None
        queue_frames = getattr(self.inner, "queue_frames", None)
        level = queue_frames() if queue_frames else -1
        ratio = self._lock.update(frames, level, self.inner.underruns + self.inner.dropped_frames)
        self._resampler.step = 1.0 / ratio
