"""Shared by the tests of the live runtime and of the command line: recordings, configurations, a source from memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from edge.config import config_from_dict

SQUARE = [[0.03, 0.0, 0.0], [0.0, 0.03, 0.0], [-0.03, 0.0, 0.0], [0.0, -0.03, 0.0]]
RATE_HZ = 16000


def recording(frames: int, channels: int = 4, seed: int = 0) -> np.ndarray:
    """Bursts of a common tone in noise, float32 (frames, channels)."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / RATE_HZ
    tone = 0.2 * np.sin(2 * np.pi * 500 * t) * (np.sin(2 * np.pi * 2 * t) > 0)
    return (tone[:, None] + 0.01 * rng.standard_normal((frames, channels))).astype(np.float32)


def write_recording(path: Path, frames: int = 2 * RATE_HZ, channels: int = 4, rate_hz: int = RATE_HZ, **how) -> Path:
    soundfile.write(path, recording(frames, channels), rate_hz, **how)
    return path


def live_config(path: str | Path = "in.wav", out: str | Path = "", **overrides):
    """Four microphones from a file as fast as it goes, Wiener mask, into a file or nowhere. Dotted keys override."""
    output = {"kind": "file", "path": str(out), "format": "FLOAT_LE"} if out else {"kind": "null"}
    table = {
        "array": {"positions_m": SQUARE},
        "input": {"kind": "file", "path": str(path), "realtime": False},
        "output": output,
        "mask": {"kind": "wiener"},
        "runtime": {"realtime_priority": 0, "lock_memory": False},
    }
    return config_from_dict(table, {key.replace("__", "."): value for key, value in overrides.items()})


def write_toml(
    folder: Path, name: str = "edge.toml", more: str = "", realtime: bool = True, mask: str = "wiener"
) -> Path:
    """A configuration file beside in.wav that writes out.wav; `more` is appended."""
    text = f"""
[array]
positions_m = {SQUARE}
[input]
kind = "file"
path = "in.wav"
realtime = {str(realtime).lower()}
loop = {str(realtime).lower()}
[output]
kind = "file"
path = "out.wav"
[runtime]
realtime_priority = 0
lock_memory = false
[mask]
kind = "{mask}"
{more}
"""
    path = folder / name
    path.write_text(text)
    return path


class ArraySource:
    """A source from memory, at no pace; `before_block` is called ahead of each block."""

    overruns = gap_frames = reopens = latency_frames = capture_time_ns = 0

    def __init__(self, samples: np.ndarray, before_block=lambda index: None) -> None:
        self.rate_hz, self.channels = RATE_HZ, samples.shape[1]
        self._samples = samples
        self._before_block = before_block
        self._position = self._index = 0

    def open(self) -> None:
        self._position = self._index = 0

    def read(self, block: np.ndarray) -> int:
        self._before_block(self._index)
        self._index += 1
        part = self._samples[self._position : self._position + len(block)]
        block[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        pass


class ArraySink:
    """Keeps what it gets."""

    underruns = dropped_frames = latency_frames = 0

    def __init__(self, channels: int = 2) -> None:
        self.rate_hz, self.channels = RATE_HZ, channels
        self._blocks: list[np.ndarray] = []

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self._blocks)

    def open(self) -> None:
        self._blocks = []

    def write(self, block: np.ndarray) -> None:
        self._blocks.append(block.copy())

    def close(self) -> None:
        pass
