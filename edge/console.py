"""Sentences for people."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """One line on standard error, which is the journal under systemd; standard output stays for results."""
    print(f"edge: {sentence}", file=sys.stderr, flush=True)
