"""Results of batch work kept under digests of everything that decides them, in memory and on disk.

Scores are JSON and sounds are their samples; nothing else can be kept, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.console import say
from edge.store.disk import DamagedError, DiskPart
from edge.store.memory import Entry, MemoryPart

F32 = NDArray[np.float32]

SIZE_BYTES = 1 << 30
MEMORY_BYTES = 64 << 20
KEEP_S = 30 * 86400.0

_JSON = "json"
_SOUND = "float32"


def default_folder() -> Path:
    """`mic-edge/store` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mic-edge" / "store"


@dataclass
class Use:
    """How often a store was asked, and what for nothing."""

    hits: int = 0
    memory_hits: int = 0
    """of the hits"""
    misses: int = 0
    expired: int = 0
    """of the misses: too old"""
    damaged: int = 0
    """of the misses: not as they were written"""

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """0 to 1, None before the first look."""
        return self.hits / self.lookups if self.lookups else None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "lookups": self.lookups, "hit_rate": self.hit_rate}

    def sentence(self) -> str:
        """For people: "cache: 300 of 300 found (100.0 %)"."""
        if not self.lookups:
            return "cache: not asked"
        found = f"cache: {self.hits} of {self.lookups} found ({100.0 * self.hits / self.lookups:.1f} %)"
        odd = [f"{count} {what}" for count, what in ((self.expired, "too old"), (self.damaged, "damaged")) if count]
        return ", ".join([found, *odd])


class Store:
    """Keeps scores and sounds; least recently used ones leave when `size_bytes` is passed.

    folder: None keeps nothing at all. keep_s: entries older than that are misses, and those written here leave after so
    long; None for no limit. memory_bytes: of
    the newest entries that this process also has in memory. Any number of processes may use one folder on a local disk
    at once (not on NFS, whose locks SQLite cannot rely on). A disk that fails costs one warning and no result: what
    cannot be read is a miss, what cannot be written is made again next time. Objects can be pickled; a copy opens the
    same folder.
    """

    def __init__(
        self,
        folder: Path | None,
        size_bytes: int = SIZE_BYTES,
        keep_s: float | None = KEEP_S,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.size_bytes = size_bytes
        self.keep_s = keep_s
        self.use = Use()
        self._clock = clock
        self._memory = MemoryPart(memory_bytes)
        self._disk = None if folder is None else DiskPart(folder, size_bytes, clock)
        self._warned = False

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.folder, self.size_bytes, self.keep_s, self._memory.size_bytes, self._clock)

    def scores(self, key: str) -> dict[str, Any] | None:
        """What was kept with put_scores, or None."""
        return self._get(key, _scores_of)

    def put_scores(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep a mapping of plain values. Raises ValueError for NaN and infinity, which JSON does not have."""
        self._put(key, _JSON, json.dumps(values, allow_nan=False, separators=(",", ":")).encode())

    def sound(self, key: str) -> F32 | None:
        """What was kept with put_sound, a copy of its own, or None."""
        return self._get(key, _sound_of)

    def put_sound(self, key: str, samples: F32) -> None:
        """Keep samples, float32 (n,) or (n, channels)."""
        if samples.dtype != np.float32 or samples.ndim not in (1, 2):
            raise ValueError(f"got {samples.dtype} {samples.shape}, expected float32 (n,) or (n, channels)")
        shape = " ".join(str(size) for size in samples.shape)
        self._put(key, f"{_SOUND} {shape}", np.ascontiguousarray(samples).astype("<f4", copy=False).tobytes())

    def used_bytes(self) -> int:
        """Bytes of all entries on disk."""
        return 0 if self._disk is None else self._disk.used_bytes()

    def close(self) -> None:
        """Write down which entries were used and let go of the file."""
        if self._disk is not None:
            self._disk.close()

    def _get(self, key: str, decode: Callable[[Entry], Any]) -> Any:
        if self._disk is None:
            return None
        entry = self._memory.get(key)
        from_memory = entry is not None
        if entry is None:
            entry = self._from_disk(key)
        else:
            self._disk.note_use(key)
        if entry is not None and self.keep_s is not None and entry.made_s < self._clock() - self.keep_s:
            self.use.expired += 1
            entry = None
        value = None
        if entry is not None:
            try:
                value = decode(entry)
            except ValueError:  # another kind of entry, or one that somebody else made
                self.use.damaged += 1
        if entry is None or value is None:
            self._memory.drop(key)
            self.use.misses += 1
            return None
        self._memory.put(key, entry)
        self.use.hits += 1
        self.use.memory_hits += from_memory
        return value

    def _from_disk(self, key: str) -> Entry | None:
        assert self._disk is not None
        try:
            return self._disk.get(key)
        except DamagedError:
            self.use.damaged += 1
        except (sqlite3.Error, OSError) as error:
            self._warn("read", error)
        return None

    def _put(self, key: str, kind: str, value: bytes) -> None:
        if self._disk is None:
            return
        entry = Entry(kind, value, self._clock())
        self._memory.put(key, entry)
        try:
            self._disk.put(key, entry, math.inf if self.keep_s is None else entry.made_s + self.keep_s)
        except (sqlite3.Error, OSError) as error:
            self._warn("written", error)

    def _warn(self, what: str, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            say(
                f"warning: the cache {self.folder} cannot be {what} ({error}); going on without what is missing, name "
                "a folder on a local disk with --cache"
            )


def _scores_of(entry: Entry) -> dict[str, Any]:
    """Raises ValueError for an entry that holds no scores."""
    found = json.loads(entry.value) if entry.kind == _JSON else None
    if not isinstance(found, dict):
        raise ValueError(entry.kind)
    return found


def _sound_of(entry: Entry) -> F32:
    """Raises ValueError for an entry that holds no sound, or not as much as it says."""
    word, *sizes = entry.kind.split(" ")
    shape = tuple(int(size) for size in sizes)
    if word != _SOUND or len(shape) not in (1, 2):
        raise ValueError(entry.kind)
    return np.frombuffer(entry.value, "<f4").reshape(shape).astype(np.float32)
