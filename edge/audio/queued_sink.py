"""A sink whose writing is done by a thread of its own, so that a slow disk cannot hold the audio thread."""

from __future__ import annotations

import threading

import numpy as np

from edge.audio.base import Block
from edge.audio.wav_sink import WavSink
from edge.errors import AudioFileError

QUEUE_S = 4.0
"""sound that fits the queue; memory cards are known to stand still for a second or two"""
WRITE_FRAMES = 2048
"""written at a time, so that the thread never holds the interpreter for long"""
LOOK_EVERY_S = 0.05
"""the thread looks this often: nobody wakes it, since that would take a lock on the audio thread"""


class QueuedSink:
    """A WavSink behind a bounded queue. See Sink for the attributes.

    write() copies the block into a preallocated ring and never waits: a block that finds no room is dropped and
    counted. close() writes out everything that is queued. As with WavSink, sound that did not get into the file is
    counted in dropped_frames, `warning` says so in one sentence, and close() raises that as AudioFileError.
    """

    underruns = 0
    latency_frames = 0

    def __init__(self, file: WavSink, queue_s: float = QUEUE_S) -> None:
        self._file = file
        self.rate_hz = file.rate_hz
        self.channels = file.channels
        self._ring = np.zeros((max(1, round(queue_s * file.rate_hz)), file.channels), np.float32)
        # frames since open(); each is moved by one thread only
        self._put = self._taken = 0
        self._overflowed = 0
        self._error: BaseException | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def dropped_frames(self) -> int:
        return self._overflowed + self._file.dropped_frames

    @property
    def warning(self) -> str:
        if self._overflowed and not self._file.warning:
            return (
                f"{self._file.path}: {self._overflowed / self.rate_hz:.2f} s of sound could not be written (the disk "
                "was too slow); write elsewhere"
            )
        return self._file.warning

    def open(self) -> None:
        """Create the file, replacing what was there. Raises AudioFileError with one sentence."""
        self.close()
        self._file.open()
        self._put = self._taken = self._overflowed = 0
        self._error = None
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="edge-writer", daemon=True)
        self._thread.start()

    def write(self, block: Block) -> None:
        capacity, frames = len(self._ring), len(block)
        if self._put - self._taken + frames > capacity:
            self._overflowed += frames
            return
        first = self._put % capacity
        before_wrap = min(frames, capacity - first)
        self._ring[first : first + before_wrap] = block[:before_wrap]
        self._ring[: frames - before_wrap] = block[before_wrap:]
        self._put += frames  # only now the writer may look at them

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        thread.join()
        self._file.close()
        if self._error:
            raise self._error
        if self.warning:
            raise AudioFileError(self.warning)

    def _run(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY_S):
                self._write_queued()
            self._write_queued()
        except BaseException as error:
            self._error = error

    def _write_queued(self) -> None:
        capacity = len(self._ring)
        while waiting := self._put - self._taken:
            first = self._taken % capacity
            frames = min(waiting, capacity - first, WRITE_FRAMES)
            self._file.write(self._ring[first : first + frames])
            self._taken += frames
