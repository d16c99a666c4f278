"""Denormal numbers as zero on the calling thread: they cost a hundred times as much, and what fades without end is full
of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys

import numpy as np

# where the C library of Linux keeps the control register of vector arithmetic in fenv_t, and the bits that flush:
# x86-64 MXCSR with FTZ and DAZ, AArch64 FPCR with FZ
_REGISTERS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
_FENV_BYTES = 256
"""far more than any fenv_t has"""
SMALLEST_NORMAL = 2.0**-126


def flush_denormals() -> bool:
    """Have the calling thread take denormal numbers for zero. Returns whether it does now.

    onnxruntime would do that only for the thread that opens the first network and those that this one starts later: not
    for an audio thread that has begun with another mask.
    """
    register = _REGISTERS.get(platform.machine())
    if sys.platform == "linux" and register is not None and sys.maxsize > 2**32:
        offset, bits = register
        environment = ctypes.create_string_buffer(_FENV_BYTES)
        with contextlib.suppress(OSError, AttributeError):  # a C library without them
            library = ctypes.CDLL(None)
            if library.fegetenv(environment) == 0:
                control = ctypes.c_uint32.from_buffer(environment, offset)
                control.value |= bits
                library.fesetenv(environment)
    return flushes_denormals()


def flushes_denormals() -> bool:
    """Whether the calling thread takes denormal numbers for zero."""
    smallest = np.full(4, SMALLEST_NORMAL, np.float32)
    return not np.any(smallest * np.float32(0.5))
