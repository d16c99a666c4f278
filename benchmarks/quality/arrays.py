"""Four microphones on a square of 58 mm: ours told nothing, beside a network on one microphone and behind a beamformer
that is told the direction. Scenes and reference beamformer are those of benchmarks.array.
"""

from __future__ import annotations

import functools
from itertools import chain, zip_longest
from pathlib import Path

from benchmarks.array.held_out import held_out_specs
from benchmarks.array.references import lead_in_mvdr
from benchmarks.array.scenes import make_scene
from benchmarks.array.specs import SceneSpec, standard_specs
from benchmarks.quality import ours, peers
from benchmarks.quality.bench import Options, Row, bench

MIC, MVDR, INT8, FLOAT, ASR = "mic 0", "lead-in MVDR, told", "ours int8", "ours float", "ours asr"
BEHIND_MIC = ("deepfilternet3",)
BEHIND_MVDR = ("deepfilternet3", "dtln")


def behind(first: str, peer: str) -> str:
    """Name of a chain."""
    return f"{first} -> {peer}"


def square_specs(limit: int | None = None, held_out: bool = False) -> list[SceneSpec]:
    """Scenes of the square, a family after the other in turn, so that a few of them are of all kinds."""
    families: dict[str, list[SceneSpec]] = {}
    for spec in held_out_specs() if held_out else standard_specs():
        if spec.array == "square":
            families.setdefault(spec.family, []).append(spec)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [spec for spec in turns if spec is not None][:limit]


def score(options: Options, spec: SceneSpec, scenes: Path | None = None) -> list[Row]:
    """A row of scores per system, all after the lead-in and against the early part of the talker at microphone 0.

    Words are counted against what the recogniser hears in that early part. scenes: cache of rendered scenes.
    """
    tools, wanted = bench(options), options.metrics
    scene = make_scene(spec, options.data, scenes)
    spoken = slice(scene.lead_samples, None)
    early = scene.early[spoken]
    said = tools.scorer.heard(early)
    int8 = ours.enhance(tools.array(scene.geometry.positions_m, "int8"), scene.mix)
    given = {MIC: scene.mix[:, 0].copy(), MVDR: lead_in_mvdr(scene).output}
    outputs = {
        **given,
        INT8: int8["listen"],
        ASR: int8["asr"],
    }
    scores = {name: tools.scorer.output(early, out[spoken], said, wanted) for name, out in outputs.items()}
    exact = ours.enhance(tools.array(scene.geometry.positions_m, "float"), scene.mix)["listen"]
    scores[FLOAT] = tools.scorer.output(early, exact[spoken], wanted=options.quick_metrics)
    for first, behind_it in ((MIC, BEHIND_MIC), (MVDR, BEHIND_MVDR)):
        for name in behind_it:
            if peer := tools.peers.get(name):
                make = functools.partial(peers.enhance, peer)
                scores[behind(first, name)] = tools.scorer.made(
                    early, given[first], peer.identity, make, said, wanted, options.quick_peers
                )
    about = {"scene": scene.name, "family": spec.family, "sir_db": spec.sir_db, "snr_db": round(spec.snr_db, 2)}
    return [{**about, "system": name, **found} for name, found in scores.items()]
