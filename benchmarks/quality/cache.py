"""Scores kept by content, so that a run with a new network computes only that network's.

A key is a digest of everything that decides a sound (the samples themselves, or the samples given to a peer and the
peer's name and version), so nothing in here can be out of date; values are kept under the metric's name and version.
They are in a store like that of `edge qa` (edge.store), in a folder of their own: hours of peers' work should not make
room for sounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.store import Store, default_folder, digest

__all__ = ["ScoreCache", "default_cache", "digest"]


def default_cache() -> Path:
    """Folder of kept scores: `mic-edge/quality-scores` in the user's cache."""
    return default_folder().with_name("quality-scores")


class ScoreCache:
    """A mapping of scores per key in the store of `folder`; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._store = Store(folder, keep_s=None)

    def load(self, key: str) -> dict[str, Any]:
        """What is known of a key: empty where nothing is, or where the entry is damaged."""
        return self._store.scores(_named(key)) or {}

    def add(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep `values` beside what is known."""
        if values:
            self._store.put_scores(_named(key), {**self.load(key), **values})


def _named(key: str) -> str:
    return f"benchmark {key}"
