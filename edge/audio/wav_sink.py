"""Sound files as a sink: WAV whose header stays true while it grows, or FLAC."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import numpy as np

from edge.audio.base import Block
from edge.audio.riff import LARGEST_DATA_BYTES, wav_header
from edge.audio.sample_format import Encoder
from edge.errors import AudioFileError

try:
    import fcntl
except ImportError:  # no such locks outside POSIX
    fcntl = None  # type: ignore[assignment]

HEADER_EVERY_S = 1.0
_WRITE_ERRORS = (OSError, RuntimeError)
"""libsndfile's errors are RuntimeErrors"""
_FLAC_SUBTYPES = {"S16_LE": "PCM_16", "S24_3LE": "PCM_24"}


class WavSink:
    """Sink that writes a .wav or .flac file. See Sink for the attributes.

    format: S16_LE, S24_3LE, S32_LE or FLOAT_LE (the first two for FLAC). The sizes in a WAV header are brought up to
    date every second, so that what a killed process leaves is a sound file. A full disk never ends a live run: what
    could not be written is counted in dropped_frames, `warning` says so in one sentence, and close() raises that
    sentence as AudioFileError. source_path: the sound file that is being read meanwhile, never written over. The file
    is locked while it is open, so that a second writer is refused before anything of the first is lost.
    """

    underruns = 0
    latency_frames = 0

    def __init__(
        self, path: str | Path, rate_hz: int, channels: int, format: str = "S16_LE", source_path: str | Path = ""
    ) -> None:
        self.path = Path(path)
        self.source_path = source_path
        self.rate_hz = rate_hz
        self.channels = channels
        self.format = format
        self.dropped_frames = 0
        self.warning = ""
        self._flac = self.path.suffix.lower() == ".flac"
        self._writer: _Wav | _Flac | None = None

    def open(self) -> None:
        """Create the file, replacing what was there. Raises AudioFileError with one sentence."""
        if self._writer is not None:
            self.close()
        if self.path.suffix.lower() not in (".wav", ".flac"):
            raise AudioFileError(f"{self.path}: expected a name that ends in .wav or .flac")
        if not self.path.parent.is_dir():
            raise AudioFileError(f"{self.path}: the folder {self.path.parent} does not exist; create it first")
        with contextlib.suppress(OSError):  # one of them is not there: they are not the same
            if self.source_path and os.path.samefile(self.path, self.source_path):
                raise AudioFileError(f"{self.path} is both input and output; write to another file")
        self.dropped_frames = 0
        self.warning = ""
        try:
            self._writer = (_Flac if self._flac else _Wav)(self.path, self.rate_hz, self.channels, self.format)
        except _WRITE_ERRORS as error:
            if isinstance(error, BlockingIOError):
                raise AudioFileError(f"{self.path} is being written by another edge; write to another file") from error
            raise AudioFileError(f"{self.path}: cannot be written ({_reason(error)})") from error

    def write(self, block: Block) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(block)
        except _WRITE_ERRORS as error:
            self.dropped_frames += len(block)
            self.warning = self._short(_reason(error))

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except _WRITE_ERRORS as error:
            self.warning = self.warning or self._short(_reason(error))
        if self.warning:
            raise AudioFileError(self.warning)

    def _short(self, reason: str) -> str:
        seconds = self.dropped_frames / self.rate_hz
        return f"{self.path}: {seconds:.2f} s of sound could not be written ({reason}); make room or write elsewhere"


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", "") or getattr(error, "error_string", "") or str(error)
    return said.strip().rstrip(".")


def _open_locked(path: Path) -> int:
    """Descriptor of an empty file that is ours alone until it is closed. Raises BlockingIOError when another has it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise
                except OSError:
                    pass  # a file system without locks
            os.ftruncate(file, 0)
    except OSError:
        os.close(file)
        raise
    return file


class _Wav:
    def __init__(self, path: Path, rate_hz: int, channels: int, format: str) -> None:
        self._encode = Encoder(format, channels, 256)
        self._rate_hz = rate_hz
        self._channels = channels
        self._data_bytes = 0
        self._header_due = self._every = int(HEADER_EVERY_S * rate_hz) * self._encode.frame_bytes
        self._file = _open_locked(path)
        try:
            self._head_bytes = len(self._header())
            self._write_at(self._header(), 0)
        except OSError:
            os.close(self._file)
            raise

    def _header(self) -> bytes:
        return wav_header(self._encode.format, self._channels, self._rate_hz, self._data_bytes)

    def _write_at(self, data: bytes | memoryview, offset: int) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], offset + done)

    def write(self, block: Block) -> None:
        data = self._encode(block)
        if self._data_bytes + len(data) > LARGEST_DATA_BYTES:
            raise OSError(0, "a WAV file holds 4 GiB at most")
        # at its own place, so that a block cut off by a full disk is overwritten and channels stay aligned
        self._write_at(data, self._head_bytes + self._data_bytes)
        self._data_bytes += len(data)
        if self._data_bytes >= self._header_due:
            self._header_due = self._data_bytes + self._every
            self._write_at(self._header(), 0)

    def close(self) -> None:
        try:
            self._write_at(self._header(), 0)
            os.ftruncate(self._file, self._head_bytes + self._data_bytes)
            if self._data_bytes & 1:
                self._write_at(b"\0", self._head_bytes + self._data_bytes)
        finally:
            os.close(self._file)


class _Flac:
    def __init__(self, path: Path, rate_hz: int, channels: int, format: str) -> None:
        if format not in _FLAC_SUBTYPES:
            raise OSError(0, f"FLAC holds {' and '.join(_FLAC_SUBTYPES)}, not {format}")
        import soundfile  # only here: a daemon that writes no FLAC does not need it

        self._wide = format == "S24_3LE"
        self._lock = _open_locked(path)
        try:
            self._file = soundfile.SoundFile(path, "w", rate_hz, channels, _FLAC_SUBTYPES[format], format="FLAC")
        except _WRITE_ERRORS:
            os.close(self._lock)
            raise

    def write(self, block: Block) -> None:
        # integers made here: libsndfile would scale floats by 32767 and cut instead of rounding
        scale, shift = (8388608.0, 8) if self._wide else (32768.0, 16)
        whole = np.clip(np.rint(np.nan_to_num(block, posinf=1.0, neginf=-1.0) * scale), -scale, scale - 1.0)
        self._file.write(whole.astype(np.int32) << shift)

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            os.close(self._lock)
