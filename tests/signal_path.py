"""Shared by the signal-path tests: small configurations, plane waves, and running a whole signal through a pipeline."""

from __future__ import annotations

import numpy as np

from edge.config.schema import ArrayConfig, BeamformerConfig, Config, EchoConfig, MaskConfig, OutputConfig, PostConfig
from edge.geometry import ArrayGeometry
from edge.pipeline import Pipeline

SQUARE = ((0.029, 0.029, 0.0), (-0.029, 0.029, 0.0), (-0.029, -0.029, 0.0), (0.029, -0.029, 0.0))
MONO = ((0.0, 0.0, 0.0),)


def make_pipeline(
    positions=SQUARE, beamformer="delay_sum", mask="bypass", profile="assistant", outputs=("listen", "asr"), **options
) -> Pipeline:
    """Pipeline without a file: options go to BeamformerConfig, except roles, gains_db, echo (an EchoConfig), floor_db,
    limiter_dbfs, agc.

    The direction is fixed unless steering="track" says otherwise.
    """
    options = {"steering": "fixed"} | options
    config = Config(
        profile=profile,
        array=ArrayConfig(
            positions_m=positions,
            roles=options.pop("roles", "M" * len(positions)),
            gains_db=options.pop("gains_db", ()),
        ),
        output=OutputConfig(channels=outputs),
        echo=options.pop("echo", EchoConfig()),
        mask=MaskConfig(kind=mask, floor_db=options.pop("floor_db", "auto")),
        post=PostConfig(limiter_dbfs=options.pop("limiter_dbfs", -0.1), agc=options.pop("agc", False)),
        beamformer=BeamformerConfig(kind=beamformer if len(positions) > 1 else "none", **options),
    )
    return Pipeline(config, ArrayGeometry(positions))


def run(pipeline: Pipeline, x: np.ndarray) -> np.ndarray:
    """x (samples, channels), whole hops, through the pipeline: (samples, outputs), delayed by its latency."""
    hop = pipeline.hop_samples
    out = np.zeros((len(x), len(pipeline.outputs)), np.float32)
    x = np.ascontiguousarray(x, np.float32)
    for start in range(0, len(x) - hop + 1, hop):
        pipeline.process(x[start : start + hop], out[start : start + hop])
    return out


def plane_wave(geometry, azimuth_deg, elevation_deg, samples, rate_hz, rng, tones=40, low_hz=150.0, high_hz=7000.0):
    """Exact far-field wave of random tones: (samples, mics) at the microphones and (samples,) at the centroid."""
    frequencies = rng.uniform(low_hz, high_hz, tones)
    phases = rng.uniform(-np.pi, np.pi, tones)
    t = np.arange(samples)[:, None] / rate_hz
    delays = geometry.steering_delays_s(azimuth_deg, elevation_deg)
    amplitude = 0.3 / np.sqrt(tones)
    centre = amplitude * np.sum(np.cos(2 * np.pi * frequencies * t + phases), axis=1)
    mics = [amplitude * np.sum(np.cos(2 * np.pi * frequencies * (t - delay) + phases), axis=1) for delay in delays]
    return np.array(mics).T, centre
