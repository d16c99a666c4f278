"""The sound file that a command writes: whether it can be, in which format, and complete or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.errors import AudioFileError, UsageError

_FORMATS = {
    "PCM_24": "S24_3LE",
    "PCM_32": "S32_LE",
    "FLOAT": "FLOAT_LE",
    "DOUBLE": "FLOAT_LE",
}
"""subtype of the input -> format of the output; anything else, 8 bits and lossy ones among them, becomes 16 bits"""


def format_for(source_path: Path, target_path: Path) -> str:
    """Sample format of the output, by that of the input and what the output's kind of file can hold."""
    import soundfile

    format_ = _FORMATS.get(soundfile.info(source_path).subtype, "S16_LE")
    fits = target_path.suffix.lower() != ".flac" or format_ in ("S16_LE", "S24_3LE")
    return format_ if fits else "S24_3LE"


def check_target(target_path: Path, source_path: Path) -> None:
    """Whether a sound file can be written there. Raises UsageError or AudioFileError."""
    if target_path.suffix.lower() not in (".wav", ".flac"):
        raise UsageError(f"{target_path}: expected an output name that ends in .wav or .flac")
    try:
        found = os.stat(os.path.realpath(target_path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AudioFileError(f"{target_path}: cannot be written ({error.strerror})") from error
    if os.path.samestat(found, os.stat(source_path)):
        raise UsageError(f"{target_path} is both input and output; write to another file")
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{target_path} is a folder; expected the name of a file to write")
    if not stat.S_ISREG(found.st_mode):
        raise AudioFileError(f"{target_path} is not a regular file; expected the name of a sound file to write")


@contextlib.contextmanager
def temporary(target_path: Path) -> Iterator[Path]:
    """A path beside the file that `target_path` or its link means; takes that name in the end, or goes away."""
    real_path = Path(os.path.realpath(target_path))
    folder = real_path.parent
    if not folder.is_dir():
        shown = folder if target_path.is_symlink() else target_path.parent
        raise AudioFileError(f"{target_path}: the folder {shown} does not exist; create it first")
    try:
        # a name near the longest that the file system takes has to fit with what is added to it
        handle, name = tempfile.mkstemp(prefix=f".{target_path.stem[:30]}-", suffix=target_path.suffix, dir=folder)
    except OSError as error:
        raise AudioFileError(f"{target_path}: cannot be written ({error.strerror})") from error
    os.close(handle)
    # a temporary file is private, the result gets the rights any new file gets
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)
    try:
        yield Path(name)
        os.replace(name, real_path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
