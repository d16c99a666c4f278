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


def test_the_library_leaves_numba_whole_and_the_command_line_loads_it_lean() -> None:
    library = """
import numba, numpy as np
import edge.pipeline
solve = numba.njit(lambda a: np.linalg.inv(a))
assert abs(solve(np.eye(2) * 2.0)[0, 0] - 0.5) < 1e-12
"""
    command_line = """
import sys
from edge.cli.common import say_when_compiling
say_when_compiling()
import edge.pipeline
assert "scipy.linalg" not in sys.modules
import scipy.linalg
"""
    for program in (library, command_line):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
