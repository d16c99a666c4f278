"""What all exported network files have in common."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that the project supports."""
HALF_FROM = 4096
"""Tensors of so many weights or more are stored in 16 bits."""


def make_model(graph: Any) -> Any:
    """onnx.ModelProto of a checked onnx.GraphProto."""
    import onnx
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mic-edge")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def store_in_half(model: Any) -> Any:
    """The same onnx.ModelProto with its large weights in float16, each cast to float32 by a node of its own.

    The file is half as large; onnxruntime folds the casts when it opens it, so that a hop costs what it did. Rounding
    moves gains by less than 1e-3.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph, casts = halved.graph, []
    for tensor in graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.size >= HALF_FROM and weights.dtype == np.float32:
            name, stored = tensor.name, f"{tensor.name}_half"
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), stored))
            casts.append(helper.make_node("Cast", [stored], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def op_types(path: Path) -> list[str]:
    """Kinds of node in a network file, in graph order."""
    import onnx

    return [n.op_type for n in onnx.load(str(path)).graph.node]


def describe_files(files: dict[str, Path]) -> dict[str, Any]:
    """What a manifest says of its network files, by precision."""
    return {
        precision: {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
            "operators": op_types(path),
        }
        for precision, path in files.items()
    }
