"""Makes the gain estimator that a configuration names."""

from __future__ import annotations

from edge.config.schema import Config, MaskConfig
from edge.errors import ConfigError
from edge.kinds import MASK_KINDS
from edge.mask.base import MaskEstimator
from edge.mask.choice import choose, mics_in_beam
from edge.mask.classical import BypassMask, SpectralSubtractionMask, WienerMask
from edge.profiles import PROFILES, Profile


def configured_estimator(config: Config) -> MaskEstimator:
    """The estimator that a whole configuration names. Raises ModelError for a bad network."""
    return make_estimator(config.mask.kind, config.mask, PROFILES[config.profile], mics_in_beam(config))


def make_estimator(kind: str, config: MaskConfig, profile: Profile, mics: int = 1) -> MaskEstimator:
    """Estimator of `kind` for `profile` behind a beam of `mics` microphones (1 without a beam).

    Raises ConfigError for an unknown kind, ModelError for a bad network.
    """
    if kind == "network":
        from edge.mask.network import NetworkMask  # onnxruntime only where a network runs

        chosen = choose(config, profile, mics)
        return NetworkMask(chosen.open(profile), profile, chosen.precision)
    if kind == "wiener":
        return WienerMask(profile)
    if kind == "spectral_subtraction":
        return SpectralSubtractionMask(profile, config.over_subtraction)
    if kind == "bypass":
        return BypassMask(profile)
    raise ConfigError(f"mask {kind!r} is not known; expected one of {', '.join(MASK_KINDS)}")
