"""What a run has measured so far, one line a record, so that the next one goes on where this one was killed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge.errors import AudioFileError, UsageError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "unfinished.jsonl"


class Journal:
    """Records by key in a file of `folder` that is there only while a run is unfinished.

    Keys are digests of content and settings, so what is found is never out of date. A line that a kill cut short, or
    that is no JSON in UTF-8, is passed over. Raises UsageError while another process writes there, OSError where the
    folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.known: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self.path.open("a+b")
        self._lock(folder)
        self._file.seek(0)
        content = self._file.read()
        for line in content.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                entry = json.loads(line.decode("utf-8"))
                if isinstance(entry["record"], dict):
                    self.known[str(entry["key"])] = entry["record"]
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")

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
        """Raises AudioFileError where it cannot be kept: the disk is full."""
        line = json.dumps({"key": key, "record": record}, allow_nan=False, separators=(",", ":")) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise AudioFileError(
                f"what is measured cannot be kept in {self.path} ({error.strerror or error}); make room there and give "
                "the command again, which goes on with what was kept, or name another folder with --out"
            ) from None

    def close(self, finished: bool) -> None:
        """finished: the report is written and nothing is left to resume."""
        if finished:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # of a line that could not be written, which was told
            self._file.close()
