"""Giving back memory that only the start needed."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

MADV_DONTNEED = 4
COMPILER = "libllvmlite"


def release_compiler() -> None:
    """Give back the code pages of LLVM, about 50 MiB: once the kernels are compiled or loaded, nothing runs them.

    Only pages of code, which are unchanged copies of the file: if needed again, the system reads them again.
    Has to come before memory is locked, which would hold them for good. Does nothing where this cannot be done.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mappings = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    libc = ctypes.CDLL(None)
    for mapping in mappings:
        span, permissions, *_ = mapping.split()
        if permissions == "r-xp" and COMPILER in mapping.rpartition("/")[2]:
            start, end = (int(address, 16) for address in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)
