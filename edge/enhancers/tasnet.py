"""Conv-TasNet on whole recordings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.enhancers.base import digest, one_channel
from edge.enhancers.rates import at_rate
from edge.mask.network import open_session
from edge.tasnet.manifest import load_tasnet_manifest, resolve_tasnet
from edge.tasnet.stream import TasNetStream, check_graph, whole

F32 = NDArray[np.float32]


class ConvTasNetEnhancer:
    """A Conv-TasNet of this project, causal or not. See edge.enhancers.base.OfflineEnhancer.

    model: name of a shipped one or path of a manifest, None for the shipped one; precision: 'float' or 'int8'.
    Raises ModelError.
    """

    name = "conv_tasnet"

    def __init__(self, model: str | None = None, precision: str = "float") -> None:
        self.manifest = load_tasnet_manifest(resolve_tasnet(model))
        self.precision = precision
        self._stream: TasNetStream | None = None
        if self.manifest.causal:
            self._stream = TasNetStream(self.manifest.path, precision)
        else:
            path = self.manifest.network_file(precision)
            self._session = open_session(path)
            check_graph(self._session, self.manifest, path)

    def __reduce__(self) -> tuple[type[ConvTasNetEnhancer], tuple[str, str]]:
        return type(self), (str(self.manifest.path), self.precision)

    @property
    def identity(self) -> str:
        sha256 = self.manifest.files[self.precision][1]
        return digest(self.name, "1", manifest=self.manifest.path.read_bytes(), network=sha256)

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        return at_rate(one_channel(samples, self.name), rate_hz, self.manifest.rate_hz, self._at_own_rate)

    def _at_own_rate(self, samples: F32) -> F32:
        if self._stream is None:
            return whole(self._session, self.manifest, samples)
        self._stream.reset()
        return np.concatenate([self._stream.push(samples), self._stream.flush()])
