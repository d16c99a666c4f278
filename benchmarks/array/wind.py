"""What wind, knocks and self-noise become: python -m benchmarks.array.wind [--out FILE].

A talker in a quiet room on a small array, and one disturbance at a time, all known apart. For every beamformer: the
disturbance in the outputs, below and above 500 Hz, against the microphone that has least of it; what happens to the
talker; intelligibility (ESTOI) of the outputs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.disturbance import handling, self_noise, wind
from benchmarks.array.scenes import Scene, SceneSpec, make_scene
from benchmarks.mixtures import add_data_argument, skip_without
from edge.config.schema import ArrayConfig, BeamformerConfig, Config
from edge.kinds import BEAMFORMER_KINDS
from edge.pipeline import Pipeline
from edge.quality import metrics
from edge.quality.shadow import ShadowResult, run_with_components

RATE_HZ = 16000
SPLIT_HZ = 500.0

F64 = NDArray[np.float64]


def _one_mic(positions_m: F64, samples: int, rng: np.random.Generator) -> F64:
    out = wind(positions_m, samples, rng)
    out[:, 1:] *= 0.01
    return out


DISTURBANCES: dict[str, Callable[[F64, int, np.random.Generator], F64]] = {
    "wind -10 dBFS": lambda p, n, rng: wind(p, n, rng, level_dbfs=-10.0),
    "wind -20 dBFS": lambda p, n, rng: wind(p, n, rng),
    "wind -35 dBFS": lambda p, n, rng: wind(p, n, rng, level_dbfs=-35.0),
    "wind at mic 0": _one_mic,
    "knocks": lambda p, n, rng: handling(len(p), n, rng),
    "self-noise -65 dBFS, mic 1 +8 dB": lambda p, n, rng: self_noise(len(p), n, rng, -65.0, (0.0, 8.0)),
    "self-noise -45 dBFS": lambda p, n, rng: self_noise(len(p), n, rng, -45.0),
}


def band_db(x: NDArray[Any], low_hz: float, high_hz: float) -> float:
    """Level of x (samples,) in a band, dB full scale."""
    power = np.abs(np.fft.rfft(np.asarray(x, np.float64))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(x), 1.0 / RATE_HZ)
    chosen = (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)
    return float(10.0 * np.log10(2.0 * power[chosen].sum() / len(x) ** 2 + 1e-30))


def quiet_scenes(count: int) -> list[SceneSpec]:
    """One talker, an isotropic ambience 15 dB below, nothing else."""
    arrays = ("square", "line", "circle")
    return [
        SceneSpec(
            f"quiet-{i}",
            "quiet",
            arrays[i % 3],
            seed=900 + i,
            rt60_s=0.3,
            sir_db=None,
            diffuse_db=15.0,
            sensor_db=None,
            lead_s=2.0,
        )
        for i in range(count)
    ]


def run(scene: Scene, disturbance: F64, kind: str, profile: str = "assistant") -> ShadowResult:
    config = Config(
        profile=profile,
        array=ArrayConfig(
            positions_m=tuple(tuple(p) for p in scene.geometry.positions_m.tolist()), roles="M" * scene.geometry.mics
        ),
        beamformer=BeamformerConfig(kind=kind, azimuth_deg=scene.azimuth_deg, elevation_deg=scene.elevation_deg),
    )
    parts = {"speech": scene.speech, "noise": scene.noise, "disturbance": disturbance.astype(np.float32)}
    return run_with_components(Pipeline(config, scene.geometry), parts)


def measure(scene: Scene, disturbance: F64, kind: str, profile: str) -> dict[str, float]:
    result = run(scene, disturbance, kind, profile)
    lead = scene.lead_samples
    row: dict[str, float] = {}
    for band, low_hz, high_hz in (("low", 40.0, SPLIT_HZ), ("high", SPLIT_HZ, 8000.0)):
        mics = [band_db(disturbance[:, m], low_hz, high_hz) for m in range(scene.geometry.mics)]
        row[f"{band} best"] = min(mics)
        row[f"{band} asr"] = band_db(result.asr["disturbance"], low_hz, high_hz) - min(mics)
        row[f"{band} listen"] = band_db(result.listen["disturbance"], low_hz, high_hz) - min(mics)
        spoken = band_db(scene.speech[lead:, 0], low_hz, high_hz)
        row[f"{band} speech asr"] = band_db(result.asr["speech"][lead:], low_hz, high_hz) - spoken
        row[f"{band} speech listen"] = band_db(result.listen["speech"][lead:], low_hz, high_hz) - spoken
    names = ("listen", "asr")
    for o, name in enumerate(names):
        row[f"estoi {name}"] = metrics.estoi(scene.early[lead:], result.output[lead:, o]).value
    row["estoi mic 0"] = metrics.estoi(scene.early[lead:], (scene.mix + disturbance)[lead:, 0]).value
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2, help="how many scenes (default: %(default)s)")
    parser.add_argument("--profile", default="assistant")
    parser.add_argument("--kinds", nargs="+", default=list(BEAMFORMER_KINDS))
    parser.add_argument("--only", default="", help="only disturbances whose name has this in it")
    parser.add_argument("--out", type=Path, help="write all numbers to this JSON file")
    add_data_argument(parser)
    arguments = parser.parse_args()
    skip_without(arguments.data)
    scenes = [make_scene(spec, arguments.data) for spec in quiet_scenes(arguments.scenes)]
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name, make in DISTURBANCES.items():
        if arguments.only not in name:
            continue
        table[name] = {}
        for kind in arguments.kinds:
            rows = []
            for i, scene in enumerate(scenes):
                disturbance = make(scene.geometry.positions_m, len(scene.speech), np.random.default_rng(7 + i))
                rows.append(measure(scene, disturbance, kind, arguments.profile))
            table[name][kind] = {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}
        _show(name, table[name])
    if arguments.out:
        arguments.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _show(name: str, kinds: dict[str, dict[str, float]]) -> None:
    first = next(iter(kinds.values()))
    print(
        f"{name}: best microphone {first['low best']:.1f} dBFS below {SPLIT_HZ:g} Hz, ESTOI {first['estoi mic 0']:.3f}"
    )
    print("                 disturbance, dB against the best microphone   speech, dB against mic 0      ESTOI")
    print("                 asr low   high   listen low   high            asr low  listen low  high     asr    listen")
    for kind, r in kinds.items():
        print(
            f"  {kind:14s} {r['low asr']:7.1f} {r['high asr']:6.1f} {r['low listen']:12.1f} {r['high listen']:6.1f}"
            f" {r['low speech asr']:18.1f} {r['low speech listen']:11.1f} {r['high speech listen']:5.1f}"
            f" {r['estoi asr']:9.3f} {r['estoi listen']:8.3f}"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
