"""Conv-TasNet as an ONNX graph built node by node: a block of frames a step with explicit state, or a whole recording.

Rows are pieces of one stride; a frame is `overlap` neighbouring rows. Shapes are (rows or frames, channels), so that
convolutions over a single frame are plain matrix products and the norm of a frame is one node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config import TasNetConfig
from models.onnx_files import make_model

EPSILON = 1e-8
END = 2**31 - 1
"""where a slice ends that goes to the end"""

Weights = Mapping[str, NDArray[np.float32]]


def build_tasnet_graph(config: TasNetConfig, weights: Weights, block_frames: int = 0) -> Any:
    """onnx.ModelProto out of the weights of models.tasnet.ConvTasNet, by their names there.

    block_frames: how many rows of stride_samples a step takes and gives. Input `samples` and output `enhanced`, float32
    (block_frames, stride_samples), the output overlap - 1 rows late; every state is an input NAME and an output
    NAME_next of the same shape, zeros at first. 0 for a network that is not causal: rows of a whole recording with
    overlap - 1 rows of zeros before and behind it, in and out.
    """
    return _Builder(config, weights, block_frames).model()


class _Builder:
    def __init__(self, config: TasNetConfig, weights: Weights, block_frames: int) -> None:
        from onnx import helper

        assert config.causal == (block_frames > 0)
        self._helper = helper
        self.config, self.weights, self.frames = config, weights, block_frames
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    # ---- small parts ----

    def node(self, kind: str, inputs: list[str], name: str, count: int = 0, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or of its `count` outputs."""
        outs = [f"{name}.{n}" for n in range(count)] if count else [name]
        self.nodes.append(self._helper.make_node(kind, inputs, outs, f"{name}.node", **attributes))
        return outs if count else name

    def tensor(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(value)
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        self.tensors.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array, kind), name))
        return name

    def index(self, value: int) -> str:
        return self.tensor(f"index{value}".replace("-", "_"), [value])

    def rows(self, x: str, start: int, end: int, name: str) -> str:
        """Rows from `start` to `end`, a negative one counted from the end, 0 for the end itself."""
        bounds = [self.index(start), self.index(end or END), self.index(0)]
        return str(self.node("Slice", [x, *bounds], name))

    def zeros(self, rows: int, columns: int) -> str:
        return self.tensor(f"zeros{rows}x{columns}", np.zeros((rows, columns), np.float32))

    def state(self, name: str, rows: int, columns: int) -> str:
        from onnx import TensorProto

        shape = [rows, columns]
        self.inputs.append(self._helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        self.outputs.append(self._helper.make_tensor_value_info(f"{name}_next", TensorProto.FLOAT, shape))
        return name

    def product(self, x: str, layer: str, name: str) -> str:
        """A linear layer: frames (n, in) to (n, out)."""
        matrix = self.tensor(f"{layer}.weight", self.weights[f"{layer}.weight"].T)
        return str(self.node("Gemm", [x, matrix, self.tensor(f"{layer}.bias", self.weights[f"{layer}.bias"])], name))

    def activation(self, x: str, layer: str, name: str) -> str:
        return str(self.node("PRelu", [x, self.tensor(f"{layer}.weight", self.weights[f"{layer}.weight"])], name))

    # ---- norms ----

    def norm(self, x: str, layer: str, kind: str, name: str) -> str:
        gain = self.tensor(f"{layer}.gain", self.weights[f"{layer}.gain"])
        offset = self.tensor(f"{layer}.offset", self.weights[f"{layer}.offset"])
        if kind == "channel":
            return str(self.node("LayerNormalization", [x, gain, offset], name, axis=-1, epsilon=EPSILON))
        square = self.node("Mul", [x, x], f"{name}.square")
        if kind == "global":
            mean = self.node("ReduceMean", [x], f"{name}.mean", axes=[0, 1], keepdims=1)
            power = self.node("ReduceMean", [square], f"{name}.power", axes=[0, 1], keepdims=1)
        else:
            means = [self.node("ReduceMean", [part], f"{part}.mean", axes=[1], keepdims=1) for part in (x, square)]
            both = self.node("Concat", means, f"{name}.both", axis=1)
            mean, power = self.node("Split", [self.running_mean(both, name)], f"{name}.moments", 2, axis=1)
        mean_square = self.node("Mul", [mean, mean], f"{name}.mean_square")
        variance = self.node("Relu", [self.node("Sub", [power, mean_square], f"{name}.variance")], f"{name}.positive")
        epsilon = self.tensor("epsilon", np.float32(EPSILON))
        deviation = self.node("Sqrt", [self.node("Add", [variance, epsilon], f"{name}.floored")], f"{name}.deviation")
        centred = self.node("Sub", [x, mean], f"{name}.centred")
        unit = self.node("Div", [centred, deviation], f"{name}.unit")
        return str(self.node("Add", [self.node("Mul", [unit, gain], f"{name}.scaled"), offset], name))

    def running_mean(self, values: str, name: str) -> str:
        """Of the frames (n, 2) of a step, one after the other, each with the share 1 / min(its number, memory)."""
        frames, memory = self.frames, self.config.memory_frames
        before, count = self.state(f"{name}_moments", 1, 2), self.state(f"{name}_count", 1, 1)
        steps = self.tensor("frame_numbers", np.arange(1, frames + 1, dtype=np.float32)[:, None])
        # an endless count ends where float32 stops to count
        most = self.tensor(f"memory{memory}", np.float32(memory or 1 << 24))
        number = self.node("Min", [self.node("Add", [count, steps], f"{name}.numbers"), most], f"{name}.number")
        self.rows(number, frames - 1, 0, f"{name}_count_next")
        each = self.node("Split", [values], f"{name}.each", frames, axis=0)
        numbers = self.node("Split", [number], f"{name}.each_number", frames, axis=0)
        means = []
        for n in range(frames):
            change = self.node("Sub", [each[n], before], f"{name}.change{n}")
            share = self.node("Div", [change, numbers[n]], f"{name}.share{n}")
            after = f"{name}_moments_next" if n == frames - 1 else f"{name}.after{n}"
            before = self.node("Add", [before, share], after)
            means.append(before)
        return str(self.node("Concat", means, f"{name}.means", axis=0))

    # ---- the network ----

    def encode(self, samples: str) -> str:
        """Rows to coded frames: those of the step and the ones before that they overlap with."""
        c, late = self.config, self.config.overlap - 1
        rows = samples
        if self.frames:
            rows = self.node("Concat", [self.state("heard", late, c.stride_samples), samples], "rows", axis=0)
            self.rows(rows, -late, 0, "heard_next")
        parts = [self.rows(rows, n, n - late, f"row{n}") for n in range(c.overlap)]
        frames = self.node("Concat", parts, "frames", axis=1)
        matrix = self.tensor("encoder", self.weights["encoder"].T)
        return str(self.node("Relu", [self.node("MatMul", [frames, matrix], "encoded")], "coded"))

    def block(self, x: str, n: int, dilation: int) -> tuple[str, str]:
        """(skip output, residual output, empty after the last block)."""
        c, layer, name = self.config, f"blocks.{n}", f"block{n}"
        y = self.activation(self.product(x, f"{layer}.enter", f"{name}.entered"), f"{layer}.first", f"{name}.first")
        y = self.norm(y, f"{layer}.first_norm", c.norm, f"{name}_first")
        reach = (c.kernel - 1) * dilation
        if self.frames:
            seen = self.node("Concat", [self.state(f"{name}_past", reach, c.hidden), y], f"{name}.seen", axis=0)
            self.rows(seen, -reach, 0, f"{name}_past_next")
        else:
            edge = self.zeros(reach // 2, c.hidden)
            seen = self.node("Concat", [edge, y, edge], f"{name}.seen", axis=0)
        taps = self.weights[f"{layer}.taps"]
        parts = [self.tensor(f"{layer}.taps_offset", self.weights[f"{layer}.taps_offset"])]
        for tap in range(c.kernel):
            at = tap * dilation
            shifted = self.rows(seen, at, at - reach, f"{name}.shifted{tap}")
            weight = self.tensor(f"{layer}.tap{tap}", taps[tap])
            parts.append(self.node("Mul", [shifted, weight], f"{name}.tap{tap}"))
        y = self.node("Sum", parts, f"{name}.convolved")
        y = self.activation(y, f"{layer}.second", f"{name}.second")
        y = self.norm(y, f"{layer}.second_norm", c.norm, f"{name}_second")
        out = self.product(y, f"{layer}.leave", f"{name}.left")
        if n == len(c.dilations) - 1:
            return out, ""
        sizes = self.tensor("skip_and_residual", [c.skip, c.bottleneck])
        skip, residual = self.node("Split", [out, sizes], f"{name}.parts", 2, axis=1)
        return skip, residual

    def decode(self, masked: str) -> None:
        """Masked frames to rows, overlap-added."""
        c, late = self.config, self.config.overlap - 1
        waves = self.node("MatMul", [masked, self.tensor("decoder", self.weights["decoder"])], "waves")
        parts = self.node("Split", [waves], "part", c.overlap, axis=1)
        rows = []
        for n, part in enumerate(parts):
            # part n of frame t lies in row t + n
            before = [self.zeros(n, c.stride_samples)] if n else []
            behind = [self.zeros(late - n, c.stride_samples)] if n < late else []
            rows.append(self.node("Concat", [*before, part, *behind], f"placed{n}", axis=0))
        if not self.frames:
            self.node("Sum", rows, "enhanced")
            return
        unfinished = [self.state("unfinished", late, c.stride_samples), self.zeros(self.frames, c.stride_samples)]
        rows.append(self.node("Concat", unfinished, "begun", axis=0))
        added = self.node("Sum", rows, "added")
        self.rows(added, 0, -late, "enhanced")
        self.rows(added, -late, 0, "unfinished_next")

    def model(self) -> Any:
        from onnx import TensorProto

        c, helper = self.config, self._helper
        size: list[Any] = [self.frames or "rows", c.stride_samples]
        samples = helper.make_tensor_value_info("samples", TensorProto.FLOAT, size)
        enhanced = helper.make_tensor_value_info("enhanced", TensorProto.FLOAT, size)
        coded = self.encode("samples")
        x = self.product(self.norm(coded, "input_norm", c.input_norm, "input"), "bottleneck", "narrow")
        skips = []
        for n, dilation in enumerate(c.dilations):
            skip, residual = self.block(x, n, dilation)
            skips.append(skip)
            x = self.node("Add", [x, residual], f"block{n}.out") if residual else x
        total = self.activation(self.node("Sum", skips, "skips"), "skip_activation", "heard_all")
        mask = self.node("Sigmoid", [self.product(total, "mask", "logits")], "masks")
        self.decode(self.node("Mul", [coded, mask], "masked"))
        graph = helper.make_graph(
            self.nodes, "conv_tasnet", [samples, *self.inputs], [enhanced, *self.outputs], list(self.tensors.values())
        )
        return make_model(graph)
