"""Toy speech and noise as sound files: harmonic syllables of a few talkers, and coloured noises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000


def syllables(rng: np.random.Generator, pitch_hz: float, seconds: float) -> np.ndarray:
    """Harmonics with a gliding pitch under a syllabic envelope."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2.0 * np.pi * np.cumsum(pitch_hz * (1.0 + 0.1 * np.sin(2.0 * np.pi * 0.7 * t))) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 20) if k * pitch_hz < 7000.0)
    rate = rng.uniform(2.5, 4.5)
    envelope = np.clip(np.sin(2.0 * np.pi * rate * t + rng.uniform(0, 6.0)), 0.0, None)
    return (0.1 * voice * envelope).astype(np.float32)


def make_corpora(folder: Path) -> tuple[Path, Path]:
    """Folders `speech` (four talkers, one a sub-folder) and `noise` (four files, FLAC and 44.1 kHz WAV)."""
    rng = np.random.default_rng(5)
    speech, noise = folder / "speech", folder / "noise"
    for talker in range(4):
        (speech / f"talker{talker}").mkdir(parents=True)
        for n in range(3):
            audio = syllables(rng, 100.0 + 30.0 * talker, 2.0)
            soundfile.write(speech / f"talker{talker}" / f"{n}.wav", audio, RATE_HZ)
    noise.mkdir()
    for n in range(4):
        audio = 0.1 * rng.standard_normal(3 * RATE_HZ)
        audio = np.convolve(audio, np.ones(1 + 2 * n) / (1 + 2 * n), "same").astype(np.float32)
        soundfile.write(noise / (f"{n}.flac" if n % 2 else f"{n}.wav"), audio, RATE_HZ if n else 44100)
    return speech, noise
