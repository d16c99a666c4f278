"""What a long run is doing, on standard error: one line a stage, and a bar where a person is there to see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """One line, by the first of several processes alone."""
    if os.environ.get("RANK", "0") == "0":
        print(text, file=sys.stderr, flush=True)


def steps(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """`items`, with one line that says what is done with them, or a bar. total: how many, where that is known."""
    if os.environ.get("RANK", "0") == "0" and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, what, total, unit=f" {unit}", leave=False)
        return
    say(what)
    yield from items
