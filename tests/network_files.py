"""Networks for tests of putting one in: good ones under other names, and bad ones of every kind."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.resources import data_folder


def copy_network(folder: Path, name: str, model: str = "mono-assistant") -> Path:
    """A shipped network under another name. Returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    data = json.loads((data_folder("models") / f"{model}.json").read_text())
    data["name"] = name
    for precision, row in data["files"].items():
        shutil.copy(data_folder("models") / row["file"], folder / f"{name}.{precision}.onnx")
        row["file"] = f"{name}.{precision}.onnx"
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data))
    return path


def edit(manifest: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(manifest.read_text())
    change(data)
    manifest.write_text(json.dumps(data))


def replace_network(manifest: Path, content: bytes, precision: str = "int8") -> None:
    """Other bytes in place of a network, with a manifest that vouches for them."""

    def vouch(data: dict[str, Any]) -> None:
        row = data["files"][precision]
        (manifest.parent / row["file"]).write_bytes(content)
        row.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

    edit(manifest, vouch)


def network_bytes(manifest: Path, precision: str = "int8") -> bytes:
    row = json.loads(manifest.read_text())["files"][precision]
    return (manifest.parent / row["file"]).read_bytes()


def spoil_network(manifest: Path) -> None:
    """A network whose every gain is not a number."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(network_bytes(manifest))
    bias = next(each for each in model.graph.initializer if each.name == "head_bias")
    values = onnx.numpy_helper.to_array(bias)
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), "head_bias"))
    replace_network(manifest, model.SerializeToString())
