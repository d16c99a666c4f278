"""The one way kernels are compiled: cached, without the interpreter lock, NaN checks kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba

# Full fastmath would remove NaN checks; these only allow reassociation and fused multiply-add.
FAST = {"contract", "reassoc", "nsz", "arcp"}

on_first_compile: Callable[[], None] | None = None
"""called once, when a kernel had to be compiled and so the others will probably have to be too"""

_warned = False


def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile `function` for `signature` without the interpreter lock, cached on disk where that is writable."""

    def compile_(function: Callable[..., Any]) -> Callable[..., Any]:
        global _warned, on_first_compile
        options: dict[str, Any] = {"nogil": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}
        try:
            dispatcher = numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            if not _warned:
                _warned = True
                warnings.warn(
                    "numba cannot write its cache, so every start compiles for several seconds; "
                    "set NUMBA_CACHE_DIR to a writable folder",
                    stacklevel=2,
                )
            return numba.njit(signature, **options)(function)
        if on_first_compile and dispatcher.stats.cache_misses:
            told, on_first_compile = on_first_compile, None
            told()
        return dispatcher

    return compile_
