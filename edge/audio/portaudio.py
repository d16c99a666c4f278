"""Capture and playback through PortAudio, for laptops: blocking streams, nothing happens in a callback."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.audio.base import Block
from edge.audio.capture import CaptureDevice, DeviceLost, DeviceSource
from edge.audio.playback import DeviceSink, PlaybackDevice
from edge.audio.portaudio_devices import find_device, import_sounddevice, portaudio_devices, quiet_stderr
from edge.audio.sample_format import FrameRing
from edge.audio.timing import SECOND_NS, Clock, MonotonicClock
from edge.errors import DeviceError, UnfitDeviceError

_UNFIT = (-9994, -9997, -9998)
"""PortAudio's errors for a sample format, rate or number of channels that the device does not have"""


@dataclass(frozen=True)
class PortAudioRequest:
    device: str
    capture: bool
    rate_hz: int
    channels: int
    period_frames: int
    periods: int


def _stream(request: PortAudioRequest) -> tuple[Any, type[Exception]]:
    sd = import_sounddevice()
    index = find_device(request.device, request.capture)
    opener = sd.InputStream if request.capture else sd.OutputStream
    try:
        with quiet_stderr():
            stream = opener(
                samplerate=request.rate_hz,
                device=index,
                channels=request.channels,
                dtype="float32",
                latency=request.period_frames * request.periods / request.rate_hz,
            )
    except (sd.PortAudioError, ValueError) as error:
        have = portaudio_devices()[index]
        limit = have["inputs" if request.capture else "outputs"]
        side = "input" if request.capture else "output"
        unfit = request.channels > limit or any(each in _UNFIT for each in error.args)
        raise (UnfitDeviceError if unfit else DeviceError)(
            f'"{have["name"]}" does not open with {request.channels} channels at {request.rate_hz} Hz ({error}); it '
            f"has up to {limit} channels and prefers {have['default_rate_hz']} Hz: set {side}.rate_hz to that, the "
            "runtime resamples"
        ) from error
    return stream, sd.PortAudioError


class _PortAudioStream:
    """What both directions have in common: a stream and waiting for it."""

    def __init__(self, request: PortAudioRequest, clock: Clock | None) -> None:
        self._clock: Clock = clock or MonotonicClock()
        self._stream, self._error = _stream(request)
        self._pause_ns = request.period_frames * SECOND_NS // request.rate_hz // 4

    def _wait_for(self, available: Callable[[], int], timeout_ms: int) -> int:
        """Frames available, asked for until there are some; 0 after the timeout.

        Asking first keeps a dead device from holding the audio thread inside PortAudio.
        """
        deadline_ns = self._clock.now_ns() + timeout_ms * 1_000_000
        while not (frames := available()):
            now_ns = self._clock.now_ns()
            if now_ns >= deadline_ns:
                return 0
            self._clock.sleep_until_ns(now_ns + self._pause_ns)
        return frames


class PortAudioSource(DeviceSource):
    """Source on a PortAudio device; `device` is part of its name, or "default"."""

    def __init__(
        self,
        device: str,
        rate_hz: int,
        channels: int,
        period_frames: int = 128,
        periods: int = 4,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(rate_hz, channels, clock)
        self.request = PortAudioRequest(device, True, rate_hz, channels, period_frames, periods)

    def open_device(self) -> CaptureDevice:
        return PortAudioCapture(self.request, self._clock)


class PortAudioCapture(_PortAudioStream):
    """One opened input stream, started by the first fetch()."""

    def __init__(self, request: PortAudioRequest, clock: Clock | None = None) -> None:
        super().__init__(request, clock)
        self._period_frames = request.period_frames
        self._ring = FrameRing("FLOAT_LE", request.channels, request.period_frames)
        self.latency_frames = round(self._stream.latency * request.rate_hz)
        self.lost = False

    def fetch(self, timeout_ms: int) -> int:
        try:
            if self._stream.stopped:
                self._stream.start()
            ready = self._wait_for(lambda: self._stream.read_available, timeout_ms)
            if not ready:
                return 0
            frames = min(ready, self._period_frames)
            data, self.lost = self._stream.read(frames)
        except self._error as error:
            raise DeviceLost(str(error)) from error
        self._ring.push(data.data.cast("B"), frames)
        return frames

    def take(self, out: Block) -> int:
        return self._ring.pop(out)

    def backlog_frames(self) -> int:
        try:
            return max(self._stream.read_available, 0)
        except self._error as error:
            raise DeviceLost(str(error)) from error

    def close(self) -> None:
        with contextlib.suppress(self._error):
            self._stream.abort()
            self._stream.close()


class PortAudioSink(DeviceSink):
    """Sink on a PortAudio device; `device` is part of its name, or "default"."""

    def __init__(
        self,
        device: str,
        rate_hz: int,
        channels: int,
        period_frames: int = 128,
        periods: int = 4,
        paces: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(rate_hz, channels, paces, clock)
        self.request = PortAudioRequest(device, False, rate_hz, channels, period_frames, periods)

    def open_device(self) -> PlaybackDevice:
        return PortAudioPlayback(self.request, self._clock)


class PortAudioPlayback(_PortAudioStream):
    """One opened and started output stream."""

    def __init__(self, request: PortAudioRequest, clock: Clock | None = None) -> None:
        super().__init__(request, clock)
        self._stream.start()
        self._buffer_frames = self._stream.write_available
        self.prefill_frames = max(self._buffer_frames // 2, 1)
        self.underrun = False

    def write(self, block: Block) -> int:
        try:
            frames = min(self._stream.write_available, len(block))
            if frames > 0:
                self.underrun = self._stream.write(block[:frames])
        except self._error as error:
            raise DeviceLost(str(error)) from error
        return max(frames, 0)

    def wait(self, timeout_ms: int) -> bool:
        try:
            return self._wait_for(lambda: self._stream.write_available, timeout_ms) > 0
        except self._error as error:
            raise DeviceLost(str(error)) from error

    def queue_frames(self) -> int:
        try:
            return max(self._buffer_frames - self._stream.write_available, 0)
        except self._error:
            return -1

    def close(self, drain: bool) -> None:
        with contextlib.suppress(self._error):
            if drain:
                self._stream.stop()
            else:
                self._stream.abort()
            self._stream.close()
