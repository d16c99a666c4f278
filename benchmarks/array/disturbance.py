"""Disturbances that no source in the room makes: wind at the microphones, knocks on the housing, sensor self-noise.

All seeded, all from formulas; levels are RMS in dBFS. Every function gives float64 (samples, mics).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FRAME = 1024
"""samples of the frames that wind is put together from, overlapping by half"""
CONVECTION = 0.7
"""speed at which eddies travel past the microphones, relative to the wind"""
DECAY_ALONG, DECAY_ACROSS = 0.125, 0.7
"""Corcos (JASA 1963): coherence falls as exp(-decay 2 pi f distance / convection speed)"""


def wind(
    positions_m: F64,
    samples: int,
    rng: np.random.Generator,
    level_dbfs: float = -20.0,
    speed_m_s: float = 4.0,
    gusts: float = 1.0,
    spread_db: float = 4.0,
    rate_hz: int = 16000,
) -> F64:
    """Pressure of turbulence at each microphone: 1/f up to 200 Hz, steeper above, next to no coherence between them.

    level_dbfs: RMS of the loudest microphone over the file. gusts: how much the strength swings; 0 is a steady stream,
    1 swings over some 20 dB within seconds. spread_db: microphones are exposed differently, within plus and minus this.
    Peaks beyond full scale are clipped, as a saturated microphone would.
    """
    mics, hop = len(positions_m), FRAME // 2
    frames = samples // hop + 2
    frequencies_hz = np.fft.rfftfreq(FRAME, 1.0 / rate_hz)
    shape = 1.0 / np.maximum(frequencies_hz, 20.0) / (1.0 + (frequencies_hz / 200.0) ** 2)
    shape[0] = 0.0
    away_m = positions_m[:, None, :] - positions_m[None, :, :]
    along_m, across_m = np.abs(away_m[..., 0]), np.linalg.norm(away_m[..., 1:], axis=-1)
    per_hz = -2.0 * math.pi / (CONVECTION * speed_m_s)
    decay = per_hz * (DECAY_ALONG * along_m + DECAY_ACROSS * across_m)
    coherence = np.exp(decay * frequencies_hz[:, None, None]).astype(np.complex128)
    coherence *= np.exp(1j * per_hz * frequencies_hz[:, None, None] * away_m[..., 0])
    mixing = np.linalg.cholesky(coherence + 1e-9 * np.eye(mics)) * np.sqrt(shape)[:, None, None]
    window = np.sin(math.pi * (np.arange(FRAME) + 0.5) / FRAME)
    out = np.zeros(((frames + 1) * hop, mics))
    for t in range(frames):
        white = rng.standard_normal((frequencies_hz.size, mics, 2)) @ np.array([1.0, 1j])
        piece = np.fft.irfft(np.einsum("fij,fj->if", mixing, white), FRAME, axis=1)
        out[t * hop : t * hop + FRAME] += (window * piece).T
    out = out[hop : hop + samples]
    strength = _swing(samples, mics, rng, rate_hz, gusts)
    out *= strength * 10.0 ** (rng.uniform(-spread_db, spread_db, mics) / 20.0)
    return np.clip(_at_level(out, level_dbfs), -1.0, 1.0)


def handling(
    mics: int,
    samples: int,
    rng: np.random.Generator,
    level_dbfs: float = -12.0,
    per_s: float = 1.0,
    near: float = 0.5,
    rate_hz: int = 16000,
) -> F64:
    """Knocks and rubbing: bursts of decaying resonances between 40 and 250 Hz.

    level_dbfs: peak of a knock at the microphone nearest to it. near: share of the knocks that one microphone alone
    feels; the others come through the housing to all, each with another gain.
    """
    out = np.zeros((samples, mics))
    length = int(0.4 * rate_hz)
    t = np.arange(length) / rate_hz
    for start in rng.integers(0, max(samples - length, 1), max(1, round(per_s * samples / rate_hz))):
        knock = np.zeros(length)
        for _ in range(3):
            frequency_hz, decay_s = rng.uniform(40.0, 250.0), rng.uniform(0.02, 0.08)
            knock += np.sin(2 * math.pi * frequency_hz * t + rng.uniform(0, 6.28)) * np.exp(-t / decay_s)
        knock *= 1.0 - np.exp(-t / 0.002)
        knock *= 10.0 ** (level_dbfs / 20.0) / np.abs(knock).max()
        gains = np.zeros(mics) if rng.random() < near else 10.0 ** (rng.uniform(-20.0, -3.0, mics) / 20.0)
        gains[rng.integers(mics)] = 1.0
        out[start : start + length] += knock[:, None] * gains
    return out


def self_noise(
    mics: int, samples: int, rng: np.random.Generator, level_dbfs: float = -65.0, noisier_db: tuple[float, ...] = ()
) -> F64:
    """White noise of each sensor; noisier_db adds to the level of the first microphones, in order."""
    extra_db = np.zeros(mics)
    extra_db[: len(noisier_db)] = noisier_db
    return rng.standard_normal((samples, mics)) * 10.0 ** ((level_dbfs + extra_db) / 20.0)


def _swing(samples: int, mics: int, rng: np.random.Generator, rate_hz: int, gusts: float) -> F64:
    """Log-normal strength, mostly common to all microphones: sums of slow swings at random phases."""
    t = np.arange(samples)[:, None] / rate_hz
    swing = np.zeros((samples, mics))
    for lowest_hz, highest_hz, common, share in ((0.15, 0.5, 1.0, 0.7), (0.5, 2.0, 0.6, 0.4), (2.0, 8.0, 0.2, 0.25)):
        for _ in range(3):
            frequency_hz, phase = rng.uniform(lowest_hz, highest_hz), rng.uniform(0, 6.28)
            own = (1.0 - common) * rng.uniform(-3.0, 3.0, mics)
            swing += share * np.sin(2 * math.pi * frequency_hz * t + phase + own)
    return np.exp(gusts * swing)


def _at_level(x: F64, level_dbfs: float) -> F64:
    loudest = np.sqrt(np.mean(x**2, axis=0)).max()
    return x * (10.0 ** (level_dbfs / 20.0) / max(loudest, 1e-12))
