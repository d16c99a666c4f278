"""Capture from ALSA."""

from __future__ import annotations

from edge.audio.alsa_device import XRUN, AlsaDevice
from edge.audio.alsa_pcm import OpenPcm, PcmRequest
from edge.audio.base import Block
from edge.audio.capture import CaptureDevice, DeviceLost, DeviceSource
from edge.audio.sample_format import FrameRing
from edge.audio.timing import Clock


class AlsaSource(DeviceSource):
    """Source on an ALSA device: any period, 1 to 16 and more channels, the formats of sample_format.

    period_frames and periods ask for the device buffer; the device may give others. `opener` stands for alsaaudio.PCM.
    """

    def __init__(
        self,
        device: str,
        rate_hz: int,
        channels: int,
        format: str = "S16_LE",
        period_frames: int = 128,
        periods: int = 4,
        opener: OpenPcm | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(rate_hz, channels, clock)
        self.request = PcmRequest(device, True, rate_hz, channels, format, period_frames, periods)
        self._opener = opener

    def open_device(self) -> CaptureDevice:
        return AlsaCapture(self.request, self._opener, self._clock)


class AlsaCapture(AlsaDevice):
    """One opened ALSA capture PCM. The stream starts with the first fetch()."""

    def __init__(self, request: PcmRequest, opener: OpenPcm | None = None, clock: Clock | None = None) -> None:
        super().__init__(request, opener, clock)
        self.latency_frames = self.period_frames
        self.lost = False
        self._ring = FrameRing(request.format, request.channels, self.period_frames)

    def fetch(self, timeout_ms: int) -> int:
        """At most one period; called when everything fetched before was taken. See CaptureDevice."""
        deadline_ns = self._clock.now_ns() + timeout_ms * 1_000_000
        try:
            while True:
                frames, data = self._pcm.read()
                if frames > 0:
                    if len(data) != frames * self._ring.frame_bytes:
                        # what is left of a torn frame would rotate the channels of all that follows
                        raise DeviceLost(f"gave {len(data)} bytes for {frames} frames")
                    self._ring.push(data, frames)
                    return frames
                if frames == XRUN:
                    self.lost = True
                    return 0
                if frames < 0:
                    raise DeviceLost(f"read failed with {frames}")
                rest_ms = (deadline_ns - self._clock.now_ns()) // 1_000_000
                if rest_ms <= 0:
                    return 0
                self._poll.acknowledge(self._clock.poll(self._poll.poller, rest_ms))
        except self._errors as error:
            raise DeviceLost(str(error)) from error

    def take(self, out: Block) -> int:
        return self._ring.pop(out)

    def backlog_frames(self) -> int:
        return min(max(self._pcm.avail(), 0), self.buffer_frames) if not self.lost else 0

    def close(self) -> None:
        self._close_pcm()
