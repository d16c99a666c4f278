"""Sounds that the tests of the quality benchmark share."""

from __future__ import annotations

import numpy as np

RATE_HZ = 16000
F32 = np.ndarray


def speech_like(seconds: float, seed: int = 0, syllables_hz: float = 4.0) -> F32:
    """Low-pass noise in syllables."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= 1.0 + (np.fft.rfftfreq(samples, 1 / RATE_HZ) / 800.0) ** 2
    loudness = np.maximum(np.sin(2.0 * np.pi * syllables_hz * np.arange(samples) / RATE_HZ), 0.0)
    wave = np.fft.irfft(spectrum, samples) * loudness
    return (0.05 * wave / wave.std()).astype(np.float32)
