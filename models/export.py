"""Checkpoint to shipped files: python -m models.export --checkpoint RUN/best.pt --out models/shipped --name NAME."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from edge.errors import EdgeError, ModelError
from edge.mask.features import POWER_FLOOR
from edge.mask.manifest import FEATURES, FORMAT
from models import checkpoint
from models.graph import build_graph, state_names, store_in_half
from models.quantise import check_ops, op_types, quantise
from models.restore import restore

LICENCE = "Apache-2.0"


def export(state: dict[str, Any], folder: Path, name: str, listener: str = "") -> Path:
    """Write NAME.float.onnx, NAME.int8.onnx and NAME.json for a checkpoint's state. Returns the manifest's path.

    listener: of a network with cues, the name of the one beside it that hears a single microphone.
    """
    import onnx

    net, front = restore(state)
    if bool(front.cues) != bool(listener):
        raise ModelError(
            "a network for arrays needs the name of the one beside it that hears a single microphone (--listener), "
            "and no other network may have one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    profile, config = front.profile, state["config"]
    files = {p: folder / f"{name}.{p}.onnx" for p in ("float", "int8")}
    graph = build_graph(net)
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"  # quantised from all 32 bits, not from what is stored
        onnx.save(graph, str(full))
        quantise(full, files["int8"])
    onnx.save(store_in_half(graph), str(files["float"]))
    check_ops(files["float"], files["int8"])
    bands = front.layout.bands
    last = state["history"][-1] if state["history"] else {}
    manifest = {
        "format": FORMAT,
        "name": name,
        "profile": profile.name,
        "rate_hz": profile.rate_hz,
        "window_samples": profile.window_samples,
        "hop_samples": profile.hop_samples,
        "run_every_hops": config["run_every_hops"],
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
        "output": {"name": "gains", "shape": [1, 1, bands]},
        "states": [
            {"input": i, "output": o, "shape": [1, 1, config["hidden"]]} for i, o in state_names(config["layers"])
        ],
        "files": {
            p: {
                "file": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
                "operators": op_types(path),
            }
            for p, path in files.items()
        },
        "training": {
            "parameters": sum(p.numel() for p in net.parameters()),
            "steps": state["step"],
            "minutes": round(state["elapsed_s"] / 60.0, 1),
            "hours_of_source": state["hours"],
            "begun_from": state.get("ancestors", []),
            "validation": {k: round(float(last[k]), 4) for k in ("loss", "sdr_gain_db") if k in last},
            "torch": torch.__version__,
        },
        "licence": LICENCE,
        "card": f"{name}.md",
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


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
        print(export(checkpoint.load(a.checkpoint), a.out, a.name, a.listener))
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
