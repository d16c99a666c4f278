"""The correction that every band makes for itself (models.local), as nodes of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.local import LOGIT_REACH, REACH, LocalCorrection

STATES = (("h_local", "h_local_next"), ("c_local", "c_local_next"))


def add_local(net: LocalCorrection, lstm_weights: list[Any], nodes: list[Any], weights: list[Any]) -> str:
    """Append nodes and weights that take `features` and `logits`, both (1, 1, n). Returns the name of the sum (1, 1,
    bands). lstm_weights: tensors named W_local, R_local and B_local.

    All bands are the batch of one LSTM. What each of them hears is one Gather from the features, the logits, a zero for
    neighbours that do not exist, and the places of the bands.
    """
    from onnx import helper, numpy_helper

    constants = np.concatenate([np.zeros(1, np.float32), net.place.detach().cpu().numpy().reshape(-1)])
    near = _neighbours(net.bands, net.groups, net.place.shape[1])
    made = {
        "places": constants.reshape(1, 1, -1),
        "neighbours": near,
        "neighbours_shape": np.array([1, *near.shape]),
        "row_shape": np.array([1, 1, net.bands]),
        "correction_weight": np.ascontiguousarray(net.out.weight.detach().cpu().numpy().T),
        "correction_bias": net.out.bias.detach().cpu().numpy(),
    }
    weights += [*lstm_weights, *(numpy_helper.from_array(value, name) for name, value in made.items())]
    (h, h_next), (c, c_next) = STATES
    nodes += [
        helper.make_node("Concat", ["features", "logits", "places"], ["heard"], "heard", axis=2),
        helper.make_node("Gather", ["heard", "neighbours"], ["gathered"], "near", axis=2),
        helper.make_node("Reshape", ["gathered", "neighbours_shape"], ["of_bands"], "of_bands"),
        helper.make_node(
            "LSTM",
            ["of_bands", "W_local", "R_local", "B_local", "", h, c],
            ["", h_next, c_next],
            "local",
            hidden_size=net.units,
        ),
        helper.make_node("MatMul", [h_next, "correction_weight"], ["correction_column"], "correction"),
        helper.make_node("Reshape", ["correction_column", "row_shape"], ["correction_row"], "correction_row"),
        helper.make_node("Sum", ["logits", "correction_row", "correction_bias"], ["corrected"], "corrected"),
    ]
    return "corrected"


def _neighbours(bands: int, groups: int, places: int) -> NDArray[np.int64]:
    """(bands, inputs) where in features, logits, zero and places a band finds what it hears, in training's order."""
    count = groups * bands
    zero = count + bands

    def around(first: int, band: int, reach: int) -> list[int]:
        return [first + k if 0 <= k < bands else zero for k in range(band - reach, band + reach + 1)]

    rows = []
    for band in range(bands):
        row = [k for group in range(groups) for k in around(group * bands, band, REACH)]
        row += around(count, band, LOGIT_REACH)
        rows.append(row + [zero + 1 + band * places + k for k in range(places)])
    return np.array(rows, np.int64)
