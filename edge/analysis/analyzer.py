"""Spectra of a recording, block by block: Welch's average, a spectrogram, and the shape of every frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.analysis.features import FEATURES, band_powers, octave_bands, shape_of
from edge.analysis.pooling import Columns, Distribution
from edge.analysis.result import ChannelAnalysis, OverTime, decibels
from edge.errors import AudioFileError, UsageError
from edge.quality.metrics import Score

F64 = NDArray[np.float64]

WINDOW_MS = 32.0
OVERLAP = 4
"""windows that cover each sample"""
LEAST_SAMPLES = 16
"""a shorter recording has no spectrum worth the name"""
SILENT_POWER = 1e-14
"""-140 dBFS, below the last of 24 bits"""
FRAMES_AT_ONCE = 256
FLATNESS_RESOLVED = 1e-9


class Analyzer:
    """Push blocks of any length, finish() for what was found. Memory depends on rate, channels and window alone.

    Hann window of `window_ms`, three quarters overlapping, the mean of each frame taken off; a recording shorter than
    one window is one frame. Frames with samples that are not finite are left out; the last samples that fill no frame
    count for the levels alone. Welch, IEEE Trans. Audio Electroacoust. 15(2), 1967.
    Raises UsageError for a window that holds fewer than 16 samples or takes longer than 10 s.
    """

    def __init__(self, rate_hz: int, channels: int, window_ms: float = WINDOW_MS) -> None:
        window_samples = round(rate_hz * window_ms / 1000.0) if math.isfinite(window_ms) else 0
        if not LEAST_SAMPLES <= window_samples <= 10 * rate_hz:
            raise UsageError(
                f"a window of {window_ms:g} ms has {window_samples} samples at {rate_hz} Hz, expected {LEAST_SAMPLES} "
                "to 10 s of them"
            )
        self.rate_hz = rate_hz
        self.channels = channels
        self._rest: F64 = np.zeros((0, channels))
        self._plan(window_samples)

    def _plan(self, window_samples: int) -> None:
        self.window_samples = window_samples
        self.hop_samples = max(1, window_samples // OVERLAP)
        self._window = np.hanning(window_samples + 1)[:-1]
        self.frequencies_hz: F64 = np.asarray(np.fft.rfftfreq(window_samples, 1.0 / self.rate_hz), np.float64)
        energy = float(np.sum(self._window**2))
        self.noise_bandwidth_hz = self.rate_hz * energy / float(np.sum(self._window)) ** 2
        self._scale = np.full(len(self.frequencies_hz), 2.0 / (self.rate_hz * energy))
        self._scale[0] /= 2.0
        if window_samples % 2 == 0:
            self._scale[-1] /= 2.0
        self._found = [_Channel(self.frequencies_hz, self.rate_hz) for _ in range(self.channels)]

    def push(self, samples: ArrayLike) -> None:
        """Take in samples (n, channels), or (n,) of one channel, full scale 1.0.

        Raises AudioFileError on another number of channels.
        """
        block = np.asarray(samples, dtype=np.float64)
        if block.ndim == 1:
            block = block[:, np.newaxis]
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise AudioFileError(f"the samples have shape {block.shape}, expected (samples, {self.channels})")
        for found, channel in zip(self._found, block.T, strict=True):
            found.take_levels(channel)
        self._rest = self._frames(np.concatenate([self._rest, block]))

    def _frames(self, stream: F64) -> F64:
        """Look at all whole frames. Returns what of the stream is needed for the next."""
        window, hop = self.window_samples, self.hop_samples
        count = max(0, (len(stream) - window) // hop + 1)
        for first in range(0, count, FRAMES_AT_ONCE):
            some = min(FRAMES_AT_ONCE, count - first)
            part = stream[first * hop : (first + some - 1) * hop + window]
            for found, channel in zip(self._found, part.T, strict=True):
                frames = np.lib.stride_tricks.sliding_window_view(channel, window)[::hop]
                good = np.isfinite(frames).all(axis=1)
                kept = np.where(good[:, None], frames, 0.0)
                spectra = np.fft.rfft((kept - kept.mean(axis=1, keepdims=True)) * self._window, axis=1)
                found.take_frames((spectra.real**2 + spectra.imag**2) * self._scale, good)
        return stream[count * hop :]

    def finish(self) -> tuple[ChannelAnalysis, ...]:
        """What was found, one for each channel. Nothing may be pushed afterwards."""
        short = len(self._rest)
        if not self._found[0].frames and short >= LEAST_SAMPLES:
            levels = [found.levels for found in self._found]
            self._plan(short)
            for found, kept in zip(self._found, levels, strict=True):
                found.levels = kept
            self._frames(self._rest)
        return tuple(self._result(found) for found in self._found)

    def _result(self, found: _Channel) -> ChannelAnalysis:
        level, peak, offset = found.levels.scores()
        density, why = found.density()
        bin_hz = self.rate_hz / self.window_samples
        centres_hz = octave_bands(self.rate_hz, bin_hz)
        shape = shape_of(density[1:], self.frequencies_hz[1:]) if not why else np.full(len(FEATURES), np.nan)
        octaves = band_powers(density, bin_hz, centres_hz) if not why else np.full(len(centres_hz), np.nan)
        columns = found.columns.means
        middle_s = (self.window_samples / 2 - self.hop_samples / 2) / self.rate_hz
        step_s = self.hop_samples / self.rate_hz * found.columns.pool
        power = columns[:, -1]
        tracks = {"level_dbfs": decibels(power)}
        tracks |= {name: columns[:, len(density) + i] for i, name in enumerate(FEATURES)}
        return ChannelAnalysis(
            rate_hz=self.rate_hz,
            samples=found.levels.samples,
            nonfinite_samples=found.levels.samples - found.levels.finite,
            level_dbfs=level,
            peak_dbfs=peak,
            dc_offset=offset,
            window_samples=self.window_samples,
            hop_samples=self.hop_samples,
            frames=found.frames,
            silent_frames=found.silent,
            damaged_frames=found.frames - found.good,
            frequencies_hz=self.frequencies_hz,
            density=density,
            noise_bandwidth_hz=self.noise_bandwidth_hz,
            long_term={name: _score(float(value), why) for name, value in zip(FEATURES, shape, strict=True)},
            over_time={name: _over_time(d, why) for name, d in zip(FEATURES, found.distributions, strict=True)},
            octaves_dbfs={
                hz: _score(float(value), why) for hz, value in zip(centres_hz, decibels(octaves), strict=True)
            },
            times_s=np.asarray(middle_s + (np.arange(len(columns)) + 0.5) * step_s, np.float64),
            tracks=tracks,
            spectrogram=columns[:, : len(density)].T,
        )


class _Levels:
    """Sums over the finite samples of a channel."""

    def __init__(self) -> None:
        self.samples = self.finite = 0
        self._sum = self._energy = self._peak = 0.0

    def take(self, samples: F64) -> None:
        good = samples[np.isfinite(samples)]
        self.samples += len(samples)
        self.finite += len(good)
        self._sum += float(good.sum())
        self._energy += float(good @ good)
        self._peak = max(self._peak, float(np.abs(good).max(initial=0.0)))

    def scores(self) -> tuple[Score, Score, Score]:
        """Level and peak in dBFS, offset."""
        if not self.finite:
            return (Score(math.nan, "no sample is finite" if self.samples else "no samples"),) * 3
        offset = Score(self._sum / self.finite)
        if self._peak == 0.0:
            return (Score(-math.inf, "digital silence"),) * 2 + (offset,)
        mean = self._energy / self.finite
        level = Score(10.0 * math.log10(mean)) if mean > 0.0 else Score(-math.inf, "too quiet for a number")
        return level, Score(20.0 * math.log10(self._peak)), offset


class _Channel:
    """Sums over the frames of a channel."""

    def __init__(self, frequencies_hz: F64, rate_hz: int) -> None:
        self.levels = _Levels()
        self.frames = self.good = self.silent = 0
        self._frequencies_hz = frequencies_hz
        self._bin_hz = float(frequencies_hz[1])
        self._sum: F64 = np.zeros(len(frequencies_hz))
        self.columns = Columns(len(frequencies_hz) + len(FEATURES) + 1)
        """density, features, power of each frame"""
        self.distributions = [
            Distribution(0.0, rate_hz / 2) if unit == "Hz" else Distribution(FLATNESS_RESOLVED, 1.0, logarithmic=True)
            for unit in FEATURES.values()
        ]

    def take_levels(self, samples: F64) -> None:
        self.levels.take(samples)

    def take_frames(self, density: F64, good: NDArray[np.bool_]) -> None:
        """density (frames, bins); good (frames,): those without damage."""
        power = density.sum(axis=1) * self._bin_hz
        silent = power < SILENT_POWER
        shape = shape_of(density[:, 1:], self._frequencies_hz[1:])
        shape[silent | ~good] = np.nan
        for distribution, values in zip(self.distributions, shape.T, strict=True):
            distribution.add(values)
        self._sum += density[good].sum(axis=0)
        rows = np.concatenate([density, shape, power[:, None]], axis=1)
        rows[~good] = np.nan
        self.columns.add(rows)
        self.frames += len(density)
        self.good += int(good.sum())
        self.silent += int((silent & good).sum())

    def density(self) -> tuple[F64, str]:
        """Mean over the good frames, and why it has no shape, or ""."""
        if not self.good:
            nothing = np.full(len(self._sum), np.nan)
            if not self.frames:
                return nothing, f"too short: {self.levels.samples} samples, at least {LEAST_SAMPLES} needed"
            return nothing, "samples that are not finite in every frame"
        return self._sum / self.good, "silence" if self.silent == self.good else ""


def _score(value: float, why: str) -> Score:
    return Score(math.nan, why) if why else Score(value)


def _over_time(found: Distribution, why: str) -> OverTime:
    values = (found.mean, found.deviation, *(found.quantile(share) for share in (0.1, 0.5, 0.9)))
    return OverTime(*(_score(value, why) for value in values))


def analyze_array(samples: ArrayLike, rate_hz: int, window_ms: float = WINDOW_MS) -> tuple[ChannelAnalysis, ...]:
    """Analyse a recording: samples (n,) or (n, channels), full scale 1.0. Returns one analysis for each channel.

    Raises AudioFileError for another shape, UsageError for a window that does not fit the rate.
    """
    x = np.asarray(samples, dtype=np.float64)
    analyzer = Analyzer(rate_hz, 1 if x.ndim == 1 else x.shape[-1], window_ms)
    analyzer.push(x)
    return analyzer.finish()
