"""What was found of one channel, as numbers with units and reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.analysis.features import FEATURES
from edge.quality.metrics import Score

F64 = NDArray[np.float64]

UNITS = {
    "level_dbfs": "dB re full scale 1.0 (a full-scale sine has -3.01)",
    "peak_dbfs": "dB re full scale 1.0",
    "dc_offset": "share of full scale",
    "density_dbfs_hz": "dB re full scale squared per Hz",
    **FEATURES,
}


@dataclass(frozen=True)
class OverTime:
    """One feature over all frames that are neither silent nor damaged."""

    mean: Score
    deviation: Score
    p10: Score
    median: Score
    p90: Score


@dataclass(frozen=True)
class ChannelAnalysis:
    """One channel of a recording. 0 dBFS is a power of 1.0, as in all of edge: a full-scale sine has -3.01 dBFS."""

    rate_hz: int
    samples: int
    nonfinite_samples: int
    level_dbfs: Score
    """of all samples that are finite, the offset included"""
    peak_dbfs: Score
    dc_offset: Score
    window_samples: int
    hop_samples: int
    frames: int
    """whole windows that were looked at"""
    silent_frames: int
    damaged_frames: int
    """with samples that are not finite; left out, as silent ones are where a shape is wanted"""
    frequencies_hz: F64
    """(bins,)"""
    density: F64
    """(bins,) long-term power density, full scale squared per Hz, one-sided (Welch); NaN where there is none"""
    noise_bandwidth_hz: float
    """of the window: `density` times this is the power of a steady tone in its bin"""
    long_term: dict[str, Score]
    """feature -> of the long-term spectrum"""
    over_time: dict[str, OverTime]
    """feature -> over all frames"""
    octaves_dbfs: dict[float, Score]
    """nominal centre in Hz -> power in that octave"""
    times_s: F64
    """(columns,) middle of each column"""
    tracks: dict[str, F64]
    """"level_dbfs" or feature -> (columns,), mean over the column; NaN where there is none"""
    spectrogram: F64
    """(bins, columns) power density, mean over the column; NaN where there is none"""

    @property
    def density_dbfs_hz(self) -> F64:
        """(bins,) `density` in dB, at least -240."""
        return decibels(self.density)

    @property
    def spectrogram_dbfs(self) -> F64:
        """(bins, columns) level of a steady tone that has the power of its bin, in dB, at least -240."""
        return decibels(self.spectrogram * self.noise_bandwidth_hz)

    def as_dict(self) -> dict[str, Any]:
        """All but the spectrogram as plain values for JSON: None for what has no value, with its reason beside it."""
        reasons: dict[str, str] = {}

        def plain(name: str, score: Score) -> float | None:
            if not math.isfinite(score.value):
                reasons[name] = score.reason
                return None
            return score.value

        return {
            "samples": self.samples,
            "seconds": self.samples / self.rate_hz,
            "nonfinite_samples": self.nonfinite_samples,
            "frames": self.frames,
            "silent_frames": self.silent_frames,
            "damaged_frames": self.damaged_frames,
            "window_samples": self.window_samples,
            "hop_samples": self.hop_samples,
            "noise_bandwidth_hz": self.noise_bandwidth_hz,
            **{name: plain(name, getattr(self, name)) for name in ("level_dbfs", "peak_dbfs", "dc_offset")},
            "long_term": {name: plain(f"long_term.{name}", score) for name, score in self.long_term.items()},
            "over_time": {
                name: {each: plain(f"over_time.{name}", score) for each, score in vars(found).items()}
                for name, found in self.over_time.items()
            },
            "octaves_dbfs": {f"{hz:g}": plain("octaves_dbfs", score) for hz, score in self.octaves_dbfs.items()},
            "reasons": reasons,
            "spectrum": {
                "frequency_hz": self.frequencies_hz.tolist(),
                "density_dbfs_hz": self.density_dbfs_hz.tolist(),
            },
            "tracks": {"time_s": self.times_s.tolist(), **{name: t.tolist() for name, t in self.tracks.items()}},
        }


def decibels(power: F64) -> F64:
    """Ten times the logarithm, at least -240; NaN stays."""
    return 10.0 * np.log10(np.maximum(power, 1e-24))
