"""The state of the compiled kernels: how many, how many had to be compiled just now, and where they are kept."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

import edge.kernels


@dataclass(frozen=True)
class KernelState:
    count: int
    compiled: int
    """compiled by this process because the cache did not have them"""
    cache_folder: str
    """empty when numba found no writable folder"""


def load_kernels() -> KernelState:
    """Import every module of kernels, which compiles each kernel or loads it from the cache."""
    from numba.core.dispatcher import Dispatcher

    found: dict[int, Dispatcher] = {}
    for module in pkgutil.iter_modules(edge.kernels.__path__, "edge.kernels."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {id(member): member for member in members if isinstance(member, Dispatcher)}
    stats = [dispatcher.stats for dispatcher in found.values()]
    return KernelState(
        count=len(found),
        compiled=sum(sum(each.cache_misses.values()) for each in stats),
        cache_folder=next((str(each.cache_path) for each in stats if each.cache_path), ""),
    )
