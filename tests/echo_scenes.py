"""Synthetic echo: rooms that decay, playback with pauses and colour, and running a canceller over it."""

from __future__ import annotations

import numpy as np

from edge.config.schema import EchoConfig
from edge.echo.canceller import EchoCanceller
from edge.profiles import PROFILES

RATE_HZ = 16000
MICS = 4


def room(rng, mics=MICS, rt60_s=0.3, delay_ms=1.0):
    """Responses (mics, taps) of unit energy: a direct path and a tail that decays."""
    taps = int(rt60_s * RATE_HZ)
    decay = 10.0 ** (-3.0 * np.arange(taps) / taps)
    tail = rng.standard_normal((mics, taps)) * decay
    tail *= 0.5 / np.sqrt(np.sum(tail**2, axis=1, keepdims=True))
    tail[:, 3] += 0.85
    return np.pad(tail, ((0, 0), (int(delay_ms * RATE_HZ / 1000), 0)))


def voice(rng, seconds):
    """Coloured noise in syllables and pauses, RMS 0.05, (samples,)."""
    samples = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequencies_hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    spectrum *= 1.0 / (1.0 + (frequencies_hz / 800.0) ** 2) ** 0.5 * (frequencies_hz > 80.0)
    noise = np.fft.irfft(spectrum, samples)
    syllables = np.repeat(rng.uniform(0.0, 1.0, samples // 2400 + 1), 2400)[:samples] ** 2
    smooth = np.convolve(syllables, np.hanning(800) / 400.0, "same")
    signal = noise * smooth
    return 0.05 * signal / np.sqrt(np.mean(signal**2))


def played(signal, responses):
    """Signal (samples,) through responses (mics, taps): (samples, mics)."""
    length = 1 << (len(signal) + responses.shape[1]).bit_length()
    spectrum = np.fft.rfft(signal, length) * np.fft.rfft(responses, length)
    return np.fft.irfft(spectrum, length)[:, : len(signal)].T


def make(mics=MICS, references=1, profile="assistant", **options):
    channels = np.arange(mics, mics + references)
    return EchoCanceller(EchoConfig(**options), PROFILES[profile], channels, mics)


def cancel(canceller, microphones, references, profile="assistant", on_hop=lambda i: None):
    """What is left at microphones (samples, mics), given references (samples, references)."""
    hop, window = PROFILES[profile].hop_samples, PROFILES[profile].window_samples
    captured = np.ascontiguousarray(np.concatenate([microphones, references], axis=1), np.float32)
    mics = microphones.shape[1]
    history = np.zeros((mics, window), np.float32)
    out = np.zeros_like(microphones, dtype=np.float32)
    for i, start in enumerate(range(0, len(captured) - hop + 1, hop)):
        block = captured[start : start + hop]
        history[:, -hop:] = block[:, :mics].T
        canceller.process(block, history, np.float32(1e4), True)
        out[start : start + hop] = history[:, -hop:].T
        on_hop(i)
    return out


def span(x, begin_s, end_s):
    return x[int(begin_s * RATE_HZ) : int(end_s * RATE_HZ)]


def ratio_db(a, b):
    return 10.0 * np.log10(np.mean(np.square(a, dtype=np.float64)) / (np.mean(np.square(b, dtype=np.float64)) + 1e-20))
