"""A live source that outlasts its device: lost time becomes exact silence, a lost device is reopened."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import Protocol

from edge.audio.base import Block
from edge.audio.timing import SECOND_NS, Backoff, Clock, MonotonicClock
from edge.errors import DeviceError

STALL_MS = 500
"""a device that gives nothing for so long is taken for lost; sound servers deliver in bursts of up to 0.2 s"""
START_MS = 3000
"""the same before its first frames: some cards first have to start a clock, idle sound servers take 2 s"""
OVERRUNS_IN_A_ROW = 8
"""a device that only ever says that it lost frames is taken for lost"""
START_STEP_MS = 100
"""meanwhile silence goes out in steps of this"""
LONGEST_GAP_S = 2.0
"""silence inserted for one loss at most: after a longer standstill nobody's timeline is saved by it"""


class DeviceLost(Exception):  # noqa: N818 - an event inside this package, never shown to a user
    """The device is gone or broken and has to be reopened."""


class CaptureDevice(Protocol):
    """One opened capture device. Made by an opener, which raises DeviceError."""

    lost: bool
    """set by fetch() when frames were lost just before what it gave; the source clears it"""
    latency_frames: int

    def fetch(self, timeout_ms: int) -> int:
        """Wait for the next captured frames. Returns how many; 0 after a loss or a timeout. Raises DeviceLost."""

    def take(self, out: Block) -> int:
        """Move fetched frames to `out`. Returns how many."""

    def backlog_frames(self) -> int:
        """Frames captured but not fetched yet, 0 when unknown."""

    def close(self) -> None: ...


class DeviceSource(ABC):
    """Source over a CaptureDevice; subclasses say how to open one. See Source for the attributes."""

    def __init__(self, rate_hz: int, channels: int, clock: Clock | None = None) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.latency_frames = 0
        self.last_error = ""
        """why the device was lost last"""
        self._clock: Clock = clock or MonotonicClock()
        self._device: CaptureDevice | None = None
        self._forget()

    def _forget(self) -> None:
        self.overruns = self.gap_frames = self.reopens = 0
        self.capture_time_ns = 0
        self._backoff = Backoff()
        self._owed = 0
        """frames of silence that come before anything fetched"""
        self._fetched = 0
        self._heard = False
        """whether the device gave anything since it was opened"""
        self._empty_overruns = 0
        """overruns since the last captured frames"""
        self._opened_ns = 0
        self._edge_ns = 0
        """when the last frame handed in so far was captured; 0 before the first"""

    @abstractmethod
    def open_device(self) -> CaptureDevice:
        """Open the device. Raises DeviceError."""

    def open(self) -> None:
        self.close()
        self._forget()
        self._device = self.open_device()
        self.latency_frames = self._device.latency_frames

    @property
    def connected(self) -> bool:
        """Whether the device is open; False from its loss to its return."""
        return self._device is not None

    def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(DeviceLost):
                device.close()

    def read(self, block: Block) -> int:
        filled = 0
        while filled < len(block):
            rest = block[filled:]
            if self._owed:
                filled += self._silence(rest)
            elif self._device is None:
                filled += self._idle(rest)
            elif self._fetched:
                taken = self._device.take(rest)
                self._fetched -= taken
                filled += taken
            else:
                self._fetch(self._device)
        self.capture_time_ns = self._edge_ns - self._span_ns(self._fetched + self._owed)
        return filled

    def _fetch(self, device: CaptureDevice) -> None:
        if not self._edge_ns:
            self._edge_ns = self._opened_ns = self._clock.now_ns()
        try:
            frames = device.fetch(STALL_MS if self._heard else START_STEP_MS)
            backlog = device.backlog_frames()
        except DeviceLost as error:
            self._lose(str(error))
            return
        now_ns = self._clock.now_ns()
        edge_ns = now_ns - self._span_ns(backlog)
        if device.lost:
            device.lost = False
            self.overruns += 1
            self._empty_overruns = 0 if frames else self._empty_overruns + 1
            if self._empty_overruns == OVERRUNS_IN_A_ROW:
                self._lose("loses frames again and again")
                return
            self._owe(edge_ns - self._edge_ns - self._span_ns(frames))
        elif frames:
            self._empty_overruns = 0
            if not self._heard:
                self._heard = True
                self._backoff.succeeded()
        elif self._heard or now_ns - self._opened_ns > START_MS * 1_000_000:
            self._lose("gives no sound")
            return
        else:
            self._owe(now_ns - self._edge_ns)
            edge_ns = now_ns
        self._edge_ns = edge_ns
        self._fetched = frames

    def _owe(self, lost_ns: int) -> None:
        """Note silence for lost time, to the nearest frame."""
        lost_ns = min(max(lost_ns, 0), int(LONGEST_GAP_S * SECOND_NS))
        self._owed = (lost_ns * self.rate_hz + SECOND_NS // 2) // SECOND_NS

    def _silence(self, rest: Block) -> int:
        frames = min(self._owed, len(rest))
        rest[:frames] = 0.0
        self._owed -= frames
        self.gap_frames += frames
        return frames

    def _lose(self, why: str) -> None:
        self.last_error = why
        self._fetched = self._empty_overruns = 0
        if not self._heard:  # opened and gave nothing: as good as not opened
            self._backoff.failed(self._clock.now_ns())
        self._heard = False
        self.close()

    def _idle(self, rest: Block) -> int:
        """Without a device: silence in real time, with attempts to reopen on the way. 0 once it is back."""
        now_ns = self._clock.now_ns()
        self._edge_ns = max(self._edge_ns, now_ns - int(LONGEST_GAP_S * SECOND_NS))
        end_ns = self._edge_ns + self._span_ns(len(rest))
        while True:
            if now_ns >= self._backoff.due_ns and self._reopen():
                return 0
            now_ns = self._clock.now_ns()
            if now_ns >= end_ns:
                break
            self._clock.sleep_until_ns(min(end_ns, max(self._backoff.due_ns, now_ns)))
            now_ns = self._clock.now_ns()
        rest[:] = 0.0
        self.gap_frames += len(rest)
        self._edge_ns = end_ns
        return len(rest)

    def _reopen(self) -> bool:
        try:
            self._device = self.open_device()
        except DeviceError as error:
            self.last_error = str(error)
            self._backoff.failed(self._clock.now_ns())
            return False
        self.reopens += 1
        self.latency_frames = self._device.latency_frames
        now_ns = self._clock.now_ns()
        self._owe(now_ns - self._edge_ns)
        self._edge_ns = self._opened_ns = now_ns
        return True

    def _span_ns(self, frames: int) -> int:
        return frames * SECOND_NS // self.rate_hz
