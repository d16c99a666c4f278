"""Keys of the store: digests of everything that decides a result, so that nothing kept under them can be out of date.

SHA-256 throughout: Python's own hash() differs between processes, and short checksums collide.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_DIGITS = 32
"""hex digits of a key: 128 bits"""

PACKAGES = ("numba", "numpy", "onnxruntime", "scipy", "soundfile", "soxr")
"""what sounds are read and made with: another version may give others"""

_CHUNK_BYTES = 1 << 20


def digest(*parts: str | NDArray[Any]) -> str:
    """32 hex digits of texts and arrays, order, shape and type included."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(b"text" + part.encode() + b"\0")
        else:
            found.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:KEY_DIGITS]


def file_digest(path: Path) -> str:
    """32 hex digits of the bytes of a file, whatever its name. Raises OSError where it cannot be read."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()[:KEY_DIGITS]


@cache
def code_digest(without: tuple[str, ...] = ()) -> str:
    """32 hex digits of this package's own source, so that a result is not found again after its code has changed.

    without: files and folders below edge/ that cannot change a result. What is left out has to be named, not what
    counts: a list that was not kept up to date then costs time and gives no stale results.
    """
    root = Path(__file__).resolve().parent.parent
    parts: list[str] = []
    for path in _sources(root):
        name = path.relative_to(root).as_posix()
        if not any(name == left_out or name.startswith(f"{left_out}/") for left_out in without):
            parts += [name, file_digest(path)]
    return digest(*parts)


@cache
def program_digest(without: tuple[str, ...] = (), packages: tuple[str, ...] = ()) -> str:
    """32 hex digits of `code_digest` and of the versions of PACKAGES and of other packages that decide a result."""
    return digest(code_digest(without), *(f"{name} {_version(name)}" for name in (*PACKAGES, *packages)))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sources(root: Path) -> Iterable[Path]:
    return sorted(root.rglob("*.py"))
