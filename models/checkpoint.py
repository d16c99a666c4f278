"""Training state on disk: written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.errors import ModelError
from edge.manifests import why
from models.config import config_from_dict
from models.whole import whole

NEEDED: dict[str, Any] = {
    **{"config": dict, "net": dict, "average": dict, "step": int, "hours": dict, "history": list},
    "elapsed_s": float | int,
}
"""what every checkpoint holds, whatever the network"""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write beside, then rename, so that a cut in the middle leaves the last good file. Raises ModelError where it
    cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # the second is torch's for a full disk, in words of its own
        reason = why(error) if isinstance(error, OSError) else "not all of it could be written"
        raise ModelError(
            f"the run cannot be kept in {path} ({reason}); make room there and give the same command again"
        ) from None


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises ModelError when it is missing, damaged or not one."""
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
    with sound(path):
        _check(state)
    if not all(torch.isfinite(value).all() for value in state["average"].values()):
        raise ModelError(f"the weights in {path} are not all finite numbers; go back to another checkpoint")
    return state


@contextmanager
def sound(what: object) -> Iterator[None]:
    """ModelError naming `what` instead of whatever content that makes no sense may cause."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise ModelError(
            f"{what} is damaged ({reason}); take another checkpoint, last.pt or best.pt of a run"
        ) from None


def _check(state: dict[str, Any]) -> None:
    """Raises TypeError, or what the settings do, where something needed is not of its kind."""
    for key, kind in NEEDED.items():
        if not isinstance(state[key], kind):
            raise TypeError(f"{key} is of type {type(state[key]).__name__}")
    if not isinstance(state.get("ancestors", []), list):  # runs from before there were ancestors have none
        raise TypeError("ancestors is no list")
    if not all(isinstance(value, Tensor) for key in ("net", "average") for value in state[key].values()):
        raise TypeError("weights are no tensors")
    if not all(isinstance(row, dict) for row in state["history"]):
        raise TypeError("history has other rows than tables")
    config_from_dict(state["config"])
