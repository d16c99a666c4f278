"""`edge impact`: what enhancement does to word errors and to speaker similarity, over SNR."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.batch import MOST_JOBS, processors, progress, recording_config, report_in, write_whole
from edge.cli.cache_options import add_cache_options, store_of
from edge.cli.common import add_config_or_board, not_empty, plain_warnings, print_json, say_when_compiling
from edge.console import say
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.impact.material import Item
    from edge.impact.report import Report

_MOST_SNRS = 50


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "impact",
        help="what enhancement does to a recogniser and to speaker similarity, over SNR",
        description="Measure word error rate and speaker similarity of noisy, beamformed, enhanced and mixed-back "
        "speech. Either clean speech and noise are mixed (--speech, --noise), or recordings are given (--clean, "
        "--noisy). "
        "Writes impact.txt, impact.json and impact.png. A run that was stopped goes on from the cache.",
    )
    parser.add_argument("--speech", metavar="DIR", type=not_empty, help="clean speech, with what is said in it")
    parser.add_argument("--noise", metavar="DIR", type=not_empty, help="noise to be mixed with it")
    parser.add_argument("--clean", metavar="DIR", type=not_empty, help="clean speech of given recordings")
    parser.add_argument("--noisy", metavar="DIR", type=not_empty, help="noisy recordings of the same names, aligned")
    parser.add_argument(
        "--snr",
        metavar="DB",
        type=snr_list,
        default="-5:20:5",
        help="from:to:step or a list, written --snr=-5,0,10 where it begins with a minus (default: %(default)s)",
    )
    parser.add_argument(
        "--mask",
        metavar="NAME[=MODEL]",
        type=not_empty,
        action="append",
        default=[],
        help="enhancer, as in `edge enhance --mask`; again for more (default: network)",
    )
    parser.add_argument(
        "--mix-back",
        metavar="SHARES",
        type=share_list,
        default="0.2",
        help="shares of the noisy signal that are mixed back, such as 0.1,0.3; 0 for none (default: %(default)s)",
    )
    add_config_or_board(parser, "with the array of the recordings; adds the beam")
    parser.add_argument(
        "--recogniser",
        metavar="NAME",
        type=not_empty,
        action="append",
        default=[],
        help="whisper-tiny, pocketsphinx or one of an installed package; again for more (default: the first there is)",
    )
    parser.add_argument("--no-speaker", action="store_true", help="do not measure speaker similarity")
    parser.add_argument("--limit", metavar="N", type=int, help="measure N utterances, of as many talkers as possible")
    parser.add_argument(
        "--fewest-words", metavar="N", type=int, default=1, help="count errors of longer transcripts only (default: 1)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of drawing and mixing (default: 0)")
    parser.add_argument(
        "--lead",
        metavar="S",
        type=float,
        default=1.0,
        help="seconds of noise before the speech, not measured (default: 1)",
    )
    parser.add_argument("--out", metavar="DIR", type=not_empty, default="impact-report", help="(default: %(default)s)")
    parser.add_argument("--jobs", metavar="N", type=int, help="processes (default: one per processor)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    add_cache_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    _check(args)
    say_when_compiling()
    from edge.impact.conditions import conditions
    from edge.impact.recognisers import default_recogniser, make_recogniser
    from edge.impact.report import summarize
    from edge.impact.speaker import VoiceEncoder
    from edge.impact.sweep import measure_all, tasks_of

    out = _folder(Path(args.out))
    config = recording_config(args)
    names = args.recogniser or [default_recogniser()]
    recognisers = [(name, make_recogniser(name).identity) for name in dict.fromkeys(names)]
    speaker = "" if args.no_speaker else VoiceEncoder().identity
    wanted = conditions(args.mask or ["network"], args.mix_back, config)
    items = _items(args)
    channels = 1 if config is None else len(config.array.roles)
    tasks = tasks_of(items, args.snr, wanted, recognisers, speaker, args.lead, channels)
    jobs = min(args.jobs or processors(), len(tasks))
    store = store_of(args)
    try:
        with progress(len(tasks), "listening", "recording") as advance:
            measured, found, made = measure_all(tasks, jobs, store, advance)
    finally:
        store.close()
    settings = {
        "material": {key: getattr(args, key) for key in ("speech", "noise", "clean", "noisy") if getattr(args, key)},
        "utterances": len(items),
        "conditions": {one.name: one.identity for one in wanted},
        "recognisers": dict(recognisers),
        "speaker_encoder": speaker or None,
        "seed": args.seed,
        "lead_s": args.lead,
        "fewest_words": args.fewest_words,
        "processes": jobs,
        "cache": {"found": found, "made": made},
    }
    report = summarize(measured, settings)
    cache = f"cache: {found} of {found + made} results found" if store.folder else "no cache"
    return _write(report, out, args.json, cache)


def snr_list(text: str) -> list[float]:
    """argparse type: "-5:20:5" or "-5,0,10" -> dB, rising, each once."""
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            count = int((last - first) / step + 1e-6) + 1 if step > 0.0 else 0
            values = [first + i * step for i in range(min(count, _MOST_SNRS + 1))]
        else:
            values = [float(part) for part in text.split(",")]
    except (ValueError, OverflowError):
        values = []
    if not 1 <= len(values) <= _MOST_SNRS or not all(-50.0 <= value <= 100.0 for value in values):
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected from:to:step or a list in dB, such as -5:20:5 or -5,0,10; 1 to {_MOST_SNRS} "
            "values from -50 to 100"
        )
    return sorted({round(value, 6) for value in values})


def share_list(text: str) -> list[float]:
    """argparse type: "0.1,0.3" -> shares above 0 and below 1; "0" -> none."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if values == [0.0]:
        return []
    if not all(0.0 < value < 1.0 for value in values):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected shares between 0 and 1, such as 0.2 or 0.1,0.3")
    return sorted(set(values))


