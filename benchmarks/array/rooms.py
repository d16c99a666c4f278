"""Sound in simulated rooms: impulse responses, a source that moves, an isotropic noise field.

Impulse responses come from the image method (Allen and Berkley 1979) of pyroomacoustics (extra: development). They
carry a fixed delay of 40 samples, half the length of its fractional delay filters, the same in every response.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S

F64 = NDArray[np.float64]

EARLY_S = 0.05
"""after the direct path: what the ear takes for part of the sound itself"""
DIRECTIONS = 64
"""plane waves in an isotropic field: more than an array of a few centimetres can tell apart below 8 kHz"""


@dataclass(frozen=True)
class Room:
    """A shoebox with the array in it."""

    size_m: F64
    rt60_s: float
    microphones_m: F64
    """(mics, 3) where they really are"""
    rate_hz: int = 16000
    max_order: int = 50

    def responses(self, sources_m: F64, max_order: int | None = None) -> F64:
        """Impulse responses (sources, mics, taps) from sources (sources, 3); order 0 is the direct path alone."""
        import pyroomacoustics

        absorption, order = pyroomacoustics.inverse_sabine(self.rt60_s, list(self.size_m))
        pyroomacoustics.constants.set("num_threads", 1)
        shoebox = pyroomacoustics.ShoeBox(
            list(self.size_m),
            fs=self.rate_hz,
            materials=pyroomacoustics.Material(absorption),
            max_order=min(order, self.max_order) if max_order is None else max_order,
        )
        shoebox.add_microphone_array(self.microphones_m.T)
        for source in sources_m:
            shoebox.add_source(source)
        shoebox.compute_rir()
        found = [[shoebox.rir[m][s] for m in range(len(self.microphones_m))] for s in range(len(sources_m))]
        taps = max(len(h) for row in found for h in row)
        return np.array([[np.pad(h, (0, taps - len(h))) for h in row] for row in found], np.float64)


def early_part(responses: F64, direct: F64, rate_hz: int) -> F64:
    """Responses (..., taps) cut EARLY_S after their direct path; `direct` (..., fewer taps) is that path alone."""
    arrival = np.argmax(np.abs(direct), axis=-1)
    keep = np.arange(responses.shape[-1]) < arrival[..., None] + int(EARLY_S * rate_hz)
    return responses * keep


def propagate(signal: F64, responses: F64) -> F64:
    """Signal (samples,) through responses (mics, taps): (samples, mics)."""
    from scipy.signal import fftconvolve

    return fftconvolve(signal[None, :], responses, axes=1)[:, : signal.size].T


def propagate_moving(signal: F64, place: F64, responses: F64) -> F64:
    """Signal (samples,) from a source on the way along responses (places, mics, taps): (samples, mics).

    place: (samples,) in [0, places - 1], where the source is; between two places the sound it sends out is shared
    by both. Places must be so near each other that their direct paths add up in phase.
    """
    image = np.zeros((signal.size, responses.shape[1]))
    taps = responses.shape[2]
    for k in range(len(responses)):
        share = np.clip(1.0 - np.abs(place - k), 0.0, None)
        there = np.flatnonzero(share)
        if there.size == 0:
            continue
        start, end = int(there[0]), min(int(there[-1]) + taps, signal.size)
        piece = np.zeros(end - start)
        piece[: there[-1] + 1 - start] = (signal * share)[start : there[-1] + 1]
        image[start:end] += propagate(piece, responses[k])
    return image


def sphere(count: int) -> F64:
    """Unit vectors (count, 3) spread evenly over the sphere (golden spiral)."""
    k = np.arange(count) + 0.5
    z = 1.0 - 2.0 * k / count
    angle = math.pi * (1.0 + math.sqrt(5.0)) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)


def isotropic_field(sources: F64, positions_m: F64, rate_hz: int) -> F64:
    """Field (samples, mics) of sources (directions, samples) that come as plane waves from all over the sphere.

    With independent sources its coherence is that of a spherically isotropic field, sinc(2 f d / c), below the
    frequency where DIRECTIONS waves no longer fill the sphere for this array.
    """
    samples = sources.shape[1]
    frequencies_hz = np.fft.rfftfreq(samples, 1.0 / rate_hz)
    delays_s = -(sphere(len(sources)) @ positions_m.T) / SPEED_OF_SOUND_M_S
    field = np.zeros((len(positions_m), frequencies_hz.size), np.complex128)
    for source, delay_s in zip(sources, delays_s, strict=True):
        spectrum = np.fft.rfft(source)
        for m in range(len(positions_m)):
            field[m] += spectrum * np.exp(-2j * np.pi * frequencies_hz * delay_s[m])
    return np.fft.irfft(field, samples, axis=1).T
