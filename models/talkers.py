"""Dry speech of one talker at a time: utterances with pauses, faster or slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data import RATE_HZ, Corpus
from models.sounds import stretch, unit

F32 = NDArray[np.float32]


class Talkers:
    """Draws segments of `samples` from a corpus; everything random comes from the generator that is handed in."""

    def __init__(self, speech: Corpus, samples: int) -> None:
        self.speech, self.samples = speech, samples
        self._by_group: dict[str, list[int]] = {}
        for i, clip in enumerate(speech.clips):
            self._by_group.setdefault(clip.group, []).append(i)
        weight = np.array([c.samples for c in speech.clips], np.float64)
        self._cdf = np.cumsum(weight / weight.sum())

    def draw(self, rng: np.random.Generator) -> F32:
        """float32 (samples,) of one talker: utterances of unit rms with pauses, 0.85 to 1.15 times as fast."""
        first = min(int(np.searchsorted(self._cdf, rng.random())), len(self.speech.clips) - 1)
        group = self._by_group[self.speech.clips[first].group]
        speed = float(rng.uniform(0.85, 1.15)) if rng.random() < 0.5 else 1.0
        dry = np.zeros(self.samples, np.float32)
        where = -int(rng.uniform(0.0, 0.5) * RATE_HZ) if rng.random() < 0.5 else int(rng.exponential(0.3) * RATE_HZ)
        index = first
        while where < self.samples:
            clip = self.speech.clips[index]
            room = int((self.samples - max(where, 0)) * speed) + 512
            # start inside a long utterance, so that all of it is heard over time
            start = int(rng.integers(0, clip.samples - room)) if clip.samples > room and where <= 0 else max(0, -where)
            audio = self.speech.audio(clip, min(start, clip.samples // 2), room)
            if speed != 1.0:
                audio = stretch(audio, speed)
            at = max(where, 0)
            n = min(audio.size, self.samples - at)
            dry[at : at + n] += unit(audio[:n]) if n > 400 else audio[:n]
            where = at + n + int(rng.exponential(0.25) * RATE_HZ)
            index = group[int(rng.integers(len(group)))]
        return dry
