"""Networks read back from their exported files, so that a run can begin with one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.decoding import Decoder
from edge.errors import EdgeError, ModelError
from edge.manifests import Reader, network_file, open_manifest, read_files
from edge.mask.manifest import load_manifest
from edge.profiles import PROFILES
from models.config import BlstmConfig, MaskConfig, NetworkConfig, TasNetConfig, TrainConfig, config_to_dict
from models.restore import make_front
from models.tasnet import ConvTasNet

F32 = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

SUFFIXES = (".json", ".onnx")
"""what a path ends in that means exported files instead of a checkpoint"""


def read_exported(path: Path) -> dict[str, Any]:
    """What `models.checkpoint.load` gives of a checkpoint, as far as another run can begin with it, from the manifest
    of an exported network and its float file, whose large weights are rounded to 16 bits.

    Raises ModelError, also for a network that is not made by `models.export` as it is now.
    """
    read = open_manifest(path, "--start-from")
    kind = read.data.get("kind") if isinstance(read.data, dict) else None
    arrays = _initialisers(network_file(path, read.value(str, "name"), read_files(read), "float"))
    try:
        network: NetworkConfig
        if kind == "conv_tasnet":
            network = _architecture(read)
            state = {"average": tasnet_weights(network, arrays)}
        elif kind == "blstm":
            network = BlstmConfig(read.value(str, "profile"), *_sizes(arrays))
            state = {"average": mask_weights(arrays)} | _front(network, read)
        else:
            network, front = _mask(path, read, arrays)
            state = {"average": mask_weights(arrays)} | front
    except EdgeError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise ModelError(
            f"network {path} has no weights that training could go on with ({reason}); name a checkpoint "
            "(last.pt or best.pt), or the manifest of a network that models.export wrote"
        ) from None
    if not all(bool(torch.isfinite(value).all()) for value in state["average"].values()):
        raise ModelError(f"the weights of {path} are not all finite numbers; install the model again")
    return state | {"config": config_to_dict(TrainConfig(network=network))} | _history(read)


def _mask(path: Path, read: Reader, arrays: Arrays) -> tuple[MaskConfig, dict[str, Any]]:
    """Settings and front end of the causal mask network."""
    name = read.value(str, "profile")
    if name not in PROFILES:
        raise read.wrong("profile", f"one of {', '.join(PROFILES)}")
    manifest = load_manifest(path, PROFILES[name])
    units = arrays["R_local"].shape[2] if "R_local" in arrays else 0
    network = MaskConfig(name, manifest.run_every_hops, bool(manifest.cues), *_sizes(arrays), local_units=units)
    normalised = {"mean": torch.from_numpy(manifest.mean), "inverse_std": torch.from_numpy(manifest.inverse_std)}
    return network, _front(network, read) | {"front": normalised}


def _front(network: MaskConfig | BlstmConfig, read: Reader) -> dict[str, Any]:
    """A front end that normalises nothing. Raises ModelError where bands are not those of training."""
    front = make_front(network)
    if read.value(list, "features", "band_centre_bins") != front.layout.centre_bins.tolist():
        raise ModelError(
            f"network {read.path} hears other bands than training makes; name one that models.export wrote"
        )
    return {"front": {"mean": front.mean, "inverse_std": front.inverse_std}}


def _history(read: Reader) -> dict[str, Any]:
    """What a run remembers of the one that it begins from."""
    told = read.data.get("training")
    # not every network tells everything
    told = {"steps": 0, "minutes": 0.0, "hours_of_source": {}, "begun_from": []} | (
        told if isinstance(told, dict) else {}
    )
    of_run = Reader(read.path, told, "training.")
    return {
        "step": of_run.value(int, "steps"),
        "elapsed_s": 60.0 * of_run.value(float, "minutes"),
        "hours": of_run.value(dict, "hours_of_source"),
        "ancestors": of_run.value(list, "begun_from"),
        "history": [],
        "exported": read.value(str, "name"),
    }


def _architecture(read: Reader) -> TasNetConfig:
    """Settings of a Conv-TasNet. Raises ValueError where they make none."""
    decoder = Decoder()
    network = decoder.decode(TasNetConfig, read.value(dict, "architecture"), prefix="architecture.")
    if problems := decoder.problems or network.problems():
        raise ValueError("; ".join(problems))
    return network


def _initialisers(path: Path) -> Arrays:
    """Constants of a graph by name, those stored in 16 bits widened."""
    import onnx
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(path)).graph.initializer}
    wide = {name.removesuffix("_half"): v.astype(np.float32) for name, v in found.items() if v.dtype == np.float16}
    return {name: value for name, value in found.items() if value.dtype != np.float16} | wide


def _sizes(arrays: Arrays) -> tuple[int, int]:
    """(units of each LSTM layer, layers)."""
    layers = 1
    while f"R{layers + 1}" in arrays:
        layers += 1
    return arrays["R1"].shape[2], layers


def mask_weights(arrays: Arrays) -> dict[str, Tensor]:
    """The converse of models.graph: constants of the graph of a mask network, or of the bidirectional one, to the
    weights of models.net.MaskNet by name.
    """
    made: Arrays = {}
    for n in range(1, _sizes(arrays)[1] + 1):
        made |= _lstm(arrays, n, f"lstms.{n - 1}")
    made |= {"head.weight": arrays["head_weight"].T, "head.bias": arrays["head_bias"]}
    if "R_local" in arrays:
        bands = arrays["neighbours"].shape[0]
        made |= _lstm(arrays, "_local", "local.lstm")
        made |= {"local.out.weight": arrays["correction_weight"].T, "local.out.bias": arrays["correction_bias"]}
        made["local.place"] = arrays["places"].reshape(-1)[1:].reshape(bands, -1)  # behind the zero of missing bands
    return _tensors(made)


def tasnet_weights(config: TasNetConfig, arrays: Arrays) -> dict[str, Tensor]:
    """The converse of models.tasnet_graph: constants of a graph to the weights of models.tasnet.ConvTasNet by name."""
    made: Arrays = {}
    for name, value in ConvTasNet(config).state_dict().items():
        if name.endswith(".taps"):
            found = np.stack([arrays[f"{name.removesuffix('s')}{tap}"] for tap in range(config.kernel)])
        else:
            found = arrays[name]
            if name == "encoder" or (name.endswith(".weight") and value.ndim == 2):
                found = found.T
        made[name] = found.reshape(tuple(value.shape)) if value.ndim < 2 else found
    return _tensors(made)


def _lstm(arrays: Arrays, suffix: int | str, name: str) -> Arrays:
    """W, R and B of one ONNX LSTM as torch's, all directions."""
    w, r, b = (arrays[f"{kind}{suffix}"] for kind in "WRB")
    made: Arrays = {}
    for way, of_way in enumerate(("", "_reverse")[: len(w)]):
        rows = r.shape[1]
        made[f"{name}.weight_ih_l0{of_way}"] = _torch_gates(w[way])
        made[f"{name}.weight_hh_l0{of_way}"] = _torch_gates(r[way])
        made[f"{name}.bias_ih_l0{of_way}"] = _torch_gates(b[way, :rows])
        made[f"{name}.bias_hh_l0{of_way}"] = _torch_gates(b[way, rows:])
    return made


def _torch_gates(weights: NDArray[Any]) -> NDArray[Any]:
    """Gate rows from the order of ONNX (input, output, forget, cell) to that of torch (input, forget, cell, output)."""
    i, o, f, c = np.split(weights, 4)
    return np.concatenate([i, f, c, o])


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in arrays.items()}
