"""One pair of files measured: what a worker process, here or on another machine, is given and gives back.

A record is what JSON can hold: {"scores": {name: [value or None, reason]}}, and for the noisy file what it is.
"""

from __future__ import annotations

import functools
import io
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import Config
from edge.enhancers import OfflineEnhancer, make_enhancer
from edge.errors import EdgeError, UsageError
from edge.qa.table import METRICS
from edge.quality.evaluate import evaluate
from edge.quality.metrics import RATE_HZ, Score
from edge.quality.signal import clipping_percent
from edge.store import Store, digest, program_digest

F32 = NDArray[np.float32]
Record = dict[str, Any]

_CANNOT_CHANGE_A_RESULT = (
    "analysis",
    "cli",
    "demo",
    "impact",
    "processes.py",
    "qa/__init__.py",
    "qa/criteria.py",
    "qa/evaluate.py",
    "qa/examples.py",
    "qa/journal.py",
    "qa/page.py",
    "qa/pairs.py",
    "qa/pictures.py",
    "qa/report.py",
    "qa/rows.py",
    "qa/statistics.py",
    "qa/summary.py",
    "qa/text.py",
    "qa/workers.py",
    "store",
    "telemetry",
)
_SCORED_BY = ("pesq", "pystoi", "speechmos")


def code() -> str:
    """Digest of everything that decides a record but the files and the enhancer: source and packages."""
    return program_digest(_CANNOT_CHANGE_A_RESULT, _SCORED_BY)


@dataclass(frozen=True)
class Recipe:
    """How another process makes the enhancer, and how it knows that it made the same one."""

    name: str
    identity: str
    config: Config | None = None
    model: str | None = None

    @property
    def hears_all(self) -> bool:
        """Whether it takes an array, and not one channel."""
        return self.config is not None and len(self.config.array.roles) > 1


@dataclass(frozen=True)
class Task:
    """One pair and what is not known of it yet. Files are paths, or bytes for a machine that has no such paths."""

    name: str
    clean: str | bytes
    noisy: str | bytes
    channel: int
    """that is measured of files with several, 0 the first"""
    wanted: tuple[str, ...]
    """metrics"""
    noisy_wanted: bool
    files: dict[str, str | bytes] = field(default_factory=dict)
    """system -> its enhanced file"""
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """system -> enhancer that makes the enhanced sound here"""
    code: str = ""


@dataclass
class Outcome:
    """Records of a task, and what they cost."""

    noisy: Record | None = None
    systems: dict[str, Record] = field(default_factory=dict)
    cpu_s: float = 0.0
    sounds_found: int = 0
    sounds_made: int = 0


