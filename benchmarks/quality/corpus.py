"""Seeded mixtures of evaluation speech and noise on one microphone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 16000
SPEECH_DBFS = -28.0
SHORTEST_S = 1.5

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Mixture:
    speech_name: str
    noise_name: str
    snr_db: float
    speech: F32
    """(samples,) the reference"""
    noisy: F32
    text: str | None = None
    """what is said, where the evaluation data's manifest.jsonl tells"""


def _read(path: Path) -> F32:
    audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    if rate != RATE_HZ:
        raise ValueError(f"{path} has {rate} Hz, expected {RATE_HZ}")
    return np.ascontiguousarray(audio[:, 0])


def active_level(audio: F32) -> float:
    """Rms over the 20 ms frames within 30 dB of the loudest."""
    frames = audio[: audio.size // 320 * 320].reshape(-1, 320).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


def transcripts(data: Path) -> dict[str, str]:
    """What is said in the files of speech/, by file name without its ending; empty without a manifest."""
    manifest = data / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()] if manifest.is_file() else []
    return {Path(row["file"]).stem: row["text"] for row in rows if row.get("text")}


def utterances(data: Path) -> list[tuple[str, F32]]:
    """(name, samples) of every file of speech/ that is long enough, by name."""
    found = [(path.stem, _read(path)) for path in sorted((data / "speech").iterdir())]
    return [(name, audio) for name, audio in found if audio.size >= SHORTEST_S * RATE_HZ]


def mixtures(data: Path, snrs_db: tuple[float, ...], limit: int, seed: int = 7) -> Iterator[Mixture]:
    """`limit` mixtures: utterances and noises in turn, SNRs in turn, noise from a random place, 0.5 s of it leading.

    data: folder with speech/ and noise/ of 16 kHz files. SNR is of the active speech against the whole noise.
    """
    rng = np.random.default_rng(seed)
    texts = transcripts(data)
    speech = utterances(data)
    noise = [(p.stem, _read(p)) for p in sorted((data / "noise").iterdir())]
    order = rng.permutation(len(speech))
    for i in range(limit):
        speech_name, clean = speech[order[i % len(speech)]]
        noise_name, sound = noise[(i + i // len(noise)) % len(noise)]
        snr_db = snrs_db[(i + i // len(speech)) % len(snrs_db)]
        clean = np.concatenate([np.zeros(RATE_HZ // 2, np.float32), clean])
        clean = clean * np.float32(10.0 ** (SPEECH_DBFS / 20.0) / active_level(clean))
        piece = np.take(sound, np.arange(clean.size) + int(rng.integers(sound.size)), mode="wrap")
        scale = active_level(clean) / np.sqrt(np.mean(piece.astype(np.float64) ** 2)) * 10.0 ** (-snr_db / 20.0)
        noisy = clean + piece * np.float32(scale)
        yield Mixture(speech_name, noise_name, snr_db, clean, noisy, texts.get(speech_name))
