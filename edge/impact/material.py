"""What is measured: utterances with what is said in them, and the noises or noisy recordings that belong to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import AudioFileError
from edge.impact.words import is_spelled, normalised_words
from edge.qa.pairs import find_pairs, sound_files

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Utterance:
    """A file of clean speech, and what is known of it."""

    name: str
    path: Path
    words: tuple[str, ...] = ()
    """normalised; empty where there is a reason not to count errors"""
    why_no_words: str = ""
    speaker: str = ""


@dataclass(frozen=True)
class Item:
    """An utterance and how it is made noisy: a noise to be mixed at several SNRs, or a noisy recording as it is."""

    utterance: Utterance
    noise: Path | None = None
    seed: int = 0
    """of the place in the noise"""
    from_start: bool = False
    """the noise is that of this very recording, and begins where it begins"""
    noisy: Path | None = None
    snr_db: float | None = None
    """of a noisy recording, where its manifest tells"""


def find_utterances(folder: Path, fewest_words: int = 1) -> list[Utterance]:
    """Files below `folder` by name. What is said: `text` of manifest.jsonl in the folder or above it, or a .txt of the
    same name. Who speaks: `speaker` of the manifest, or the folder below `folder` that the file is in.

    Raises AudioFileError.
    """
    rows = _manifest(folder)
    found = []
    for name, path in sound_files(folder).items():
        row = rows.get(path.resolve(), {})
        text = row.get("text")
        beside = path.with_suffix(".txt")
        if not isinstance(text, str) and beside.is_file():
            text = _text(beside)
        words, why = _countable(text, fewest_words)
        speaker = row.get("speaker") or (name.rsplit("/", 1)[0] if "/" in name else "")
        found.append(Utterance(name, path, words, why, str(speaker)))
    if not found:
        raise AudioFileError(f"{folder} holds no sound file; expected clean speech")
    return found


def _countable(text: str | None, fewest_words: int) -> tuple[tuple[str, ...], str]:
    words = normalised_words(text or "")
    if not words:
        return (), "no transcript"
    if is_spelled(words):
        return (), "the transcript is spelled letter by letter"
    if len(words) < fewest_words:
        return (), f"the transcript has fewer than {fewest_words} words"
    return tuple(words), ""


def mixed_items(speech: Sequence[Utterance], noise: Path, limit: int | None, seed: int) -> list[Item]:
    """An item per utterance, at most `limit`, drawn so that as many talkers as possible are heard.

    The noise of the same name belongs to an utterance; where there is none they are taken in turn. All SNRs of an
    utterance have one noise, and it does not depend on `limit`.
    """
    rng = np.random.default_rng(seed)
    noises = sound_files(noise)
    if not noises:
        raise AudioFileError(f"{noise} holds no sound file; expected noise")
    order = list(rng.permutation(sorted(noises)))
    items = []
    for i, utterance in enumerate(_drawn(speech, None, rng)):
        own = utterance.name in noises
        path = noises[utterance.name if own else str(order[i % len(order)])]
        items.append(Item(utterance, path, int(rng.integers(1 << 31)), own))
    return items[:limit]


def paired_items(
    clean: Path, noisy: Path, limit: int | None, seed: int, fewest_words: int
) -> tuple[list[Item], list[str]]:
    """An item per pair of files of the same name, and a sentence on each kind of file without a partner."""
    pairs, sentences = find_pairs(clean, noisy, {})
    rows = _manifest(noisy)
    partner = {pair.clean: pair.noisy for pair in pairs}
    speech = [u for u in find_utterances(clean, fewest_words) if u.path in partner]
    items = []
    for utterance in _drawn(speech, limit, np.random.default_rng(seed)):
        path = partner[utterance.path]
        told = rows.get(path.resolve(), {}).get("snr_db")
        snr_db = float(told) if isinstance(told, int | float) and np.isfinite(told) else None
        items.append(Item(utterance, noisy=path, snr_db=snr_db))
    return items, sentences


def _drawn(speech: Sequence[Utterance], limit: int | None, rng: np.random.Generator) -> list[Utterance]:
    """Those with words to count first, one of each talker before a second of any; a longer list begins alike."""
    seen: dict[str, int] = {}
    ranked: list[tuple[bool, int, int, Utterance]] = []
    for i in rng.permutation(len(speech)):
        one = speech[int(i)]
        turn = seen.get(one.speaker, 0) if one.speaker else 0
        seen[one.speaker] = turn + bool(one.words)
        ranked.append((not one.words, turn, len(ranked), one))
    return [one for *_, one in sorted(ranked, key=lambda row: row[:3])[:limit]]


def _manifest(folder: Path) -> dict[Path, dict[str, Any]]:
    """Rows of manifest.jsonl in `folder` or above it, by the file they are about. Raises AudioFileError."""
    for place in (folder, folder.resolve().parent):
        path = place / MANIFEST
        if path.is_file():
            return dict(_rows(path))
    return {}


def _rows(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            about = (path.parent / row["file"]).resolve()
        except (ValueError, TypeError, LookupError, OSError, RuntimeError):  # or a name that no file has
            raise AudioFileError(
                f'{path}, line {number}: expected an object with the name of a file, like {{"file": "a.flac", "text": '
                '"..."}'
            ) from None
        yield about, row


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioFileError(f"{path} cannot be read as UTF-8 text ({error})") from None
