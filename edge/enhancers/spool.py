"""Samples kept for a second look: in memory, and in a temporary file from a length on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.errors import AudioFileError

F32 = NDArray[np.float32]

MOST_IN_MEMORY = 1 << 25
"""bytes: more than this goes to a file without a name in the folder for temporary files (TMPDIR)"""
BLOCK_SAMPLES = 1 << 16


class Spool:
    """float32 samples of one channel, added at the end, read from the beginning as often as needed."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 - lives as long as this object
        self.samples = 0

    def add(self, samples: F32) -> None:
        """Raises AudioFileError where there is no room for them."""
        try:
            self._file.write(np.ascontiguousarray(samples, np.float32).tobytes())
        except OSError as error:
            raise AudioFileError(
                f"the recording cannot be kept in {tempfile.gettempdir()} for a second look ({error.strerror}); "
                "make room there, or name another folder in TMPDIR"
            ) from None
        self.samples += samples.size

    def blocks(self) -> Iterator[F32]:
        """All of them in order."""
        self._file.seek(0)
        while block := self._file.read(4 * BLOCK_SAMPLES):
            yield np.frombuffer(block, np.float32)
        self._file.seek(0, 2)
