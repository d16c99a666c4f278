"""The project's own pipeline, hop by hop as live, on one microphone or on an array that is told nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import config_from_dict
from edge.offline import Enhancer
from edge.pipeline import Pipeline
from edge.profiles import PROFILES

F32 = NDArray[np.float32]

ONE_MICROPHONE = ((0.0, 0.0, 0.0),)


def make(
    profile: str = "assistant",
    positions_m: Any = ONE_MICROPHONE,
    mask: Mapping[str, Any] | None = None,
) -> Enhancer:
    """The defaults for microphones at positions_m (mics, 3), outputs listen and asr; `mask`: keys that differ."""
    positions = np.asarray(positions_m, np.float64)
    table: dict[str, Any] = {
        "profile": profile,
        "array": {"positions_m": positions.tolist()},
        "input": {"kind": "file", "path": "sound.wav"},
        "output": {"kind": "null"},
        "mask": dict(mask or {}),
    }
    if len(positions) == 1:
        table["beamformer"] = {"kind": "none"}
    return Enhancer(config_from_dict(table, {}, source="benchmark"), PROFILES[profile].rate_hz)


def network_files(enhancer: Enhancer) -> dict[str, Any]:
    """Name, folder-less files with their bytes and checksums of the network in use; empty without one."""
    manifest = getattr(enhancer.estimator, "manifest", None)
    if manifest is None:
        return {}
    files = {p: {"file": name, "bytes": size, "sha256": sha} for p, (name, sha, size) in manifest.files.items()}
    return {"name": manifest.name, "files": files}


def enhance(pipeline: Pipeline, audio: F32) -> dict[str, F32]:
    """Outputs by name, (samples,) each, of audio (samples, mics): aligned with it, the chain's delay dropped."""
    hop, delay, samples = pipeline.hop_samples, pipeline.latency_samples, len(audio)
    pipeline.reset()
    hops = -(-(samples + delay) // hop)
    padded = np.zeros((hops * hop, audio.shape[1]), np.float32)
    padded[:samples] = audio
    out = np.zeros((hops * hop, len(pipeline.outputs)), np.float32)
    for at in range(0, hops * hop, hop):
        pipeline.process(padded[at : at + hop], out[at : at + hop])
    return {name: np.ascontiguousarray(out[delay : delay + samples, i]) for i, name in enumerate(pipeline.outputs)}
