"""The four sample formats that devices and WAV files use, and a preallocated converter for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import DeviceError
from edge.kernels import pcm


@dataclass(frozen=True)
class SampleFormat:
    name: str
    """ALSA's name without the PCM_FORMAT_ prefix"""
    sample_bytes: int
    storage: type
    """numpy type that the kernels see the bytes as"""
    decode: Callable[..., None]
    encode: Callable[..., None]
    wav_is_float: bool = False


FORMATS: dict[str, SampleFormat] = {
    f.name: f
    for f in (
        SampleFormat("S16_LE", 2, np.int16, pcm.decode_s16, pcm.encode_s16),
        SampleFormat("S24_3LE", 3, np.uint8, pcm.decode_s24_3, pcm.encode_s24_3),
        SampleFormat("S32_LE", 4, np.int32, pcm.decode_s32, pcm.encode_s32),
        SampleFormat("FLOAT_LE", 4, np.float32, pcm.decode_float, pcm.encode_float, wav_is_float=True),
    )
}


def sample_format(name: str) -> SampleFormat:
    """The format called `name`. Raises DeviceError for any other."""
    if name not in FORMATS:
        raise DeviceError(f'sample format "{name}" is unknown; expected one of {", ".join(FORMATS)}')
    return FORMATS[name]


class Encoder:
    """float32 blocks to the bytes of a device or file, into one buffer that grows to the largest block seen."""

    def __init__(self, format_name: str, channels: int, frames: int) -> None:
        self.format = sample_format(format_name)
        self.channels = channels
        self.frame_bytes = self.format.sample_bytes * channels
        self._allocate(frames)

    def _allocate(self, frames: int) -> None:
        self._frames = frames
        self._bytes = np.zeros(frames * self.frame_bytes, np.uint8)
        self._samples: NDArray[Any] = self._bytes.view(self.format.storage)
        self._view = self._bytes.data

    def __call__(self, block: NDArray[np.float32]) -> memoryview:
        """The bytes of block (frames, channels), valid until the next call."""
        if len(block) > self._frames:
            self._allocate(len(block))
        self.format.encode(block, self._samples)
        return self._view[: len(block) * self.frame_bytes]


class FrameRing:
    """Captured frames between the device's period and the caller's block: preallocated, whole frames only."""

    def __init__(self, format_name: str, channels: int, capacity: int) -> None:
        self.format = sample_format(format_name)
        self.frame_bytes = self.format.sample_bytes * channels
        self.capacity = capacity
        self.count = 0
        """frames waiting"""
        self._rows = np.zeros((capacity, channels), np.float32)
        self._first = 0
        self._bytes = np.zeros(capacity * self.frame_bytes, np.uint8)
        self._samples: NDArray[Any] = self._bytes.view(self.format.storage)
        self._view = self._bytes.data

    def push(self, data: bytes | memoryview, frames: int) -> None:
        """Append `frames` frames of raw device bytes. The caller leaves room: count + frames <= capacity."""
        self._view[: frames * self.frame_bytes] = data
        last = self._first + self.count
        self.format.decode(self._samples, frames, self._rows, last if last < self.capacity else last - self.capacity)
        self.count += frames

    def pop(self, out: NDArray[np.float32]) -> int:
        """Move the oldest frames to `out` (frames, channels). Returns how many."""
        frames = min(self.count, len(out))
        pcm.ring_read(self._rows, self._first, out[:frames])
        self._first = (self._first + frames) % self.capacity
        self.count -= frames
        return frames
