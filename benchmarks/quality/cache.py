"""Scores kept on disk under what they were taken of, so that a run with a new network computes only that network's.

A key is a digest of everything that decides a sound (the samples themselves, or the samples given to a peer and the
peer's name and version), so nothing in here can be out of date; values are kept under the metric's name and version.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def default_cache() -> Path:
    """Folder of kept scores: `mic-edge/quality-scores` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mic-edge" / "quality-scores"


def digest(*parts: str | NDArray[Any]) -> str:
    """32 hex digits of texts and arrays, order, shape and type included."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(b"text" + part.encode() + b"\0")
        else:
            found.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:32]


class ScoreCache:
    """One small JSON file per key in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / key[:2] / f"{key}.json"

    def load(self, key: str) -> dict[str, Any]:
        """What is known of a key: empty where nothing is, or where the file is damaged."""
        path = self._path(key)
        try:
            found = json.loads(path.read_text("utf-8")) if path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def add(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep `values` beside what is known. Whole files are put in place, so nobody ever reads half of one."""
        path = self._path(key)
        if path is None or not values:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}.{os.getpid()}.part")
        part.write_text(json.dumps({**self.load(key), **values}), "utf-8")
        part.replace(path)
