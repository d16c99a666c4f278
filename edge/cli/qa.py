"""`edge qa`: enhanced files measured against clean ones, with criteria, intervals and a report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.batch import MOST_JOBS, processors, progress, recording_config, report_in, write_whole
from edge.cli.cache_options import add_cache_options, store_of
from edge.cli.common import add_config_or_board, not_empty, plain_warnings, print_json, say_when_compiling
from edge.console import say
from edge.errors import QualityError, UsageError

if TYPE_CHECKING:
    from edge.qa.evaluate import System
    from edge.qa.report import Report
    from edge.qa.workers import Workers
    from edge.store import Store


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "qa",
        help="measure enhanced files against clean ones, with pass or fail and a report",
        description="Measure enhanced files, or what enhancers make of noisy ones, against the clean files of the same "
        "names. Writes report.txt, report.json and report.html; ends with 0 where every system meets the criteria and "
        "with 8 where one does not. A run that was stopped goes on where it was when the command is given again.",
    )
    parser.add_argument("--clean", metavar="DIR", type=not_empty, required=True, help="folder of clean files")
    parser.add_argument("--noisy", metavar="DIR", type=not_empty, required=True, help="folder of noisy files")
    parser.add_argument(
        "--enhanced", metavar="DIR", type=not_empty, action="append", default=[], help="enhanced files; again for more"
    )
    parser.add_argument(
        "--mask",
        metavar="NAME[=MODEL]",
        type=not_empty,
        action="append",
        default=[],
        help="enhance the noisy files with this, as in `edge enhance --mask`; again for more (network, where no "
        "--enhanced is given)",
    )
    add_config_or_board(parser, "with the array of the noisy files")
    parser.add_argument("--channel", metavar="N", type=int, default=1, help="measure this channel (default: 1)")
    parser.add_argument(
        "--criteria", metavar="TOML", type=not_empty, help="limits in place of those of docs/quality.md"
    )
    parser.add_argument("--no-dnsmos", action="store_true", help="leave out DNSMOS, which takes longest")
    parser.add_argument("--out", metavar="DIR", type=not_empty, default="qa-report", help="(default: %(default)s)")
    parser.add_argument(
        "--examples", metavar="N", type=int, default=3, help="worst and best files on the page (default: 3)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", metavar="N", type=int, help="processes (default: one per processor)")
    where.add_argument("--scheduler", metavar="ADDRESS", type=not_empty, help="measure on a Dask cluster instead")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    add_cache_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    _check(args)
    say_when_compiling()
    from edge.qa.criteria import DEFAULTS, load_criteria
    from edge.qa.evaluate import evaluate
    from edge.qa.journal import Journal
    from edge.qa.pairs import find_pairs
    from edge.qa.report import Report
    from edge.qa.table import METRICS, SLOW, columns_of

    criteria = load_criteria(Path(args.criteria)) if args.criteria else DEFAULTS
    wanted = [name for name in METRICS if not (args.no_dnsmos and name in SLOW)]
    if unseen := [limit.name for limit in criteria.limits if limit.name not in columns_of(wanted)]:
        raise UsageError(
            f"--criteria asks for {', '.join(unseen)}, which --no-dnsmos leaves out; leave out one of them"
        )
    systems = _systems(args)
    folders = {system.name: system.folder for system in systems if system.folder is not None}
    pairs, unpaired = find_pairs(Path(args.clean), Path(args.noisy), folders)
    for sentence in unpaired:
        say(sentence)
    store, out = store_of(args), Path(args.out)
    workers = _workers(args, store, len(pairs))
    journal, channel = _journal(out, Journal), args.channel - 1
    finished = False
    try:
        with progress(len(pairs), "measuring", "pair") as advance:
            measured, effort = evaluate(pairs, systems, workers, store, journal, wanted, channel, advance)
        cache = f"{store.use.sentence()} in {store.folder}" if store.folder else "no cache"
        report = Report(
            clean=Path(args.clean),
            noisy=Path(args.noisy),
            channel=channel,
            wanted=wanted,
            criteria=criteria,
            systems=systems,
            measured=measured,
            unpaired=unpaired,
            effort=effort,
            workers=workers.sentence,
            cache=cache,
            cache_counts=store.use.as_dict(),
        )
        _write(report, out, store, args.examples)
        finished = True
    except KeyboardInterrupt:
        say("what was measured is kept; the same command goes on from there")
        raise
    finally:
        journal.close(finished)
        store.close()
    return _print(report, out, args.json)


def _check(args: argparse.Namespace) -> None:
    for name, value, least, most in (
        ("--channel", args.channel, 1, 1024),
        ("--examples", args.examples, 0, 20),
        ("--jobs", 1 if args.jobs is None else args.jobs, 1, MOST_JOBS),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} is {value}, expected from {least} to {most}")


def _systems(args: argparse.Namespace) -> list[System]:
    from edge.enhancers import make_enhancer
    from edge.qa.evaluate import System
    from edge.qa.measure import Recipe

    config = recording_config(args)
    found = [System(Path(folder).name or folder, folder=Path(folder)) for folder in args.enhanced]
    for text in args.mask or ([] if found else ["network"]):
        name, _, model = text.partition("=")
        enhancer = make_enhancer(name, config, model or None)
        found.append(System(text, recipe=Recipe(name, enhancer.identity, config, model or None)))
    names = [system.name for system in found]
    if taken := sorted({"clean", "noisy"} & set(names)):
        raise UsageError(
            f"--enhanced: a system cannot be called {' or '.join(taken)}, as the report calls other sounds; "
            "rename the folder"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{', '.join(twice)}: named twice; every system needs a name of its own")
    return found


def _workers(args: argparse.Namespace, store: Store, pairs: int) -> Workers:
    from edge.qa.workers import DaskCluster, LocalProcesses, ThisProcess

    if args.scheduler:
        return DaskCluster(args.scheduler)
    jobs = min(args.jobs or processors(), pairs)
    return LocalProcesses(jobs, store) if jobs > 1 else ThisProcess(store)


def _journal(out: Path, make: Any) -> Any:
    try:
        return make(out)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written ({error.strerror or error}); name another folder") from None


def _write(report: Report, out: Path, store: Store, examples: int) -> None:
    from edge.qa.page import page
    from edge.qa.text import text_report
    from edge.telemetry.payload import json_ready

    with report_in(out):
        documents = {
            "report.txt": text_report(report, files=True),
            "report.json": json.dumps(json_ready(report.as_dict(), 6), indent=1, allow_nan=False) + "\n",
            "report.html": page(report, store, examples),  # with pictures, which are drawn in temporary files
        }
        write_whole(out, documents)


def _print(report: Report, out: Path, as_json: bool) -> int:
    from edge.qa.text import text_report

    if as_json:
        print_json(report.as_dict())
    else:
        print(text_report(report, files=False), end="")
        print(f"report in {out / 'report.html'}, .json and .txt")
    if not report.passed:
        raise QualityError(f"the criteria are not met by {', '.join(report.failing)}; see {out / 'report.html'}")
    return 0
