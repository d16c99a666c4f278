"""Levels, clipping and bad samples: counted on the audio thread, read by others without a lock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class MeterReading:
    """Meters of one finished interval. Arrays are per captured channel, or per output for the `out_` ones."""

    frames: int
    energy: NDArray[np.float64]
    """sum of squares over the interval"""
    peak: NDArray[np.float32]
    """largest magnitude in the interval"""
    clipped: NDArray[np.int64]
    """clipped samples since start"""
    out_energy: NDArray[np.float64]
    out_peak: NDArray[np.float32]
    nonfinite: int
    """samples replaced by silence since start"""


class Meters:
    """The audio thread adds to the open interval and calls `rotate` at its end; `published` is the last closed one.

    Two readings alternate, so a reader has a whole interval to copy what it needs.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        self.frames = 0
        self.nonfinite = 0
        self.energy = np.zeros(channels)
        self.peak = np.zeros(channels, np.float32)
        self.clipped = np.zeros(channels, np.int64)
        self.out_energy = np.zeros(outputs)
        self.out_peak = np.zeros(outputs, np.float32)
        self._spare = self._reading()
        self.published = self._reading()

    def _reading(self) -> MeterReading:
        return MeterReading(
            0,
            np.zeros_like(self.energy),
            np.zeros_like(self.peak),
            np.zeros_like(self.clipped),
            np.zeros_like(self.out_energy),
            np.zeros_like(self.out_peak),
            0,
        )

    def rotate(self) -> None:
        """Close the interval: publish it and start the next. Allocates nothing."""
        reading = self._spare
        reading.frames = self.frames
        reading.nonfinite = self.nonfinite
        np.copyto(reading.energy, self.energy)
        np.copyto(reading.peak, self.peak)
        np.copyto(reading.clipped, self.clipped)
        np.copyto(reading.out_energy, self.out_energy)
        np.copyto(reading.out_peak, self.out_peak)
        self._spare = self.published
        self.published = reading
        self.frames = 0
        self.energy[:] = 0.0
        self.peak[:] = 0.0
        self.out_energy[:] = 0.0
        self.out_peak[:] = 0.0


def rms_dbfs(energy: NDArray[np.float64], frames: int) -> tuple[float, ...]:
    """Level of each channel from its sum of squares over `frames`, full scale 1.0; -inf for silence."""
    return tuple(10.0 * math.log10(e / frames) if frames and e > 0.0 else -math.inf for e in energy.tolist())


def peak_dbfs(peak: NDArray[np.float32]) -> tuple[float, ...]:
    """Level of each channel's largest magnitude; -inf for silence."""
    return tuple(20.0 * math.log10(p) if p > 0.0 else -math.inf for p in peak.tolist())
