"""Playback to ALSA, the loopback included."""

from __future__ import annotations

from edge.audio.alsa_device import XRUN, AlsaDevice
from edge.audio.alsa_pcm import OpenPcm, PcmRequest
from edge.audio.base import Block
from edge.audio.capture import DeviceLost
from edge.audio.playback import DeviceSink, PlaybackDevice
from edge.audio.sample_format import Encoder
from edge.audio.timing import SECOND_NS, Clock


class AlsaSink(DeviceSink):
    """Sink on an ALSA device. Half the device buffer is kept filled; `opener` stands for alsaaudio.PCM."""

    def __init__(
        self,
        device: str,
        rate_hz: int,
        channels: int,
        format: str = "S16_LE",
        period_frames: int = 128,
        periods: int = 4,
        paces: bool = False,
        opener: OpenPcm | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(rate_hz, channels, paces, clock)
        self.request = PcmRequest(device, False, rate_hz, channels, format, period_frames, periods)
        self._opener = opener

    def open_device(self) -> PlaybackDevice:
        return AlsaPlayback(self.request, self._opener, self._clock)


class AlsaPlayback(AlsaDevice):
    """One opened ALSA playback PCM."""

    def __init__(self, request: PcmRequest, opener: OpenPcm | None = None, clock: Clock | None = None) -> None:
        super().__init__(request, opener, clock)
        self._rate_hz = request.rate_hz
        # the queue before a block: room for one block above it, one period of lateness below
        self.prefill_frames = max(self.buffer_frames // 2, min(self.period_frames, self.buffer_frames - 1))
        self.underrun = False
        self._encode = Encoder(request.format, request.channels, self.buffer_frames)

    def write(self, block: Block) -> int:
        try:
            taken = self._pcm.write(self._encode(block))
        except self._errors as error:
            raise DeviceLost(str(error)) from error
        if taken == XRUN:
            self.underrun = True
            return 0
        if taken < 0:
            raise DeviceLost(f"write failed with {taken}")
        return taken

    def wait(self, timeout_ms: int) -> bool:
        try:
            ready = self._clock.poll(self._poll.poller, timeout_ms)
            self._poll.acknowledge(ready)
        except self._errors as error:
            raise DeviceLost(str(error)) from error
        return bool(ready)

    def queue_frames(self) -> int:
        room = self._pcm.avail()
        return 0 if room < 0 else max(self.buffer_frames - room, 0)  # negative: it has run dry

    def close(self, drain: bool) -> None:
        # closing a non-blocking PCM throws away what is queued
        deadline_ns = self._clock.now_ns() + (self.buffer_frames + self.period_frames) * SECOND_NS // self._rate_hz
        while drain and self.queue_frames() > 0 and self._clock.now_ns() < deadline_ns:
            self._clock.sleep_until_ns(self._clock.now_ns() + 2_000_000)
        self._close_pcm()
