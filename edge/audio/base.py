"""The two protocols between sound devices and the pipeline."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
"""float32 (frames, channels), C-contiguous, full scale is 1.0."""


class Source(Protocol):
    """Gives blocks at the pipeline's rate. Gaps (overruns, unplugging) arrive as exact silence and are counted.

    Counts are since open(). Attributes are for reading only.
    """

    @property
    def rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def overruns(self) -> int:
        """Times the device lost frames."""

    @property
    def gap_frames(self) -> int:
        """Frames of silence inserted for lost ones."""

    @property
    def reopens(self) -> int:
        """Times the device was reopened after an error."""

    @property
    def capture_time_ns(self) -> int:
        """Monotonic time at which the last frame of the latest block was captured, as the device tells; 0: unknown."""

    @property
    def latency_frames(self) -> int:
        """Buffering of the device in frames at rate_hz (resampler included), for the latency budget."""

    def open(self) -> None:
        """Open the device. Raises DeviceError or AudioFileError with one sentence."""

    def read(self, block: Block) -> int:
        """Fill `block` of any length (blocking). Returns valid frames: fewer than asked only at the end of a file."""

    def close(self) -> None:
        """Release the device; safe to call twice."""


class Sink(Protocol):
    """Takes blocks at the pipeline's rate. Counts are since open(). Attributes are for reading only."""

    @property
    def rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def underruns(self) -> int:
        """Times the device ran dry."""

    @property
    def dropped_frames(self) -> int:
        """Frames thrown away because the device was gone or full; a live loop never waits for it."""

    @property
    def latency_frames(self) -> int:
        """Frames at rate_hz that wait in the device before a block that is written now (resampler included)."""

    def open(self) -> None:
        """Open the device. Raises DeviceError or AudioFileError with one sentence."""

    def write(self, block: Block) -> None:
        """Write all frames of `block`."""

    def close(self) -> None:
        """Drain what is buffered, finish headers, release the device; safe to call twice.

        Raises AudioFileError when a file could not be written in full.
        """
