"""What capture and playback have in common: one opened ALSA PCM."""

from __future__ import annotations

from edge.audio.alsa_pcm import OpenPcm, PcmPoll, PcmRequest, open_pcm, pcm_errors
from edge.audio.capture import DeviceLost
from edge.audio.timing import Clock, MonotonicClock

XRUN = -32
"""what pyalsaaudio returns after an overrun or underrun (-EPIPE)"""


class AlsaDevice:
    """An opened PCM with what it took for period and buffer. `opener` stands for alsaaudio.PCM."""

    def __init__(self, request: PcmRequest, opener: OpenPcm | None = None, clock: Clock | None = None) -> None:
        self._errors = pcm_errors()
        self._clock: Clock = clock or MonotonicClock()
        self._pcm = open_pcm(request, opener)
        info = self._pcm.info()
        self.period_frames: int = info["period_size"]
        self.buffer_frames: int = info["buffer_size"]
        self._poll = PcmPoll(self._pcm)

    def _close_pcm(self) -> None:
        try:
            self._pcm.close()
        except self._errors as error:
            raise DeviceLost(str(error)) from error
