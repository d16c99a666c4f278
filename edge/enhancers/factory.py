"""Makes the enhancer of whole recordings that a name means."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import Config, config_from_dict
from edge.enhancers.base import OfflineEnhancer, within_limits
from edge.errors import ConfigError, UsageError
from edge.kinds import ENHANCER_KINDS, MASK_KINDS, PRECISION_CHOICES

F32 = NDArray[np.float32]

OFFLINE = {
    "wiener_offline": ("edge.enhancers.classical", "OfflineWiener"),
    "spectral_subtraction_offline": ("edge.enhancers.classical", "OfflineSpectralSubtraction"),
}
"""classical ones that see the whole recording: module and class, made with the noise and its rules"""

LEARNED = {
    "blstm": ("edge.enhancers.blstm", "BlstmEnhancer"),
    "conv_tasnet": ("edge.enhancers.tasnet", "ConvTasNetEnhancer"),
}
"""networks that are no masks of the pipeline: module and class, made with the path or name of a model, or None"""

MASKING = ("blstm",)
"""those of them that have a least gain"""

NETWORKS = ("network", *LEARNED)
"""what a model and a precision are for"""

ENHANCERS: tuple[str, ...] = ENHANCER_KINDS
"""those of the pipeline first: exactly what a live run would give"""


def make_enhancer(
    name: str,
    config: Config | None = None,
    model: str | None = None,
    noise: F32 | None = None,
    *,
    noise_rate_hz: int | None = None,
    noise_from_s: tuple[float, float] | None = None,
    over_subtraction: float | None = None,
    floor_db: float | str | None = None,
    precision: str | None = None,
) -> OfflineEnhancer:
    """The enhancer `name`, one of ENHANCERS.

    config: array, beamformer and the rest of the pipeline; None is one microphone with the defaults. Where it forms a
    beam, enhancers that are not of the pipeline hear that beam. model: shipped name or path of a manifest.
    noise: a recording of the noise alone, float32 (samples,) at noise_rate_hz (without it 16000); noise_from_s: from
    and to which second each recording is noise alone. One of them gives the classical ones a noise profile, neither
    means that the noise is tracked. over_subtraction: how many times the noise is taken off where speech is weak
    (spectral subtraction). floor_db: least gain, of everything that has gains, or "auto", which means what it does in
    the configuration. precision: of a network's weights, "int8", "float" or "auto".
    None of these: what config.mask says. A precision of "auto" is what a live run takes for `network`, and float, which
    is nearest to what was trained, for blstm and conv_tasnet, which no deadline presses.

    Raises ConfigError for an unknown name or a bad configuration, UsageError for an option that `name` has no use for
    or that is out of range, AudioFileError for a noise that is silence, ModelError for a bad model.
    """
    if name not in ENHANCERS:
        raise ConfigError(f"enhancer {name!r} is not known; expected one of {', '.join(ENHANCERS)}")
    if config is None:
        config = config_from_dict({"input": {"kind": "file", "path": "recording"}, "output": {"kind": "null"}})
    given_noise = noise is not None or noise_from_s is not None
    if given_noise and "wiener" not in name and "spectral_subtraction" not in name:
        raise UsageError(
            f"{name} has no use for a noise profile; leave it out, or take wiener, spectral_subtraction or one "
            "of them with _offline"
        )
    if noise_rate_hz is not None and noise is None:
        raise UsageError("noise_rate_hz is of a recording of noise, and there is none; give noise too, or leave it out")
    if over_subtraction is not None and "spectral_subtraction" not in name:
        raise UsageError(f"{name} has no use for an over-subtraction factor; leave it out")
    within_limits("the over-subtraction factor", over_subtraction, "mask.over_subtraction")
    if floor_db is not None and (name == "bypass" or (name in LEARNED and name not in MASKING)):
        raise UsageError(f"{name} has no gains, so no least gain; leave it out")
    within_limits("the floor in dB", floor_db, "mask.floor_db")
    check_network_options(name, model, precision)
    if precision not in (None, *PRECISION_CHOICES):
        raise UsageError(f"precision {precision!r} is not known; expected one of {', '.join(PRECISION_CHOICES)}")

    from edge.enhancers.pipeline import BehindBeam, PipelineEnhancer

    told: dict[str, Any] = {"floor_db": floor_db, "precision": precision, "over_subtraction": over_subtraction}
    mask = dataclasses.replace(config.mask, **{key: value for key, value in told.items() if value is not None})
    beam = config  # what forms it keeps the mask of the configuration
    config = dataclasses.replace(config, mask=mask)
    profile = None
    if given_noise or name in OFFLINE:
        from edge.enhancers.noise import NoiseProfile

        profile = NoiseProfile(noise, 16000 if noise_rate_hz is None else noise_rate_hz, noise_from_s)
    if name in MASK_KINDS:
        return PipelineEnhancer(name, config, model, profile)
    if name in OFFLINE:
        module, maker = OFFLINE[name]
        rules = {"over_subtraction": mask.over_subtraction} if "spectral_subtraction" in name else {}
        make = getattr(importlib.import_module(module), maker)
        inner = make(noise=profile, floor_db=least_gain_db(name, config), **rules)
    else:
        module, maker = LEARNED[name]
        options: dict[str, Any] = {"floor_db": least_gain_db(name, config)} if name in MASKING else {}
        options["precision"] = "float" if mask.precision == "auto" else mask.precision
        inner = getattr(importlib.import_module(module), maker)(model, **options)
    return BehindBeam(inner, beam) if len(config.array.roles) > 1 else inner


def check_network_options(name: str, model: str | None, precision: str | None) -> None:
    """Raises UsageError where an enhancer that is no network is told which network, or how precise."""
    if name in NETWORKS:
        return
    if model is not None:
        raise UsageError(f"{name} has no use for a model; leave it out, or take one of {', '.join(NETWORKS)}")
    if precision is not None:
        raise UsageError(f"{name} has no use for a precision, which is of a network's weights; leave it out")


def least_gain_db(name: str, config: Config) -> float | None:
    """Least gain of an enhancer made with `config`; None where it has no gains."""
    if name in LEARNED and name not in MASKING:
        return None
    kind = name.removesuffix("_offline")
    mask = dataclasses.replace(config.mask, kind=kind if kind in MASK_KINDS else "network")
    return dataclasses.replace(config, mask=mask).gain_floor_db
