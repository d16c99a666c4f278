"""From what was heard to rates with intervals, per condition and SNR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge.impact.conditions import CLEAN, NOISY
from edge.impact.material import Utterance
from edge.impact.measure import Outcome, Task
from edge.impact.statistics import METHOD, Estimate, mean, rate
from edge.impact.words import NORMALISATION, bounded, normalised_words, word_errors

SNR_STEP_DB = 5.0
"""given recordings are put to the nearest of these"""
ENCODER_LIMITS = (
    "cosine of the voice encoder's embeddings of clean and processed speech, where the clean speech is spoken; it is "
    "never below 0, high even for other talkers, and changes with channel and noise, not with the talker alone"
)


@dataclass(frozen=True)
class Cell:
    """One condition at one SNR (None: whatever there is, as for clean speech)."""

    condition: str
    snr_db: float | None
    wer: dict[str, Estimate]
    """recogniser -> word error rate, 1.0 is as many errors as words"""
    wer_change: dict[str, Estimate]
    """less that of the noisy recording, over the utterances that have both"""
    words: dict[str, int]
    """that were said"""
    ran_away: dict[str, int]
    """recordings in which it heard more than anybody can say, which was cut off"""
    similarity: Estimate


@dataclass(frozen=True)
class Heard:
    """One recording under one condition, for the JSON."""

    utterance: str
    condition: str
    snr_db: float | None
    recogniser: str
    said: str
    heard: str | None
    errors: int | None
    why: str


@dataclass(frozen=True)
class Report:
    """All there is to say. Values that are missing have been left out, each with its reason counted."""

    settings: Mapping[str, Any]
    conditions: tuple[str, ...]
    snrs_db: tuple[float, ...]
    recognisers: tuple[str, ...]
    cells: dict[tuple[str, float | None], Cell]
    same_talker: Estimate
    """similarity of clean utterances of one talker, and of different ones: what the values have to be seen against"""
    other_talkers: Estimate
    reasons: list[tuple[str, int]]
    heard: list[Heard]

    def as_dict(self) -> dict[str, Any]:
        return {
            "settings": dict(self.settings),
            "normalisation": NORMALISATION,
            "intervals": METHOD,
            "speaker_similarity": ENCODER_LIMITS,
            "cells": [asdict(cell) for cell in self.cells.values()],
            "similarity_same_talker": asdict(self.same_talker),
            "similarity_other_talkers": asdict(self.other_talkers),
            "reasons": [{"reason": reason, "count": count} for reason, count in self.reasons],
            "heard": [asdict(one) for one in self.heard],
        }


def summarize(measured: Sequence[tuple[Task, Outcome]], settings: Mapping[str, Any]) -> Report:
    """measured: every task with its outcome, in any order."""
    conditions = tuple(dict.fromkeys(name for task, _ in measured for name in task.names if name != CLEAN))
    recognisers = tuple(dict.fromkeys(name for task, _ in measured for name, _ in task.recognisers))
    measured = sorted(measured, key=lambda one: (one[0].item.utterance.name, one[0].snr_db or 0.0))
    counts: dict[tuple[str, float | None], dict[str, dict[str, tuple[int, int, bool]]]] = {}
    likes: dict[tuple[str, float | None], dict[str, float]] = {}
    reasons, all_heard = Counter[str](), list[Heard]()
    for task, outcome in measured:
        utterance, snr_db = task.item.utterance, _step(task, outcome)
        for name in task.names:
            key = (name, None if name == CLEAN else snr_db)
            cell = counts.setdefault(key, {recogniser: {} for recogniser in recognisers})
            for recogniser, (text, why) in outcome.texts[name].items():
                one, ran_away = _heard(utterance, name, outcome, recogniser, text, why)
                all_heard.append(one)
                if one.errors is None:
                    reasons[f"word errors: {one.why}"] += 1
                else:
                    cell[recogniser][utterance.name] = one.errors, len(utterance.words), ran_away
            value, why = outcome.similarity.get(name, (None, ""))
            if isinstance(value, float):
                likes.setdefault(key, {})[utterance.name] = value
            elif why:
                reasons[f"similarity: {why}"] += 1
    snrs_db = tuple(sorted({snr for _, snr in counts if snr is not None}))
    cells = {}
    for name, snr_db in [(CLEAN, None), *((c, s) for c in conditions for s in snrs_db)]:
        if (name, snr_db) in counts:
            found, base = counts[name, snr_db], counts.get((NOISY, snr_db), {})
            cells[name, snr_db] = _cell(name, snr_db, found, base, likes.get((name, snr_db), {}))
    same, other = _between_talkers(measured)
    return Report(settings, conditions, snrs_db, recognisers, cells, same, other, reasons.most_common(), all_heard)


def _step(task: Task, outcome: Outcome) -> float | None:
    if task.item.noisy is None or outcome.snr_db is None:
        return task.snr_db
    return SNR_STEP_DB * round(outcome.snr_db / SNR_STEP_DB)


def _heard(
    utterance: Utterance, condition: str, outcome: Outcome, recogniser: str, text: str | float | None, why: str
) -> tuple[Heard, bool]:
    errors, ran_away = None, False
    why = why or utterance.why_no_words
    if isinstance(text, str) and not why:
        words, ran_away = bounded(normalised_words(text), outcome.seconds)
        errors = word_errors(utterance.words, words)
    said = " ".join(utterance.words)
    heard = text if isinstance(text, str) else None
    return Heard(utterance.name, condition, outcome.snr_db, recogniser, said, heard, errors, why), ran_away


def _cell(
    name: str,
    snr_db: float | None,
    found: dict[str, dict[str, tuple[int, int, bool]]],
    base: dict[str, dict[str, tuple[int, int, bool]]],
    likes: dict[str, float],
) -> Cell:
    wer, change, words, ran_away = {}, {}, {}, {}
    for recogniser, rows in found.items():
        wer[recogniser] = rate([e for e, _, _ in rows.values()], [n for _, n, _ in rows.values()])
        both = [
            (row, base[recogniser][u]) for u, row in rows.items() if name != NOISY and u in base.get(recogniser, {})
        ]
        change[recogniser] = rate([row[0] - noisy[0] for row, noisy in both], [row[1] for row, _ in both])
        words[recogniser] = sum(n for _, n, _ in rows.values())
        ran_away[recogniser] = sum(ran for _, _, ran in rows.values())
    return Cell(name, snr_db, wer, change, words, ran_away, mean(list(likes.values())))


def _between_talkers(measured: Sequence[tuple[Task, Outcome]]) -> tuple[Estimate, Estimate]:
    """Mean similarity of clean utterances to others of their talker, and to those of other talkers."""
    known = [
        (task.item.utterance.speaker, np.array(outcome.embedding))
        for task, outcome in measured
        if outcome.embedding is not None and task.item.utterance.speaker
    ]
    same, other = [], []
    for i, (speaker, a) in enumerate(known):
        of_same = [float(a @ b) for j, (who, b) in enumerate(known) if j != i and who == speaker]
        of_other = [float(a @ b) for who, b in known if who != speaker]
        same += [float(np.mean(of_same))] if of_same else []
        other += [float(np.mean(of_other))] if of_other else []
    return mean(same), mean(other)