def _check(args: argparse.Namespace) -> None:
    mixed, given = bool(args.speech and args.noise), bool(args.clean and args.noisy)
    one_too_few = mixed == given or bool(args.speech or args.noise) == bool(args.clean or args.noisy)
    if one_too_few:
        raise UsageError("expected --speech and --noise, which are mixed, or --clean and --noisy, which are given")
    for name, value, least, most in (
        ("--jobs", 1 if args.jobs is None else args.jobs, 1, MOST_JOBS),
        ("--limit", 1 if args.limit is None else args.limit, 1, 1_000_000),
        ("--fewest-words", args.fewest_words, 1, 1000),
        ("--seed", args.seed, 0, (1 << 31) - 1),
        ("--lead", args.lead, 0.0, 60.0),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} is {value}, expected from {least:g} to {most:g}")


def _items(args: argparse.Namespace) -> list[Item]:
    from edge.impact.material import find_utterances, mixed_items, paired_items
    from edge.qa.pairs import left_out

    if args.speech:
        for sentence in (*left_out(Path(args.speech)), *left_out(Path(args.noise))):
            say(sentence)
        return mixed_items(
            find_utterances(Path(args.speech), args.fewest_words), Path(args.noise), args.limit, args.seed
        )
    items, sentences = paired_items(Path(args.clean), Path(args.noisy), args.limit, args.seed, args.fewest_words)
    for sentence in sentences:
        say(sentence)
    return items


def _folder(out: Path) -> Path:
    """Before anything is measured: a result that cannot be written is hours lost."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".impact.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written ({error.strerror or error}); name another folder") from None
    return out


def _write(report: Report, out: Path, as_json: bool, cache: str) -> int:
    from edge.impact.text import text_report
    from edge.telemetry.payload import json_ready

    text = text_report(report)
    documents = {
        "impact.txt": text,
        "impact.json": json.dumps(json_ready(report.as_dict(), 6), indent=1, allow_nan=False) + "\n",
    }
    with report_in(out):
        write_whole(out, documents)
        shown = _draw(report, out / "impact.png")
    if as_json:
        print_json(report.as_dict())
        return 0
    print(text, end="")
    print(f"{cache}\nreport in {out / 'impact.txt'}, .json{shown}")
    return 0


def _draw(report: Report, path: Path) -> str:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        say("no picture: matplotlib is not here (pip install mic-edge[quality])")
        return ""
    from edge.impact.picture import draw

    draw(report, path)
    return " and .png"
