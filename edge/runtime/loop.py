"""The live loop: read a block, run the timed stages, write the result. Everything else happens between two hops."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.audio.base import Sink, Source
from edge.meters import MeterReading
from edge.runtime.chain import Chain
from edge.runtime.timing import HopClock

F32 = NDArray[np.float32]
Change = Callable[[], None]

FADE_HOPS = 2
"""length of the crossfade to a new pipeline"""


class AudioLoop:
    """Runs one source through a chain into one sink until the source ends, `stop` is called or `limit_hops` is reached.

    `run` belongs to one thread. Other threads read the counters (`clock.hops`, `delivered`, ...), which are single
    integers, and hand over changes with `at_next_hop`. At the end of any kind the tail still in the chain is written,
    so the sink gets every captured frame `latency_samples` later.
    """

    def __init__(self, source: Source, sink: Sink, chain: Chain, limit_hops: int | None = None) -> None:
        self.source = source
        self.sink = sink
        self.chain = chain
        pipeline = chain.pipeline
        self.clock = HopClock([name for name, _ in pipeline.stages], round(pipeline.profile.hop_ms * 1e6))
        self.delivered = 0
        """blocks the sink has taken"""
        self.reading: MeterReading = pipeline.meters.published
        """meters of the last closed interval"""
        self.rotations = 0
        """intervals of the meters closed so far"""
        self.capture_age_ns: int | None = None
        """age of the newest frame of a block that had just arrived, at the last rotation; None: not known"""
        self.queue_frames: int | None = None
        """frames waiting in the output device then, at its own rate"""
        self.retired: deque[Chain] = deque()
        """chains no longer in use, for another thread to drop: freeing a network takes long"""
        self.ended = threading.Event()
        self.end_reason = ""
        self.error: BaseException | None = None
        self._limit_hops = limit_hops
        self._stop = False
        self._changes: deque[Change] = deque()
        self._rotation_asked = False
        # what is asked for the queue, behind a converter of rates
        self._output_device = getattr(sink, "inner", sink)
        # the pipeline that is taking over, and how many hops it has run beside the old one
        self._incoming: Chain | None = None
        self._incoming_hops = 0
        # scratch
        hop = pipeline.hop_samples
        self._block: F32 = np.zeros((hop, pipeline.channels), np.float32)
        self._out: F32 = np.zeros((hop, len(pipeline.outputs)), np.float32)
        self._incoming_out: F32 = np.zeros_like(self._out)
        ramp = (np.arange(FADE_HOPS * hop) + 0.5) / (FADE_HOPS * hop)
        self._ramp: F32 = ramp.astype(np.float32).reshape(FADE_HOPS, hop, 1)

    # ---- from other threads ----

    def stop(self) -> None:
        """End after the block that is being captured."""
        self._stop = True

    def at_next_hop(self, change: Change) -> None:
        """Have `change` called on the audio thread between two hops; it must be short and must not raise."""
        self._changes.append(change)

    def ask_rotation(self) -> None:
        """Have the meters rotated at the next hop; asking again before that changes nothing."""
        if not self._rotation_asked:
            self._rotation_asked = True
            self._changes.append(self._asked_rotation)

    @property
    def captured_frames(self) -> int:
        """Frames processed that really came from the source, not from its filling of gaps."""
        return self.clock.hops * len(self._block) - self.source.gap_frames

    # ---- on the audio thread ----

    def run(self) -> None:
        """Loop until the end; an exception ends it and is kept in `error`."""
        try:
            last_valid = self._run_hops()
            self._flush(last_valid)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def begin_swap(self, incoming: Chain) -> None:
        """Let `incoming` (same channels, hop and outputs) take over once it has filled its history."""
        if self._incoming is not None:
            self.retired.append(self._incoming)
        incoming.take_rung(self.chain)
        incoming.pipeline.front.take(self.chain.pipeline.front)
        incoming.pipeline.spatial.take(self.chain.pipeline.spatial)
        if incoming.pipeline.front.canceller is not None:
            incoming.pipeline.front.canceller.take(self.chain.pipeline.front.canceller)
        self._incoming, self._incoming_hops = incoming, 0

    def rotate_meters(self) -> None:
        """Close the interval of the meters; called between two hops, or after the end."""
        meters = self.chain.pipeline.meters
        meters.rotate()
        # the reading, not the pipeline: a swap may come before anybody looks
        self.reading = meters.published
        self.rotations += 1

    def _asked_rotation(self) -> None:
        self._rotation_asked = False
        self._measure_delays()
        self.rotate_meters()

    def _measure_delays(self) -> None:
        """Once an interval, with a block just read: how old it is, and what waits in the output before it."""
        captured_ns = self.source.capture_time_ns
        self.capture_age_ns = time.monotonic_ns() - captured_ns if captured_ns else None
        queue_frames = getattr(self._output_device, "queue_frames", None)
        frames = -1 if queue_frames is None else queue_frames()
        self.queue_frames = frames if frames >= 0 else None

    def _run_hops(self) -> int:
        """Returns how many frames of the last block were captured ones."""
        source, sink, block, out, clock = self.source, self.sink, self._block, self._out, self.clock
        hop, limit = len(block), self._limit_hops
        losses = source.overruns + source.reopens
        valid = hop
        while True:
            if self._stop or clock.hops == limit:
                self.end_reason = "stopped" if self._stop else "duration reached"
                break
            got = source.read(block)
            if got == 0:
                self.end_reason = "end of input"
                break
            valid = got
            block[got:] = 0.0
            if losses != (losses := source.overruns + source.reopens):
                self.chain.pipeline.front.order.note_gap()
            while self._changes:
                self._changes.popleft()()
            self._process(block, out)
            sink.write(out)
            self.delivered += 1
            if got < hop:
                self.end_reason = "end of input"
                break
        return valid

    def _process(self, block: F32, out: F32) -> None:
        chain = self.chain
        late = self.clock.run_hop(chain.pipeline.load, chain.stages, self._finish, block, out)
        # two pipelines at once are late for no fault of theirs
        if self._incoming is None:
            self.chain.guard(late)

    def _finish(self, out: F32) -> None:
        self.chain.pipeline.store(out)
        if self._incoming is not None:
            self._cross_over(self._incoming, self._block, out)

    def _cross_over(self, incoming: Chain, block: F32, out: F32) -> None:
        """Run the incoming pipeline beside the old one; once its history is full, fade over and drop the old one."""
        incoming.pipeline.process(block, self._incoming_out)
        fade = self._incoming_hops - incoming.priming_hops
        self._incoming_hops += 1
        if fade < 0:
            return
        self._incoming_out -= out
        self._incoming_out *= self._ramp[fade]
        out += self._incoming_out
        if fade == FADE_HOPS - 1:
            incoming.take_over(self.chain)
            self.retired.append(self.chain)
            self.chain, self._incoming = incoming, None

    def _flush(self, last_valid: int) -> None:
        """Push silence through until the last captured frame has come out."""
        if self.clock.hops == 0:
            return
        pipeline, hop = self.chain.pipeline, len(self._block)
        # the last block was padded with silence, which stands for the beginning of this one
        remaining = pipeline.latency_samples - (hop - last_valid)
        self._block[:] = 0.0
        while remaining > 0:
            pipeline.process(self._block, self._out)
            self.sink.write(self._out[: min(remaining, hop)])
            remaining -= hop
