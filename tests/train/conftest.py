"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import make_corpora


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folders: cache, speech, noise."""
    folder = tmp_path_factory.mktemp("toy")
    speech, noise = make_corpora(folder)
    return folder / "cache", speech, noise


@pytest.fixture(autouse=True, scope="session")  # so before fixtures of modules, which train too
def one_thread() -> None:
    pytest.importorskip("torch").set_num_threads(1)
