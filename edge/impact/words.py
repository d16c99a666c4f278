"""Words of a transcript, the errors among them, and a bound for recognisers that run away."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from edge.impact.spelled import spell_numbers

WORDS_PER_S, FEWEST = 6.0, 12
"""so many words of a transcript count at most: quick talkers say four to five a second"""
REPEATS = 4
"""the same words so often one after the other are the recogniser's, not the talker's"""
NORMALISATION = (
    "lower case; punctuation and hyphens part words; apostrophes dropped (don't = dont, dog's = dogs); digits as "
    "English words (20th = twentieth, 1986 = nineteen eighty six, 7 digits and more one by one); $, %, & and Mr, Mrs, "
    "Dr in words; contractions and spellings (it's/it is, colour/color) stay as they are"
)
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u0060\u00b4", "'"))
_SHORT = {"mr": "mister", "mrs": "missus", "dr": "doctor"}


def normalised_words(text: str) -> list[str]:
    """What is said, word by word, with everything evened out that only the spelling decides: NORMALISATION."""
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    # digits are taken apart before the apostrophes go, since the decade in "1980's" would be lost
    found = re.findall(r"[^\W_]+", spell_numbers(text).replace("'", ""))
    return [_SHORT.get(word, word) for word in found]


def is_spelled(words: Sequence[str]) -> bool:
    """Letters one by one: a recogniser of sentences writes the word that they spell, and has heard rightly."""
    return len(words) > 1 and sum(len(word) == 1 for word in words) > len(words) / 2


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions that turn one list of words into the other (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, start=1):
            before, row[j] = row[j], min(before + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def without_repeats(words: Sequence[str]) -> list[str]:
    """Words, but those that come REPEATS times or more in a row (one by one or several together) only once."""
    found = list(words)
    at = 0
    while at < len(found):
        for size in range(1, (len(found) - at) // REPEATS + 1):
            phrase, end = found[at : at + size], at + size
            while found[end : end + size] == phrase:
                end += size
            if end - at >= REPEATS * size:
                del found[at + size : end]
                break
        at += 1
    return found


def bounded(words: Sequence[str], seconds: float) -> tuple[list[str], bool]:
    """Words heard in a sound of so many seconds, without what nobody can have said in it; whether any was taken off."""
    most = max(FEWEST, round(WORDS_PER_S * seconds))
    kept = without_repeats(words)[:most]
    return kept, len(kept) < len(words)
