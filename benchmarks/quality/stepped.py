"""A peer's network with explicit state, run as this project runs its own: everything bound, nothing copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.mask.network import runner

F32 = NDArray[np.float32]


def open_peer(path: Path) -> onnxruntime.InferenceSession:
    """A session as onnxruntime makes it by itself, memory arena and all, but with one thread that does not spin.

    Not the one of edge.mask.network, whose settings are chosen for this project's networks: without the arena DTLN
    would be slower. Denormals are zero here too: they only cost time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Stepped:
    """A network whose first input is a frame and the rest state, and whose outputs are the same in the same order.

    step() reads `given` and writes `result`, both float32 of `shape`; two copies of the state are used turn about.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.session = open_peer(path)
        self.given, self.result = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        shapes = [tuple(node.shape) for node in self.session.get_inputs()[1:]]
        self._states = [[np.zeros(size, np.float32) for size in shapes] for _ in range(2)]
        self._runs = [runner(self.session, self._bind(self._states[i], self._states[1 - i])) for i in range(2)]
        self._turn = 0

    def _bind(self, before: list[F32], after: list[F32]) -> onnxruntime.IOBinding:
        binding = self.session.io_binding()
        for node, array in zip(self.session.get_inputs(), (self.given, *before), strict=True):
            binding.bind_input(node.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for node, array in zip(self.session.get_outputs(), (self.result, *after), strict=True):
            binding.bind_output(node.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def step(self) -> None:
        self._runs[self._turn]()
        self._turn = 1 - self._turn

    def reset(self) -> None:
        for copies in self._states:
            for array in copies:
                array.fill(0.0)
