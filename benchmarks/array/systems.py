"""The project's own pipeline in a scene, hop by hop as live, told the direction or told nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.metrics import Beamformed
from benchmarks.array.scenes import Scene
from edge.config import config_from_dict
from edge.pipeline import Pipeline, build_pipeline
from edge.quality.shadow import run_with_components

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One pass of a scene through a pipeline."""

    asr: Beamformed
    """the beam alone"""
    listen: Beamformed
    """beam and mask"""
    heard_deg: F64
    """(hops,) azimuth from which the pipeline hears the talker, NaN as long as it has heard nobody"""
    presence: F32
    """(hops, bins) speech presence as the network gave it"""
    hop_samples: int


def make_pipeline(scene: Scene, overrides: Mapping[str, Any] | None = None) -> Pipeline:
    """Pipeline of the defaults for the scene's array, knowing the nominal positions and no direction."""
    table = {
        "array": {"positions_m": scene.geometry.positions_m.tolist()},
        "input": {"kind": "file", "path": "scene.wav"},
        "output": {"kind": "null"},
    }
    return build_pipeline(config_from_dict(table, dict(overrides or {}), source=scene.name))


def run(scene: Scene, told: bool, overrides: Mapping[str, Any] | None = None) -> Run:
    """The scene through a fresh pipeline; `told` sets the look direction to the true one as it changes."""
    pipeline = make_pipeline(scene, overrides)
    hop = pipeline.hop_samples
    heard: list[float] = []
    presences: list[F32] = []
    last: tuple[float, float] | None = None

    def steer(sample: int) -> None:
        nonlocal last
        now = scene.direction_at(sample)
        if told and now != last:
            pipeline.set_look(*now)
            last = now

    def on_hop(i: int) -> None:
        azimuth_deg = pipeline.spatial.localizer.azimuth_deg if pipeline.spatial.localizer else None
        heard.append(math.nan if azimuth_deg is None else azimuth_deg)
        presences.append(pipeline.presence.copy())
        steer((i + 1) * hop)

    steer(0)
    result = run_with_components(pipeline, {"speech": scene.speech, "noise": scene.noise}, on_hop)
    listen, asr = (
        Beamformed(result.output[:, pipeline.outputs.index(name)], parts["speech"], parts["noise"])
        for name, parts in (("listen", result.listen), ("asr", result.asr))
    )
    return Run(asr, listen, np.array(heard, np.float64), np.array(presences), hop)
