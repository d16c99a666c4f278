"""What microphones that are not alike cost a beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.calibration.field import F64
from edge.calibration.measure import Deviation
from edge.config.calibration import uncalibrated
from edge.config.schema import Config
from edge.geometry import geometry_from_config
from edge.quality.pattern import directivity_index_db, fixed_weights, response, steering

BAND_HZ = (300.0, 4000.0)


@dataclass(frozen=True)
class BeamEffect:
    """Of one beamformer, means over BAND_HZ and over look directions all round."""

    kind: str
    look_gain_db: float
    """gain for the talker; 0 is right"""
    directivity_db: float
    """gain over noise from everywhere"""


def deviation_factor(deviation: Deviation, frequencies_hz: F64) -> NDArray[np.complex128]:
    """What each microphone makes of any sound, complex (mics, bins); unknown delays count as none."""
    gains = 10.0 ** (deviation.gains_db / 20.0)
    delays_s = 1e-6 * (deviation.delays_us if deviation.delays_us.size else np.zeros_like(gains))
    return np.asarray(gains[:, None] * np.exp(-2j * np.pi * delays_s[:, None] * frequencies_hz))


def beam_effect(config: Config, kind: str, deviation: Deviation) -> BeamEffect:
    """The beamformer of `kind`, as it starts, with microphones that differ by `deviation`."""
    from dataclasses import replace

    config = replace(config, array=uncalibrated(config.array))
    geometry = geometry_from_config(config.array)
    elevation_deg = config.beamformer.elevation_deg
    gains_db, indices_db = [], []
    for azimuth_deg in np.arange(0.0, 360.0, 45.0):
        weights, f = fixed_weights(config, kind, float(azimuth_deg), elevation_deg)
        band = (f >= BAND_HZ[0]) & (f <= BAND_HZ[1])
        weights, f = weights[:, band], f[band]
        factor = deviation_factor(deviation, f)
        arriving = factor * steering(geometry, f, float(azimuth_deg), elevation_deg)
        gains_db.append(20.0 * np.log10(np.abs(response(weights, arriving)) + 1e-9))
        indices_db.append(directivity_index_db(weights, arriving, geometry.diffuse_coherence(f), factor))
    return BeamEffect(kind, float(np.mean(gains_db)), float(np.mean(indices_db)))
