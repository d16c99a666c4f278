"""Makes the gain estimator that a configuration names."""

from __future__ import annotations

from edge.config.schema import MaskConfig
from edge.errors import ConfigError
from edge.kinds import MASK_KINDS
from edge.mask.base import MaskEstimator
from edge.mask.classical import BypassMask, SpectralSubtractionMask, WienerMask
from edge.profiles import Profile


def make_estimator(kind: str, config: MaskConfig, profile: Profile) -> MaskEstimator:
    """Estimator of `kind` for `profile`. Raises ConfigError for an unknown kind, ModelError for a bad network."""
    if kind == "network":
        from edge.mask.network import NetworkMask, resolve_model  # onnxruntime only where a network runs

        return NetworkMask(resolve_model(config.model, profile), profile, config.precision)
    if kind == "wiener":
        return WienerMask(profile)
    if kind == "spectral_subtraction":
        return SpectralSubtractionMask(profile)
    if kind == "bypass":
        return BypassMask(profile)
    raise ConfigError(f"mask {kind!r} is not known; expected one of {', '.join(MASK_KINDS)}")
