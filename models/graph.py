"""The network as an ONNX graph built node by node: few fat nodes, fixed shapes, explicit state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.local_graph import STATES, add_local
from models.net import MaskNet
from models.onnx_files import make_model


def _reorder(weights: NDArray[np.float32], hidden: int) -> NDArray[np.float32]:
    """Gate rows from the order of torch (input, forget, cell, output) to that of ONNX (input, output, forget, cell)."""
    i, f, c, o = (weights[k * hidden : (k + 1) * hidden] for k in range(4))
    return np.concatenate([i, o, f, c])


def states(net: MaskNet) -> list[tuple[str, str, list[int]]]:
    """(input, output, shape) of the recurrent states in graph order: h1, c1, h2, c2, ..."""
    found = [(f"{s}{n}", f"{s}{n}_next", [1, 1, net.hidden]) for n in range(1, len(net.lstms) + 1) for s in "hc"]
    if net.local is not None:
        found += [(*names, [1, net.bands, net.local.units]) for names in STATES]
    return found


def build_graph(net: MaskNet) -> Any:
    """onnx.ModelProto of one step: features and direct (1, 1, n) and states in, gains and next states out.

    Nodes: one LSTM per layer, MatMul, Add, Mul, Split, Sum, those of `add_local` where there are any, Sigmoid. The
    last hidden state (1, 1, hidden) of one LSTM is, in shape and in value, the next one's sequence of a single step, so
    nothing stands between them. `direct` holds ones for the thresholds and the features that the slopes belong to, so
    that one product serves all.
    """
    from onnx import TensorProto, helper, numpy_helper

    assert not net.bidirectional
    hidden, bands, count = net.hidden, net.bands, net.features
    nodes, weights = [], []
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, count]) for name in ("features", "direct")]
    outputs = [helper.make_tensor_value_info("gains", TensorProto.FLOAT, [1, 1, bands])]
    for before, after, shape in states(net):
        inputs.append(helper.make_tensor_value_info(before, TensorProto.FLOAT, shape))
        outputs.append(helper.make_tensor_value_info(after, TensorProto.FLOAT, shape))
    x = "features"
    for n, lstm in enumerate(net.lstms, start=1):
        weights += _lstm_weights(lstm, hidden, n)
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
    logits = "logits"
    if net.local is not None:
        logits = add_local(net.local, _lstm_weights(net.local.lstm, net.local.units, "_local"), nodes, weights)
    nodes.append(helper.make_node("Sigmoid", [logits], ["gains"], "gains"))
    return make_model(helper.make_graph(nodes, "mask", inputs, outputs, weights))


def build_blstm_graph(net: MaskNet) -> Any:
    """onnx.ModelProto of a bidirectional network: normalised features (frames, 1, n) in, gains (frames, 1, bands) out.

    `frames` is free; the network takes a whole recording in one run.
    """
    from onnx import TensorProto, helper, numpy_helper

    assert net.bidirectional
    assert net.features == 2 * net.bands
    hidden, bands, count = net.hidden, net.bands, net.features
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["frames", 1, count])]
    outputs = [helper.make_tensor_value_info("gains", TensorProto.FLOAT, ["frames", 1, bands])]
    constants = {
        "both_ways": np.array([0, 1, 2 * hidden]),
        "zero": np.array([0]),
        "level": np.array([count - bands]),
        "last_axis": np.array([2]),
        "bands": np.array([bands]),
        "features_end": np.array([count]),
        "head_weight": net.head.weight.detach().cpu().numpy().T,
        "head_bias": net.head.bias.detach().cpu().numpy(),
    }
    weights = [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items()]
    nodes, x = [], "features"
    for n, lstm in enumerate(net.lstms, start=1):
        weights += _lstm_weights(lstm, hidden, n)
        made = f"sequence{n}"
        nodes += [
            helper.make_node(
                "LSTM",
                [x, f"W{n}", f"R{n}", f"B{n}"],
                [made],
                f"lstm{n}",
                hidden_size=hidden,
                direction="bidirectional",
            ),
            # (frames, ways, 1, hidden) to (frames, 1, ways * hidden)
            helper.make_node("Transpose", [made], [f"{made}_turned"], f"turn{n}", perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"{made}_turned", "both_ways"], [f"{made}_flat"], f"flatten{n}"),
        ]
        x = f"{made}_flat"
    nodes += [
        helper.make_node("MatMul", [x, "head_weight"], ["head_product"], "head"),
        helper.make_node("Add", ["head_product", "head_bias"], ["head_sum"], "head_add"),
        helper.make_node("Slice", ["head_sum", "zero", "bands", "last_axis"], ["thresholds"], "thresholds"),
        helper.make_node("Slice", ["head_sum", "bands", "features_end", "last_axis"], ["slopes"], "slopes"),
        helper.make_node("Slice", ["features", "zero", "level", "last_axis"], ["direct"], "direct"),
        helper.make_node("Mul", ["slopes", "direct"], ["products"], "products"),
    ]
    nodes.append(helper.make_node("Sum", ["thresholds", "products"], ["logits"], "sum"))
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["gains"], "gains"))
    return make_model(helper.make_graph(nodes, "blstm", inputs, outputs, weights))


def _lstm_weights(lstm: Any, hidden: int, suffix: int | str) -> list[Any]:
    """W, R and B, each with `suffix`, of one torch LSTM, of all its directions, as the tensors that ONNX wants."""
    from onnx import numpy_helper

    p = {k: v.detach().cpu().numpy() for k, v in lstm.named_parameters()}
    ways = ("", "_reverse") if lstm.bidirectional else ("",)
    made = {
        "W": [_reorder(p[f"weight_ih_l0{way}"], hidden) for way in ways],
        "R": [_reorder(p[f"weight_hh_l0{way}"], hidden) for way in ways],
        "B": [np.concatenate([_reorder(p[f"bias_{k}h_l0{way}"], hidden) for k in "ih"]) for way in ways],
    }
    return [numpy_helper.from_array(np.ascontiguousarray(np.stack(v)), f"{k}{suffix}") for k, v in made.items()]
