"""What a run has measured so far, one line a record, so that the next one goes on where this one was killed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge.errors import UsageError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "unfinished.jsonl"


class Journal:
    """Records by key in a file of `folder` that is there only while a run is unfinished.

    Keys are digests of content and settings, so what is found is never out of date. A line that a kill cut short is
    passed over. Raises UsageError while another process writes there, OSError where the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.known: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = self.path.open("a+", encoding="utf-8")
        self._lock(folder)
        self._file.seek(0)
        text = self._file.read()
        for line in text.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                if isinstance(entry["record"], dict):
                    self.known[str(entry["key"])] = entry["record"]
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def _lock(self, folder: Path) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError(f"another run is writing its report to {folder}; name another folder with --out") from None
        except OSError:
            pass  # a file system without locks

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"key": key, "record": record}, allow_nan=False, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self, finished: bool) -> None:
        """finished: the report is written and nothing is left to resume."""
        if finished:
            self.path.unlink(missing_ok=True)
        self._file.close()
