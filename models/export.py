"""Checkpoint to shipped files: python -m models.export --checkpoint RUN/best.pt --out models/shipped --name NAME."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from edge.errors import EdgeError, ModelError, UsageError
from edge.mask.features import LEAST_DEVIATION, POWER_FLOOR
from edge.mask.manifest import FEATURES, FORMAT
from edge.tasnet.manifest import KIND, load_tasnet_manifest
from models import checkpoint
from models.config import BlstmConfig, MaskConfig, TasNetConfig, config_from_dict
from models.data import make_folder
from models.export_tasnet import export_tasnet
from models.frontend import FrontEnd
from models.graph import build_blstm_graph, build_graph, states
from models.net import MaskNet
from models.onnx_files import describe_files, store_in_half
from models.quantise import BLSTM_EXTRA_OPS, LOCAL_OPS, LSTM_INT8_OPS, LSTM_OPS, check_ops, quantise
from models.restore import restore_mask, restore_tasnet

LICENCE = "Apache-2.0"


def export(state: dict[str, Any], folder: Path, name: str, listener: str = "") -> Path:
    """Write NAME.float.onnx, NAME.int8.onnx and NAME.json for a checkpoint's state. Returns the manifest's path.

    listener: of a network with cues, the name of the one beside it that hears a single microphone.
    """
    network = config_from_dict(state["config"]).network
    if (isinstance(network, MaskConfig) and network.cues) != bool(listener):
        raise ModelError(
            "a network for arrays needs the name of the one beside it that hears a single microphone (--listener), "
            "and no other network may have one"
        )
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise UsageError(f"a network cannot be named {name!r}; expected a name without a folder, such as mono-mine")
    make_folder(folder)
    files = {p: folder / f"{name}.{p}.onnx" for p in ("float", "int8")}
    if isinstance(network, TasNetConfig):
        weights = {name: value.numpy() for name, value in restore_tasnet(state).state_dict().items()}
        with checkpoint.sound("this network"):
            calibration = state["calibration"].numpy()
        manifest = export_tasnet(network, weights, calibration, files)
    elif isinstance(network, BlstmConfig):
        manifest = _export_blstm(*restore_mask(state), files)
    else:
        manifest = _export_mask(*restore_mask(state), network, listener, files)
    last = state["history"][-1] if state["history"] else {}
    manifest = {"format": FORMAT, "name": name} | manifest
    manifest["files"] = describe_files(files)
    measured = ("loss", "sdr_gain_db", "si_snr_db", "si_snr_gain_db")
    manifest["training"] = {
        "parameters": sum(p.numel() for p in state["average"].values()),
        "steps": state["step"],
        "minutes": round(state["elapsed_s"] / 60.0, 1),
        "hours_of_source": state["hours"],
        "begun_from": state.get("ancestors", []),
        "validation": {k: round(float(last[k]), 4) for k in measured if k in last},
        "torch": torch.__version__,
    }
    manifest |= {"licence": LICENCE, "card": f"{name}.md"}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


def _save(graph: Any, files: dict[str, Path]) -> None:
    """A network of LSTMs in both precisions."""
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"  # quantised from all 32 bits, not from what is stored
        onnx.save(graph, str(full))
        quantise(full, files["int8"])
    onnx.save(store_in_half(graph), str(files["float"]))


def _of_profile(front: FrontEnd) -> dict[str, Any]:
    profile = front.profile
    return {
        "profile": profile.name,
        "rate_hz": profile.rate_hz,
        "window_samples": profile.window_samples,
        "hop_samples": profile.hop_samples,
    }


def _export_mask(
    net: MaskNet, front: FrontEnd, network: MaskConfig, listener: str, files: dict[str, Path]
) -> dict[str, Any]:
    """The causal mask network, one hop a step."""
    _save(build_graph(net), files)
    local = LOCAL_OPS if net.local is not None else set()
    check_ops(files["float"], LSTM_OPS | local, {"LSTM"})
    check_ops(files["int8"], LSTM_INT8_OPS | local, {"DynamicQuantizeLSTM", "MatMulInteger"})
    return {
        **_of_profile(front),
        "run_every_hops": network.run_every_hops,
        "features": {
            "kind": FEATURES,
            "cues": list(front.cues),
            "power_floor": POWER_FLOOR,
            "band_centre_bins": front.layout.centre_bins.tolist(),
            "mean": [round(float(v), 6) for v in front.mean],
            "std": [round(float(1.0 / v), 6) for v in front.inverse_std],
        },
        "listener": listener,
        "input": {"name": "features", "shape": [1, 1, net.features]},
        "direct": {"name": "direct", "shape": [1, 1, net.features]},
        "output": {"name": "gains", "shape": [1, 1, front.layout.bands]},
        "states": [{"input": i, "output": o, "shape": shape} for i, o, shape in states(net)],
    }


def _export_blstm(net: MaskNet, front: FrontEnd, files: dict[str, Path]) -> dict[str, Any]:
    """The bidirectional mask network, a whole recording in one run."""
    _save(build_blstm_graph(net), files)
    check_ops(files["float"], LSTM_OPS | BLSTM_EXTRA_OPS, {"LSTM"})
    check_ops(files["int8"], LSTM_INT8_OPS | BLSTM_EXTRA_OPS, {"DynamicQuantizeLSTM", "MatMulInteger"})
    return {
        "format": 1,
        "kind": "blstm",
        **_of_profile(front),
        "features": {
            "kind": FEATURES,
            "normalised": "by the mean and deviation of each recording",
            "least_deviation": LEAST_DEVIATION,
            "power_floor": POWER_FLOOR,
            "band_centre_bins": front.layout.centre_bins.tolist(),
        },
        "input": {"name": "features", "shape": ["frames", 1, net.features]},
        "output": {"name": "gains", "shape": ["frames", 1, front.layout.bands]},
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the three files")
    parser.add_argument("--name", required=True, help="name of the model and of its files")
    parser.add_argument(
        "--listener", default="", help="for arrays: name of the network beside it that hears one microphone"
    )
    a = parser.parse_args(arguments)
    try:
        path = export(checkpoint.load(a.checkpoint), a.out, a.name, a.listener)
        print(path)
        if json.loads(path.read_text()).get("kind") == KIND:
            print(load_tasnet_manifest(path).about)
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
