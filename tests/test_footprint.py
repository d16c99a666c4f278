"""Giving the compiler's pages back frees memory and breaks nothing, compiling included."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import numba
from pathlib import Path

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

double = numba.njit("float64(float64)")(lambda x: 2.0 * x)
before = resident_mib()
from edge.runtime.footprint import release_compiler
release_compiler()
print(before - resident_mib())
assert double(3.0) == 6.0
triple = numba.njit("float64(float64)")(lambda x: 3.0 * x)
assert triple(3.0) == 9.0
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the release is for Linux only")
def test_released_pages_come_back_when_needed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 10.0
