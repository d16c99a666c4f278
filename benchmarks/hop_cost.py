"""Processing time of one hop against its deadline, on one core: 4 and 8 microphones, both profiles, MVDR and network.

Other chains for comparison follow: the float network, the Wiener gain, delay-and-sum. The synthetic input and the way
of measuring are those of `edge bench`.

Usage: python -m benchmarks.hop_cost [--seconds 120]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from benchmarks.record import record
from edge.bench import measure, synthetic_config

HEADING = f"{'chain':<46}{'p50':>8}{'p99':>8}{'p99.9':>8}{'max':>8}{'deadline':>10}  ms"


def chains() -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(name, microphones, overrides of the configuration) of everything that is measured."""
    for profile in ("assistant", "hearing"):
        for mics in (4, 8):
            yield f"{mics} mics, mvdr, network int8, {profile}", mics, {"profile": profile, "mask.precision": "int8"}
        others: tuple[tuple[str, dict[str, Any]], ...] = (
            ("mvdr, network float", {"mask.precision": "float"}),
            ("mvdr, wiener", {"mask.kind": "wiener"}),
            ("delay_sum, wiener", {"beamformer.kind": "delay_sum", "mask.kind": "wiener"}),
        )
        for name, overrides in others:
            yield f"4 mics, {name}, {profile}", 4, {"profile": profile, **overrides}
        yield f"1 mic, network int8, {profile}", 1, {"profile": profile, "mask.precision": "int8"}


def stay_on_one_core() -> int | None:
    """Pin this process to the last core it may use, usually the quietest. Returns it; None where impossible."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.hop_cost", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="audio to process per chain")
    args = parser.parse_args()
    core = stay_on_one_core()
    results: dict[str, Any] = {}
    print(HEADING)
    for name, mics, overrides in tqdm(list(chains()), file=sys.stderr, unit="chain", leave=False, disable=None):
        result = measure(synthetic_config(mics, overrides), args.seconds)
        result.pop("versions")
        results[name] = result
        cost = result["hop_ms"]
        numbers = "".join(f"{cost[key]:8.3f}" for key in ("p50", "p99", "p99_9", "max"))
        tqdm.write(f"{name:<46}{numbers}{result['deadline_ms']:10g}", file=sys.stdout)
    print(f"wrote {record('hop_cost', {'pinned_to_one_core': core is not None, 'chains': results})}")


if __name__ == "__main__":
    main()
