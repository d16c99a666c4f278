"""What a step of a shipped network costs over its bare arithmetic, and where the rest goes.

The bound is what one core needs for the multiply-accumulates of the step at the rate at which onnxruntime multiplies
one vector by one matrix of the network's own size, in the same precision, from the same caches. The rate with 256
vectors at once, which a causal network cannot have, stands beside it. Everything is processor time of one thread,
measured in turns, so that the ratios hold on a machine that has other work.

Usage: python -m benchmarks.inference [--rounds 60]
"""

from __future__ import annotations

import argparse
import functools
import gc
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time_ns
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.record import provenance, record, stamp, still
from edge.kernels import bands
from edge.mask.choice import shipped_networks
from edge.mask.network import NetworkMask, open_session, runner
from edge.profiles import PROFILES, Profile

CALLS = 30
"""of each thing in each round"""
QUICKEST = 0.2
"""quantile over the rounds that is told: in the other rounds somebody else had emptied the caches"""
VECTORS = 256
INNER, OUTER, SMALL = 384, 1536, 32
"""a matrix of as many weights as the networks have, and a slim one, whose time is that of the call"""

Action = Callable[[], object]


@dataclass(frozen=True)
class Insides:
    """The private parts of a network's step that are timed one by one. All reaching into NetworkMask is done here.

    They have no public face because the live path, which is what they are for, has no use of one. They are read when
    this is made, so one that has another name by now is an AttributeError, and tests/test_inference_benchmark.py
    makes one of every kind of network.
    """

    session: onnxruntime.InferenceSession
    gains: NDArray[np.float32]
    runs: list[Action]
    extract: Callable[[NDArray[np.complex64]], object]
    to_bins: tuple[NDArray[Any], NDArray[np.float32]]
    """of every bin, its band and how far it is on the way to the next"""
    forget_countdown: Action
    """the next step runs the network, in whichever hop of several it comes"""

    @classmethod
    def of(cls, network: NetworkMask) -> Insides:
        if not isinstance(network._countdown, int):
            raise TypeError("NetworkMask counts hops in another way")
        return cls(
            network._session,
            network._gains_flat,
            list(network._runs),
            network._extractor.extract,
            (network._band, network._fraction),
            functools.partial(setattr, network, "_countdown", 0),
        )


def macs_of(path: Path) -> int:
    """Multiply-accumulates of one run of a network: its matrix products, everything else left out."""
    graph = onnx.load(str(path)).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    passed = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    total = 0
    for node in graph.node:
        weights = {"LSTM": (1, 2), "DynamicQuantizeLSTM": (1, 2), "MatMul": (1,), "MatMulInteger": (1,), "Gemm": (1,)}
        # as many vectors as the state has that goes in, or that the product is made of: one, or one per band
        given = node.input[5] if "LSTM" in node.op_type else node.input[0].removesuffix("_quantized")
        vectors = int(np.prod(passed.get(given, [1])[:-1]))
        for index in weights.get(node.op_type, ()):
            name = node.input[index]
            total += vectors * int(np.prod(shapes[casts.get(name, name)]))
    return total


def product(precision: str, vectors: int, outer: int) -> Action:
    """One run of a matrix product alone: (vectors, INNER) by (INNER, outer), as the LSTM of that precision has it."""
    rng = np.random.default_rng(0)
    if precision == "float":
        weights = rng.standard_normal((INNER, outer)).astype(np.float32)
        given: np.ndarray[Any, Any] = rng.standard_normal((vectors, INNER)).astype(np.float32)
        operator, kinds = "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
    else:
        weights = rng.integers(-127, 127, (INNER, outer)).astype(np.int8)
        given = rng.integers(0, 255, (vectors, INNER)).astype(np.uint8)
        operator, kinds = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kinds[0], [vectors, INNER])],
        [helper.make_tensor_value_info("y", kinds[1], [vectors, outer])],
        [numpy_helper.from_array(weights, "w")],
    )
    result = np.zeros((vectors, outer), np.float32 if precision == "float" else np.int32)
    return _bound(_session(graph), {"x": given}, {"y": result})


def empty_run(network: NetworkMask) -> Action:
    """A run that computes nothing, with the inputs and outputs of a network: what a call costs by itself."""
    session = Insides.of(network).session
    inputs = [(n.name, n.shape) for n in session.get_inputs()]
    outputs = [(n.name, n.shape) for n in session.get_outputs()]
    given = {name: np.zeros(shape, np.float32) for name, shape in inputs}
    results = {name: np.zeros(shape, np.float32) for name, shape in outputs}
    nodes = []
    for name, shape in outputs:
        source = next(each for each, size in inputs if size == shape) if shape in [s for _, s in inputs] else None
        if source is None:  # the gains, a part of what is given
            nodes.append(helper.make_node("Slice", [inputs[0][0], "from", "to", "axis"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [source], [name]))
    bands_out = outputs[0][1][-1]
    constants = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("from", 0), ("to", bands_out), ("axis", 2))
    ]
    graph = helper.make_graph(
        nodes,
        "empty",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
        constants,
    )
    return _bound(_session(graph), given, results)


