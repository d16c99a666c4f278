"""Makes the beamformer that a configuration names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import Beamformer
from edge.beamform.fixed import DelayAndSum, ReferenceMicrophone, Superdirective
from edge.beamform.mvdr import Mvdr
from edge.config.schema import BeamformerConfig
from edge.errors import ConfigError
from edge.geometry import ArrayGeometry
from edge.kinds import BEAMFORMER_KINDS


def make_beamformer(
    kind: str,
    geometry: ArrayGeometry,
    frequencies_hz: NDArray[np.float64],
    hop_s: float,
    config: BeamformerConfig,
) -> Beamformer:
    """Beamformer of `kind`; with one microphone only 'none' makes sense. Raises ConfigError."""
    if kind not in BEAMFORMER_KINDS:
        raise ConfigError(f"beamformer {kind!r} is not known; expected one of {', '.join(BEAMFORMER_KINDS)}")
    if kind == "none":
        return ReferenceMicrophone(geometry.mics, len(frequencies_hz))
    if geometry.mics < 2:
        raise ConfigError(f"beamformer {kind!r} needs at least 2 microphones, the array has 1; use 'none'")
    if kind == "delay_sum":
        return DelayAndSum(geometry, frequencies_hz)
    if kind == "superdirective":
        return Superdirective(geometry, frequencies_hz, config.white_noise_gain_min_db)
    return Mvdr(geometry, frequencies_hz, hop_s, config)
