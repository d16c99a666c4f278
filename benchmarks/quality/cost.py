"""What one hop costs: the same sound through every system, one hop at a time, on one thread.

Everything is timed in turns (a stretch of this system, then of the next), so that what disturbs the machine disturbs
all; the cost per second is that of a system's least disturbed turn. Only for a machine with nothing else to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.references import mvdr, steering
from benchmarks.array.specs import ARRAYS_M
from benchmarks.quality import clean
from benchmarks.quality.arrays import FLOAT, INT8, MIC, MVDR, behind
from benchmarks.quality.bench import Bench, Row
from benchmarks.quality.peers import Peer
from edge.geometry import ArrayGeometry
from edge.pipeline import Pipeline

F32 = NDArray[np.float32]
WARM_UP_HOPS = 50
TURNS = 5
SILENCE_S, SILENCE_TURNS, STRETCH_S = 120.0, 3, 10.0
RATE_HZ = 16000


@dataclass(frozen=True)
class Timed:
    """A system that can be timed: process takes a block of `sound` (samples, ...) that is hop_samples long."""

    process: Callable[[F32], object]
    sound: F32
    hop_samples: int
    hop_ms: float
    latency_ms: float


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


def per_hop_us(process: Callable[[F32], object], audio: F32, hop_samples: int) -> NDArray[np.float64]:
    """Microseconds of every hop of `audio` float32 (samples, ...) after the first WARM_UP_HOPS, by the wall clock."""
    hops = len(audio) // hop_samples
    took = np.empty(hops)
    for i in range(hops):
        block = audio[i * hop_samples : (i + 1) * hop_samples]
        begun = time.perf_counter_ns()
        process(block)
        took[i] = (time.perf_counter_ns() - begun) * 1e-3
    return took[WARM_UP_HOPS:]


def summary(turns: list[NDArray[np.float64]], hop_ms: float, latency_ms: float) -> dict[str, float]:
    """Of microseconds per hop in several turns: median and 99th percentile of a hop, processing ms per second of audio
    by the mean of the best turn, and that as a share of real time.
    """
    p50, p99 = np.percentile(np.concatenate(turns), [50.0, 99.0])
    best_us = min(float(turn.mean()) for turn in turns)
    return {
        "latency_ms": round(latency_ms, 1),
        "hop_ms": round(hop_ms, 3),
        "hop_us_p50": round(float(p50), 1),
        "hop_us_p99": round(float(p99), 1),
        "ms_per_s": round(best_us / hop_ms, 3),
        "rtf": round(best_us / hop_ms * 1e-3, 5),
    }


def timed_pipeline(pipeline: Pipeline, sound: F32) -> Timed:
    """Of (samples, mics)."""
    hop, out = pipeline.hop_samples, np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
    pipeline.reset()
    hop_ms = hop / pipeline.rate_hz * 1e3
    latency_ms = pipeline.latency_samples / pipeline.rate_hz * 1e3 + hop_ms
    return Timed(lambda block: pipeline.process(block, out), sound, hop, hop_ms, latency_ms)


def timed_peer(peer: Peer, sound: F32) -> Timed:
    """Of (samples,) at 16 kHz. Resampling for peers at another rate is not timed."""
    import soxr

    given = sound if peer.rate_hz == RATE_HZ else soxr.resample(sound, RATE_HZ, peer.rate_hz)
    peer.reset()
    return Timed(peer.process, given, peer.hop_samples, peer.hop_samples / peer.rate_hz * 1e3, peer.latency_ms)


def measure(systems: dict[str, Timed], turns: int = TURNS) -> dict[str, dict[str, float]]:
    """Cost of each, in turns over the whole of its sound."""
    took: dict[str, list[NDArray[np.float64]]] = {name: [] for name in systems}
    for _ in range(turns):
        for name, system in systems.items():
            took[name].append(per_hop_us(system.process, system.sound, system.hop_samples))
    return {name: summary(took[name], system.hop_ms, system.latency_ms) for name, system in systems.items()}


def mono_costs(tools: Bench, sound: F32) -> dict[str, dict[str, float]]:
    """Everybody on one microphone that hears `sound` (samples,)."""
    systems = {
        "wiener": timed_pipeline(tools.mono("int8", "wiener"), sound[:, None]),
        "ours int8": timed_pipeline(tools.mono("int8"), sound[:, None]),
        "ours float": timed_pipeline(tools.mono("float"), sound[:, None]),
    }
    return measure(systems | {name: timed_peer(peer, sound) for name, peer in tools.peers.items()})


def array_costs(tools: Bench, sound: F32) -> dict[str, dict[str, float]]:
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
        whole = {key: round(peer[key] + found[MVDR][key], 5) for key in ("ms_per_s", "rtf", "latency_ms")}
        found[behind(MVDR, name)] = whole
    return found


def silence_costs(tools: Bench, speech: F32) -> list[Row]:
    """Processing ms per second of ours on speech (samples,), and on the long silence that comes right after it.

    Numbers too small to be normal appear only once slow averages have decayed for a minute or two, so the worst stretch
    of STRETCH_S counts, each by its best turn.
    """
    rows: list[Row] = []
    for mics, pipeline in ((1, tools.mono("int8")), (4, tools.array(ARRAYS_M["square"], "int8"))):
        loud = np.ascontiguousarray(np.repeat(speech[:, None], mics, axis=1))
        for name, silence in clean.silences(mics, SILENCE_S).items():
            speaking, silent = [], []
            for _ in range(SILENCE_TURNS):
                system = timed_pipeline(pipeline, loud)
                speaking.append(per_hop_us(system.process, loud, system.hop_samples))
                silent.append(per_hop_us(system.process, silence, system.hop_samples))
            hops = round(STRETCH_S * 1e3 / system.hop_ms)
            stretches = np.array([turn[: turn.size // hops * hops].reshape(-1, hops).mean(axis=1) for turn in silent])
            worst = stretches.min(axis=0)
            rows.append(
                {
                    "microphones": mics,
                    "in": name,
                    "ms_per_s_speech": summary(speaking, system.hop_ms, system.latency_ms)["ms_per_s"],
                    "ms_per_s_silence": summary(silent, system.hop_ms, system.latency_ms)["ms_per_s"],
                    "ms_per_s_worst_stretch": round(float(worst.max()) / system.hop_ms, 3),
                    "worst_stretch_at_s": STRETCH_S * int(worst.argmax()),
                }
            )
    return rows
