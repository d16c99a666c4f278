"""A sound file through the analyzer, block by block."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.analysis.analyzer import WINDOW_MS, Analyzer
from edge.analysis.result import ChannelAnalysis
from edge.audio.wav_source import WavSource
from edge.console import seconds_bar
from edge.errors import AudioFileError

BLOCK_S = 1.0


@dataclass(frozen=True)
class FileAnalysis:
    """Some or all channels of a file."""

    path: Path
    rate_hz: int
    numbers: tuple[int, ...]
    """of the channels, 1 is the first"""
    channels: tuple[ChannelAnalysis, ...]
    warning: str
    """what was wrong with the file although it could be read, or nothing"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = [{"channel": n, **c.as_dict()} for n, c in zip(self.numbers, self.channels, strict=True)]
        return {"path": str(self.path), "rate_hz": self.rate_hz, "warning": self.warning or None, "channels": found}


def analyze_file(
    path: str | Path, window_ms: float = WINDOW_MS, channel: int | None = None, show_progress: bool = False
) -> FileAnalysis:
    """Analyse a sound file (WAV, FLAC, OGG) of any length at its own rate, or one channel of it (1 is the first).

    show_progress: a bar on standard error, if a person is there to see it. Raises AudioFileError for a file that
    cannot be read or has no such channel, UsageError for a window that does not fit its rate.
    """
    path = Path(path)
    probe = WavSource(path)
    probe.open()
    probe.close()
    if channel is not None and not 1 <= channel <= probe.channels:
        raise AudioFileError(f"{path} has no channel {channel}; expected one from 1 to {probe.channels}")
    rate_hz = probe.file_rate_hz
    numbers = tuple(range(1, probe.channels + 1)) if channel is None else (channel,)
    analyzer = Analyzer(rate_hz, len(numbers), window_ms)
    source = WavSource(path, rate_hz=rate_hz)
    source.open()
    total_s = source.frames / rate_hz
    with contextlib.closing(source), seconds_bar(source.path.name, total_s, show_progress) as advance:
        block = np.zeros((max(1, int(BLOCK_S * rate_hz)), source.channels), np.float32)
        taken = block if channel is None else block[:, channel - 1 : channel]
        while got := source.read(block):
            analyzer.push(taken[:got])
            advance(got / rate_hz)
    return FileAnalysis(path, rate_hz, numbers, analyzer.finish(), source.warning)