def parts_of(network: NetworkMask, profile: Profile) -> dict[str, Action]:
    """The whole step, and each thing that it does, alone."""
    rng = np.random.default_rng(1)
    spectrum = (rng.standard_normal(profile.bins) + 1j * rng.standard_normal(profile.bins)).astype(np.complex64)
    gain = np.zeros(profile.bins, np.float32)
    inner, presence = Insides.of(network), network.presence
    if network.cue_power is not None:
        network.cue_power[:] = 1.0
    turns = itertools.cycle(inner.runs)

    def step() -> None:
        inner.forget_countdown()
        network.step(spectrum, gain)

    return {
        "step": step,
        "features": lambda: inner.extract(spectrum),
        "session": lambda: next(turns)(),
        "empty session": empty_run(network),
        "gains to bins": lambda: bands.bands_to_bins(inner.gains, *inner.to_bins, presence, gain),
        "nothing": lambda: None,
    }


def measure(actions: dict[str, Action], rounds: int) -> dict[str, float]:
    """Microseconds of processor time per call, each action in turn in every round."""
    found: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        for _ in range(CALLS):
            action()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, action in actions.items():
                start = thread_time_ns()
                for _ in range(CALLS):
                    action()
                found[name].append((thread_time_ns() - start) / (1e3 * CALLS))
    finally:
        gc.enable()
    return {name: float(np.quantile(times, QUICKEST)) for name, times in found.items()}


def examine(network: NetworkMask, profile: Profile, rounds: int) -> dict[str, Any]:
    """Rates of this core, the bound they give, the step and its parts; times in microseconds."""
    precision = network.precision
    macs = macs_of(network.manifest.network_file(precision))
    actions = parts_of(network, profile)
    for name, vectors in (("vector", 1), ("matrix", VECTORS)):
        actions |= {f"{name}, {outer}": product(precision, vectors, outer) for outer in (OUTER, SMALL)}
    us = measure(actions, rounds)
    idle = us["nothing"]
    # the slim product takes the call off
    rates = {
        name: vectors * INNER * (OUTER - SMALL) / (us[f"{name}, {OUTER}"] - us[f"{name}, {SMALL}"])
        for name, vectors in (("vector", 1), ("matrix", VECTORS))
    }
    bound_us = macs / rates["vector"]
    step_us = us["step"] - idle
    split = {
        "arithmetic": bound_us,
        "nodes beyond it": us["session"] - us["empty session"] - bound_us,
        "call of the session": us["empty session"] - idle,
        "features": us["features"] - idle,
        "gains to bins": us["gains to bins"] - idle,
    }
    return {
        "macs": macs,
        "macs_per_us": rates,
        "bound_us": bound_us,
        "bound_with_many_vectors_us": macs / rates["matrix"],
        "step_us": step_us,
        "step_over_bound": step_us / bound_us,
        "split_us": split | {"python, colder caches": step_us - sum(split.values())},
    }


def _session(graph: onnx.GraphProto) -> onnxruntime.InferenceSession:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        return open_session(path)


def _bound(session: onnxruntime.InferenceSession, given: dict[str, Any], results: dict[str, Any]) -> Action:
    """A run with everything bound, as the live path has it."""
    binding = session.io_binding()
    for name, array in given.items():
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for name, array in results.items():
        binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    run = runner(session, binding)
    run.keep = given, results  # type: ignore[attr-defined]  # the binding knows their addresses only
    return run


def networks() -> Iterator[tuple[str, NetworkMask, Profile]]:
    """(name and precision, network, profile) of every shipped network: for one microphone, then for arrays."""
    shipped = [(each, profile) for profile in PROFILES.values() for each in shipped_networks(profile, mics=4)]
    for each, profile in sorted(shipped, key=lambda pair: pair[0].kind, reverse=True):
        for precision in sorted(each.sha256, reverse=True):
            yield f"{each.name} {precision}", NetworkMask(each.path, profile, precision), profile


def page(made_by: dict[str, Any], results: dict[str, dict[str, Any]]) -> str:
    """The results as a table in Markdown."""
    first = next(iter(results.values()))
    columns = ["network", "multiply-accumulates", "G a second, one vector", f"{VECTORS} vectors", "bound us", "step us"]
    columns += ["step over bound", *(f"{name} us" for name in first["split_us"])]
    lines = ["# A step of each network against its arithmetic", "", provenance(made_by), ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for name, found in results.items():
        rates, times = found["macs_per_us"], [found["bound_us"], found["step_us"]]
        cells = [name, f"{found['macs'] / 1e3:.0f} k", *(f"{rates[v] / 1e3:.1f}" for v in ("vector", "matrix"))]
        cells += [f"{us:.1f}" for us in times] + [f"{found['step_over_bound']:.1f}"]
        lines.append("| " + " | ".join(cells + [f"{us:.1f}" for us in found["split_us"].values()]) + " |")
    return "\n".join(lines) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.inference", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args(arguments)
    begun = stamp()
    found = {name: _rounded(examine(mask, profile, args.rounds)) for name, mask, profile in networks()}
    made_by = still(begun)
    text = page(made_by, found)
    print(text)
    path = record("inference", {"stamp": made_by, "networks": found})
    path.with_name("inference.md").write_text(text, encoding="utf-8")
    print(f"wrote {path} and inference.md beside it")


if __name__ == "__main__":
    main()
