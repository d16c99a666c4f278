"""Every network beside its peers: one run, one JSON file, one page of tables, one picture.

    python -m benchmarks.quality                      everything; the costs last, alone
    python -m benchmarks.quality --no-cost            nothing is timed: for a busy machine
    python -m benchmarks.quality --cost-only          only timed; the scores of the last run stay
    python -m benchmarks.quality --only mono array --limit 12 --scenes 6 --out /tmp/look

Parts: mono (mixtures on one microphone), array (scenes on a square of four), reverb (late reverberation), clean (clean
speech and silence), cost. Scores are kept in --cache by content, so peers are computed once. Of the last run's results
only those of the very same code and networks stay.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.array.scenes import make_scene
from benchmarks.mixtures import add_data_argument, skip_without
from benchmarks.quality import arrays, clean, cost, mono, must, musts, peers, picture, report, reverb, silence_cost
from benchmarks.quality.bench import Bench, Options, bench, in_processes
from benchmarks.quality.cache import default_cache
from benchmarks.quality.corpus import RATE_HZ, mixtures
from benchmarks.quality.document import PARTS, compact, known, ordered, plain
from benchmarks.quality.scores import QUALITY, SLOW
from benchmarks.record import RESULTS, stamp, still

ROOMS = ("array", "reverb")
"""parts that need simulated rooms"""
SNRS_DB = (0.0, 5.0, 10.0)
MIXTURES = 60
COST_S = 20.0
COST_SCENES = 2


def rooms_can_be_made() -> bool:
    """pyroomacoustics is not to be had for every Python that the project runs on."""
    return importlib.util.find_spec("pyroomacoustics") is not None


def costs(tools: Bench) -> dict[str, Any]:
    """Everybody's cost on mixtures, on scenes and on silence."""
    heard: list[Any] = []
    for mixture in mixtures(tools.options.data, SNRS_DB, MIXTURES):
        heard.append(mixture.noisy)
        if sum(audio.size for audio in heard) >= COST_S * RATE_HZ:
            break
    sound = np.concatenate(heard)
    found: dict[str, Any] = {"mono": cost.mono_costs(tools, sound)}
    expected_ms_per_s = {1: found["mono"][mono.INT8]["ms_per_s"]}
    if rooms_can_be_made():
        scenes = [make_scene(spec, tools.options.data).mix for spec in arrays.square_specs(COST_SCENES)]
        found["array"] = cost.array_costs(tools, np.concatenate(scenes))
        expected_ms_per_s[4] = found["array"][arrays.INT8]["ms_per_s"]
    return found | {"silence": silence_cost.silence_costs(tools, sound, expected_ms_per_s)}


def run(part: str, options: Options, limit: int | None, scenes: int | None, processes: int) -> dict[str, Any]:
    """Results of one part, by their key in the JSON."""
    call = functools.partial(in_processes, options=options, processes=processes)
    if part == "mono":
        found = call(mono.score, items=list(mixtures(options.data, SNRS_DB, limit or MIXTURES)), what="mixture")
    elif part == "array":
        found = call(arrays.score, items=arrays.square_specs(scenes), what="scene")
    elif part == "reverb":
        found = call(reverb.score, items=reverb.all_rooms(limit), what="room")
    elif part == "clean":
        found = call(clean.score, items=clean.items(options.data, limit), what="utterance")
    else:
        return {"cost": costs(bench(options))}
    rows = {part: [row for rows in found for row in rows]}
    return rows | ({"silence": clean.silence_levels(options)} if part == "clean" else {})


def write(document: dict[str, Any], folder: Path) -> str:
    """JSON, page and picture; the page is returned."""
    name = f"quality-{document['options']['profile']}"
    found = musts.check(document)
    document |= {"summary": report.summaries(document), "musts": must.as_json(found)}
    text = report.markdown(document, must.as_text(found))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(compact(plain(ordered(document))) + "\n", "utf-8")
    (folder / f"{name}.md").write_text(text, "utf-8")
    picture.draw(folder / f"{name}.png", document)
    return text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--profile", default="assistant", help="(default: %(default)s)")
    parser.add_argument("--model", default="auto", help="network for one microphone: name or manifest")
    parser.add_argument("--array-model", default="auto", help="network behind the beamformer: name or manifest")
    parser.add_argument("--floor-db", type=_floor, default="auto", help="least gain (default: %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only", nargs="+", choices=PARTS, help="these parts; of the others the last run's results stay"
    )
    which.add_argument("--no-cost", action="store_true", help="all parts but cost")
    which.add_argument("--cost-only", action="store_true", help="the same as --only cost")
    parser.add_argument("--limit", type=int, help="so many mixtures, rooms and clean utterances")
    parser.add_argument("--scenes", type=int, help="so many array scenes, of all families in turn")
    parser.add_argument("--peers", nargs="*", choices=list(peers.PEERS), default=list(peers.PEERS), help="which peers")
    parser.add_argument("--no-words", action="store_true", help="do not count word errors, which takes long")
    parser.add_argument("--no-dnsmos", action="store_true", help="no DNSMOS of mixtures and scenes, which takes long")
    parser.add_argument("--quick-peers", action="store_true", help="DNSMOS and words of peers only where they are kept")
    parser.add_argument("--processes", type=int, default=2, help="at a time, never while timing (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="scores of known sounds (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    return parser.parse_args(arguments)


def _floor(text: str) -> float | str:
    return text if text == "auto" else float(text)


def main(arguments: Sequence[str] | None = None) -> int:
    a = parse(arguments)
    skip_without(a.data)
    options = Options(
        a.data,
        a.cache,
        a.profile,
        a.model,
        a.array_model,
        a.floor_db,
        tuple(a.peers),
        count_words=not a.no_words,
        metrics=tuple(name for name in QUALITY if name not in SLOW or not a.no_dnsmos),
        quick_peers=a.quick_peers,
    )
    wanted = a.only or (["cost"] if a.cost_only else [p for p in PARTS if p != "cost" or not a.no_cost])
    if not rooms_can_be_made() and (without := [part for part in wanted if part in ROOMS]):
        print(f"left out, pyroomacoustics is not installed (extra: development): {', '.join(without)}", file=sys.stderr)
        wanted = [part for part in wanted if part not in ROOMS]
    tools = bench(options)
    if missing := [name for name in a.peers if name not in tools.peers]:
        print(f"left out, not installed (see benchmarks/quality/peers.txt): {', '.join(missing)}", file=sys.stderr)
    chosen = {"profile": a.profile, "floor_db": a.floor_db, "limit": a.limit, "scenes": a.scenes}
    same = {"networks": tools.networks(), "options": chosen}
    document: dict[str, Any] = {**same, "stamps": {}}
    begun = stamp()
    document |= known(a.out / f"quality-{a.profile}.json", same, begun, wanted)
    versions = {"peers": {name: peer.identity for name, peer in tools.peers.items()}}
    for part in [p for p in PARTS if p in wanted]:
        document |= plain(run(part, options, a.limit, a.scenes, a.processes))
        document["stamps"][part] = still(begun) | versions
        write(document, a.out)
    print(write(document, a.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
