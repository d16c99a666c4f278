"""Which shipped network suits this machine: every one that fits is timed beside the others, and one is picked."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from time import thread_time_ns

import numpy as np
from numpy.typing import NDArray

from edge.mask.choice import QUALITY_ORDER, geometry_kind, shipped_networks
from edge.mask.measured import Picked, Timing
from edge.mask.network import NetworkMask
from edge.profiles import Profile

SHARE_OF_HOP = 0.25
"""of the hop that the networks may take at p99: the rest is for the beam, the system, and hotter days"""
ROUNDS = 5
HOPS = 250
"""of each network in each round"""
SWEEP_BYTES = 4 * 2**20
"""read before each step, so that it finds the caches as cold as between two live hops"""


def time_networks(
    profile: Profile, mics: int, rounds: int = ROUNDS, hops: int = HOPS, progress: Callable[[], None] = lambda: None
) -> list[Timing]:
    """Processor time of a step of every shipped network of `profile` for so many microphones, in both precisions.

    The networks take turns, and of each the median over the rounds counts, so a moment in which the machine was busy
    decides nothing. `progress` is called after each turn. Raises ModelError.
    """
    shipped = shipped_networks(profile, mics)
    entered = [(each, precision) for each in shipped for precision in each.sha256]
    networks = [NetworkMask(each.path, profile, precision) for each, precision in entered]
    spectra = _spectra(profile)
    sweep = np.zeros(SWEEP_BYTES // 4, np.float32)
    found: list[list[NDArray[np.float64]]] = [[] for _ in networks]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for network, times in zip(networks, found, strict=True):
                times.append(_time(network, spectra, hops, sweep))
                progress()
    finally:
        if collecting:
            gc.enable()
    timings = []
    for (each, precision), times in zip(entered, found, strict=True):
        p50_ms, p99_ms = (float(np.median([np.quantile(turn, q) for turn in times])) for q in (0.5, 0.99))
        count = sum(len(turn) for turn in times)
        sha256 = each.sha256[precision]
        timings.append(
            Timing(profile.name, each.name, each.kind, precision, sha256, p50_ms, p99_ms, count, each.listener)
        )
    return timings


def turns(profile: Profile, mics: int, rounds: int = ROUNDS) -> int:
    """How often `time_networks` calls its progress."""
    return rounds * sum(len(each.sha256) for each in shipped_networks(profile, mics))


def pick(profile: Profile, timings: list[Timing], mics: int) -> Picked | None:
    """The best kind of network whose p99 fits its share of the hop, in its quicker precision.

    If none fits: the quickest of all. None where there is none to pick from.
    """
    geometry = geometry_kind(mics)
    suited = [t for t in timings if t.profile == profile.name and (t.kind == "mono" or geometry == "array")]
    for kind in QUALITY_ORDER:
        fitting = [t for t in suited if t.kind == kind and share_of_hop(t, profile, mics, timings) <= SHARE_OF_HOP]
        if fitting:
            return _picked(_quickest(fitting), geometry, fits=True)
    return _picked(_quickest(suited), geometry, fits=False) if suited else None


def share_of_hop(timing: Timing, profile: Profile, mics: int, timings: list[Timing]) -> float:
    """Share of the hop that the networks take at p99 where there are so many microphones.

    Where a beam is steered a second one listens to a single microphone: the same again, or the one among `timings` that
    does it for this one.
    """
    p99_ms = timing.p99_ms
    if geometry_kind(mics) == "array":
        listener = (timing.profile, timing.listener or timing.model, timing.precision)
        ears = (t for t in timings if (t.profile, t.model, t.precision) == listener)
        p99_ms += next(ears, timing).p99_ms
    return p99_ms / profile.hop_ms


def _quickest(timings: list[Timing]) -> Timing:
    return min(timings, key=lambda each: each.p50_ms)


def _picked(timing: Timing, geometry: str, *, fits: bool) -> Picked:
    return Picked(timing.profile, geometry, timing.model, timing.precision, fits)


def _time(
    network: NetworkMask, spectra: list[NDArray[np.complex64]], hops: int, sweep: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Milliseconds of the steps in which the network runs, without those in which other processes had the core: the
    audio thread goes before them.
    """
    gain = np.zeros(len(spectra[0]), np.float32)
    if network.cue_power is not None:
        network.cue_power[:] = 1.0
    every = network.manifest.run_every_hops
    network.reset()
    taken = []
    for hop in range(hops * every):
        spectrum = spectra[hop % len(spectra)]
        if hop % every != every - 1:  # it runs when as many hops are heard as lie between two runs
            network.step(spectrum, gain)
            continue
        sweep.sum()
        start = thread_time_ns()
        network.step(spectrum, gain)
        taken.append(thread_time_ns() - start)
    return np.array(taken) / 1e6


def _spectra(profile: Profile) -> list[NDArray[np.complex64]]:
    """Noise at changing level, seeded."""

    def frames() -> Iterator[NDArray[np.complex64]]:
        rng = np.random.default_rng(11)
        for frame in range(64):
            parts = rng.standard_normal((2, profile.bins)) * (0.01 if frame % 16 < 6 else 1.0)
            yield (parts[0] + 1j * parts[1]).astype(np.complex64)

    return list(frames())
