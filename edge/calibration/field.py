"""A recording as averaged cross-spectra and band levels: what gains and delays are measured from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]

WINDOW_S = 0.064
FRAMES_PER_SEGMENT = 8
"""half overlapping: a segment is about a quarter of a second, over which band levels are averaged"""
BLOCKS = 8
"""parts of the recording that take turns in being left out, which shows how sure the result is"""
LOWEST_HZ, HIGHEST_HZ = 220.0, 7100.0
"""below, rooms are no diffuse field and rumble rules; above, resamplers and microphones fall off"""
QUIET_MARGIN_DB = 3.0
"""segments louder than the median by more are left out of ambient noise: a talker near one microphone, a door"""


@dataclass(frozen=True)
class Field:
    """What a recording says about an array, in BLOCKS parts of equal length, one after the other.

    cross: complex (parts, mics, mics, bins), sums of x_i conj(x_j). band_db: (segments, mics, bands), level of each
    segment that was kept. part: (segments,) to which part each belongs. flatness: (bands,) from 0 (a tone) to 1
    (even noise).
    """

    frequencies_hz: F64
    cross: C128
    bands_hz: F64
    band_db: F64
    part: NDArray[np.int64]
    flatness: F64

    @property
    def parts(self) -> int:
        return len(self.cross)

    def only(self, start: int) -> Field:
        """Every second part, from `start` (0 or 1) on."""
        chosen = np.arange(start, self.parts, 2)
        keep = np.isin(self.part, chosen)
        part = np.searchsorted(chosen, self.part[keep])
        return replace(self, cross=self.cross[chosen], band_db=self.band_db[keep], part=part)


def third_octaves_hz(highest_hz: float = HIGHEST_HZ) -> F64:
    """Edges of third-octave bands from LOWEST_HZ up, (bands + 1,)."""
    edges = LOWEST_HZ * 2.0 ** (np.arange(40) / 3.0)
    return edges[edges <= highest_hz]


def measure_field(samples: NDArray[np.floating], rate_hz: int, loud: bool = False) -> Field:
    """Statistics of samples (frames, mics), at least a second. loud: keep what is louder than the median (a source
    that is heard now and then) instead of what is not much louder (ambient noise).
    """
    window_samples = round(WINDOW_S * rate_hz)
    hop = window_samples // 2
    window = np.hanning(window_samples + 1)[:-1]
    frequencies_hz: F64 = np.fft.rfftfreq(window_samples, 1.0 / rate_hz).astype(np.float64)
    edges_hz = third_octaves_hz(min(HIGHEST_HZ, 0.45 * rate_hz))
    first_bins = np.searchsorted(frequencies_hz, edges_hz)
    frames = 1 + (len(samples) - window_samples) // hop
    segments = frames // FRAMES_PER_SEGMENT

    def spectra(segment: int) -> C128:
        start = segment * FRAMES_PER_SEGMENT * hop
        index = start + hop * np.arange(FRAMES_PER_SEGMENT)[:, None] + np.arange(window_samples)
        return np.fft.rfft(samples[index] * window[:, None], axis=1)  # (frames, bins, mics)

    mics = samples.shape[1]
    power = np.zeros((segments, mics, len(frequencies_hz)))
    for segment in range(segments):
        power[segment] = np.mean(np.abs(spectra(segment)) ** 2, axis=0).T
    power += 1e-20
    band = _band_means(power, first_bins)
    band_db = 10.0 * np.log10(band)
    keep = _kept(band_db, loud)

    cross = np.zeros((BLOCKS, mics, mics, len(frequencies_hz)), np.complex128)
    # what changes slowly has to show between the parts
    part = np.arange(len(keep)) * BLOCKS // max(len(keep), 1)
    for number, segment in enumerate(keep):
        x = spectra(segment)
        # ambient noise: every moment counts the same, whatever its level
        weight = 1.0 if loud else 1.0 / _smooth_power(band[segment], first_bins, len(frequencies_hz))
        cross[part[number]] += np.einsum("fbi,fbj->ijb", x, np.conj(x)) * weight
    mean_power = power[keep].mean(axis=(0, 1))
    return Field(
        frequencies_hz,
        cross,
        np.sqrt(edges_hz[:-1] * edges_hz[1:]),
        band_db[keep],
        part,
        _flatness(mean_power, first_bins),
    )


def _band_means(power: F64, first_bins: NDArray[np.int64]) -> F64:
    return np.stack([power[..., a:b].mean(axis=-1) for a, b in pairwise(first_bins)], axis=-1)


def _smooth_power(band: F64, first_bins: NDArray[np.int64], bins: int) -> F64:
    """Mean power over the microphones, one value per band (mics, bands) -> (bins,)."""
    values = band.mean(axis=0)
    index = np.clip(np.searchsorted(first_bins, np.arange(bins), side="right") - 1, 0, len(values) - 1)
    return values[index]


def _kept(band_db: F64, loud: bool) -> NDArray[np.int64]:
    """Segments to use, by their level in all bands and microphones alike (which no calibration changes)."""
    relative_db = (band_db - np.median(band_db, axis=0)).mean(axis=(1, 2))
    middle_db = np.median(relative_db)
    keep = relative_db >= middle_db if loud else relative_db <= middle_db + QUIET_MARGIN_DB
    return np.flatnonzero(keep)


def _flatness(power: F64, first_bins: NDArray[np.int64]) -> F64:
    """Geometric over arithmetic mean of the power in each band."""
    spans = pairwise(first_bins)
    return np.array([np.exp(np.mean(np.log(power[a:b]))) / np.mean(power[a:b]) for a, b in spans])
