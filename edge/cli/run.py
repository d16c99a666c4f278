"""`edge run`: the live daemon."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import not_empty, plain_warnings, positive_seconds, print_json, say_when_compiling
from edge.console import say
from edge.errors import AudioFileError, DeviceError

if TYPE_CHECKING:
    from edge.config.schema import Config
    from edge.telemetry.events import Event
    from edge.telemetry.snapshot import Snapshot


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "run",
        help="run live: microphones in, loopback out, telemetry beside it",
        description="Run live until SIGTERM or SIGINT, which play out what is in hand and exit with 0. SIGHUP reads "
        "the configuration again; if it is wrong the old one goes on.",
    )
    parser.add_argument("--config", metavar="FILE", type=not_empty, required=True, help="configuration (TOML)")
    parser.add_argument("--duration", metavar="S", type=positive_seconds, help="stop after S seconds of audio")
    parser.add_argument(
        "--wait-device",
        metavar="S",
        type=positive_seconds,
        help="keep trying for S seconds to open a missing device (under systemd: for ever; else not at all)",
    )
    parser.add_argument("--telemetry-file", metavar="PATH", help="append telemetry to PATH, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print the summary at the end as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="one line of state per telemetry interval")
    return parser


def run(args: argparse.Namespace) -> int:
    if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
        # a reload asked for while starting or closing, when nobody collects signals, must not end the process
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    plain_warnings()
    say_when_compiling()
    from edge.config import load_config
    from edge.mask.choice import choose, mics_in_beam
    from edge.profiles import PROFILES
    from edge.runtime.live import LiveRuntime
    from edge.runtime.notify import Notifier

    notifier = Notifier()
    wait_s = args.wait_device or (math.inf if notifier.active else 0.0)
    config = load_config(args.config)
    if config.mask.kind == "network":
        chosen = choose(config.mask, PROFILES[config.profile], mics_in_beam(config))
        say(f"network {chosen.manifest.stem}, {chosen.precision}: {chosen.why}")
    runtime = LiveRuntime(
        config,
        reread=lambda: load_config(args.config),
        transports=[VerboseLine(config.array.roles.index("M"))] if args.verbose else [],
        telemetry_file=args.telemetry_file,
        duration_s=args.duration,
        wait_device_s=wait_s,
        notifier=notifier,
        model_folders=[Path(args.config).resolve().parent],
    )
    try:
        summary = runtime.run()
    except DeviceError as error:
        raise type(error)(f"{error}; `edge doctor --config {args.config}` checks the rest") from error
    except AudioFileError as error:
        raise AudioFileError(f"{error}{_just_the_microphones(config)}") from error
    # standard output belongs to the telemetry then
    with contextlib.redirect_stdout(sys.stderr if args.telemetry_file == "-" else sys.stdout):
        if args.json:
            print_json(summary.as_dict())
        else:
            print(summary.as_text())
    return 0


def _just_the_microphones(config: Config) -> str:
    """What to do about an input file that has the microphones and not the rest of the captured channels, or ""."""
    from edge.description import read_header

    mics = len(config.array.positions_m)
    header = read_header(config.input.path) if config.input.kind == "file" else None
    if not header or header[0] != mics or mics == len(config.array.roles):
        return ""
    return f'; for a file of just the microphones set array.roles = "{"M" * mics}", or use edge enhance, which takes it'


class VerboseLine:
    """A telemetry transport that prints one short line per snapshot. first_mic: captured channel of microphone 1."""

    def __init__(self, first_mic: int) -> None:
        self._first_mic = first_mic

    def open(self) -> None:
        """Nothing to open."""

    def publish(self, snapshot: Snapshot) -> None:
        if not snapshot.hops:
            return
        snr = ", ".join(_number(value, " dB") for value in (snapshot.snr_in_db, snapshot.snr_out_db))
        levels = (snapshot.level_in_dbfs[self._first_mic], snapshot.level_out_dbfs[0])
        level = ", ".join(_number(value, "") for value in levels)
        hop = snapshot.hop_ms
        say(
            f"hop {hop.p50:.3f} ms (p99 {hop.p99:.3f}) of {snapshot.deadline_ms:g}, late {snapshot.deadline_misses}, "
            f"overruns {snapshot.overruns}, underruns {snapshot.underruns}, level mic 1, out {level} dBFS, "
            f"SNR in, out {snr}, {snapshot.mode}"
        )

    def event(self, event: Event) -> None:
        """The runtime says these itself."""

    def close(self) -> None:
        """Nothing to close."""


def _number(value: float | None, unit: str) -> str:
    return f"{value:.1f}{unit}" if value is not None and math.isfinite(value) else "-"
