"""`edge bench`: the time per hop against the deadline."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from edge.cli.common import not_empty, plain_warnings, positive_seconds, print_json, say_when_compiling
from edge.errors import UsageError
from edge.kinds import BEAMFORMER_KINDS, MASK_KINDS, PRECISIONS
from edge.profiles import PROFILES


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "bench",
        help="measure the time per hop against the deadline",
        description="Process synthetic audio as fast as it goes on one core and print the time per hop, stage by "
        "stage. Without --config the array is a made-up circle. With --pick-model it is the networks that are timed.",
    )
    parser.add_argument("--config", metavar="FILE", type=not_empty, help="measure this configuration")
    parser.add_argument("--mics", metavar="N", type=int, help="microphones of the made-up array (default 4)")
    parser.add_argument("--profile", choices=tuple(PROFILES))
    parser.add_argument("--beamformer", choices=BEAMFORMER_KINDS)
    parser.add_argument("--mask", choices=MASK_KINDS)
    parser.add_argument("--precision", choices=PRECISIONS, help="weights of the network")
    parser.add_argument("--seconds", metavar="S", type=positive_seconds, help="audio to process (default 20)")
    parser.add_argument(
        "--pick-model",
        action="store_true",
        help="time every shipped network instead and keep the best that this machine can run, for mask.model = auto",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    say_when_compiling()
    from edge.bench import measure, synthetic_config
    from edge.config import load_config

    if args.config and args.mics is not None:
        raise UsageError("--config already says how many microphones there are; leave out --mics")
    mics = 4 if args.mics is None else args.mics
    if not 1 <= mics <= 32:
        raise UsageError(f"--mics is {mics}, expected from 1 to 32")
    if args.pick_model:
        from edge.cli.pick_model import pick_model

        return pick_model(args, mics)
    overrides = {
        "profile": args.profile,
        "beamformer.kind": args.beamformer,
        "mask.kind": args.mask,
        "mask.precision": args.precision,
    }
    config = load_config(args.config, overrides) if args.config else synthetic_config(mics, overrides)
    seconds = args.seconds or 20.0
    with _progress(seconds) as advance:
        result = measure(config, seconds, progress=advance)
    if args.json:
        print_json(result)
    else:
        print(as_text(result))
    return 0


def as_text(result: dict[str, Any]) -> str:
    """A result of edge.bench.measure as a table."""
    precision = f" {result['precision']}" if result["precision"] else ""
    mics = f"{result['mics']} microphone{'s' * (result['mics'] > 1)}"
    names = ("p50", "p95", "p99", "p99_9", "max")
    lines = [
        f"{mics}, {result['beamformer']}, {result['mask']}{precision}, {result['profile']}: "
        f"{result['hops']} hops of {result['deadline_ms']:g} ms",
        f"{'time per hop, ms':<18}" + "".join(f"{name.replace('_', '.'):>9}" for name in names),
    ]
    for name, cost in (*result["stage_ms"].items(), ("whole hop", result["hop_ms"])):
        lines.append(f"  {name:<16}" + "".join(f"{cost[key]:9.3f}" for key in names))
    growth = "unknown" if result["rss_growth_kib"] is None else f"{result['rss_growth_kib']:.0f} KiB"
    rss = "unknown" if result["rss_mib"] is None else f"{result['rss_mib']:.0f} MiB"
    lines += [
        f"deadline misses   {result['deadline_misses']} of {result['hops']}",
        f"real-time factor  {result['real_time_factor']:.4f}",
        f"memory            {rss} resident, growth {growth}, {result['python_block_growth']} interpreter objects",
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar on standard error, if a person is there to see it."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from tqdm import tqdm

    layout = "{percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s of audio"
    with tqdm(total=seconds, bar_format=layout, leave=False) as bar:
        yield lambda done: bar.update(done - bar.n) and None
