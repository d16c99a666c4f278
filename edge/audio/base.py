"""The two protocols between sound devices and the pipeline."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
"""float32 (frames, channels), C-contiguous, full scale is 1.0."""


class Source(Protocol):
    """Gives blocks at the pipeline's rate. Gaps (overruns, unplugging) arrive as exact silence and are counted."""

    rate_hz: int
    channels: int
    overruns: int
    """times the device lost frames since open()"""
    gap_frames: int
    """frames of silence inserted for lost ones since open()"""
    reopens: int
    """times the device was reopened after an error since open()"""
    capture_time_ns: int
    """monotonic time at which the last frame of the latest block was captured, as near as the device tells; 0 if unknown"""
    latency_frames: int
    """buffering of the device in frames at rate_hz (resampler included), for the latency budget"""

    def open(self) -> None:
        """Open the device. Raises DeviceError or AudioFileError with one sentence."""

    def read(self, block: Block) -> int:
        """Fill `block` (blocking). Returns valid frames: block length, fewer only at the end of a finite source, 0 after."""

    def close(self) -> None:
        """Release the device; safe to call twice."""


class Sink(Protocol):
    """Takes blocks at the pipeline's rate."""

    rate_hz: int
    channels: int
    underruns: int
    dropped_frames: int
    """frames thrown away because the device was gone or full; the live loop never blocks for longer than a device buffer"""
    latency_frames: int

    def open(self) -> None:
        """Open the device. Raises DeviceError or AudioFileError with one sentence."""

    def write(self, block: Block) -> None:
        """Write all frames of `block`."""

    def close(self) -> None:
        """Drain what is buffered, finish headers, release the device; safe to call twice."""
