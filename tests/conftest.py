"""What every test finds: ordinary floating-point arithmetic."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import pytest

FE_DFL_ENV = ctypes.c_void_p(-1)


@pytest.fixture(autouse=True)
def ordinary_arithmetic() -> Iterator[None]:
    """Undo what opening a network leaves behind: onnxruntime makes its thread treat denormal numbers as zero.

    That is wanted where audio is processed; in a test that follows, hypothesis would take it for a broken machine.
    """
    yield
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).fesetenv(FE_DFL_ENV)
