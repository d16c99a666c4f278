"""Folders of clean and noisy files for tests of the quality report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Harmonics of a wandering pitch in syllables, float32 (samples,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = 120.0 + 30.0 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum(np.sin(n * phase) / n for n in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3.0 * t + rng.uniform(0, 6)), 0.0, None)
    return (0.08 * voice * syllables).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype=subtype)


def make_pairs(folder: Path, count: int, seconds: float = 1.0) -> tuple[Path, Path]:
    """`count` pairs of speech and speech in noise: (folder/clean, folder/noisy)."""
    for n in range(count):
        clean = speech_like(seconds, n)
        noise = np.random.default_rng(100 + n).standard_normal(clean.size).astype(np.float32)
        write(folder / "clean" / f"u{n}.wav", clean)
        write(folder / "noisy" / f"u{n}.wav", clean + 0.02 * (1 + n % 3) * noise)
    return folder / "clean", folder / "noisy"


def make_odd_pairs(folder: Path) -> dict[str, int]:
    """Pairs that have no values, or only some: name -> least number of metrics that have none."""
    clean = speech_like(1.0, 50)
    noise = 0.02 * np.random.default_rng(1).standard_normal(clean.size).astype(np.float32)
    silence = np.zeros(RATE_HZ, np.float32)
    bad = clean + noise
    bad[100] = np.nan
    pairs = {
        "silent": (silence, silence),
        "silent_clean": (silence, noise),
        "silent_noisy": (clean, silence),
        "one_sample": (clean[5000:5001], clean[5000:5001]),
        "empty": (clean[:0], clean[:0]),
        "not_a_number": (clean, bad),
    }
    for name, (c, n) in pairs.items():
        write(folder / "clean" / f"{name}.wav", c)
        write(folder / "noisy" / f"{name}.wav", n)
    write(folder / "clean" / "broken.wav", clean)
    (folder / "noisy" / "broken.wav").write_bytes(b"RIFF and then nothing")
    return {
        "silent": 6,
        "silent_clean": 6,
        "silent_noisy": 6,
        "one_sample": 8,
        "empty": 8,
        "not_a_number": 6,
        "broken": 8,
    }
