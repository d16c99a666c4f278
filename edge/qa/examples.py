"""The files worth looking at and listening to: a system's worst and best, with their sounds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.qa.criteria import Criteria
from edge.qa.evaluate import Measured, System
from edge.qa.measure import F32, Heard, Outcome, UnmeasurableError, enhanced
from edge.qa.summary import FAIL, Row
from edge.quality.metrics import RATE_HZ
from edge.store import Store

SHOWN_S = 10.0
"""of a sound, around where the talker is loudest"""

_MP3: dict[str, Any] = {"compression_level": 0.7, "bitrate_mode": "CONSTANT"}
"""56 kbit/s, enough for 16 kHz in mono"""


@dataclass(frozen=True)
class Example:
    """One file: clean, noisy and enhanced sound, float32 (samples,) at 16 kHz, the same stretch of each."""

    row: Row
    place: str
    """worst or best, and its number"""
    sounds: dict[str, F32]


def ranked(rows: Sequence[Row], criteria: Criteria) -> list[Row]:
    """Rows that fail, or have every value asked for, worst first: by their mean rank over the criteria, a value that is
    missing the worst of all.
    """
    names = [limit.name for limit in criteria.limits]
    whole = [row for row in rows if row.verdict == FAIL or all(row.values[name] is not None for name in names)]
    if not whole:
        return []
    ranks = np.zeros(len(whole))
    for limit in criteria.limits:
        values = np.array([row.values[limit.name] for row in whole], dtype=np.float64)
        better = np.nan_to_num(values if limit.above else -values, nan=-np.inf)
        # files of equal value share a rank
        ranks += np.searchsorted(np.sort(better), better, side="left")
    return [whole[n] for n in np.argsort(ranks, kind="stable")]


def examples(
    measured: Sequence[Measured], system: System, rows: Sequence[Row], criteria: Criteria, count: int, channel: int,
    store: Store,
) -> list[Example]:  # fmt: skip
    """At most `count` worst and as many best files, none twice."""
    order = ranked(rows, criteria)
    worst = order[: min(count, (len(order) + 1) // 2)]
    best = order[len(worst) :][::-1][:count]
    by_name = {one.pair.name: one for one in measured}
    found = []
    for place, chosen in (("worst", worst), ("best", best)):
        for n, row in enumerate(chosen, 1):
            try:
                sounds = _sounds(by_name[row.name], system, channel, store)
            except (UnmeasurableError, OSError):
                continue  # changed since it was measured
            found.append(Example(row, f"{place} {n}", sounds))
    return found


def _sounds(one: Measured, system: System, channel: int, store: Store) -> dict[str, F32]:
    pair = one.pair
    clean = Heard.of(str(pair.clean), "the clean file", channel, mono_will_do=True)
    noisy = Heard.of(str(pair.noisy), "the noisy file", channel)
    if system.recipe is not None:
        made = enhanced(system.recipe, noisy, store, Outcome())
        estimate = Heard(made[:, np.newaxis], noisy.rate_hz, 0)
    else:
        estimate = Heard.of(str(pair.enhanced[system.name]), "the enhanced file", channel, mono_will_do=True)
    whole = {"clean": clean.taken, "noisy": noisy.taken, system.name: estimate.taken}
    start = _loudest(whole["clean"])
    return {name: sound[start : start + int(SHOWN_S * RATE_HZ)] for name, sound in whole.items()}


def _loudest(sound: F32) -> int:
    """Where the loudest stretch of SHOWN_S begins."""
    length = int(SHOWN_S * RATE_HZ)
    if sound.size <= length:
        return 0
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    return int(np.argmax(energy[length:] - energy[:-length]))


def compressed(sound: F32) -> tuple[str, bytes]:
    """(media type, file): MP3, which every browser plays, or FLAC where the installed libsndfile has no MP3."""
    import soundfile

    samples: NDArray[np.float32] = np.clip(sound, -1.0, 1.0)
    file = io.BytesIO()
    if "MP3" in soundfile.available_formats():
        soundfile.write(file, samples, RATE_HZ, format="MP3", subtype="MPEG_LAYER_III", **_MP3)
        return "audio/mpeg", file.getvalue()
    soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    return "audio/flac", file.getvalue()
