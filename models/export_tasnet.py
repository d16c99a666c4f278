"""Export of Conv-TasNet: both precisions, int8 scaled on mixtures that it was trained on. Knows nothing of torch."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.mask.network import open_session
from models.config import TasNetConfig
from models.data import RATE_HZ
from models.onnx_files import store_in_half
from models.quantise import QDQ_OPS, TASNET_OPS, check_ops, quantise_static
from models.tasnet_graph import Weights, build_tasnet_graph

BLOCK_SAMPLES = 128
"""of a step of a causal network, as long as a hop of the assistant profile where the stride allows"""


def export_tasnet(
    config: TasNetConfig, weights: Weights, calibration: NDArray[np.int16], files: dict[str, Path]
) -> dict[str, Any]:
    """Write a network to `files` ("float" and "int8"); returns what its manifest says of it.

    weights: of models.tasnet.ConvTasNet by name; calibration: mixtures of the training part, int16 (items, samples), by
    which activations are scaled for int8.
    """
    import onnx

    block = max(1, BLOCK_SAMPLES // config.stride_samples) if config.causal else 0
    graph = build_tasnet_graph(config, weights, block)
    with tempfile.TemporaryDirectory() as scratch:
        full, quantised = Path(scratch) / "full.onnx", Path(scratch) / "int8.onnx"
        onnx.save(graph, str(full))
        waves = calibration.astype(np.float32) / np.float32(32767.0)
        quantise_static(full, quantised, steps(full, config, block, waves))
        # the encoder and the decoder, whose inputs have the range of sound itself, stay in floating point
        onnx.save(store_in_half(onnx.load(str(quantised))), str(files["int8"]))
    onnx.save(store_in_half(graph), str(files["float"]))
    check_ops(files["float"], TASNET_OPS, {"Gemm", "PRelu", "MatMul"})
    check_ops(files["int8"], TASNET_OPS | QDQ_OPS, {"Gemm", *QDQ_OPS})
    shape = [block or "rows", config.stride_samples]
    states = [
        {"input": i.name, "output": f"{i.name}_next", "shape": [d.dim_value for d in i.type.tensor_type.shape.dim]}
        for i in graph.graph.input
        if i.name != "samples"
    ]
    return {
        "format": 1,
        "kind": "conv_tasnet",
        "rate_hz": RATE_HZ,
        "stride_samples": config.stride_samples,
        "overlap": config.overlap,
        "block_frames": block,
        "parameters": sum(w.size for w in weights.values()),
        "receptive_field_samples": config.receptive_field_samples,
        "architecture": dataclasses.asdict(config),
        "input": {"name": "samples", "shape": shape},
        "output": {"name": "enhanced", "shape": shape},
        "states": states,
    }


def steps(
    network: Path, config: TasNetConfig, block: int, waves: NDArray[np.float32]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Inputs of every step of a network file that hears `waves` (items, samples) one after the other."""
    session = open_session(network)
    names = [node.name for node in session.get_outputs()]
    late = config.overlap - 1
    for wave in waves:
        rows = wave[: wave.size // config.stride_samples * config.stride_samples].reshape(-1, config.stride_samples)
        if not block:
            yield {"samples": np.pad(rows, ((late, late), (0, 0)))}
            continue
        states = {
            node.name: np.zeros(node.shape, np.float32) for node in session.get_inputs() if node.name != "samples"
        }
        for at in range(0, len(rows) - block + 1, block):
            given = {"samples": rows[at : at + block], **states}
            yield given
            after = dict(zip(names, session.run(None, given), strict=True))
            states = {name: after[f"{name}_next"] for name in states}
