"""The part of a store that is in memory: entries used last stay, up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """What is kept under a key: the kind of value, its bytes, and when it was made (seconds since 1970)."""

    kind: str
    value: bytes
    made_s: float


class MemoryPart:
    """Least recently used entries leave first. An entry that is larger than a quarter of the bound is not kept."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.used_bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        self.drop(key)
        if len(entry.value) > self.size_bytes // 4:
            return
        self._entries[key] = entry
        self.used_bytes += len(entry.value)
        while self.used_bytes > self.size_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.used_bytes -= len(oldest.value)

    def drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= len(entry.value)
