"""Every beamformer in every scene: JSON, a Markdown table and a picture, and whether the project reaches what it must.

    python -m benchmarks.array [--quick]
    python -m benchmarks.array --held-out
    python -m benchmarks.array --candidates [--quick]

Scenes are rendered once and kept (--cache). Costs are taken at the end, with the scenes' processes gone.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.array import candidates, metrics, musts, report, systems
from benchmarks.array.held_out import held_out_specs
from benchmarks.array.references import REFERENCES
from benchmarks.array.scenes import Scene, SceneSpec, default_cache, make_scene, standard_specs
from benchmarks.mixtures import add_data_argument, skip_without
from benchmarks.record import RESULTS, provenance, stamp, still

Row = dict[str, Any]
Result = tuple[list[Row], Row]

MONO = {"beamformer.kind": "none"}
COST_MICS = (4, 6, 8, 16)
COST_S = 30.0
CANDIDATE_FAMILIES = ["peers", "static", "walk", "mismatch", "position"]
SPATIAL_STAGES = ("listen", "localize", "beamform")
"""what the array costs on top of one microphone, whichever of them the pipeline has"""


def _row(scene: Scene, system: str, made: metrics.Beamformed) -> Row:
    return {"scene": scene.name, "family": scene.spec.family, "system": system, **metrics.score(scene, made)}


def measure(scene: Scene) -> Result:
    """All systems in one scene, and how well the pipeline knew the direction."""
    untold, told = systems.run(scene, told=False), systems.run(scene, told=True)
    rows = [_row(scene, name, reference(scene)) for name, reference in REFERENCES.items() if name != "oracle MVDR"]
    fixed = systems.run(scene, told=True, overrides={"beamformer.kind": "delay_sum", "mask.kind": "wiener"})
    rows += [
        _row(scene, "delay-and-sum of the pipeline, told", fixed.asr),
        _row(scene, musts.OURS, untold.asr),
        _row(scene, musts.TOLD, told.asr),
        _row(scene, "oracle MVDR", REFERENCES["oracle MVDR"](scene)),
        _row(scene, "mic 0, listen", systems.run(scene, told=False, overrides=MONO).listen),
        _row(scene, "ours, told nothing, listen", untold.listen),
        _row(scene, "ours, told, listen", told.listen),
    ]
    direction = metrics.direction_scores(scene, untold.heard_deg, untold.hop_samples)
    return rows, {"scene": scene.name, "family": scene.spec.family, **direction}


def measure_candidates(scene: Scene) -> Result:
    """The candidates in one scene, driven by the network's presence and by the true one."""
    ours = systems.run(scene, told=False)
    rows = [_row(scene, name, REFERENCES[name](scene)) for name in (musts.DELAY_SUM, musts.LEAD_IN)]
    rows.append(_row(scene, musts.OURS, ours.asr))
    for name, make in candidates.CANDIDATES.items():
        rows.append(_row(scene, name, candidates.run(scene, make(scene), ours.presence)))
    truth = candidates.oracle_presence(scene)
    for name, make in candidates.CANDIDATES.items():
        rows.append(_row(scene, f"{name}, true presence", candidates.run(scene, make(scene), truth)))
    rows.append(_row(scene, "oracle MVDR", REFERENCES["oracle MVDR"](scene)))
    return rows, {}


def _job(spec: SceneSpec, data: Path, cache: Path, with_candidates: bool) -> Result:
    scene = make_scene(spec, data, cache)
    return measure_candidates(scene) if with_candidates else measure(scene)


def run_scenes(job: Callable[[SceneSpec], Result], specs: Sequence[SceneSpec], processes: int) -> list[Result]:
    """Results in the order of `specs`, `processes` scenes at a time."""
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        waiting = [pool.submit(job, spec) for spec in specs]
        bar = tqdm(concurrent.futures.as_completed(waiting), total=len(specs), unit="scene", disable=None)
        for done in bar:
            done.result()
        return [done.result() for done in waiting]


def costs() -> dict[str, Row]:
    """In ms per hop, by number of microphones: the SPATIAL_STAGES together, and the whole hop."""
    from edge.bench import measure as measure_hops
    from edge.bench import synthetic_config

    out = {}
    for mics in tqdm(COST_MICS, unit="array", leave=False, disable=None):
        found = measure_hops(synthetic_config(mics), COST_S)
        names = [name for name in SPATIAL_STAGES if name in found["stage_ms"]]
        spatial = [found["stage_ms"][name] for name in names]
        out[f"{mics} microphones"] = {
            "spatial_stages": names,
            "spatial_p50_ms": round(sum(stage["p50"] for stage in spatial), 4),
            "spatial_p99_ms": round(sum(stage["p99"] for stage in spatial), 4),
            "hop_p50_ms": round(found["hop_ms"]["p50"], 4),
            "hop_p99_ms": round(found["hop_ms"]["p99"], 4),
            "deadline_ms": found["deadline_ms"],
        }
    return out


def _plain(value: Any) -> Any:
    """Rounded for JSON, which knows no NaN."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.array", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--quick", action="store_true", help="about a quarter of the scenes")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--held-out", action="store_true", help="24 other scenes, never used for choosing anything")
    other.add_argument("--candidates", action="store_true", help="compare candidate beamformers instead")
    parser.add_argument("--families", nargs="+", help="only these, for example static walk")
    parser.add_argument("--processes", type=int, default=2, help="scenes at a time (default: %(default)s)")
    parser.add_argument("--no-cost", action="store_true", help="leave out the timing, on a machine that is busy")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="rendered scenes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    a = parser.parse_args(arguments)
    if a.held_out and a.quick:
        parser.error("--held-out has no --quick")
    skip_without(a.data)
    begun = stamp()
    families = a.families or (CANDIDATE_FAMILIES if a.candidates else [])
    specs = [
        s for s in (held_out_specs() if a.held_out else standard_specs(a.quick)) if not families or s.family in families
    ]
    results = run_scenes(
        functools.partial(_job, data=a.data, cache=a.cache, with_candidates=a.candidates), specs, a.processes
    )
    rows = _plain([row for part, _ in results for row in part])
    directions = _plain([direction for _, direction in results if direction])
    summary = report.summarise(rows)
    document: Row = {"quick": a.quick, "held_out": a.held_out, "summary": summary}
    text = report.markdown(summary)
    if directions:
        cost = None if a.no_cost else costs()
        found = musts.check(rows, directions, cost["4 microphones"]["spatial_p50_ms"] if cost else None)
        document |= {"musts": _plain(musts.as_json(found)), "cost": cost, "directions": directions}
        text += "\n" + report.directions_markdown(directions) + "\n" + musts.as_text(found)
        if cost:
            text += "\n" + json.dumps(cost, indent=1) + "\n"
    document["rows"] = rows
    made_by = still(begun)
    document, text = {"stamp": made_by, **document}, f"{provenance(made_by)}\n\n{text}"
    name = "array-candidates" if a.candidates else "array-held-out" if a.held_out else "array"
    name += "-quick" if a.quick else ""
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (a.out / f"{name}.md").write_text(text, encoding="utf-8")
    report.draw(a.out / f"{name}.png", summary)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
