"""Conv-TasNet as a stream at any rate, with the same face as edge.Enhancer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.aligned import AlignedStream
from edge.tasnet.manifest import resolve_tasnet
from edge.tasnet.stream import TasNetStream

F32 = NDArray[np.float32]


class WaveEnhancer(AlignedStream):
    """Streaming enhancement of one microphone by a causal Conv-TasNet: push, flush, reset, stream and lag_frames of
    edge.Enhancer, chunks (frames,) or (frames, 1) in, float32 (frames',) out.

    model: a network by name, or the path of a manifest of that kind; without one the shipped. rate_hz, low_latency: as
    for Enhancer. precision: 'float' or 'int8'. Raises ConfigError or ModelError, also for a network that is not causal.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        rate_hz: int = 16000,
        *,
        precision: str = "float",
        low_latency: bool = False,
    ) -> None:
        self.network = TasNetStream(resolve_tasnet(None if model is None else str(model)), precision)
        super().__init__(rate_hz, self.network.rate_hz, 1, 1, low_latency, flat=True)

    def _chain(self) -> _TasNetStep:
        self.network.reset()
        return _TasNetStep(self.network)

    @property
    def _held_frames(self) -> int:
        return self.network.latency_samples - 1


class _TasNetStep:
    def __init__(self, network: TasNetStream) -> None:
        self._network = network

    def push(self, samples: F32) -> F32:
        return self._network.push(samples[:, 0])[:, np.newaxis]

    def flush(self) -> F32:
        return self._network.flush()[:, np.newaxis]
