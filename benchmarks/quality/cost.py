"""What one hop of whole chains costs: the same sound through every system, in turns (benchmarks.quality.timing)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.references import mvdr, steering
from benchmarks.array.specs import ARRAYS_M
from benchmarks.quality.arrays import FLOAT, INT8, MIC, MVDR, behind
from benchmarks.quality.bench import Bench, Row
from benchmarks.quality.timing import DISTURBED, QUIET, RATE_HZ, Timed, measure, timed_peer, timed_pipeline
from edge.geometry import ArrayGeometry

F32 = NDArray[np.float32]


class FixedBeam:
    """A beamformer whose weights are known beforehand, as cheap as numpy makes it: (256, mics) in, (256,) out."""

    hop_samples = 256

    def __init__(self, geometry: ArrayGeometry) -> None:
        self._heard = np.zeros((512, geometry.mics), np.float32)
        self._said = np.zeros(512, np.float32)
        self._window = np.sqrt(np.hanning(513)[:-1]).astype(np.float32)
        steer = steering(geometry, 0.0, 0.0)
        self._weights = mvdr(np.broadcast_to(np.eye(geometry.mics), (257, geometry.mics, geometry.mics)), steer, 0.01)
        self._conjugate = self._weights.conj().astype(np.complex64)

    def process(self, block: F32) -> F32:
        hop = self.hop_samples
        self._heard[:-hop] = self._heard[hop:]
        self._heard[-hop:] = block
        spectrum = np.fft.rfft(self._heard * self._window[:, None], axis=0)
        beam = np.einsum("fm,fm->f", self._conjugate, spectrum)
        self._said[:-hop] = self._said[hop:]
        self._said[-hop:] = 0.0
        self._said += np.fft.irfft(beam).astype(np.float32) * self._window
        return self._said[:hop].copy()


def mono_costs(tools: Bench, sound: F32) -> dict[str, Row]:
    """Everybody on one microphone that hears `sound` (samples,)."""
    systems = {
        "wiener": timed_pipeline(tools.mono("int8", "wiener"), sound[:, None]),
        "ours int8": timed_pipeline(tools.mono("int8"), sound[:, None]),
        "ours float": timed_pipeline(tools.mono("float"), sound[:, None]),
    }
    return measure(systems | {name: timed_peer(peer, sound) for name, peer in tools.peers.items()})


def array_costs(tools: Bench, sound: F32) -> dict[str, Row]:
    """Whole chains on the square that hears `sound` (samples, 4): ours, and networks behind a known beamformer."""
    square = ArrayGeometry(ARRAYS_M["square"])
    beam = FixedBeam(square)
    hop_ms = beam.hop_samples / RATE_HZ * 1e3
    systems = {
        INT8: timed_pipeline(tools.array(square.positions_m, "int8"), sound),
        FLOAT: timed_pipeline(tools.array(square.positions_m, "float"), sound),
        MVDR: Timed(beam.process, sound, beam.hop_samples, hop_ms, 2 * hop_ms),
    }
    one = np.ascontiguousarray(sound[:, 0])
    found = measure(systems | {name: timed_peer(peer, one) for name, peer in tools.peers.items()})
    for name in list(tools.peers):
        peer = found.pop(name)
        found[behind(MIC, name)] = peer
        # both wait for their own blocks; the beam's could be a fraction of a hop shorter, so only costs are added
        whole: Row = {key: round(peer[key] + found[MVDR][key], 5) for key in ("ms_per_s", "rtf", "latency_ms")}
        whole["timing"] = DISTURBED if DISTURBED in (peer["timing"], found[MVDR]["timing"]) else QUIET
        found[behind(MVDR, name)] = whole
    return found
