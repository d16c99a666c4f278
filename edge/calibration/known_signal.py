"""A periodic test signal, and the direct sound of it that each microphone got.

Lines at all multiples of 1 / PERIOD_S with fixed pseudo-random phases and pink level: it sounds like noise. Any whole
period of it holds every line at a known phase, so a recording needs no start mark: its spectrum divided by that of the
signal is the response of room and microphones, turned in time by the same unknown amount for all of them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.calibration.field import BLOCKS, C128, F64, Field, third_octaves_hz
from edge.errors import AudioFileError

PERIOD_S = 2.048
LOWEST_LINE_HZ, HIGHEST_LINE_HZ = 100.0, 7600.0
PEAK = 0.5
FADE_S = 0.02
FEWEST_PERIODS = 4
HEARD_DB = 24.0
"""peak of a response over its median; noise alone reaches 16"""
BEFORE_S, AFTER_S = 0.0015, 0.0025
"""kept around the direct sound: later the walls answer"""
RESPONSE_SAMPLES = 1024


def make_test_signal(rate_hz: int, seconds: float) -> NDArray[np.float32]:
    """The signal (samples,) at peak PEAK, for `seconds` rounded up to whole periods, faded in and out."""
    period_samples = round(PERIOD_S * rate_hz)
    lines = _lines(rate_hz)
    spectrum = np.zeros(period_samples // 2 + 1, np.complex128)
    spectrum[: len(lines)] = lines
    period = np.fft.irfft(spectrum, period_samples)
    signal = np.tile(period * (PEAK / np.abs(period).max()), max(1, int(np.ceil(seconds / PERIOD_S))))
    fade = np.linspace(0.0, 1.0, round(FADE_S * rate_hz))
    signal[: len(fade)] *= fade
    signal[-len(fade) :] *= fade[::-1]
    return signal.astype(np.float32)


def _lines(rate_hz: int) -> C128:
    """Complex amplitude of each multiple of 1 / PERIOD_S up to the highest line, the same at every rate."""
    count = int(HIGHEST_LINE_HZ * PERIOD_S) + 1
    frequencies_hz = np.arange(count) / PERIOD_S
    phases = np.random.default_rng(20_000).uniform(-np.pi, np.pi, count)
    level = np.where(frequencies_hz >= LOWEST_LINE_HZ, 1.0 / np.sqrt(np.maximum(frequencies_hz, 1.0)), 0.0)
    return np.asarray(level * np.exp(1j * phases))


def measure_signal_field(samples: NDArray[np.floating], rate_hz: int, source: str) -> Field:
    """Statistics of the direct sound in a recording (frames, mics) of the test signal.

    Raises AudioFileError with one sentence, naming `source`, when the signal is not heard in FEWEST_PERIODS periods.
    """
    period_samples = round(PERIOD_S * rate_hz)
    lines = _lines(rate_hz)
    heard, clarity_db = [], []
    for start in range(0, len(samples) - period_samples + 1, period_samples):
        response = _response(samples[start : start + period_samples], lines)
        envelope = np.sqrt(np.mean(response**2, axis=1))
        clarity_db.append(20.0 * np.log10((envelope.max() + 1e-20) / (np.median(envelope) + 1e-20)))
        heard.append(_direct(response, envelope, rate_hz))
    clarity = np.array(clarity_db)
    # periods in which it started, stopped or was drowned are left out
    good = np.flatnonzero((clarity > HEARD_DB) & (clarity > clarity.max(initial=0.0) - 6.0))
    if len(good) < FEWEST_PERIODS:
        raise AudioFileError(
            f"{source}: the test signal is clear in {len(good)} of its periods of {PERIOD_S:.3f} s, expected "
            f"{FEWEST_PERIODS} or more; play it louder or nearer, for the whole recording"
        )
    return _field([heard[index] for index in good], rate_hz)


def _response(period: NDArray[np.floating], lines: C128) -> F64:
    """Impulse response (period_samples, mics), turned in time by an unknown amount."""
    spectrum = np.fft.rfft(period, axis=0)
    known = np.abs(lines) > 0.0
    found = np.zeros_like(spectrum)
    found[: len(lines)][known] = spectrum[: len(lines)][known] / lines[known, None]
    return np.asarray(np.fft.irfft(found, len(period), axis=0))


def _direct(response: F64, envelope: F64, rate_hz: int) -> F64:
    """The direct sound (RESPONSE_SAMPLES, mics), all microphones under one window."""
    peak = int(np.argmax(envelope))
    reach = round(0.01 * rate_hz)
    # something before the strongest arrival that is nearly as strong came on a shorter way
    nearby = envelope[np.arange(peak - reach, peak + 1) % len(envelope)]
    arrival = peak - reach + int(np.argmax(nearby > 0.3 * envelope[peak]))
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(before) + 0.5) / before)
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(after // 2) + 0.5) / (after // 2))
    window = np.concatenate([rise, np.ones(after - after // 2), fall])
    index = np.arange(arrival - before, arrival - before + len(window)) % len(response)
    direct = np.zeros((RESPONSE_SAMPLES, response.shape[1]))
    direct[: len(window)] = response[index] * window[:, None]
    return direct


def _field(directs: list[F64], rate_hz: int) -> Field:
    frequencies_hz: F64 = np.fft.rfftfreq(RESPONSE_SAMPLES, 1.0 / rate_hz).astype(np.float64)
    edges_hz = third_octaves_hz()
    first_bins = np.searchsorted(frequencies_hz, edges_hz)
    parts = min(BLOCKS, len(directs))
    mics = directs[0].shape[1]
    cross = np.zeros((parts, mics, mics, len(frequencies_hz)), np.complex128)
    band_db = []
    for number, direct in enumerate(directs):
        x = np.fft.rfft(direct, axis=0).T
        cross[number * parts // len(directs)] += x[:, None, :] * np.conj(x[None, :, :])
        power = np.abs(x) ** 2 + 1e-20
        band = [power[:, a:b].mean(axis=1) for a, b in pairwise(first_bins)]
        band_db.append(10.0 * np.log10(np.stack(band, axis=1)))
    return Field(
        frequencies_hz,
        cross,
        np.sqrt(edges_hz[:-1] * edges_hz[1:]),
        np.stack(band_db),
        np.arange(len(directs)) * parts // len(directs),
        np.ones(len(edges_hz) - 1),
    )
