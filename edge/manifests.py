"""JSON files beside networks: read with one sentence for whatever is wrong, and the network files they name."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.kinds import PRECISIONS
from edge.resources import data_folder

LAB = "lab"
"""folder below the shipped models: networks that the live path does not use"""
MAX_MANIFEST_BYTES = 2**20
LARGEST_WHOLE = 2**127
Files = dict[str, tuple[str, str, int]]
"""precision -> (file name, sha256, bytes)"""
States = tuple[tuple[str, str, tuple[int, ...]], ...]
"""(input name, output name, shape) of every state of a network"""


def resolve(name_or_path: str, folder: Path) -> Path:
    """Path of a manifest: of a model in `folder`, by its name, or of any other, by the path of its .json file.

    Raises ModelError naming the models of the folder when there is no such one.
    """
    shipped = {p.stem: p for p in sorted(folder.glob("*.json"))}
    if name_or_path in shipped:
        return shipped[name_or_path]
    if name_or_path.endswith(".json") or "/" in name_or_path or "\\" in name_or_path:
        return Path(os.path.expanduser(name_or_path))
    if (folder / LAB / f"{name_or_path}.json").is_file():
        raise ModelError(
            f"model {name_or_path!r} is of the wrong kind: it hears whole recordings, by its own name in "
            f"`edge enhance --mask`; expected one of {', '.join(shipped)}, or the path of a manifest"
        )
    close = difflib.get_close_matches(name_or_path, shipped, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(shipped) or "none"
    raise ModelError(
        f"model {name_or_path!r} is not known; shipped models: {known}; or give the path of a manifest{hint}"
    )


def resolve_lab(name_or_path: str | None, shipped: str) -> Path:
    """The same for networks that the live path does not use; None is the one named `shipped`. Raises ModelError."""
    live = data_folder("models")
    folder = live / LAB
    if name_or_path in {p.stem for p in live.glob("*.json")}:
        raise ModelError(
            f"model {name_or_path!r} is of the wrong kind: it is for --mask network; expected {shipped}, or the path "
            "of a manifest of that kind"
        )
    if name_or_path in (None, shipped) and not (folder / f"{shipped}.json").is_file():
        raise ModelError(
            f"the network {shipped} is not installed ({folder / shipped}.json is missing): train and export it as "
            "models/README.md says, or name the manifest of another one (--model FILE.json)"
        )
    return resolve(name_or_path or shipped, folder)


def check_kind(read: Reader, kind: str) -> None:
    """Raises ModelError for the manifest of a network of another kind; those of the live path have none."""
    found = read.data.get("kind") if isinstance(read.data, dict) else None
    if found != kind:
        what = "a network of the live path, for --mask network" if found is None else f"a {found!r}"
        raise ModelError(f"model {read.path} is {what}; expected the manifest of a {kind!r}")


def open_manifest(path: Path, setting: str = "mask.model") -> Reader:
    """Read a manifest. setting: what named it, for the message. Raises ModelError, one sentence."""
    if path.suffix == ".onnx":
        raise ModelError(f"model {path} is a network; name its manifest, the .json beside it")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(f"model manifest {path} is a device, pipe or socket, expected a file; check {setting}")
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1).decode("utf-8")
    except FileNotFoundError:
        raise ModelError(f"model manifest {path} does not exist; check {setting}") from None
    except IsADirectoryError:
        raise ModelError(f"model {path} is a folder; name the manifest (.json) in it") from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model manifest {path} cannot be read ({why(error)}); check the file and its permissions"
        ) from None
    if len(text) > MAX_MANIFEST_BYTES:
        raise ModelError(f"model manifest {path} is larger than 1 MiB, expected a few KiB; check {setting}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(f"model manifest {path} is not valid JSON ({reason}); install the model again") from None
    return Reader(path, data)


def network_file(manifest: Path, model: str, files: Files, precision: str) -> Path:
    """Path of the network of a precision beside its manifest, size and checksum verified. Raises ModelError."""
    if precision not in files:
        known = ", ".join(sorted(files))
        raise ModelError(f"model {model} has no {precision!r} network, only {known}; set mask.precision to one of them")
    name, expected, size = files[precision]
    path = manifest.parent / name
    try:
        found = path.stat().st_size
        if found != size and not path.is_dir():
            raise ModelError(
                f"network file {path} is damaged: it has {found} bytes, the manifest says {size}; "
                "install the model again"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"network file {path} is missing beside its manifest; copy it there or reinstall the model"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"network file {path} cannot be read ({why(error)}); check the file and its permissions"
        ) from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ModelError(
            f"network file {path} is damaged: its sha256 begins {actual[:12]}, the manifest says {expected[:12]}; "
            "install the model again"
        )
    return path


def read_states(read: Reader) -> States:
    states = []
    for i, row in enumerate(read.value(list, "states")):
        one = Reader(read.path, row, f"states[{i}].")
        dims = one.value(list, "shape")
        if not all(is_whole(d) and d > 0 for d in dims):
            raise one.wrong("shape", "positive whole numbers")
        states.append((one.value(str, "input"), one.value(str, "output"), tuple(dims)))
    return tuple(states)


def read_files(read: Reader) -> Files:
    files = {}
    for precision, row in read.value(dict, "files").items():
        one = Reader(read.path, row, f"files.{precision}.")
        file_name, size = one.value(str, "file"), one.value(int, "bytes")
        if Path(file_name).name != file_name:
            raise one.wrong("file", "a file name without a folder")
        if size < 1:
            raise one.wrong("bytes", "the size of the file")
        files[str(precision)] = (file_name, one.value(str, "sha256"), size)
    if not files or not set(files) <= set(PRECISIONS):
        raise read.wrong("files", f"a table of at least one of {', '.join(PRECISIONS)}")
    return files


def is_whole(value: Any) -> bool:
    """JSON's true and false are whole numbers for Python, not for a manifest."""
    return isinstance(value, int) and not isinstance(value, bool)


def why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class Reader:
    """Typed reading of the manifest's keys with one kind of message."""

    def __init__(self, path: Path, data: Any, prefix: str = "") -> None:
        self.path, self.data, self.prefix = path, data, prefix

    def wrong(self, key: str, expected: str) -> ModelError:
        return ModelError(
            f"model manifest {self.path}: {self.prefix}{key} should be {expected}; install the model again"
        )

    def value(self, kind: type, *keys: str) -> Any:
        here = self.data
        for key in keys:
            if not isinstance(here, dict) or key not in here:
                raise ModelError(
                    f"model manifest {self.path}: key {self.prefix}{'.'.join(keys)} is missing; install the model again"
                )
            here = here[key]
        if kind is float and is_whole(here):
            here = float(here) if abs(here) < LARGEST_WHOLE else math.inf
        if not isinstance(here, kind) or isinstance(here, bool):
            names = {int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}
            raise self.wrong(".".join(keys), names[kind])
        return here

    def numbers(self, count: int, *keys: str) -> NDArray[np.float32]:
        values = np.empty(0, np.float32)
        given = self.value(list, *keys)
        if all(isinstance(number, float) or is_whole(number) for number in given):
            # what does not fit into 32 bits becomes infinite and is refused below
            with contextlib.suppress(OverflowError), np.errstate(over="ignore"):
                values = np.asarray(given, np.float32)
        if values.shape != (count,) or not np.all(np.isfinite(values)):
            raise self.wrong(".".join(keys), f"{count} numbers, one per feature and band")
        return values
