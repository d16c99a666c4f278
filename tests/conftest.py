"""What every test finds: ordinary floating-point arithmetic, and a machine of which nothing is known yet."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FE_DFL_ENV = ctypes.c_void_p(-1)


@pytest.fixture(autouse=True, scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of the test run alone, for programs that it starts too: what was picked here must not count."""
    from edge import machine

    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setenv("XDG_STATE_HOME", str(folder))
        patch.setattr(machine, "SYSTEM_STATE", folder / "system")
        yield folder


@pytest.fixture(autouse=True)
def ordinary_arithmetic() -> Iterator[None]:
    """Undo what opening a network leaves behind: onnxruntime makes its thread treat denormal numbers as zero.

    That is wanted where audio is processed; in a test that follows, hypothesis would take it for a broken machine.
    """
    yield
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).fesetenv(FE_DFL_ENV)
