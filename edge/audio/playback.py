"""A live sink that outlasts its device: never waits for it longer than it must, counts what it did not take."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np

from edge.audio.base import Block
from edge.audio.capture import DeviceLost
from edge.audio.timing import Backoff, Clock, MonotonicClock
from edge.errors import DeviceError

PACING_WAIT_MS = 1000
"""a pacing device that takes nothing for so long is taken for lost"""


class PlaybackDevice(Protocol):
    """One opened playback device. Made by an opener, which raises DeviceError."""

    underrun: bool
    """set by write() when the device had run dry before it and is ready again; the sink clears it"""
    prefill_frames: int
    """queue to build before the first block, so that jitter of a period does not run it dry"""

    def write(self, block: Block) -> int:
        """Offer frames without waiting. Returns how many were taken. Raises DeviceLost."""

    def wait(self, timeout_ms: int) -> bool:
        """Wait until there is room. False after the timeout. Raises DeviceLost."""

    def queue_frames(self) -> int:
        """Frames written and not yet played; negative when the device does not tell."""

    def close(self, drain: bool) -> None:
        """Release the device; with `drain` first let it play what is queued, for no longer than its buffer lasts."""


class DeviceSink(ABC):
    """Sink over a PlaybackDevice; subclasses say how to open one. See Sink for the attributes.

    A live loop has its pace from the source, so write() never waits: what does not fit is dropped and counted, whole
    blocks until the queue is back at its target, since dropping single frames would leave it full and every later
    jitter audible. With `paces` (the source is a file read as fast as it goes) write() waits for room instead.
    """

    def __init__(self, rate_hz: int, channels: int, paces: bool = False, clock: Clock | None = None) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.latency_frames = 0
        self.last_error = ""
        """why the device was lost last"""
        self._paces = paces
        self._clock: Clock = clock or MonotonicClock()
        self._device: PlaybackDevice | None = None
        self._forget()

    def _forget(self) -> None:
        self.underruns = self.dropped_frames = self.reopens = 0
        self._backoff = Backoff()
        self._shedding = False

    @abstractmethod
    def open_device(self) -> PlaybackDevice:
        """Open the device. Raises DeviceError."""

    def open(self) -> None:
        self.close()
        self._forget()
        self._start(self.open_device())

    def _start(self, device: PlaybackDevice) -> None:
        self._device = device
        self._primed = self._played = False
        self._shedding = self._short = False
        self._silence = np.zeros((device.prefill_frames, self.channels), np.float32)
        self.latency_frames = device.prefill_frames

    @property
    def connected(self) -> bool:
        """Whether the device is open; False from its loss to its return."""
        return self._device is not None

    def close(self) -> None:
        self._release(drain=True)

    def _release(self, drain: bool) -> None:
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(DeviceLost):
                device.close(drain)

    def queue_frames(self) -> int:
        """Frames waiting in the device; negative when it does not tell or nothing was written yet."""
        if self._device is None or not self._primed:
            return -1
        return self._device.queue_frames()

    def write(self, block: Block) -> None:
        if self._device is None:
            self._reopen_when_due()
        if self._device is None:
            self.dropped_frames += len(block)
            return
        done = 0
        try:
            done = self._offer(self._device, block)
        except DeviceLost as error:
            self._lose(str(error))
        self.dropped_frames += len(block) - done

    def _offer(self, device: PlaybackDevice, block: Block) -> int:
        """Frames of the block that the device took."""
        if self._shedding:
            if device.queue_frames() > device.prefill_frames:
                return 0
            self._shedding = False
        if not self._primed:
            device.write(self._silence)
            device.underrun = False
            self._primed = True
        if self._short:
            self._short = False
            queue_frames = device.queue_frames()
            if 0 <= queue_frames < device.prefill_frames:
                device.write(self._silence[queue_frames:])
                device.underrun = False
        done = attempts = 0
        while done < len(block):
            taken = device.write(block[done:])
            done += taken
            if device.underrun:
                device.underrun = False
                self.underruns += 1
                if taken:
                    # it plays already: what its queue lacks goes in front of the next block
                    self._short = True
                    continue
                attempts += 1
                if attempts == 3:
                    raise DeviceLost("runs dry again and again")
                device.write(self._silence)
            elif done < len(block):
                if not self._paces:
                    self._shedding = True
                    break
                if not device.wait(PACING_WAIT_MS):
                    raise DeviceLost(f"takes no sound for {PACING_WAIT_MS} ms")
        if done and not self._played:
            self._played = True
            self._backoff.succeeded()
        return done

    def _lose(self, why: str) -> None:
        self.last_error = why
        if self._played:
            self._backoff.due_ns = self._clock.now_ns()
        else:  # opened and took nothing: as good as not opened
            self._backoff.failed(self._clock.now_ns())
        self._release(drain=False)

    def _reopen_when_due(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns < self._backoff.due_ns:
            return
        try:
            self._start(self.open_device())
        except DeviceError as error:
            self.last_error = str(error)
            self._backoff.failed(self._clock.now_ns())
            return
        self.reopens += 1
