"""Denormal numbers as zero on the calling thread: they cost a hundred times as much, and what fades without end is full
of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import sys
from collections.abc import Iterator

import numpy as np

# where the C library of Linux keeps the control register of vector arithmetic in fenv_t, and the bits that flush:
# x86-64 MXCSR with FTZ and DAZ, AArch64 FPCR with FZ
_REGISTERS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
_FENV_BYTES = 256
"""far more than any fenv_t has"""
SMALLEST_NORMAL = 2.0**-126


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """The C library, where this module knows the register."""
    if sys.platform == "linux" and platform.machine() in _REGISTERS and sys.maxsize > 2**32:
        with contextlib.suppress(OSError, AttributeError):  # a C library without them
            library = ctypes.CDLL(None)
            library.fegetenv, library.fesetenv  # noqa: B018  looked up here, so that a missing one shows
            return library
    return None


def _set_flushing() -> ctypes.Array[ctypes.c_char] | None:
    """Flush on this thread. Returns the environment before, None where it cannot be told."""
    library = _library()
    before = ctypes.create_string_buffer(_FENV_BYTES)
    if library is None or library.fegetenv(before) != 0:
        return None
    offset, bits = _REGISTERS[platform.machine()]
    environment = ctypes.create_string_buffer(before.raw, _FENV_BYTES)
    ctypes.c_uint32.from_buffer(environment, offset).value |= bits
    library.fesetenv(environment)
    return before


@contextlib.contextmanager
def without_denormals() -> Iterator[None]:
    """A block in which denormal numbers are zero, where that can be had; afterwards the thread is as it was. What is
    computed then is the same on a thread that has flushed them all along.
    """
    before = _set_flushing()
    try:
        yield
    finally:
        library = _library()
        if before is not None and library is not None:
            library.fesetenv(before)


def flush_denormals() -> bool:
    """Have the calling thread take denormal numbers for zero. Returns whether it does now.

    onnxruntime would do that only for the thread that opens the first network and those that this one starts later: not
    for an audio thread that has begun with another mask.
    """
    _set_flushing()
    return flushes_denormals()


def flushes_denormals() -> bool:
    """Whether the calling thread takes denormal numbers for zero."""
    smallest = np.full(4, SMALLEST_NORMAL, np.float32)
    return not np.any(smallest * np.float32(0.5))
