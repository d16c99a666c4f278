"""Scenes for the tests of microphone health: a talker-like source and a diffuse field on an array, and what breaks."""

from __future__ import annotations

import numpy as np

from edge.geometry import ArrayGeometry

RATE_HZ = 16000
SQUARE = ((0.029, 0.029, 0.0), (-0.029, 0.029, 0.0), (-0.029, -0.029, 0.0), (0.029, -0.029, 0.0))
CIRCLE = tuple((0.046 * np.cos(k * np.pi / 3), 0.046 * np.sin(k * np.pi / 3), 0.0) for k in range(6))
LINE = tuple((0.0, 0.035 * (1.5 - k), 0.0) for k in range(4))


def coloured(samples, rng, power=1.0):
    """Noise whose power falls with frequency to the `power` from 150 Hz on, RMS 1."""
    f = np.maximum(np.fft.rfftfreq(samples, 1 / RATE_HZ), 20.0)
    shape = np.maximum(f / 150.0, 1.0) ** (-power / 2.0)
    x = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * shape, samples)
    return x / x.std()


def talking(samples, rng):
    """Speech-like: a voice of harmonics and breath with a spectrum that falls, in syllables with pauses."""
    t = np.arange(samples) / RATE_HZ
    pitch = 120.0 * (1.0 + 0.15 * np.sin(2 * np.pi * 0.7 * t))
    voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ)) + 0.5 * rng.standard_normal(samples)
    spectrum = np.fft.rfft(voice)
    spectrum /= np.maximum(np.fft.rfftfreq(samples, 1 / RATE_HZ) / 300.0, 1.0)
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t) + 0.6, 0.0, 1.0) * (np.sin(2 * np.pi * 0.4 * t) > -0.7)
    x = np.fft.irfft(spectrum, samples) * syllables
    return x / x.std()


def plane_wave(signal, positions, azimuth_deg, elevation_deg=0.0):
    """(samples, mics): `signal` from far away, delays exact."""
    delays = ArrayGeometry(positions).steering_delays_s(azimuth_deg, elevation_deg)
    f = np.fft.rfftfreq(len(signal), 1 / RATE_HZ)
    spectrum = np.fft.rfft(signal)
    # like the filter before any converter; without it a delay of less than a sample rings for long
    spectrum *= np.clip((7500.0 - f) / 2000.0, 0.0, 1.0)
    return np.fft.irfft(spectrum[:, None] * np.exp(-2j * np.pi * f[:, None] * delays), len(signal), axis=0)


def diffuse(samples, positions, rng, directions=24):
    """(samples, mics): coloured noise from all around, RMS 1."""
    field = np.zeros((samples, len(positions)))
    for _ in range(directions):
        azimuth, elevation = rng.uniform(-180, 180), np.degrees(np.arcsin(rng.uniform(-1, 1)))
        field += plane_wave(coloured(samples, rng), positions, azimuth, elevation)
    return field / field.std()


def scene(positions=SQUARE, seconds=6.0, seed=0, snr_db=10.0, level=0.03, azimuth_deg=40.0):
    """(samples, mics) float32: a talker in a diffuse field, 16-bit steps and self-noise of a usual microphone."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * RATE_HZ)
    x = plane_wave(talking(samples, rng), positions, azimuth_deg)
    x += 10 ** (-snr_db / 20) * diffuse(samples, positions, rng)
    x = level * x + 2e-4 * rng.standard_normal(x.shape)
    return as_16_bit(x)


def as_16_bit(x):
    return (np.round(np.asarray(x) * 32768).clip(-32768, 32767) / 32768).astype(np.float32)


def broken(x, microphone, how, from_s, to_s=None, seed=1):
    """A copy of x (samples, mics) in which one microphone fails between two times."""
    rng = np.random.default_rng(seed)
    y = np.array(x, np.float64)
    start, stop = int(from_s * RATE_HZ), len(x) if to_s is None else int(to_s * RATE_HZ)
    part, count, rms = y[start:stop, microphone].copy(), stop - start, x.std()
    if how == "zero":
        part[:] = 0.0
    elif how == "constant":
        part[:] = 0.11
    elif how == "repeated":
        part = np.resize(x[start - 512 : start, microphone], count)
    elif how == "faint":
        part *= 0.01
    elif how == "self-noise":
        part = 0.01 * rms * rng.standard_normal(count)
    elif how == "clipped":
        part = (part * 3.0 / rms).clip(-1.0, 1.0)
    elif how == "noise":
        part = 3.0 * rms * rng.standard_normal(count)
    elif how == "noise as loud":
        part = rms * rng.standard_normal(count)
    elif how == "inverted":
        part = -part
    elif how == "late":
        part = y[start - 10 : stop - 10, microphone].copy()
    else:
        raise ValueError(how)
    y[start:stop, microphone] = part
    return as_16_bit(y)


def wind(samples, mics, rng, rms=0.02):
    """(samples, mics): gusts of low-frequency noise that no two microphones share."""
    noise = np.stack([coloured(samples, rng, power=6.0) for _ in range(mics)], axis=1)
    t = np.arange(samples)[:, None] / RATE_HZ
    gusts = np.exp(1.2 * np.sin(2 * np.pi * rng.uniform(0.2, 0.5, mics) * t + rng.uniform(0, 6, mics)))
    x = noise * gusts
    return rms * x / x.std()
