"""Sound files as a source: WAV, FLAC, OGG and whatever else libsndfile reads, paced like a device or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.audio.base import Block
from edge.audio.riff import promised_bytes
from edge.audio.timing import SECOND_NS, Clock, MonotonicClock
from edge.errors import AudioFileError

CHUNK_FRAMES = 4096


class _Forward(soundfile.SoundFile):
    """soundfile seeks to where it is after every read, which fails in a damaged FLAC whose sound could be read."""

    def seekable(self) -> bool:
        return False


class WavSource:
    """Source that reads a sound file. See Source for the attributes; nothing is ever lost, so its counts stay 0.

    channels: expected number, 0 takes what the file has. rate_hz: wanted rate; a file of another one is resampled with
    soxr (whole latency removed). realtime: blocks arrive when a device would have captured them, on an absolute
    schedule. loop: start again at the end. NaN and infinite samples pass: the pipeline replaces and counts them.
    After reading, `warning` says in one sentence if the file was shorter than its header promises.
    """

    overruns = 0
    gap_frames = 0
    reopens = 0
    latency_frames = 0

    def __init__(
        self,
        path: str | Path,
        channels: int = 0,
        rate_hz: int = 16000,
        realtime: bool = False,
        loop: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.channels = channels
        self.rate_hz = rate_hz
        self.capture_time_ns = 0
        self.warning = ""
        self.file_rate_hz = 0
        self.frames = 0
        """length in frames at rate_hz, once open"""
        self._wanted_channels = channels
        self._realtime = realtime
        self._loop = loop
        self._clock: Clock = clock or MonotonicClock()
        self._file: soundfile.SoundFile | None = None

    def open(self) -> None:
        """Open and check the file. Raises AudioFileError with one sentence."""
        self.close()
        file = self._checked()
        self._file = file
        self.channels = file.channels
        self.file_rate_hz = file.samplerate
        self.frames = round(file.frames * self.rate_hz / file.samplerate)
        self.warning = ""
        self._file_frames = 0
        self._delivered = 0
        self._start_ns = 0
        self.capture_time_ns = 0
        self._stream = None
        self._chunk = np.zeros((CHUNK_FRAMES, file.channels), np.float32)
        self._ready: NDArray[np.float32] = self._chunk[:0]
        self._ended = False
        if file.samplerate != self.rate_hz:
            import soxr

            self._stream = soxr.ResampleStream(file.samplerate, self.rate_hz, file.channels, dtype="float32")

    def _checked(self) -> soundfile.SoundFile:
        path = self.path
        if not path.exists():
            raise AudioFileError(f"{path}: there is no such file")
        if not path.is_file():
            raise AudioFileError(f"{path}: is not a file; expected a sound file (WAV, FLAC, OGG)")
        if path.stat().st_size == 0:
            raise AudioFileError(f"{path}: is empty (0 bytes); expected a sound file")
        try:
            file = _Forward(path)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{path}: is no sound file that can be read ({error.error_string.strip().rstrip('.')}); expected WAV, "
                "FLAC or OGG"
            ) from error
        except OSError as error:
            raise AudioFileError(f"{path}: cannot be read ({error.strerror or error})") from error
        problem = ""
        if file.frames == 0:
            problem = "has a header but no sound; expected at least one frame"
        elif self._wanted_channels and file.channels != self._wanted_channels:
            problem = (
                f"has {file.channels} channel{'s' * (file.channels > 1)}, expected {self._wanted_channels}: one per "
                "letter of array.roles"
            )
        elif not 4000 <= file.samplerate <= 768000:
            problem = f"has a rate of {file.samplerate} Hz, expected 4000 to 768000"
        if problem:
            file.close()
            raise AudioFileError(f"{path}: {problem}")
        return file

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def read(self, block: Block) -> int:
        if self._file is None:
            return 0
        if self._realtime and not self._start_ns:
            self._start_ns = self._clock.now_ns()
        filled = 0
        while filled < len(block):
            if len(self._ready):
                frames = min(len(self._ready), len(block) - filled)
                block[filled : filled + frames] = self._ready[:frames]
                self._ready = self._ready[frames:]
                filled += frames
            elif self._ended:
                block[filled:] = 0.0
                break
            else:
                self._refill(self._file)
        self._delivered += filled
        if self._realtime and filled:
            self.capture_time_ns = self._start_ns + self._delivered * SECOND_NS // self.rate_hz
            self._clock.sleep_until_ns(self.capture_time_ns)
        return filled

    def _refill(self, file: soundfile.SoundFile) -> None:
        chunk = self._read_chunk(file)
        if not len(chunk) and self._loop and self._file_frames:
            file.seek(0)
            self._file_frames = 0
            chunk = self._read_chunk(file)
        self._ended = not len(chunk)
        if self._ended:
            self._check_length(file)
        if self._stream is not None:
            chunk = self._stream.resample_chunk(chunk, last=self._ended)
        self._ready = chunk

    def _read_chunk(self, file: soundfile.SoundFile) -> NDArray[np.float32]:
        try:
            chunk: NDArray[np.float32] = file.read(out=self._chunk)
        except soundfile.LibsndfileError as error:
            self.warning = f"{self.path}: cannot be read beyond frame {self._file_frames} ({error.error_string})"
            return self._chunk[:0]
        self._file_frames += len(chunk)
        return chunk

    def _check_length(self, file: soundfile.SoundFile) -> None:
        rate_hz = file.samplerate
        missing = file.frames - self._file_frames
        promise = promised_bytes(self.path)
        if promise and promise[0] > promise[1]:
            missing = round(self._file_frames * (promise[0] / max(promise[1], 1) - 1.0))
        if missing > 0 and not self.warning:
            self.warning = (
                f"{self.path}: is truncated: its header promises {(self._file_frames + missing) / rate_hz:.2f} s and "
                f"{self._file_frames / rate_hz:.2f} s are there; used those"
            )
