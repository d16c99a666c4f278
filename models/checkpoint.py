"""Training state on disk: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from edge.errors import ModelError

NEEDED = ("config", "net", "average", "step", "hours", "history", "elapsed_s")
"""what every checkpoint holds, whatever the network"""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write beside, then rename, so that a cut in the middle leaves the last good file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises ModelError when it is missing or not one."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name a checkpoint in it (last.pt or best.pt)")
    if not path.is_file():
        raise ModelError(f"there is no checkpoint at {path}; train first, or name last.pt or best.pt of a run")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); expected last.pt or best.pt of a run"
        ) from error
    if not isinstance(state, dict) or not set(NEEDED) <= set(state):
        raise ModelError(f"{path} is no checkpoint of a training run; expected last.pt or best.pt of one")
    if not all(torch.isfinite(value).all() for value in state["average"].values()):
        raise ModelError(f"the weights in {path} are not all finite numbers; go back to another checkpoint")
    return state
