"""What a beamformer does to sound from every direction: patterns, white-noise gain, directivity, over frequency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.beamform.base import Beamformer
from edge.config.schema import Config
from edge.geometry import ArrayGeometry, geometry_from_config
from edge.health.report import left_out, lost_sentence
from edge.pipeline import Pipeline

F64 = NDArray[np.float64]
Weights = NDArray[np.complexfloating]
"""complex (mics, bins), output w^H x, as Pipeline.weights gives them"""

FLOOR_DB = -60.0


class Blocks(Protocol):
    """Gives float32 (frames, channels); an opened Source."""

    def read(self, block: NDArray[np.float32]) -> int: ...


@dataclass(frozen=True)
class Pattern:
    """One beamformer, steered. Gains in dB relative to the look direction of a single microphone, which is 0."""

    kind: str
    azimuth_deg: float
    elevation_deg: float
    """look direction"""
    frequencies_hz: F64
    azimuths_deg: F64
    response_db: F64
    """(bins, azimuths), at elevation_deg"""
    look_gain_db: F64
    """(bins,)"""
    white_noise_gain_db: F64
    """(bins,): gain over noise that each microphone makes by itself, at most 10 log10(mics)"""
    directivity_index_db: F64
    """(bins,): gain over a spherically isotropic field"""
    left_out: tuple[str, ...] = ()
    """one sentence per microphone that the beam does without"""


def steering(
    geometry: ArrayGeometry, frequencies_hz: ArrayLike, azimuth_deg: float, elevation_deg: float = 0.0
) -> NDArray[np.complex128]:
    """What the microphones hear of a far source of level 1, exp(-2 pi i f tau), complex (mics, bins)."""
    delays_s = geometry.steering_delays_s(azimuth_deg, elevation_deg)
    return np.exp(-2j * np.pi * delays_s[:, None] * np.asarray(frequencies_hz, np.float64))


def response(weights: Weights, arriving: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """w^H d per bin of weights and of what arrives, both (mics, bins)."""
    return np.asarray(np.sum(np.conj(weights) * arriving, axis=0, dtype=np.complex128))


def white_noise_gain_db(weights: Weights, arriving: NDArray[np.complexfloating]) -> F64:
    """|w^H d|^2 / w^H w in dB, (bins,)."""
    return _ratio_db(weights, arriving, np.sum(np.abs(weights) ** 2, axis=0, dtype=np.float64))


def directivity_index_db(
    weights: Weights,
    arriving: NDArray[np.complexfloating],
    coherence: NDArray[np.floating],
    deviation: NDArray[np.complexfloating] | float = 1.0,
) -> F64:
    """|w^H d|^2 / w^H C w in dB, (bins,): the integral over all directions in closed form.

    coherence C: (mics, mics, bins), ArrayGeometry.diffuse_coherence. deviation: complex (mics, bins), what microphones
    that are not alike make of any sound; `arriving` has it in already.
    """
    effective = np.conj(np.asarray(deviation)) * weights
    noise = np.einsum("ib,ijb,jb->b", np.conj(effective), coherence, effective).real
    return _ratio_db(weights, arriving, noise)


def _ratio_db(weights: Weights, arriving: NDArray[np.complexfloating], noise: F64) -> F64:
    wanted = np.abs(response(weights, arriving)) ** 2
    return np.asarray(10.0 * np.log10(np.maximum(wanted, 1e-12) / np.maximum(noise, 1e-12)))


def starting_beamformer(config: Config, kind: str) -> tuple[Beamformer, F64]:
    """The project's own beamformer before it learns anything, and the frequencies of its bins in Hz."""
    # patterns need no network
    config = replace(config, mask=replace(config.mask, kind="bypass"))
    pipeline = Pipeline(config, geometry_from_config(config.array))
    return pipeline.make_beamformer(kind), pipeline.frequencies_hz


def starting_weights(beamformer: Beamformer, azimuth_deg: float, elevation_deg: float) -> Weights:
    """Its weights when it starts out looking there."""
    beamformer.set_look(azimuth_deg, elevation_deg)
    beamformer.reset()  # what learns starts out from the look direction
    return beamformer.target_re + 1j * beamformer.target_im


def pattern_after(config: Config, source: Blocks, name: str) -> Pattern:
    """The pattern of the weights in use after the whole of a source (anything with `read`, opened), looking where the
    beam looks then. All of the signal path runs, since the speech that the network hears is what gates the learning.
    """
    pipeline = Pipeline(config, geometry_from_config(config.array))
    block = np.zeros((pipeline.hop_samples, pipeline.channels), np.float32)
    out = np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
    while source.read(block) == len(block):
        pipeline.process(block, out)
    missing = left_out(pipeline.front.health, pipeline.front.order)
    found = pattern_of(
        f"{config.beamformer.kind} after {name}",
        pipeline.weights,
        pipeline.frequencies_hz,
        geometry_from_config(config.array),
        pipeline.azimuth_deg,
        pipeline.elevation_deg,
    )
    used = len(config.array.positions_m) - len(missing)
    return replace(found, left_out=tuple(lost_sentence(entry, used) for entry in missing))


def pattern_of(
    kind: str,
    weights: Weights,
    frequencies_hz: F64,
    geometry: ArrayGeometry,
    azimuth_deg: float,
    elevation_deg: float,
    step_deg: float = 3.0,
) -> Pattern:
    """The pattern of weights that look into one direction. The first bin, 0 Hz, is left out: it has no direction."""
    weights, frequencies_hz = np.asarray(weights)[:, 1:], np.asarray(frequencies_hz)[1:]
    azimuths_deg = np.arange(-180.0, 180.0 + step_deg / 2.0, step_deg)
    responses = [
        response(weights, steering(geometry, frequencies_hz, azimuth, elevation_deg)) for azimuth in azimuths_deg
    ]
    look = steering(geometry, frequencies_hz, azimuth_deg, elevation_deg)
    return Pattern(
        kind,
        azimuth_deg,
        elevation_deg,
        frequencies_hz,
        azimuths_deg,
        _db(np.stack(responses, axis=1)),
        _db(response(weights, look)),
        white_noise_gain_db(weights, look),
        directivity_index_db(weights, look, geometry.diffuse_coherence(frequencies_hz)),
    )


def _db(gain: NDArray[np.complexfloating]) -> F64:
    return np.asarray(20.0 * np.log10(np.maximum(np.abs(gain), 10.0 ** (FLOOR_DB / 20.0))))


def pattern_as_dict(pattern: Pattern) -> dict[str, object]:
    """JSON-ready, dB to two digits."""
    return {
        "kind": pattern.kind,
        "azimuth_deg": pattern.azimuth_deg,
        "elevation_deg": pattern.elevation_deg,
        "left_out": list(pattern.left_out),
        "frequencies_hz": pattern.frequencies_hz.tolist(),
        "azimuths_deg": pattern.azimuths_deg.tolist(),
        "response_db": np.round(pattern.response_db, 2).tolist(),
        "look_gain_db": np.round(pattern.look_gain_db, 3).tolist(),
        "white_noise_gain_db": np.round(pattern.white_noise_gain_db, 3).tolist(),
        "directivity_index_db": np.round(pattern.directivity_index_db, 3).tolist(),
    }
