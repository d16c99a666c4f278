"""Keeping the daemon small: not loading what it does not use, giving back what only the start needed."""

from __future__ import annotations

import ctypes
import importlib
import sys
from pathlib import Path

MADV_DONTNEED = 4
COMPILER = "libllvmlite"


def load_numba_without_scipy() -> None:
    """Let numba find no scipy while it sets itself up; for processes of our own, before any kernel is imported.

    It imports scipy.linalg to offer BLAS inside kernels. None here uses it, and it costs 0.4 s and 13 MiB. Whoever
    imports `edge` as a library may have kernels that do, so importing the package alone changes nothing.
    """
    if "scipy.linalg" in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules["scipy.linalg"]


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
