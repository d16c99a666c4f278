"""PocketSphinx with the American English model and the words that come with its package (BSD licence).

A recogniser of the older kind: hidden Markov models and a trigram language model, far less robust than a network. It
hears differently from Whisper, which is what makes it worth asking beside it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

RATE_HZ = 16000


class Sphinx:
    """See edge.impact.recognisers.Recogniser. Raises ImportError where its package is not installed."""

    def __init__(self) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(samprate=RATE_HZ, loglevel="FATAL")
        self.identity = f"PocketSphinx {version('pocketsphinx')} en-us, revision 1"

    def transcribe(self, samples: F32, rate_hz: int) -> str:
        """Peak brought to half scale, as 16 bits. The whole utterance is given at once, so that the mean of its cepstra
        is its own and not that of the utterance before.
        """
        if rate_hz != RATE_HZ:
            raise ValueError(f"PocketSphinx hears {RATE_HZ} Hz, got {rate_hz}")
        peak = float(np.abs(samples).max(initial=0.0))
        if peak == 0.0:
            return ""
        pcm = np.round(samples * (16384.0 / peak)).astype("<i2").tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found else ""
