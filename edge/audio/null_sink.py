"""A sink that only counts: for measuring, and for a daemon that publishes telemetry and nothing else."""

from __future__ import annotations

from edge.audio.base import Block


class NullSink:
    """Takes everything at once. See Sink for the attributes."""

    underruns = 0
    dropped_frames = 0
    latency_frames = 0

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.frames = 0
        """frames taken since open()"""

    def open(self) -> None:
        self.frames = 0

    def write(self, block: Block) -> None:
        self.frames += len(block)

    def close(self) -> None:
        pass
