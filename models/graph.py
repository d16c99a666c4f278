"""The network as an ONNX graph built node by node: few fat nodes, fixed shapes, explicit state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.net import MaskNet

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that the project supports."""
HALF_FROM = 4096
"""Tensors of so many weights or more are stored in 16 bits."""


def _reorder(weights: NDArray[np.float32], hidden: int) -> NDArray[np.float32]:
    """Gate rows from the order of torch (input, forget, cell, output) to that of ONNX (input, output, forget, cell)."""
    i, f, c, o = (weights[k * hidden : (k + 1) * hidden] for k in range(4))
    return np.concatenate([i, o, f, c])


def state_names(layers: int) -> list[tuple[str, str]]:
    """(input, output) names of the recurrent states in graph order: h1, c1, h2, c2, ..."""
    return [(f"{s}{n}", f"{s}{n}_next") for n in range(1, layers + 1) for s in "hc"]


def build_graph(net: MaskNet) -> Any:
    """onnx.ModelProto of one step: features and direct (1, 1, n) and states (1, 1, hidden) in, gains and next states
    out.

    Nodes: one LSTM per layer, MatMul, Add, Mul, Split, Sum, Sigmoid. The last hidden state (1, 1, hidden) of one LSTM
    is, in shape and in value, the next one's sequence of a single step, so nothing stands between them. `direct`
    holds ones for the thresholds and the features that the slopes belong to, so that one product serves all.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hidden, bands, count = net.hidden, net.bands, net.features
    nodes, weights = [], []
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, count]) for name in ("features", "direct")]
    outputs = [helper.make_tensor_value_info("gains", TensorProto.FLOAT, [1, 1, bands])]
    for before, after in state_names(len(net.lstms)):
        inputs.append(helper.make_tensor_value_info(before, TensorProto.FLOAT, [1, 1, hidden]))
        outputs.append(helper.make_tensor_value_info(after, TensorProto.FLOAT, [1, 1, hidden]))
    x = "features"
    for n, lstm in enumerate(net.lstms, start=1):
        p = {k: v.detach().cpu().numpy() for k, v in lstm.named_parameters()}
        w, r = _reorder(p["weight_ih_l0"], hidden), _reorder(p["weight_hh_l0"], hidden)
        b = np.concatenate([_reorder(p["bias_ih_l0"], hidden), _reorder(p["bias_hh_l0"], hidden)])
        for name, value in ((f"W{n}", w), (f"R{n}", r), (f"B{n}", b)):
            weights.append(numpy_helper.from_array(np.ascontiguousarray(value[None]), name))
        ins = [x, f"W{n}", f"R{n}", f"B{n}", "", f"h{n}", f"c{n}"]
        nodes.append(helper.make_node("LSTM", ins, ["", f"h{n}_next", f"c{n}_next"], f"lstm{n}", hidden_size=hidden))
        x = f"h{n}_next"
    head = net.head.weight.detach().cpu().numpy()
    weights.append(numpy_helper.from_array(np.ascontiguousarray(head.T), "head_weight"))
    weights.append(numpy_helper.from_array(net.head.bias.detach().cpu().numpy(), "head_bias"))
    nodes.append(helper.make_node("MatMul", [x, "head_weight"], ["head_product"], "head"))
    nodes.append(helper.make_node("Add", ["head_product", "head_bias"], ["head_sum"], "head_add"))
    nodes.append(helper.make_node("Mul", ["head_sum", "direct"], ["parts"], "slopes"))
    parts = [f"part{n}" for n in range(count // bands)]
    nodes.append(helper.make_node("Split", ["parts"], parts, "split", axis=2))
    nodes.append(helper.make_node("Sum", parts, ["logits"], "sum"))
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["gains"], "gains"))
    graph = helper.make_graph(nodes, "mask", inputs, outputs, weights)
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
        if weights.size >= HALF_FROM:
            name, stored = tensor.name, f"{tensor.name}_half"
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), stored))
            casts.append(helper.make_node("Cast", [stored], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved
