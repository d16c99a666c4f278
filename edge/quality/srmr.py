"""Speech-to-reverberation modulation energy ratio, needing no reference.

Falk, Zheng and Chan, "A non-intrusive quality and intelligibility measure of reverberant and dereverberated speech",
IEEE TASLP 18(7), 2010. Own implementation from the paper: clear speech modulates slowly (below 20 Hz), reverberation
and noise fill in fast modulations. There is no official code to agree with, so compare only numbers of this file.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.quality.metrics import RATE_HZ, Score

REVISION = "1"
"""kept scores of another revision are not used"""
BANDS, LOWEST_HZ = 23, 125.0
MODULATIONS_HZ: NDArray[np.float64] = np.geomspace(4.0, 128.0, 8)
MODULATION_Q = 2.0
FRAME_S, STEP_S = 0.256, 0.064
ENERGY_SHARE = 0.9
"""of the acoustic energy: the band below which it lies bounds the modulations that count"""

F64 = NDArray[np.float64]


def _erb_hz(frequency_hz: F64) -> F64:
    """Equivalent rectangular bandwidth (Glasberg and Moore 1990)."""
    return 24.7 + frequency_hz / 9.26449


def band_centres_hz() -> F64:
    """(BANDS,) centres from LOWEST_HZ up, evenly spaced in ERB, the last one below half the rate."""
    shift = 9.26449 * 24.7
    k = np.arange(BANDS, 0, -1)
    return (RATE_HZ / 2 + shift) * ((LOWEST_HZ + shift) / (RATE_HZ / 2 + shift)) ** (k / BANDS) - shift


def envelopes(signal: F64) -> F64:
    """(BANDS, samples) temporal envelopes: magnitudes of complex gammatone filters of order 4.

    A gammatone t^3 exp(-2 pi b t) exp(2 pi j f t) is 1 / (b + j (F - f))^4 in the frequency domain; it is applied
    there, with room behind the signal to ring out.
    """
    size = 1 << int(signal.size + RATE_HZ // 4 - 1).bit_length()
    spectrum = np.fft.fft(signal, size)
    spectrum[size // 2 :] = 0.0
    frequencies_hz = np.arange(size) * (RATE_HZ / size)
    centres = band_centres_hz()
    widths = 1.019 * _erb_hz(centres)
    out = np.empty((BANDS, signal.size))
    for i, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        response = 1.0 / (1.0 + 1j * (frequencies_hz - centre) / width) ** 4
        out[i] = 2.0 * np.abs(np.fft.ifft(spectrum * response)[: signal.size])
    return out


@functools.cache
def _modulation_filters() -> tuple[list[tuple[F64, F64]], F64]:
    """Second-order band passes (numerator, denominator) of MODULATION_Q, and their lower -3 dB frequencies in Hz."""
    filters = []
    for centre in MODULATIONS_HZ:
        w = np.tan(np.pi * centre / RATE_HZ)  # bilinear transform of (w / Q) s / (s^2 + (w / Q) s + w^2)
        b = w / MODULATION_Q
        filters.append((np.array([b, 0.0, -b]), np.array([1.0 + b + w * w, 2.0 * w * w - 2.0, 1.0 - b + w * w])))
    half = 1.0 / (2.0 * MODULATION_Q)
    return filters, MODULATIONS_HZ * (np.sqrt(1.0 + half**2) - half)


def modulation_energies(signal: F64) -> F64:
    """(BANDS, 8) mean energy per band and modulation band over Hamming frames of 256 ms every 64 ms."""
    from scipy.signal import lfilter

    frame, step = round(FRAME_S * RATE_HZ), round(STEP_S * RATE_HZ)
    if signal.size < frame:
        raise ValueError(f"SRMR needs at least {frame} samples, got {signal.size}")
    window = np.hamming(frame) ** 2
    # the mean over frames of windowed energy is one weighting of the samples
    weight = np.zeros(signal.size)
    starts = range(0, signal.size - frame + 1, step)
    for start in starts:
        weight[start : start + frame] += window
    weight /= len(starts)
    found = np.empty((BANDS, MODULATIONS_HZ.size))
    heard = envelopes(signal)
    for k, (b, a) in enumerate(_modulation_filters()[0]):
        found[:, k] = lfilter(b, a, heard, axis=1) ** 2 @ weight
    return found


def srmr(signal: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Ratio of slow (4 to about 20 Hz) to fast modulation energy of (samples,) at 16 kHz, whatever its level."""
    x = np.asarray(signal, np.float64)
    least = round(FRAME_S * RATE_HZ)
    reason = ""
    if rate_hz != RATE_HZ:
        reason = f"SRMR is defined here at 16 kHz, not at {rate_hz} Hz"
    elif x.ndim != 1 or x.size < least:
        reason = f"too short: {x.size} samples, at least {least} needed"
    elif not np.isfinite(x).all():
        reason = "NaN or infinite samples"
    elif not x.any():
        reason = "the signal is silent"
    if reason:
        return Score(math.nan, reason)
    energy = modulation_energies(x)
    below = np.cumsum(energy.sum(axis=1))
    width_hz = _erb_hz(band_centres_hz())[int(np.argmax(below >= ENERGY_SHARE * below[-1]))]
    last = int(np.clip(np.sum(_modulation_filters()[1] < width_hz), 5, MODULATIONS_HZ.size))
    return Score(float(energy[:, :4].sum() / energy[:, 4:last].sum()))
