"""Dynamic int8: weights of the LSTMs and of the last layer as signed bytes, activations scaled at run time."""

from __future__ import annotations

import logging
from pathlib import Path

FLOAT_OPS = {"Cast", "LSTM", "MatMul", "Add", "Mul", "Split", "Sum", "Sigmoid"}
"""Cast: of stored weights, folded when the file is opened."""
INT8_OPS = (FLOAT_OPS - {"LSTM", "MatMul"}) | {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger"}
INT8_NEEDED = {"DynamicQuantizeLSTM", "MatMulInteger"}


def quantise(source: Path, target: Path) -> None:
    """Write the int8 twin of a float network. Weights have one scale per output channel.

    The weights use 7 of their 8 bits: x86 processors without VNNI add two products in 16 bits and would saturate.
    """
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


def op_types(path: Path) -> list[str]:
    """Kinds of node in a network file, in graph order."""
    import onnx

    return [n.op_type for n in onnx.load(str(path)).graph.node]


def check_ops(float_path: Path, int8_path: Path) -> None:
    """Raises ValueError when a graph has other nodes than the ones known to be fast."""
    for path, allowed, needed in ((float_path, FLOAT_OPS, {"LSTM"}), (int8_path, INT8_OPS, INT8_NEEDED)):
        found = set(op_types(path))
        if not found <= allowed or not needed <= found:
            raise ValueError(
                f"{path.name} has nodes {sorted(found)}, expected {sorted(needed)} among {sorted(allowed)}"
            )
