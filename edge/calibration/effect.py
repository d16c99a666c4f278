"""What microphones that are not alike cost a beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.calibration.field import F64
from edge.calibration.measure import Deviation
from edge.config.calibration import uncalibrated
from edge.config.schema import Config
from edge.geometry import geometry_from_config
from edge.quality.pattern import directivity_index_db, response, starting_beamformer, starting_weights, steering

BAND_HZ = (300.0, 4000.0)
LOOK_STEP_DEG = 45


@dataclass(frozen=True)
class BeamEffect:
    """Of one beamformer, means over BAND_HZ and over look directions all round."""

    look_gain_db: float
    """gain for the talker; 0 is right"""
    directivity_db: float
    """gain over noise from everywhere"""


def deviation_factor(deviation: Deviation, frequencies_hz: F64) -> NDArray[np.complex128]:
    """What each microphone makes of any sound, complex (mics, bins); unknown delays count as none."""
    gains = 10.0 ** (deviation.gains_db / 20.0)
    delays_s = 1e-6 * (deviation.delays_us if deviation.delays_us.size else np.zeros_like(gains))
    return np.asarray(gains[:, None] * np.exp(-2j * np.pi * delays_s[:, None] * frequencies_hz))


def beam_effects(config: Config, kind: str, deviations: Sequence[Deviation]) -> list[BeamEffect]:
    """The beamformer of `kind`, as it starts, with microphones that differ by each of `deviations`."""
    config = replace(config, array=uncalibrated(config.array))
    geometry = geometry_from_config(config.array)
    beamformer, frequencies_hz = starting_beamformer(config, kind)
    band = (frequencies_hz >= BAND_HZ[0]) & (frequencies_hz <= BAND_HZ[1])
    f = frequencies_hz[band]
    diffuse, elevation_deg = geometry.diffuse_coherence(f), config.beamformer.elevation_deg
    gains_db: list[list[float]] = [[] for _ in deviations]
    indices_db: list[list[float]] = [[] for _ in deviations]
    for azimuth_deg in range(0, 360, LOOK_STEP_DEG):
        weights = starting_weights(beamformer, azimuth_deg, elevation_deg)[:, band]
        look = steering(geometry, f, azimuth_deg, elevation_deg)
        for index, deviation in enumerate(deviations):
            factor = deviation_factor(deviation, f)
            arriving = factor * look
            gains_db[index].append(float(np.mean(20.0 * np.log10(np.abs(response(weights, arriving)) + 1e-9))))
            indices_db[index].append(float(np.mean(directivity_index_db(weights, arriving, diffuse, factor))))
    pairs = zip(gains_db, indices_db, strict=True)
    return [BeamEffect(float(np.mean(gain)), float(np.mean(index))) for gain, index in pairs]
