"""Conv-TasNet over a stream: chunks of any length in, the very samples of a whole recording out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.errors import AudioFileError, ModelError
from edge.mask.network import open_session, runner
from edge.sane import SANE_MAX
from edge.tasnet.manifest import TasNetManifest, load_tasnet_manifest

F32 = NDArray[np.float32]


class TasNetStream:
    """Push samples in, get enhanced ones out; flush() gives the rest. One channel at `rate_hz`.

    manifest_path: JSON manifest (see edge.tasnet.manifest) of a causal network; precision: 'float' or 'int8'.
    What push and flush give, put together, has the input's length and is aligned to the sample, however it was cut into
    chunks. Raises ModelError, also for a network that is not causal.
    """

    def __init__(self, manifest_path: Path | str, precision: str = "float") -> None:
        self.manifest: TasNetManifest = load_tasnet_manifest(Path(manifest_path))
        manifest = self.manifest
        if not manifest.causal:
            raise ModelError(
                f"model {manifest.name} hears the whole recording before it says anything, so it cannot stream; "
                "expected a causal one, or use it as the enhancer conv_tasnet"
            )
        self.precision = precision
        self.rate_hz, self.latency_samples = manifest.rate_hz, manifest.latency_samples
        path = manifest.network_file(precision)
        self._session = open_session(path)
        check_graph(self._session, manifest, path)
        # scratch
        shape = (manifest.block_frames, manifest.stride_samples)
        self._in, self._out = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        # state: two copies of each, read from one and written to the other, turn about
        self._states = [[np.zeros(dims, np.float32) for _, _, dims in manifest.states] for _ in range(2)]
        self._runs = [runner(self._session, self._bind(self._states[i], self._states[1 - i])) for i in range(2)]
        self.reset()

    def reset(self) -> None:
        """Forget everything heard; what was not flushed is lost."""
        for copies in self._states:
            for array in copies:
                array.fill(0.0)
        self._turn = 0
        self._pending: F32 = np.zeros(0, np.float32)
        self._early = self.manifest.late_samples
        """samples of the network's output that are still from before the first sample"""
        self._owed = 0
        """samples taken and not given yet"""

    def push(self, samples: NDArray[Any]) -> F32:
        """Enhance some more float samples (n,) of full scale 1.0. Returns what is finished, float32, maybe nothing."""
        samples = np.asarray(samples)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise AudioFileError(
                f"the samples are {samples.dtype} of shape {samples.shape}, expected floats of shape (n,), full scale 1"
            )
        sane = np.where(np.abs(samples) < SANE_MAX, samples, 0.0).astype(np.float32)
        self._owed += sane.size
        return self._give(sane)

    def flush(self) -> F32:
        """The rest, so that as many samples have come out as went in. The stream is as new afterwards."""
        manifest = self.manifest
        blocks = -(-(self._pending.size + manifest.late_samples) // manifest.block_samples)
        behind = blocks * manifest.block_samples - self._pending.size
        rest = self._give(np.zeros(behind, np.float32))
        self.reset()
        return rest

    def _give(self, samples: F32) -> F32:
        """Run the whole blocks there are; of what they give what belongs to samples taken."""
        stream = np.concatenate([self._pending, samples])
        size = self.manifest.block_samples
        made = []
        for at in range(0, stream.size - size + 1, size):
            self._in.reshape(-1)[:] = stream[at : at + size]
            self._runs[self._turn]()
            self._turn = 1 - self._turn
            made.append(self._out.reshape(-1).copy())
        self._pending = stream[len(made) * size :]
        out = np.concatenate([*made, np.zeros(0, np.float32)])
        early = min(self._early, out.size)
        self._early -= early
        out = out[early : early + self._owed]
        self._owed -= out.size
        return out

    def _bind(self, before: list[F32], after: list[F32]) -> Any:
        manifest, binding = self.manifest, self._session.io_binding()
        inputs, outputs = [(manifest.input_name, self._in)], [(manifest.output_name, self._out)]
        for (source, target, _), old, new in zip(manifest.states, before, after, strict=True):
            inputs.append((source, old))
            outputs.append((target, new))
        for name, array in inputs:
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in outputs:
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding


def whole(session: onnxruntime.InferenceSession, manifest: TasNetManifest, samples: F32) -> F32:
    """A network that is not causal over a whole recording float32 (n,), in one run; float32 (n,)."""
    late, stride = manifest.late_samples, manifest.stride_samples
    behind = -samples.size % stride + late
    rows = np.pad(samples, (late, behind)).reshape(-1, stride)
    out: F32 = session.run([manifest.output_name], {manifest.input_name: rows})[0]
    return out.reshape(-1)[late : late + samples.size]


def check_graph(session: onnxruntime.InferenceSession, manifest: TasNetManifest, path: Path) -> None:
    """The graph's inputs and outputs are exactly what the manifest says. Raises ModelError."""
    shape = (manifest.block_frames or "rows", manifest.stride_samples)
    wanted_in = {manifest.input_name: shape, **{name: dims for name, _, dims in manifest.states}}
    wanted_out = {manifest.output_name: shape, **{name: dims for _, name, dims in manifest.states}}
    for what, wanted, nodes in (
        ("inputs", wanted_in, session.get_inputs()),
        ("outputs", wanted_out, session.get_outputs()),
    ):
        found = {node.name: tuple(node.shape) for node in nodes if node.type == "tensor(float)"}
        if found != wanted or len(nodes) != len(wanted):
            wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            raise ModelError(
                f"network {path} has other {what} than its manifest says ({', '.join(wrong)}); install the model again"
            )
