"""One recording under all conditions: what recognisers hear, how like the talker it still is; kept or made."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.errors import EdgeError, UsageError
from edge.impact import mixing
from edge.impact.conditions import CLEAN, Condition, Recording
from edge.impact.material import Item
from edge.impact.mixing import RATE_HZ, UnmeasurableError
from edge.impact.recognisers import Recogniser, make_recogniser
from edge.impact.speaker import SHORTEST_S, similarity, spoken_part, voice_encoder
from edge.quality.alignment import MIN_CORRELATION, find_lag
from edge.store import Store, digest, program_digest

F32 = NDArray[np.float32]

MAX_LAG_S = 0.5
"""by which a given recording may be late or early"""

Found = tuple[str | float | None, str]
"""a value, or None and the reason"""

_CANNOT_CHANGE_A_RESULT = (
    "analysis",
    "cli",
    "demo",
    "processes.py",
    "qa",
    "quality/__init__.py",
    "quality/artifacts.py",
    "quality/evaluate.py",
    "quality/metrics.py",
    "quality/pattern.py",
    "quality/pattern_picture.py",
    "quality/plots.py",
    "quality/shadow.py",
    "quality/signal.py",
    "quality/spectral.py",
    "quality/srmr.py",
    "store",
    "telemetry",
    "impact/material.py",
    "impact/picture.py",
    "impact/report.py",
    "impact/spelled.py",
    "impact/statistics.py",
    "impact/text.py",
    "impact/words.py",
    "impact/workers.py",
)


@dataclass(frozen=True)
class Task:
    """An item at one SNR; without conditions its clean speech alone."""

    item: Item
    snr_db: float | None
    lead_s: float
    channels: int
    conditions: tuple[Condition, ...]
    recognisers: tuple[tuple[str, str], ...]
    """name and identity"""
    speaker: str
    """identity of the encoder, or nothing"""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.conditions) or (CLEAN,)


@dataclass
class Outcome:
    """What was found for every condition, or why not."""

    texts: dict[str, dict[str, Found]] = field(default_factory=dict)
    """condition -> recogniser -> what it heard"""
    similarity: dict[str, Found] = field(default_factory=dict)
    """condition -> cosine with the clean speech"""
    embedding: list[float] | None = None
    """of the clean speech, of a task without conditions"""
    snr_db: float | None = None
    seconds: float = 0.0
    """of speech that was heard"""
    found: int = 0
    made: int = 0
    """results from the store, and not"""


def failed(task: Task, why: str) -> Outcome:
    """Nothing but the reason."""
    texts: dict[str, dict[str, Found]] = {c: {r: (None, why) for r, _ in task.recognisers} for c in task.names}
    return Outcome(texts, {c: (None, why) for c in task.names if task.speaker}, snr_db=task.snr_db)


def measure(task: Task, store: Store) -> Outcome:
    """Raises UsageError where this process has not what the task was made for; all else becomes a reason."""
    try:
        clean, noisy, snr_db = _sounds(task)
    except UnmeasurableError as error:
        return failed(task, str(error))
    lead = 0 if task.item.noisy or not task.conditions else round(task.lead_s * RATE_HZ)
    outcome = Outcome(snr_db=snr_db, seconds=(clean.size - lead) / RATE_HZ)
    reference, recording = _Reference(clean[lead:]), Recording(noisy, RATE_HZ)
    mixed_key = digest("recording", program_digest(_CANNOT_CHANGE_A_RESULT), str(lead), noisy)
    for condition in task.conditions or (Condition(CLEAN, identity=CLEAN),):
        _measure_condition(task, condition, reference, recording, mixed_key, lead, store, outcome)
    if not task.conditions and task.speaker:
        outcome.embedding = _embedding(task, reference, store, outcome)
    return outcome


def _sounds(task: Task) -> tuple[F32, F32, float | None]:
    """Clean speech (n,) at the first microphone, what the microphones hear (n, channels), and the SNR."""
    item = task.item
    if item.noisy is not None:
        clean = mixing.load_clean(item.utterance.path, 1)[:, 0]
        noisy = mixing.load(item.noisy, "the noisy recording", task.channels)
        clean, noisy = _aligned(clean, noisy)
        snr_db = item.snr_db
        if snr_db is None:
            snr_db = mixing.measured_snr_db(clean, noisy[:, 0])
        return clean, noisy if task.conditions else clean[:, np.newaxis], snr_db
    speech = mixing.load_clean(item.utterance.path, task.channels)
    if not task.conditions:
        return speech[:, 0], speech, None
    assert item.noise is not None
    assert task.snr_db is not None
    noise = mixing.load(item.noise, "the noise", task.channels)
    alone, noisy = mixing.mix(speech, noise, task.snr_db, task.lead_s, item.seed, item.from_start)
    return np.ascontiguousarray(alone[:, 0]), noisy, task.snr_db


def _aligned(clean: F32, noisy: F32) -> tuple[F32, F32]:
    """Both where they share the speech: a recording may be MAX_LAG_S late or early, and go on longer."""
    lag = 0
    if noisy[:, 0].any():
        found = find_lag(clean, noisy[:, 0], round(MAX_LAG_S * RATE_HZ))
        lag = found.lag_samples if found.correlation >= MIN_CORRELATION else 0
    if spoken_part(clean)[: max(0, -lag - RATE_HZ // 10)].any():
        raise UnmeasurableError("the noisy recording begins more than 0.1 s after the clean speech")
    clean, noisy = clean[max(0, -lag) :], noisy[max(0, lag) :]
    size = min(len(clean), len(noisy))
    if len(clean) - size > RATE_HZ // 10:
        raise UnmeasurableError("the noisy recording ends more than 0.1 s before the clean speech")
    return clean[:size], noisy[:size]


class _Reference:
    """Clean speech, its embedding when it is asked for."""

    def __init__(self, clean: F32) -> None:
        self.clean = clean
        self.spoken = spoken_part(clean)

    @functools.cached_property
    def embedding(self) -> F32:
        return voice_encoder().embed(self.clean[self.spoken])

    @property
    def why_not(self) -> str:
        seconds = float(self.spoken.sum()) / RATE_HZ
        return f"{seconds:.2f} s of speech, the encoder needs {SHORTEST_S:g} s" if seconds < SHORTEST_S else ""


def _measure_condition(
    task: Task,
    condition: Condition,
    reference: _Reference,
    recording: Recording,
    mixed_key: str,
    lead: int,
    store: Store,
    outcome: Outcome,
) -> None:
    sound_key = digest("heard", mixed_key, condition.identity)

    @functools.cache
    def sound() -> F32:
        made = reference.clean if condition.name == CLEAN else recording.heard(condition)[lead:]
        if made.shape != reference.clean.shape:
            raise UnmeasurableError(f"{made.shape} samples came out, expected {reference.clean.shape}")
        if not np.isfinite(made).all():
            raise UnmeasurableError("samples that are not finite came out")
        return made

    def kept(key: str, make: Callable[[], str | float]) -> Found:
        known = store.scores(key)
        if known is not None:
            outcome.found += 1
            return known["value"], known["why"]
        outcome.made += 1
        value: str | float | None
        try:
            value, why = make(), ""
        except UsageError:
            raise
        except UnmeasurableError as error:
            value, why = None, str(error)
        # perhaps only now, on a full disk and the like, so it is not kept
        except EdgeError as error:
            return None, str(error)
        except Exception as error:
            return None, f"failed, {type(error).__name__}: {error}"
        store.put_scores(key, {"value": value, "why": why})
        return value, why

    texts = outcome.texts[condition.name] = {}
    for name, identity in task.recognisers:
        texts[name] = kept(digest("text", identity, sound_key), functools.partial(_text, name, identity, sound))
    if task.speaker and reference.why_not:
        outcome.similarity[condition.name] = (None, reference.why_not)
    elif task.speaker:

        def compared() -> float:
            part = sound()[reference.spoken]
            if not part.any():
                raise UnmeasurableError("what came out is silent")
            return similarity(reference.embedding, voice_encoder().embed(part))

        key = digest("similarity", task.speaker, sound_key, reference.clean)
        outcome.similarity[condition.name] = kept(key, compared)


def _text(name: str, identity: str, sound: Callable[[], F32]) -> str:
    ears = _recogniser(name)
    if ears.identity != identity:
        raise UsageError(f"recogniser {name} is {ears.identity!r} in one process and {identity!r} in another")
    text = ears.transcribe(sound().copy(), RATE_HZ)
    if not isinstance(text, str):
        raise UnmeasurableError(f"the recogniser gave {type(text).__name__}, expected text")
    return text


def _embedding(task: Task, reference: _Reference, store: Store, outcome: Outcome) -> list[float] | None:
    if reference.why_not:
        return None
    key = digest("embedding", task.speaker, program_digest(_CANNOT_CHANGE_A_RESULT), reference.clean)
    known = store.scores(key)
    if known is not None:
        outcome.found += 1
        return list(known["value"])
    outcome.made += 1
    values = [round(float(v), 6) for v in reference.embedding]
    store.put_scores(key, {"value": values})
    return values


@functools.lru_cache(maxsize=8)
def _recogniser(name: str) -> Recogniser:
    return make_recogniser(name)
