"""int8 twins of exported networks: dynamic for what is mostly LSTM, static (QDQ) for convolutions; and what is in them.

In both, weights have one scale per output channel and use 7 of their 8 bits: x86 processors without VNNI add two
products in 16 bits and would saturate.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.onnx_files import op_types

LSTM_OPS = {"Cast", "LSTM", "MatMul", "Add", "Mul", "Split", "Sum", "Sigmoid"}
"""of a mask network. Cast: of stored weights, folded when the file is opened."""
LSTM_INT8_OPS = (LSTM_OPS - {"LSTM", "MatMul"}) | {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger"}
LOCAL_OPS = {"Concat", "Gather", "Reshape"}
"""of one whose bands correct it by themselves, besides"""
BLSTM_EXTRA_OPS = {"Concat", "Reshape", "Slice", "Transpose"}
"""of a bidirectional one besides"""
TASNET_OPS = {
    *("Add", "Cast", "Concat", "Div", "Gemm", "LayerNormalization", "MatMul", "Min", "Mul", "PRelu", "ReduceMean"),
    *("Relu", "Sigmoid", "Slice", "Split", "Sqrt", "Sub", "Sum"),
}
QDQ_OPS = {"QuantizeLinear", "DequantizeLinear"}
CALIBRATED_PERCENT = 99.9
"""of an activation's values that int8 has room for; what lies beyond is clipped"""


def quantise(source: Path, target: Path) -> None:
    """Write the int8 twin of a float network of LSTMs; activations are scaled at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # the tool advises a preprocessing that a hand-built graph has no use for
    logging.getLogger().setLevel(logging.ERROR)
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["LSTM", "MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )


def quantise_static(source: Path, target: Path, examples: Iterable[dict[str, NDArray[np.float32]]]) -> None:
    """Write the int8 twin of a float network whose layers are Gemm nodes, in QDQ form; MatMul nodes stay as they are.

    examples: inputs of typical runs, one after the other, on which the range of every activation is measured: all but
    the outermost values, since sound after silence makes a few that would take the resolution from all others.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(examples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._rest, None)

    logging.getLogger().setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # the tool talks of its progress
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Gemm"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": CALIBRATED_PERCENT},
        )


def check_ops(path: Path, allowed: set[str], needed: set[str]) -> None:
    """Raises ValueError when a graph has other nodes than the ones known to be fast."""
    found = set(op_types(path))
    if not found <= allowed or not needed <= found:
        raise ValueError(f"{path.name} has nodes {sorted(found)}, expected {sorted(needed)} among {sorted(allowed)}")
