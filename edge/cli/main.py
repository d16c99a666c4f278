"""The `edge` command: finds the subcommand, runs it, and turns every error into one sentence and an exit code."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from edge import __version__
from edge.errors import EdgeError

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "run": ("edge.cli.run", "run live: microphones in, loopback out, telemetry beside it"),
    "demo": ("edge.cli.demo", "show the whole path in real time with nothing attached"),
    "enhance": ("edge.cli.enhance", "enhance a sound file through the very same pipeline"),
    "analyze": ("edge.cli.analyze", "show spectra and their shape: centroid, bandwidth, flatness, roll-off"),
    "check": ("edge.cli.check", "say what a configuration file means, or everything wrong with it"),
    "pattern": ("edge.cli.pattern", "show what a beam hears over frequency and direction, as numbers and picture"),
    "calibrate": ("edge.cli.calibrate", "measure gain and delay of each microphone, for [array] calibration"),
    "devices": ("edge.cli.devices", "list the sound devices this machine offers"),
    "loopback": ("edge.cli.loopback", "explain and set up the ALSA loopback and its clock"),
    "doctor": ("edge.cli.doctor", "check this machine and say what to do about each finding"),
    "warmup": ("edge.cli.warmup", "compile the kernels and open the network, so that later starts are quick"),
    "qa": ("edge.cli.qa", "measure enhanced files against clean ones, with pass or fail and a report"),
    "impact": ("edge.cli.impact", "measure what enhancement does to a recogniser and to speaker similarity, over SNR"),
    "bench": ("edge.cli.bench", "measure the time per hop against the deadline"),
}
"""Name -> (module with add_parser(subparsers) and run(args), one line of help). Only the chosen module is imported."""

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

EXIT_CODES = """\
exit codes:
  0    done, or stopped as asked (SIGTERM, SIGINT in a live run)
  1    an unexpected error (EDGE_DEBUG=1 shows the traceback)
  2    the command line is wrong
  3    a configuration, board or geometry is wrong
  4    a sound device is missing, busy or cannot do what was asked
  5    a network or its manifest is missing, corrupted or does not fit
  6    a sound file is missing, unreadable, empty, has the wrong channels, is unfit to calibrate with,
       or cannot be written
  7    the MQTT broker refused or could not be reached
  8    the criteria of quality are not met (edge qa)
  130  interrupted
  141  whoever read the output has gone
"""


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge",
        description="Edge runtime for microphone arrays.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edge {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, (module, help_line) in SUBCOMMANDS.items():
        if name == chosen:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_line)
    return parser


def _prepare_environment() -> None:
    """Settings that libraries read when they are imported: one thread each, and no usage reporting."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _dispatch(arguments: Sequence[str]) -> int:
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    try:
        args = _parser(chosen).parse_args(arguments)
    finally:
        sys.stdout.flush()  # --help and --version end here
    code = importlib.import_module(SUBCOMMANDS[args.subcommand][0]).run(args)
    sys.stdout.flush()
    return int(code or 0)


def _open_missing_streams() -> None:
    """Standard streams that the caller closed (`>&-`) become /dev/null, lowest descriptor first: print and flush need
    them, and a sound file must not get the descriptor that others take for standard output.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _discard_standard_output() -> None:
    """What is left in the buffer goes nowhere, so that the interpreter's own flush at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _standard_output_fails(error: OSError) -> bool:
    if error.errno == errno.ENOSPC and error.filename is None:
        return True  # an unbuffered one: sound files that do not fit raise errors of their own
    try:
        sys.stdout.flush()  # what could not be written is still in the buffer
    except OSError:
        return True
    return False


def _one_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns the exit code; argparse itself exits with 2 on a wrong command line."""
    _open_missing_streams()
    _prepare_environment()
    debug = os.environ.get("EDGE_DEBUG", "") not in ("", "0")
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except EdgeError as error:
        if debug:
            traceback.print_exc()
        print(f"edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("edge: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_standard_output()  # whoever read it has gone
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and _standard_output_fails(error):
            _discard_standard_output()
            print(f"edge: standard output cannot be written ({error.strerror or error})", file=sys.stderr)
            return 1
        print(f"edge: unexpected {_one_sentence(error)} (set EDGE_DEBUG=1 for the traceback)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
