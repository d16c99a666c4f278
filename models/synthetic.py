"""Noises made from nothing: machines, alarms, rain and notes, of which there are few recordings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data import RATE_HZ

F32 = NDArray[np.float32]
NYQUIST_HZ = 0.47 * RATE_HZ


def _curve(rng: np.random.Generator, samples: int, knots_per_s: float, low: float, high: float) -> NDArray[np.float64]:
    """Random line between `low` and `high` with so many corners a second, (samples,)."""
    knots = max(2, int(samples / RATE_HZ * knots_per_s) + 1)
    return np.interp(np.linspace(0.0, knots, samples), np.arange(knots + 1), rng.uniform(low, high, knots + 1))


def _harmonics(rng: np.random.Generator, hz: NDArray[np.float64], count: int, fall: float) -> NDArray[np.float64]:
    """Sum of harmonics of a moving pitch (samples,), the n-th as loud as n ** -fall, give or take 6 dB."""
    turns = np.cumsum(hz) / RATE_HZ
    top = float(hz.max())
    out = np.zeros(hz.size)
    for n in range(1, count + 1):
        if n * top < NYQUIST_HZ:
            level = n**-fall * 10.0 ** (rng.uniform(-6.0, 6.0) / 20.0)
            out += level * np.sin(2.0 * np.pi * (n * turns + rng.random()))
    return out


def machine(rng: np.random.Generator, floor: F32) -> F32:
    """A motor: harmonics of its speed, and its own noise, louder at one part of every turn (vacuum, helicopter, drill).

    floor: float32 (samples,) coloured noise of unit rms that becomes the machine's.
    """
    samples = floor.size
    shaft_hz = np.exp(rng.uniform(np.log(4.0), np.log(60.0)))
    speed = _curve(rng, samples, rng.uniform(0.2, 2.0), 1.0 - rng.uniform(0.0, 0.15), 1.0)
    turns = np.cumsum(shaft_hz * speed) / RATE_HZ
    sharpness = rng.uniform(0.5, 6.0)
    depth = rng.uniform(0.0, 1.0)
    beat = np.exp(sharpness * (np.cos(2.0 * np.pi * turns) - 1.0))
    noise = floor * (1.0 - depth + depth * beat)
    order = int(rng.integers(1, 24))
    whine = _harmonics(rng, shaft_hz * order * speed, int(rng.integers(4, 40)), rng.uniform(0.3, 1.3))
    whine *= 10.0 ** (rng.uniform(-30.0, 3.0) / 20.0) / max(float(whine.std()), 1e-9)
    return (noise / max(float(noise.std()), 1e-9) + whine).astype(np.float32)


def tones(rng: np.random.Generator, floor: F32) -> F32:
    """Alarms, sirens, whistles and beeps over a faint floor: one to three pitches that stay, glide, warble or come
    and go."""
    samples = floor.size
    t = np.arange(samples) / RATE_HZ
    out = floor * 10.0 ** (rng.uniform(-40.0, -10.0) / 20.0)
    for _ in range(int(rng.integers(1, 4))):
        base_hz = np.exp(rng.uniform(np.log(250.0), np.log(4000.0)))
        span = rng.choice([0.0, 0.02, rng.uniform(0.1, 1.0)])
        rate_hz = np.exp(rng.uniform(np.log(0.2), np.log(12.0)))
        swing = np.sin(2.0 * np.pi * rate_hz * t + rng.uniform(0.0, 6.28))
        if rng.random() < 0.3:
            swing = np.sign(swing)
        pitch_hz = base_hz * (1.0 + 0.5 * span * (1.0 + swing))
        voice = _harmonics(rng, pitch_hz, int(rng.integers(1, 10)), rng.uniform(0.5, 2.0))
        if rng.random() < 0.4:
            # on and off within 5 ms
            beeps = np.clip(40.0 * np.sin(2.0 * np.pi * rng.uniform(0.5, 6.0) * t + rng.uniform(0.0, 6.28)), 0.0, 1.0)
            voice = voice * beeps
        out = out + voice * 10.0 ** (rng.uniform(-10.0, 0.0) / 20.0)
    return out.astype(np.float32)


def rain(rng: np.random.Generator, floor: F32) -> F32:
    """Many short knocks at random times, from single drops to a rush: rain, frying, crackling, gravel, applause."""
    import scipy.signal

    samples = floor.size
    rate_hz = np.exp(rng.uniform(np.log(8.0), np.log(4000.0)))
    hits = rng.random(samples) < rate_hz * _curve(rng, samples, rng.uniform(0.5, 4.0), 0.2, 1.0) / RATE_HZ
    train = np.where(hits, rng.standard_normal(samples) * rng.exponential(1.0, samples), 0.0)
    out = np.zeros(samples)
    for _ in range(int(rng.integers(1, 4))):
        hz = np.exp(rng.uniform(np.log(300.0), np.log(7000.0)))
        decay_s = np.exp(rng.uniform(np.log(3e-4), np.log(2e-2)))
        radius, turn = np.exp(-1.0 / (decay_s * RATE_HZ)), 2.0 * np.pi * hz / RATE_HZ
        rung = scipy.signal.lfilter([1.0, -radius], [1.0, -2.0 * radius * np.cos(turn), radius**2], train)
        out += rung / max(float(rung.std()), 1e-9) * rng.uniform(0.3, 1.0)
    return (out + floor * 10.0 ** (rng.uniform(-40.0, -6.0) / 20.0)).astype(np.float32)


def notes(rng: np.random.Generator, floor: F32) -> F32:
    """Notes of up to four voices on a scale, struck or blown, over a faint floor: what music in the next room is
    like."""
    samples = floor.size
    scale = np.array([0, 2, 4, 5, 7, 9, 11])[np.sort(rng.permutation(7)[: int(rng.integers(4, 8))])]
    key_hz = 55.0 * 2.0 ** rng.uniform(0.0, 1.0)
    beat_s = rng.uniform(0.1, 0.6)
    out = floor * 10.0 ** (rng.uniform(-40.0, -15.0) / 20.0)
    for _ in range(int(rng.integers(1, 5))):
        octave, fall = int(rng.integers(0, 5)), rng.uniform(0.6, 2.0)
        decay_s = np.exp(rng.uniform(np.log(0.08), np.log(2.0)))
        at = int(rng.uniform(0.0, beat_s) * RATE_HZ)
        while at < samples:
            length = min(samples - at, int(beat_s * rng.integers(1, 5) * RATE_HZ))
            t = np.arange(length) / RATE_HZ
            edges = np.clip(np.minimum(t, length / RATE_HZ - t) / 0.01, 0.0, 1.0)
            envelope = edges * np.exp(-t / decay_s)
            hz = key_hz * 2.0 ** (octave + rng.choice(scale) / 12.0)
            if rng.random() < 0.85:
                out[at : at + length] += _harmonics(rng, np.full(length, hz), int(rng.integers(3, 16)), fall) * envelope
            at += length
    return out.astype(np.float32)
