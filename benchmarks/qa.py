"""`edge qa` on many files: what a second process is worth, what a second run finds in the cache, who passes.

    python -m benchmarks.qa                  # 300 files of 3 s, then every system on 60 of them
    python -m benchmarks.qa --files 8 --systems-files 4 --no-dnsmos

Mixtures of held-out speech and noise at 0, 5 and 10 dB are written to a temporary folder. The command line itself is
run: with one process and an empty cache, with --processes and another empty cache, and once more with that cache.
Nothing else may run meanwhile. Writes qa.json and qa.md to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.mixtures import RATE_HZ, REPOSITORY, add_data_argument, mono_mixtures, skip_without
from benchmarks.record import RESULTS, stamp
from edge.enhancers import ENHANCERS, make_enhancer
from edge.errors import EdgeError
from edge.qa.table import COLUMNS, written

SNRS_DB = (0.0, 5.0, 10.0)
LEAST_SPEED_UP = 1.7
LEAST_HIT_RATE = 0.95
QUIET = 0.9
"""of a processor that one process gets where nothing else runs"""


def make_files(folder: Path, data: Path, count: int, seconds: float) -> None:
    """`count` pairs in folder/clean and folder/noisy, as 24-bit WAV."""
    for name in ("clean", "noisy"):
        (folder / name).mkdir(parents=True)
    for n, mixture in enumerate(mono_mixtures(data, count, seconds, seed=5)):
        speech, noise = mixture.at_snr(SNRS_DB[n % len(SNRS_DB)])
        for name, sound in (("clean", speech), ("noisy", speech + noise)):
            soundfile.write(folder / name / f"{n:03d}.wav", sound[:, 0], RATE_HZ, subtype="PCM_24")


def run(folder: Path, masks: Sequence[str], jobs: int, cache: Path, out: Path, *more: str) -> dict[str, Any]:
    """The report of one call of `edge qa`, and `whole_s` that the command took."""
    command = [sys.executable, "-m", "edge", "qa", "--clean", str(folder / "clean"), "--noisy", str(folder / "noisy")]
    command += [word for mask in masks for word in ("--mask", mask)]
    command += ["--jobs", str(jobs), "--cache", str(cache), "--out", str(out), "--examples", "0", "--json", *more]
    began_s = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=out.parent, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode not in (0, 8):
        raise SystemExit(f"edge qa ended with {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "whole_s": time.perf_counter() - began_s}


def took(report: dict[str, Any]) -> dict[str, Any]:
    effort, cache = report["effort"], report["cache"]
    names = ("wall_s", "cpu_s", "at_once", "measured", "workers")
    return {**{name: effort[name] for name in names}, "whole_s": report["whole_s"], "hit_rate": cache["hit_rate"]}


def available() -> list[str]:
    """Enhancers whose network is here."""
    found = []
    for name in ENHANCERS:
        try:
            make_enhancer(name)
        except (EdgeError, ImportError) as error:
            print(f"left out, {name}: {error}", file=sys.stderr)
        else:
            found.append(name)
    return found


def judged(report: dict[str, Any]) -> dict[str, Any]:
    """Of every system its criteria, with means and intervals."""
    return {
        system["name"]: {"passed": system["passed"], "identity": system["identity"], "criteria": system["criteria"]}
        for system in report["systems"]
    }


def tables(result: dict[str, Any]) -> str:
    runs, musts = result["runs"], result["musts"]
    lines = [
        "# edge qa", "", f"{result['files']} files of {result['seconds']:g} s, mask {result['mask']}, DNSMOS left out;",
        f"{result['stamp']['machine']['processor']}, {result['stamp']['date']}.", "",
        "| run | measuring, s | whole command, s | processors at once | cache hits |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, took_ in runs.items():
        hits = 100.0 * (took_["hit_rate"] or 0.0)
        measured = f"{took_['wall_s']:.1f} | {took_['whole_s']:.1f} | {took_['at_once']:.2f}"
        lines.append(f"| {name} | {measured} | {hits:.1f} % |")
    lines += ["", f"Speed-up {result['speed_up']:.2f} (measuring), {result['speed_up_whole']:.2f} (whole command).", ""]
    if not result["quiet"]:
        lines += ["Something else ran meanwhile, see processors at once: these times say nothing.", ""]
    lines += [f"- {'met' if met else 'missed'}: {must}" for must, met in musts.items()]
    head = [*next(iter(result["systems"].values()))["criteria"]]
    lines += ["", f"## The criteria, {result['systems_files']} files", "", result["sentence"], ""]
    lines += ["| system | " + " | ".join(_limit(c) for c in head) + " | |", "|---" * (len(head) + 2) + "|"]
    for name, system in result["systems"].items():
        cells = [_judged(criterion) for criterion in system["criteria"]]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {'pass' if system['passed'] else 'fail'} |")
    passed = [name for name, system in result["systems"].items() if system["passed"]]
    lines += ["", f"{len(passed)} of {len(result['systems'])} systems pass{': ' if passed else ''}{', '.join(passed)}."]
    what = "Of each criterion the mean with its 95 % interval"
    lines += [f"{what}; through bypass a file is the noisy one, but for the limiter at full scale."]
    return "\n".join(lines) + "\n"


def _limit(criterion: dict[str, Any]) -> str:
    side = f"> {criterion['above']:g}" if "above" in criterion else f"< {criterion['below']:g}"
    return f"{COLUMNS[criterion['name']].title} {side}"


def _judged(criterion: dict[str, Any]) -> str:
    name, mean = criterion["name"], criterion["mean"]
    if mean is None:
        return f"no value, {criterion['why']}"
    low, high = (written(name, criterion[side]) for side in ("low", "high"))
    return f"{written(name, mean)} [{low}, {high}]" + ("" if criterion["passed"] else ", missed")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qa", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_data_argument(parser)
    parser.add_argument("--files", type=int, default=300, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each file (default: %(default)s)")
    parser.add_argument("--mask", default="network", help="for the timing (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="against one (default: %(default)s)")
    parser.add_argument("--systems", nargs="+", help="to judge (default: every enhancer there is)")
    parser.add_argument("--systems-files", type=int, default=60, help="to judge them by (default: %(default)s)")
    parser.add_argument("--no-dnsmos", action="store_true", help="of the systems; never taken while timing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    a = parser.parse_args(arguments)
    skip_without(a.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder / "all", a.data, a.files, a.seconds)
        make_files(folder / "some", a.data, a.systems_files, a.seconds)
        plan = {
            "one process": (1, "cache 1"),
            f"{a.processes} processes": (a.processes, "cache 2"),
            "the same again": (a.processes, "cache 2"),
        }
        runs = {}
        for title, (jobs, cache) in plan.items():
            report = run(folder / "all", [a.mask], jobs, folder / cache, folder / "out", "--no-dnsmos")
            runs[title] = took(report)
            print(f"{title}: {runs[title]['wall_s']:.1f} s, hit rate {runs[title]['hit_rate']}", file=sys.stderr)
        more = ["--no-dnsmos"] if a.no_dnsmos else []
        systems = a.systems or available()
        report = run(folder / "some", systems, a.processes, folder / "cache 3", folder / "judged", *more)
    one, several, again = runs.values()
    speed_up = one["wall_s"] / several["wall_s"]
    result = {
        "stamp": stamp(), "files": a.files, "seconds": a.seconds, "mask": a.mask, "runs": runs, "speed_up": speed_up,
        "quiet": one["at_once"] > QUIET,
        "speed_up_whole": one["whole_s"] / several["whole_s"], "systems_files": a.systems_files,
        "sentence": f"A system {report['criteria']['sentence']}.", "systems": judged(report),
        "musts": {
            f"speed-up of {a.processes} processes above {LEAST_SPEED_UP:g}": speed_up > LEAST_SPEED_UP,
            f"cache hits of a second run above {100 * LEAST_HIT_RATE:g} %": (again["hit_rate"] or 0.0) > LEAST_HIT_RATE,
        },
    }  # fmt: skip
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "qa.json").write_text(json.dumps(result, indent=1) + "\n")
    (a.out / "qa.md").write_text(tables(result))
    print(tables(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
