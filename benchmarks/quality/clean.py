"""What should be left alone: clean speech at several levels, and silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.specs import ARRAYS_M
from benchmarks.quality import ours
from benchmarks.quality.bench import Options, Row, bench
from benchmarks.quality.corpus import RATE_HZ, active_level, utterances

F32 = NDArray[np.float32]

LEVELS_DBFS = (-45.0, -25.0, -10.0)
UTTERANCES = 12
LEAD_S = 0.3
SILENCE_S = 10.0
DITHER_DBFS = -90.0
FIRST_S = 1.0
"""of silence that is left out: the sound that is still in the chain, and what is learnt from reset on"""
WANTED = ("pesq", "estoi", "si_sdr")
SYSTEMS = {"ours int8": "listen", "ours asr": "asr"}


@dataclass(frozen=True)
class Clean:
    """One utterance of the evaluation data with nothing added, at one level."""

    name: str
    wanted_dbfs: float
    speech: F32
    """(samples,)"""

    @property
    def level_dbfs(self) -> float:
        """What it came to be: the wanted level, unless its peaks would then be above full scale."""
        return 20.0 * float(np.log10(active_level(self.speech)))


def at_level(speech: F32, wanted_dbfs: float) -> F32:
    """(samples,) at an active level in dBFS, or the nearest below it at which no sample is above full scale."""
    gain = 10.0 ** (wanted_dbfs / 20.0) / active_level(speech)
    return speech * np.float32(min(gain, 1.0 / float(np.abs(speech).max())))


def items(data: Path, limit: int | None = None) -> list[Clean]:
    """UTTERANCES (or `limit`) spread over the evaluation speech, at each of LEVELS_DBFS."""
    found = utterances(data)
    count = min(UTTERANCES if limit is None else limit, len(found))
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, count).round().astype(int)]
    lead = np.zeros(round(LEAD_S * RATE_HZ), np.float32)
    return [
        Clean(name, level_dbfs, at_level(np.concatenate([lead, speech, lead]), level_dbfs))
        for name, speech in chosen
        for level_dbfs in LEVELS_DBFS
    ]


def score(options: Options, clean: Clean) -> list[Row]:
    """A row per output: the output against the input."""
    tools = bench(options)
    outputs = ours.enhance(tools.mono("int8"), clean.speech[:, None])
    about = {"speech": clean.name, "wanted_dbfs": clean.wanted_dbfs, "level_dbfs": clean.level_dbfs}
    rows = []
    for system, output in SYSTEMS.items():
        score = tools.scorer.output(clean.speech, outputs[output], wanted=WANTED)
        rows.append({**about, "system": system, **score})
    return rows


def silences(mics: int, seconds: float = SILENCE_S) -> dict[str, F32]:
    """Name to (samples, mics): digital silence, and white noise of DITHER_DBFS."""
    shape = (round(seconds * RATE_HZ), mics)
    rng = np.random.default_rng(3)
    dither = rng.standard_normal(shape) * 10.0 ** (DITHER_DBFS / 20.0)
    return {"digital silence": np.zeros(shape, np.float32), "dither": dither.astype(np.float32)}


def _dbfs(sound: F32) -> float | None:
    """Rms level; None for digital silence."""
    power = float(np.mean(sound.astype(np.float64) ** 2))
    return 10.0 * float(np.log10(power)) if power > 0.0 else None


def silence_levels(options: Options) -> list[Row]:
    """Level that each output has on silence, by itself after a reset and after loud speech, in dBFS."""
    tools = bench(options)
    rows = []
    speech = at_level(utterances(options.data)[0][1], -20.0)
    pipelines = {1: tools.mono("int8"), 4: tools.array(ARRAYS_M["square"], "int8")}
    for mics, pipeline in pipelines.items():
        for name, silence in silences(mics).items():
            for before, lead in (("reset", np.zeros(0, np.float32)), ("speech", speech)):
                sound = np.concatenate([np.repeat(lead[:, None], mics, axis=1), silence])
                outputs = ours.enhance(pipeline, sound)
                spoken = lead.size + round(FIRST_S * RATE_HZ)
                rows += [
                    {
                        "microphones": mics,
                        "in": name,
                        "after": before,
                        "output": output,
                        "in_dbfs": _dbfs(silence[:, 0]),
                        "out_dbfs": _dbfs(made[spoken:]),
                        "peak_out": float(np.abs(made[spoken:]).max()),
                    }
                    for output, made in outputs.items()
                ]
    return rows
