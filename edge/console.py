"""Sentences for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(sentence: str) -> None:
    """One line on standard error, which is the journal under systemd; standard output stays for results."""
    print(f"edge: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def seconds_bar(name: str, total_s: float, shown: bool = True) -> Iterator[Callable[[float], object]]:
    """A bar in seconds of sound on standard error, if a person is there to see it; moved on by seconds."""
    if not (shown and sys.stderr.isatty()):
        yield lambda seconds: None
        return
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s, {remaining} left"
    with tqdm(total=total_s, desc=name, bar_format=layout, leave=False) as bar:
        yield bar.update
