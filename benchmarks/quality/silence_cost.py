"""What silence costs ours against speech: both at the same time, stretch by stretch.

Numbers too small to be normal appear only once slow averages have decayed for a minute or two, so two minutes of
silence follow the speech. A machine that is slower for some of them would look the same; so a pipeline that goes on
hearing speech is timed just before every stretch of silence, and what counts is the ratio of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.specs import ARRAYS_M
from benchmarks.quality import clean
from benchmarks.quality.bench import Bench, Row
from benchmarks.quality.timing import ATTEMPTS, DISTURBED, RATE_HZ, calmness, per_hop_us
from edge.pipeline import Pipeline

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SILENCE_S = 120.0
STRETCH_S, SPEECH_S = 10.0, 5.0
"""of silence, and of the speech before it"""


@dataclass(frozen=True)
class Turns:
    """Mean microseconds per hop, (turns, stretches) each."""

    speech_us: F64
    silent_us: dict[str, F64]
    """by the name of the silence"""


def _turn(pipelines: list[Pipeline], speech: F32, silences: Mapping[str, F32]) -> tuple[list[float], list[list[float]]]:
    """Stretch by stretch: one pipeline hears speech, then each of the others its silence. All begin with speech."""
    hop, out = pipelines[0].hop_samples, np.zeros((pipelines[0].hop_samples, len(pipelines[0].outputs)), np.float32)

    def mean_us(pipeline: Pipeline, sound: F32) -> float:
        return float(per_hop_us(lambda block: pipeline.process(block, out), sound, hop).mean())

    for pipeline in pipelines:
        pipeline.reset()
        mean_us(pipeline, speech)
    size = round(STRETCH_S * RATE_HZ) // hop * hop
    ends = range(size, len(next(iter(silences.values()))) + 1, size)
    spoken: list[float] = []
    silent: list[list[float]] = [[] for _ in silences]
    for end in ends:
        spoken.append(mean_us(pipelines[0], speech))
        for i, silence in enumerate(silences.values()):
            silent[i].append(mean_us(pipelines[1 + i], silence[end - size : end]))
    return spoken, silent


def time_turns(pipelines: list[Pipeline], speech: F32, silences: Mapping[str, F32]) -> Turns:
    """As many turns as there are pipelines (one more than silences), in each of which every one has another part."""
    spoken, silent = [], []
    for turn in range(len(pipelines)):
        made = _turn(pipelines[turn:] + pipelines[:turn], speech, silences)
        spoken.append(made[0])
        silent.append(made[1])
    by_name = np.array(silent).swapaxes(0, 1)
    return Turns(np.array(spoken), dict(zip(silences, by_name, strict=True)))


def summary(turns: Turns, name: str, hop_ms: float, expected_ms_per_s: float | None = None) -> Row:
    """Medians over turns: processing ms per second of speech and of silence, and the stretch that cost most, as a
    multiple of the speech before it. Speech that costs something else than expected was disturbed, too.
    """
    speech_us, silent_us = turns.speech_us, turns.silent_us[name]
    over = np.median(silent_us / speech_us, axis=0)
    spent = float(np.median(speech_us)) / hop_ms
    off = spent / expected_ms_per_s if expected_ms_per_s else 1.0
    return {
        "ms_per_s_speech": round(spent, 3),
        "ms_per_s_silence": round(float(np.median(silent_us)) / hop_ms, 3),
        "worst_stretch_over_speech": round(float(over.max()), 3),
        "worst_stretch_at_s": STRETCH_S * int(over.argmax()),
        **calmness(max(float(np.median(speech_us) / speech_us.min()), off, 1.0 / off)),
    }


def silence_costs(tools: Bench, speech: F32, expected_ms_per_s: Mapping[int, float]) -> list[Row]:
    """A row per number of microphones and kind of silence, after speech (samples,); again where it was disturbed.

    expected_ms_per_s: what ours costs on speech by the tables, by number of microphones.
    """
    rows: list[Row] = []
    for mics in (1, 4):
        silences = clean.silences(mics, SILENCE_S)
        count = 1 + len(silences)
        pipelines = [tools.array(ARRAYS_M["square"], "int8") if mics > 1 else tools.fresh_mono() for _ in range(count)]
        hop_ms = pipelines[0].hop_samples / pipelines[0].rate_hz * 1e3
        loud = np.resize(speech, round(SPEECH_S * RATE_HZ))
        loud = np.ascontiguousarray(np.repeat(loud[:, None], mics, axis=1))
        for _ in range(ATTEMPTS):
            turns = time_turns(pipelines, loud, silences)
            found = {name: summary(turns, name, hop_ms, expected_ms_per_s.get(mics)) for name in silences}
            if all(row["timing"] != DISTURBED for row in found.values()):
                break
        rows += [{"microphones": mics, "in": name, **row} for name, row in found.items()]
    return rows
