"""Real-time set-up: each refusal is one warning that names the remedy."""

import gc
import os
import platform
import subprocess
import sys
import textwrap

import pytest

from edge.config.schema import RuntimeConfig
from edge.runtime import realtime

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

UNPRIVILEGED = """
import os, resource
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
"""


def in_process(code, unprivileged=True):
    """Standard output of `code` in a fresh process, where it can do no harm to this one."""
    code = "from edge.runtime import realtime\n" + (UNPRIVILEGED if unprivileged else "") + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
def test_refused_priority_names_every_remedy():
    out = in_process("print(realtime.raise_priority(70))")
    assert "no real-time priority 70" in out
    for remedy in ("LimitRTPRIO=", "usermod -aG audio", "limits.d", "runtime.realtime_priority = 0"):
        assert remedy in out


@linux
def test_refused_memory_lock_names_every_remedy():
    out = in_process("print(realtime.lock_memory()); print(realtime.memory_lock_refusal())")
    assert out.count("memory is not locked") == 2
    for remedy in ("LimitMEMLOCK=infinity", "limits.d", "runtime.lock_memory = false"):
        assert remedy in out


@linux
def test_locked_memory_is_locked_and_goes_on_growing():
    if realtime.memory_lock_refusal():
        pytest.skip("no right to lock memory here")
    out = in_process(
        """
        assert realtime.lock_memory() is None
        more = bytearray(30_000_000)
        print(next(line for line in open("/proc/self/status") if line.startswith("VmLck")))
        """,
        unprivileged=False,
    )
    assert int(out.split()[1]) > 30_000


@linux
def test_a_core_that_is_not_there_is_one_warning_with_those_that_are():
    warning = realtime.pin_to_cpu(1023)
    assert warning is not None
    assert "core 1023" in warning
    assert str(min(os.sched_getaffinity(0))) in warning


def test_nothing_wanted_nothing_done():
    assert realtime.set_up_audio_thread(RuntimeConfig(realtime_priority=0, cpu=-1)) == []


def test_the_collector_is_off_after_warm_up_and_on_again_afterwards():
    assert gc.isenabled()
    interval_s = sys.getswitchinterval()
    try:
        realtime.settle_interpreter()
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert sys.getswitchinterval() < interval_s
    finally:
        realtime.release_interpreter()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == pytest.approx(interval_s)


@linux
def test_parts_are_made_below_the_audio_thread_and_never_above_it():
    before = os.sched_getscheduler(0)
    with realtime.preparing(0):
        assert os.sched_getscheduler(0) == before
    with realtime.preparing(70):
        inside = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    assert os.sched_getscheduler(0) == before
    # where it is refused everything stays as it was
    assert inside[0] == before or inside[1] == realtime.PREPARING_PRIORITY


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"), reason="64-bit Linux only"
)
def test_the_audio_thread_takes_denormals_for_zero_whoever_opens_a_network():
    code = """
    import sys, threading
    from edge.config.schema import RuntimeConfig
    from edge.runtime.denormals import flushes_denormals
    found = []
    def audio():
        found.append(flushes_denormals())
        realtime.set_up_audio_thread(RuntimeConfig(realtime_priority=0))
        found.append(flushes_denormals())
    thread = threading.Thread(target=audio)
    thread.start()
    thread.join()
    print(found, flushes_denormals(), "onnxruntime" in sys.modules)
    """
    assert in_process(code, unprivileged=False).split() == ["[False,", "True]", "False", "False"]
