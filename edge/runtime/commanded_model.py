"""Which networks a command from outside may put in: those shipped, and those in folders that the owner chose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge.errors import ModelError
from edge.machine import state_folder
from edge.resources import data_folder

STATE_MODELS = "models"
MAX_CHARACTERS = 1024


def trusted_folders(configured: str, more: Sequence[Path] = ()) -> tuple[Path, ...]:
    """That of the shipped networks, of the one that `configured` (mask.model) names, `models` in the state folder."""
    named = [Path(os.path.expanduser(configured)).parent] if configured.endswith(".json") else []
    folders = (data_folder("models"), *named, *more, state_folder() / STATE_MODELS)
    return tuple(dict.fromkeys(_real(folder) for folder in folders))


def commanded_model(text: str, folders: Sequence[Path]) -> str:
    """What goes into mask.model for what a command names: auto, a shipped network, or a manifest in one of `folders`.

    A name is looked up in each folder in turn, with .json added. Raises ModelError for anything else: whoever may send
    commands is not to choose which files of this machine are read.
    """
    if text == "auto":
        return text
    if not text or len(text) > MAX_CHARACTERS or not text.isprintable():
        raise ModelError(f"model: expected the name of a network or the path of a manifest, got {text[:40]!r}")
    path = Path(text)
    known = ", ".join(str(folder) for folder in folders)
    if path.is_absolute() or path.name != text:
        real = _real(path)
        if path.suffix != ".json" or real.parent not in folders or real.suffix != ".json":
            raise ModelError(
                f"model: {text!r} is not a .json in a folder that commands may take networks from ({known}); "
                "copy the network there, or name it in the configuration and reload"
            )
        return str(real)
    name = text if path.suffix == ".json" else f"{text}.json"
    for folder in folders:
        if _is_file(folder / name) and _real(folder / name).parent in folders:
            return text if folder == _real(data_folder("models")) and name != text else str(folder / name)
    shipped = ", ".join(sorted(file.stem for file in data_folder("models").glob("*.json"))) or "none"
    raise ModelError(f"model: no network {text!r}; shipped: {shipped}; other manifests are looked for in {known}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for a file
        return False


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path
