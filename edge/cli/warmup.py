"""`edge warmup`: compile everything once, so that later starts take a second."""

from __future__ import annotations

import argparse
import time
from typing import Any

from edge.cli.common import not_empty, plain_warnings, print_json, say_when_compiling
from edge.console import say


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "warmup",
        help="compile the kernels and open the network, so that later starts are quick",
        description="Compile the kernels into numba's cache, open the network and run a second of audio, for the "
        "configuration or for every profile. Run it as the user, and with the NUMBA_CACHE_DIR, of the later run.",
    )
    parser.add_argument("--config", metavar="FILE", type=not_empty, help="warm up for this configuration only")
    parser.add_argument("--json", action="store_true", help="print times and places as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    steps: dict[str, float] = {}

    def done(step: str, since_s: float) -> float:
        now_s = time.perf_counter()
        steps[step] = now_s - since_s
        if not args.json:
            say(f"{step}: {steps[step]:.2f} s")
        return now_s

    started_s = since_s = time.perf_counter()
    from edge.config import load_config

    config = load_config(args.config) if args.config else None
    since_s = done("configuration", since_s)
    import numba  # noqa: F401

    since_s = done("numba", since_s)
    from edge.runtime.kernels import load_kernels

    say_when_compiling()
    kernels = load_kernels()
    since_s = done("kernels", since_s)
    from edge.bench import measure, synthetic_config
    from edge.profiles import PROFILES

    configs = [config] if config else [synthetic_config(4, {"profile": name}) for name in PROFILES]
    hop_ms = {}
    for each in configs:
        hop_ms[each.profile] = measure(each, seconds=1.0, warm_up_s=0.1)["hop_ms"]
        since_s = done(f"a second of audio, {each.profile} with {each.mask.kind}", since_s)
    result = {
        "kernels": kernels.count,
        "compiled": kernels.compiled,
        "cache_folder": kernels.cache_folder,
        "steps_s": steps,
        "total_s": time.perf_counter() - started_s,
        "hop_ms": hop_ms,
    }
    if args.json:
        print_json(result)
        return 0
    print(f"{kernels.count} kernels, {kernels.compiled} compiled now; cache: {kernels.cache_folder or 'none'}")
    for profile, cost in hop_ms.items():
        print(f"{profile}: {cost['p50']:.3f} ms per hop (p99 {cost['p99']:.3f})")
    return 0
