"""Gains from an ONNX mask network: one hop a step, explicit state, nothing allocated per hop."""

from __future__ import annotations

import copy
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# onnxruntime starts a usage-reporting thread on Linux unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.kernels import bands
from edge.mask.extractor import Extractor
from edge.mask.manifest import Manifest, load_manifest, resolve_model
from edge.profiles import Profile

__all__ = ["NetworkMask", "open_session", "resolve_model"]

WARM_UP_STEPS = 20
SESSIONS_KEPT = 4
_RUN_OPTIONS = onnxruntime.RunOptions()


def open_session(path: Path, content: bytes | None = None) -> onnxruntime.InferenceSession:
    """A session for a live loop: one thread, no spinning, denormals as zero. Raises ModelError if it does not load.

    content: of the file at `path`, where it has been read already.
    """
    path_or_bytes = str(path) if content is None else content
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # what a step needs are a few KiB, for which the system's own allocator is quicker than onnxruntime's
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    try:
        return onnxruntime.InferenceSession(path_or_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many private kinds
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(f"network {path} cannot be opened by onnxruntime ({first}); install the model again") from None


def runner(session: onnxruntime.InferenceSession, binding: Any) -> Callable[[], None]:
    """What runs a session with everything bound. The wrapper of onnxruntime asks about graph capture on graphics cards
    at every run (40 us if it is given options) and has options made if it is not; so what it wraps is called.
    """
    inner, bound = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
    if inner is not None and bound is not None:
        return functools.partial(inner.run_with_iobinding, bound, _RUN_OPTIONS)
    return functools.partial(session.run_with_iobinding, binding)


@functools.lru_cache(maxsize=SESSIONS_KEPT)
def _shared_session(path: Path, sha256: str) -> onnxruntime.InferenceSession:
    """The session of a network with these contents, made once: making one holds the interpreter lock for milliseconds.

    A session has no state of its own, so any number of estimators can run it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"network {path} cannot be read ({error.strerror}); install the model again") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"network {path} was replaced while it was opened; try again, or install the model again")
    return open_session(path, content)


class NetworkMask:
    """MaskEstimator that runs a network of this project.

    manifest: JSON file (see edge.mask.manifest), or what it says; profile: must be the one it was made for; precision:
    'int8' or 'float'. Raises ModelError. Should the network ever produce a number that is not finite, its state is
    cleared and the gains of the hop before are kept; `resets` counts that since construction.
    """

    latency_samples = 0
    _turn: int
    _countdown: int

    def __init__(self, manifest: Manifest | Path | str, profile: Profile, precision: str = "int8") -> None:
        manifest = manifest if isinstance(manifest, Manifest) else load_manifest(Path(manifest), profile)
        self.manifest: Manifest = manifest
        self.precision = precision
        layout = manifest.layout
        path = manifest.network_file(precision)
        self._session = _shared_session(path, manifest.files[precision][1])
        _check_graph(self._session, manifest, path)
        self._band, self._fraction = layout.band, layout.fraction
        self._profile = profile
        self._ears: NetworkMask | None = None
        if manifest.listener:
            self._ears = NetworkMask(_for_one_microphone(manifest, profile), profile, precision)
        self._allocate()
        self._warm_up()

    def _allocate(self) -> None:
        manifest, layout = self.manifest, self.manifest.layout
        self.resets = 0
        # scratch
        self._extractor = Extractor(manifest, self._profile)
        self.cue_power = self._extractor.cue_power
        self._gains = np.zeros((1, 1, layout.bands), np.float32)
        self._gains_flat = self._gains.reshape(-1)
        # state: two copies of each, read from one and written to the other, turn about
        self._states = [[np.zeros(shape, np.float32) for _, _, shape in manifest.states] for _ in range(2)]
        self._runs = [runner(self._session, self._bind(self._states[i], self._states[1 - i])) for i in range(2)]
        self.presence: NDArray[np.float32] = np.zeros(layout.bins, np.float32)
        self.reset()

    def twin(self) -> NetworkMask:
        """Another one of the same network with a state of its own. Quick: the session is shared, no file is read."""
        other = copy.copy(self)
        other._allocate()
        return other

    def _bind(self, before: list[NDArray[np.float32]], after: list[NDArray[np.float32]]) -> Any:
        binding = self._session.io_binding()
        inputs: list[tuple[str, NDArray[np.float32]]] = [
            (self.manifest.input_name, self._extractor.features),
            (self.manifest.direct_name, self._extractor.direct),
        ]
        outputs: list[tuple[str, NDArray[np.float32]]] = [(self.manifest.output_name, self._gains)]
        for (source, target, _), old, new in zip(self.manifest.states, before, after, strict=True):
            inputs.append((source, old))
            outputs.append((target, new))
        for name, array in inputs:
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in outputs:
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def _warm_up(self) -> None:
        """Run on silence and on noise, so that the first live hop costs what the later ones do.

        Raises ModelError where the network does not run, whatever of its many private kinds onnxruntime raises then, or
        where what it gives are no numbers.
        """
        rng = np.random.default_rng(0)
        bins = self.presence.shape[0]
        noise = np.asarray(rng.standard_normal(bins) + 1j * rng.standard_normal(bins), np.complex64)
        gain = np.zeros(bins, np.float32)
        try:
            for spectrum in (np.zeros_like(noise), noise):
                for _ in range(WARM_UP_STEPS * self.manifest.run_every_hops):
                    self.step(spectrum, gain)
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"network {self.manifest.name} does not run ({first}); install the model again") from None
        if self.resets:
            raise ModelError(f"network {self.manifest.name} gives numbers that are not finite; install the model again")
        self.reset()

    def step(self, spectrum: NDArray[np.complex64], gain: NDArray[np.float32]) -> None:
        """Read `spectrum` complex64 (bins,), write `gain` float32 (bins,) in [0, 1]."""
        if self._countdown == 0:
            self._countdown = self.manifest.run_every_hops
            self._extractor.extract(spectrum)
            self._runs[self._turn]()
            self._turn = 1 - self._turn
            if not bands.bands_to_bins(self._gains_flat, self._band, self._fraction, self.presence, gain):
                self._clear_state()
                self.resets += 1
        else:
            np.copyto(gain, self.presence)
        self._countdown -= 1

    def listener(self) -> NetworkMask:
        """What hears a single microphone for this one: a twin, or one of the network that the manifest names. Quick."""
        return (self._ears or self).twin()

    def _clear_state(self) -> None:
        self._extractor.reset()
        for copies in self._states:
            for array in copies:
                array.fill(0.0)

    def reset(self) -> None:
        self._clear_state()
        self._turn = 0
        self._countdown = self.manifest.run_every_hops - 1  # first when as many hops are heard as between two runs
        self.presence.fill(0.0)


def _for_one_microphone(manifest: Manifest, profile: Profile) -> Manifest:
    """That of the listener that `manifest` names. Raises ModelError where that is a network for arrays."""
    path = manifest.path.with_name(f"{manifest.listener}.json")
    try:
        listener = load_manifest(path, profile)
    except ModelError as error:
        raise ModelError(f"model {manifest.name} names a listener that cannot be used: {error}") from None
    if listener.cues or listener.listener:
        raise ModelError(
            f"model manifest {manifest.path}: its listener {manifest.listener} is a network for arrays itself, "
            "expected one for a single microphone; export it with another --listener"
        )
    return listener


def _check_graph(session: onnxruntime.InferenceSession, manifest: Manifest, path: Path) -> None:
    """The graph's inputs and outputs are exactly what the manifest says. Raises ModelError."""
    bands = manifest.layout.bands
    shape = (1, 1, bands)
    given = (1, 1, manifest.mean.size)  # all but the log power goes to the head too, behind as many ones
    wanted_in = {manifest.input_name: given, manifest.direct_name: given, **{i: s for i, _, s in manifest.states}}
    wanted_out = {manifest.output_name: shape, **{o: s for _, o, s in manifest.states}}
    for what, wanted, nodes in (
        ("input", wanted_in, session.get_inputs()),
        ("output", wanted_out, session.get_outputs()),
    ):
        found = {n.name: tuple(n.shape) for n in nodes}
        if set(found) != set(wanted):
            raise ModelError(
                f"network {path} has {what}s {', '.join(sorted(found))}, expected {', '.join(sorted(wanted))}; "
                "install the model again"
            )
        for name, dims in wanted.items():
            if found[name] != dims:
                raise ModelError(
                    f"network {path}: {what} {name} has shape {list(found[name])}, its manifest says {list(dims)}; "
                    "install the model again"
                )
        for node in nodes:
            if node.type != "tensor(float)":
                raise ModelError(f"network {path}: {what} {node.name} is {node.type}, expected tensor(float)")
