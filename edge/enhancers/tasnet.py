"""Conv-TasNet on whole recordings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.enhancers.base import digest
from edge.enhancers.streams import AtRate, RecordingStream, through
from edge.mask.network import open_session
from edge.tasnet.manifest import load_tasnet_manifest, resolve_tasnet
from edge.tasnet.stream import TasNetStream, check_graph, whole

F32 = NDArray[np.float32]


class ConvTasNetEnhancer:
    """A Conv-TasNet of this project, causal or not. See edge.enhancers.base.OfflineEnhancer.

    model: name of a shipped one or path of a manifest, None for the shipped one; precision: 'float' or 'int8'. A causal
    one hears a recording block by block, in constant memory; one with global norms hears it in one run.
    Raises ModelError.
    """

    name = "conv_tasnet"

    def __init__(self, model: str | None = None, precision: str = "float") -> None:
        self.manifest = load_tasnet_manifest(resolve_tasnet(model))
        self.precision = precision
        self._network: TasNetStream | None = None
        if self.manifest.causal:
            self._network = TasNetStream(self.manifest.path, precision)
        else:
            path = self.manifest.network_file(precision)
            self._session = open_session(path)
            check_graph(self._session, self.manifest, path)

    def __reduce__(self) -> tuple[type[ConvTasNetEnhancer], tuple[str, str]]:
        return type(self), (str(self.manifest.path), self.precision)

    @property
    def identity(self) -> str:
        sha256 = self.manifest.files[self.precision][1]
        return digest(self.name, "3", manifest=self.manifest.path.read_bytes(), network=sha256)

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        return through(self.stream(rate_hz), samples)

    def stream(self, rate_hz: int) -> RecordingStream:
        """See edge.enhancers.streams.open_stream."""
        inner = _AtOnce(self) if self._network is None else _BlockByBlock(self._network)
        return AtRate(inner, self.name, rate_hz, self.manifest.rate_hz)

    def at_once(self, samples: F32) -> F32:
        """A recording float32 (n,) at the network's rate through one that is not causal."""
        return whole(self._session, self.manifest, samples)


class _BlockByBlock:
    def __init__(self, network: TasNetStream) -> None:
        self._network = network
        network.reset()

    def push(self, samples: F32) -> F32:
        return self._network.push(samples)

    def finish(self) -> Iterator[F32]:
        yield self._network.flush()


class _AtOnce:
    def __init__(self, enhancer: ConvTasNetEnhancer) -> None:
        self._enhancer = enhancer
        self._heard: list[F32] = [np.zeros(0, np.float32)]

    def push(self, samples: F32) -> F32:
        self._heard.append(samples.copy())
        return np.zeros(0, np.float32)

    def finish(self) -> Iterator[F32]:
        heard = np.concatenate(self._heard)
        if heard.size:
            yield self._enhancer.at_once(heard)
