"""`edge demo`: the whole path in real time with nothing attached, then what it achieved."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge.cli.common import plain_warnings, positive_seconds, say_when_compiling
from edge.console import say
from edge.errors import EdgeError, UsageError

NEXT = """\
next: edge enhance YOUR.wav clean.wav    a recording of your own
      edge doctor                        what this machine has for live use"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="show the whole path in real time with nothing attached",
        description="Play the bundled scene (a talker, a vacuum cleaner and diffuse noise on four microphones) in real "
        "time through the same runtime as `edge run`, with telemetry over MQTT and a live meter, then measure what it "
        "did. Ctrl-C ends early and still writes the results so far.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="results (default: demo_out)")
    parser.add_argument("--seconds", type=positive_seconds, metavar="S", help="how long (default: the scene once)")
    parser.add_argument("--headless", action="store_true", help="no live meter (also when output is no terminal)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON; no meter")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take profile, beamformer kind, mask, post and runtime from this configuration",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {args.out}: cannot be made ({error.strerror}); expected a folder to write to"
        ) from None

    say_when_compiling()
    from edge.demo.bundled import load_scene
    from edge.demo.session import demo_config, run_live

    scene = load_scene()
    scene_s = scene.samples / scene.rate_hz
    seconds = args.seconds or scene_s
    out_wav = args.out / "out.wav"
    config = demo_config(scene, out_wav, args.config, loop=seconds > scene_s)
    draw = not (args.headless or args.json) and sys.stdout.isatty() and _has("rich")
    if not draw:
        say(f"playing {seconds:.0f} s in real time through {config.beamformer.kind} and {config.mask.kind}")
    live = run_live(config, args.out, seconds, draw, say)
    return _results(args, scene, config, live, out_wav)


def _results(args: argparse.Namespace, scene: Any, config: Any, live: Any, out_wav: Path) -> int:
    import soundfile

    from edge.demo import report as reports

    report = reports.make_report(scene, config, live, out_wav, tell=say)
    soundfile.write(args.out / "noisy.wav", report.noisy, scene.rate_hz, subtype="PCM_16")
    (args.out / "summary.json").write_text(json.dumps(report.summary, indent=2) + "\n", encoding="utf-8")
    written = ["out.wav (listen, asr)", "noisy.wav (microphone 1)", "summary.json", "telemetry.jsonl"]
    if _has("matplotlib"):
        from edge.demo.picture import draw

        draw(args.out / "demo.png", scene, config, live, report)
        written.insert(2, "demo.png")
    else:
        say("no picture: matplotlib is not installed (pip install 'mic-edge[demo]')")
    if args.json:
        print(json.dumps(report.summary, indent=2))
    else:
        print(f"\n{reports.as_text(report.summary)}\n\nwritten to {args.out}:\n  " + "\n  ".join(written))
        print(f"\n{NEXT}")
    return EdgeError.exit_code if live.summary.hops == 0 else 0


def _has(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None
