"""Real-time set-up of the process and of the audio thread. Whatever is refused becomes one warning with the remedy."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator

from edge.config.schema import RuntimeConfig
from edge.runtime.denormals import flush_denormals

SWITCH_INTERVAL_S = 0.0001
"""how long a busy side thread may keep the interpreter lock from the audio thread (Python's default is 5 ms)"""
PREPARING_PRIORITY = 1

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4


def settle_interpreter() -> None:
    """After warm-up: no garbage collection of our own accord, nothing of the start-up in the collector's sight.

    What is replaced later (pipelines, estimators) holds no reference cycles, so freezing it does not keep it alive.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def release_interpreter() -> None:
    """Undo `settle_interpreter` for a process that goes on to do something else."""
    gc.unfreeze()
    gc.enable()
    sys.setswitchinterval(0.005)


def memory_lock_refusal() -> str | None:
    """None if memory can be locked without limit, or the warning that `lock_memory` would give. Changes nothing."""
    return None if not sys.platform.startswith("linux") or _may_lock_all() else _memory_warning("limited")


def lock_memory() -> str | None:
    """Keep every touched page in memory (mlockall). Returns None, or one warning naming the remedy."""
    if not sys.platform.startswith("linux"):
        return None
    # Without ONFAULT every mapped library would be read in whole. With a finite limit FUTURE is left out: allocations
    # beyond the limit would then fail instead of merely staying unlocked.
    flags = MCL_CURRENT | MCL_ONFAULT | (MCL_FUTURE if _may_lock_all() else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    return None if libc.mlockall(flags) == 0 else _memory_warning(os.strerror(ctypes.get_errno()))


def _may_lock_all() -> bool:
    import resource

    return os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def _memory_warning(reason: str) -> str:
    return (
        f"memory is not locked ({reason}), so a swapped-out page can delay audio; set LimitMEMLOCK=infinity in the "
        "unit, or '@audio - memlock unlimited' in /etc/security/limits.d/edge.conf and log in again, "
        "or runtime.lock_memory = false to accept this"
    )


def raise_priority(priority: int) -> str | None:
    """Give the calling thread SCHED_FIFO at `priority` (1 to 99; 0 does nothing). Returns None, or one warning."""
    if priority <= 0:
        return None
    if not hasattr(os, "sched_setscheduler"):
        return f"real-time priority is not available on {sys.platform}; set runtime.realtime_priority = 0"
    policy = os.SCHED_FIFO | getattr(os, "SCHED_RESET_ON_FORK", 0)
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return (
            f"no real-time priority {priority} for the audio thread ({reason}), so a busy machine can delay audio; "
            f"set LimitRTPRIO={max(priority, 70)} in the unit, or put '@audio - rtprio 95' into "
            "/etc/security/limits.d/edge.conf, run 'sudo usermod -aG audio $USER' and log in again, "
            "or set runtime.realtime_priority = 0 to accept this"
        )
    return None


def pin_to_cpu(cpu: int) -> str | None:
    """Pin the calling thread to one core; -1 leaves it free. Returns None, or one warning."""
    if cpu < 0:
        return None
    if not hasattr(os, "sched_setaffinity"):
        return f"pinning to a core is not available on {sys.platform}; set runtime.cpu = -1"
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, ValueError, OverflowError):
        allowed = ", ".join(str(c) for c in sorted(os.sched_getaffinity(0)))
        return f"the audio thread is not pinned to core {cpu}; set runtime.cpu to one of {allowed}, or -1 for any"
    return None


def set_up_audio_thread(config: RuntimeConfig) -> list[str]:
    """Priority, core and arithmetic of the calling thread. Returns the warnings, one sentence each."""
    flush_denormals()
    return [w for w in (pin_to_cpu(config.cpu), raise_priority(config.realtime_priority)) if w]


@contextlib.contextmanager
def preparing(audio_priority: int) -> Iterator[None]:
    """Have the calling side thread make something while the audio thread runs at `audio_priority`.

    It holds the interpreter lock now and then, and put aside by a busy process just then, it would keep the audio
    thread waiting for a whole time slice. So it runs above ordinary processes, and below the audio thread, where that
    is allowed. A nicer thread, the opposite, would be put aside all the more.
    """
    before = None
    if hasattr(os, "sched_setscheduler") and audio_priority > PREPARING_PRIORITY:
        with contextlib.suppress(OSError):
            policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
            if policy == os.SCHED_OTHER:
                reset = getattr(os, "SCHED_RESET_ON_FORK", 0)
                os.sched_setscheduler(0, os.SCHED_FIFO | reset, os.sched_param(PREPARING_PRIORITY))
                before = policy, param
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, *before)