class UnmeasurableError(Exception):
    """A file that has no values, with the reason. `lasting`: the same file will always have none."""

    def __init__(self, reason: str, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


_one_at_a_time = threading.Lock()


def measure(task: Task, store: Store) -> Outcome:
    """Everything that the task asks for; whatever is wrong with its files is a reason in the record.

    store: where enhanced sounds are kept. Raises UsageError where the code or model here is not that of the task. One
    at a time per process, since neither enhancers nor all metrics can be used by several threads: a Dask worker with
    more threads works, but no faster.
    """
    if task.code != code():
        raise UsageError(
            "a worker has another mic-edge, pesq, pystoi or the like than the process that asks, or it has changed "
            "since; install the same versions and start again"
        )
    with _one_at_a_time:
        started_s, outcome = time.process_time(), Outcome()
        try:
            reference = Heard.of(task.clean, "the clean file", task.channel, mono_will_do=True)
            noisy = Heard.of(task.noisy, "the noisy file", task.channel)
        except UnmeasurableError as error:
            record = failed(str(error), error.lasting)
            outcome.noisy = record if task.noisy_wanted else None
            outcome.systems = dict.fromkeys((*task.files, *task.recipes), record)
            return outcome
        if task.noisy_wanted:
            about = {"seconds": len(noisy.samples) / noisy.rate_hz, "rate_hz": noisy.rate_hz}
            outcome.noisy = {**_record(task, reference, noisy, noisy), **about, "channels": noisy.samples.shape[1]}
        for system in (*task.files, *task.recipes):
            try:
                if system in task.files:
                    estimate = Heard.of(task.files[system], "the enhanced file", task.channel, mono_will_do=True)
                else:
                    made = enhanced(task.recipes[system], noisy, store, outcome)
                    estimate = Heard(made[:, np.newaxis], noisy.rate_hz, 0)
                outcome.systems[system] = _record(task, reference, noisy, estimate)
            except UnmeasurableError as error:
                outcome.systems[system] = failed(str(error), error.lasting)
        outcome.cpu_s = time.process_time() - started_s
        return outcome


@dataclass(frozen=True)
class Heard:
    """What a file holds, samples float32 (n, channels), and which channel of it counts."""

    samples: F32
    rate_hz: int
    channel: int

    @classmethod
    def of(cls, file: str | bytes, what: str, channel: int, mono_will_do: bool = False) -> Heard:
        """mono_will_do: whatever the channel, a file that has only one is taken. Raises UnmeasurableError."""
        samples, rate_hz = _read(file, what)
        if channel >= samples.shape[1] > 1 or (channel > 0 and samples.shape[1] == 1 and not mono_will_do):
            raise UnmeasurableError(f"{what} has no channel {channel + 1}, only {samples.shape[1]}")
        return cls(samples, rate_hz, channel if samples.shape[1] > 1 else 0)

    @property
    def raw(self) -> F32:
        """The channel as it is, (n,)."""
        return np.ascontiguousarray(self.samples[:, self.channel])

    @functools.cached_property
    def taken(self) -> F32:
        """The channel at the rate of the metrics, (n',)."""
        if self.rate_hz == RATE_HZ:
            return self.raw
        import soxr

        return np.asarray(soxr.resample(self.raw, self.rate_hz, RATE_HZ), np.float32)


def failed(reason: str, lasting: bool = True) -> Record:
    """A record without any value. lasting: worth keeping, since the same files will give the same."""
    return {"scores": {name: [None, reason] for name in METRICS}, "lasting": lasting}


def _read(file: str | bytes, what: str) -> tuple[F32, int]:
    """Samples float32 (n, channels) and their rate. Raises UnmeasurableError."""
    import soundfile

    try:
        samples, rate_hz = soundfile.read(
            io.BytesIO(file) if isinstance(file, bytes) else file, dtype="float32", always_2d=True
        )
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        reason = str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).rstrip(".")
        # what libsndfile calls that is a failure of the disk, and not of what the file holds
        of_content = not isinstance(error, OSError) and reason != "System error"
        raise UnmeasurableError(f"{what} cannot be read: {reason}", lasting=of_content) from None
    if not len(samples):
        raise UnmeasurableError(f"{what} is empty")
    return samples, int(rate_hz)


def enhanced(recipe: Recipe, noisy: Heard, store: Store, outcome: Outcome) -> F32:
    """The enhanced sound, float32 (n,) at the noisy one's rate, from the store or made.

    Raises UnmeasurableError and UsageError.
    """
    heard, rate_hz = noisy.samples if recipe.hears_all else noisy.raw, noisy.rate_hz
    key = digest("enhanced", recipe.identity, program_digest(_CANNOT_CHANGE_A_RESULT), str(rate_hz), heard)
    known = store.sound(key)
    if known is not None:
        outcome.sounds_found += 1
        return known
    enhancer = _enhancer(recipe)
    try:
        made = enhancer.enhance(heard, rate_hz)
    except EdgeError as error:  # a full disk among them, so another run may fare better
        raise UnmeasurableError(str(error), lasting=False) from None
    except Exception as error:
        raise UnmeasurableError(f"{recipe.name} failed, {type(error).__name__}: {error}", lasting=False) from error
    outcome.sounds_made += 1
    store.put_sound(key, made)
    return made


@functools.lru_cache(maxsize=8)
def _enhancer(recipe: Recipe) -> OfflineEnhancer:
    enhancer = make_enhancer(recipe.name, recipe.config, recipe.model)
    if enhancer.identity != recipe.identity:
        raise UsageError(f"a worker has another model or configuration of {recipe.name}; install the same there")
    return enhancer


def _record(task: Task, reference: Heard, noisy: Heard, estimate: Heard) -> Record:
    try:
        scores = evaluate(reference.taken, estimate.taken, noisy=noisy.taken, wanted=task.wanted)
    except Exception as error:
        return failed(f"measuring failed, {type(error).__name__}: {error}", lasting=False)
    if "clipping_percent" in scores:
        scores["clipping_percent"] = clipping_percent(estimate.raw)  # resampling rounds off what was clipped
    return {"scores": {name: _plain(score) for name, score in scores.items()}, "lasting": True}


def _plain(score: Score) -> list[Any]:
    """[value, ""] or [None, reason]: no NaN or infinity gets into a record, and so none into a mean."""
    if math.isfinite(score.value):
        return [float(score.value), ""]
    return [None, score.reason or f"it is {score.value}"]
