"""`edge calibrate`: gain and delay of each microphone, measured and written to a file."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import (
    add_config_or_board,
    config_of,
    not_empty,
    picture_path,
    plain_warnings,
    positive_seconds,
    print_json,
    say_when_compiling,
)
from edge.console import say
from edge.errors import AudioFileError, ConfigError, EdgeError, UsageError
from edge.kinds import BEAMFORMER_KINDS

if TYPE_CHECKING:
    from edge.calibration.measure import Measurement, SourcePlace
    from edge.config.schema import Config

SIGNAL_RATE_HZ = 48000
"""of the test signal when it is written or played; every player takes it"""
EXTRA_S = 2.0
"""played longer than recorded, so that the recording is full of it"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibrate",
        help="measure gain and delay of each microphone, for [array] calibration",
        description="Measure how much louder and later each microphone is than the others, and write what mends it "
        "to a file for [array] calibration. Records from the input of the configuration, or reads RECORDING. Without "
        "--azimuth the sound has to come from everywhere (the noise of a room, no talker); with it from that direction "
        "as seen from the array. Exit code 6 with one sentence when the sound is unfit.",
    )
    parser.add_argument(
        "recording", metavar="RECORDING", nargs="?", type=not_empty, help="sound file, one channel per letter of roles"
    )
    add_config_or_board(parser, "with the array; its own calibration is left out of the measurement")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=not_empty,
        default="calibration.toml",
        help="replaces an older calibration (calibration.toml)",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=positive_seconds, help="how long to record (30), or how much of RECORDING to use"
    )
    parser.add_argument("--azimuth", metavar="DEG", type=float, help="the sound comes from this direction alone")
    parser.add_argument("--elevation", metavar="DEG", type=float, help="with --azimuth: above the plane of the array")
    parser.add_argument("--distance", metavar="M", type=float, help="with --azimuth: metres from the array (far away)")
    parser.add_argument(
        "--signal", action="store_true", help="the sound is the test signal; the walls then matter less"
    )
    parser.add_argument(
        "--play", metavar="DEVICE", type=not_empty, help="play the test signal on this device while recording"
    )
    parser.add_argument(
        "--write-signal", metavar="WAV", type=not_empty, help="write the test signal for any player, and stop"
    )
    parser.add_argument(
        "--reference", metavar="MIC", default="mean", help="what stays as it is: a microphone from 0 on, or mean (mean)"
    )
    parser.add_argument("--picture", metavar="PNG", type=picture_path, help="draw before and after (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    if args.write_signal:
        return _write_signal(Path(args.write_signal), args.seconds or 30.0)
    _check(args)
    say_when_compiling()
    from edge.calibration.measure import measure, referred_to
    from edge.calibration.report import as_text, report
    from edge.geometry import geometry_from_config

    # what the configuration applies must not touch what is measured, and its calibration may not exist yet
    config = config_of(args, {"array.calibration": ""}, {})
    geometry = geometry_from_config(config.array)
    if geometry.mics < 2:
        raise ConfigError(
            "one microphone has nothing to be compared with; expected 2 or more", args.config or args.board
        )
    reference = _reference(args.reference, geometry.mics)
    out = Path(args.out)
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist; create it first")
    replaces = _check_replaced(out)
    samples, rate_hz, source = _samples(args, config)
    found = measure(samples, rate_hz, geometry, _place(args), args.signal or bool(args.play), source)
    found = referred_to(found, reference)
    numbers = report(found, config, [kind for kind in BEAMFORMER_KINDS if kind != "none"])
    _write(out, found, source, len(samples) / rate_hz, reference)
    if args.picture:
        from edge.calibration.picture import draw

        draw(Path(args.picture), found, f"{source}: {found.method}")
    if args.json:
        print_json(
            {"file": str(out), "replaced": replaces, "source": source, "seconds": len(samples) / rate_hz, **numbers}
        )
        return 0
    print(as_text(numbers))
    there = " (the calibration that was there is replaced)" if replaces else ""
    print(f'\nwritten to {out}{there}; [array] calibration = "{out.name}" in a configuration beside it applies it')
    if config.array.gains_db or config.array.delays_us:
        say("take gains_db and delays_us out of the configuration: the file has these numbers now")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Options that do not go together. Raises UsageError."""
    if not (args.config or args.board):
        raise UsageError("no array; expected --config FILE or --board NAME (`edge check --boards` lists them)")
    if args.recording and args.play:
        raise UsageError("--play needs a live recording; leave out RECORDING, or --play and say --signal")
    if args.azimuth is None and (args.elevation is not None or args.distance is not None):
        raise UsageError("--elevation and --distance say where the sound comes from together with --azimuth")
    for name, value, low, high in (
        ("--azimuth", args.azimuth, -360.0, 360.0),
        ("--elevation", args.elevation, -90.0, 90.0),
        ("--distance", args.distance, 0.2, 100.0),
    ):
        if value is not None and not low <= value <= high:
            raise UsageError(f"{name} is {value:g}, expected from {low:g} to {high:g}")


def _check_replaced(out: Path) -> bool:
    """Whether an older calibration will be replaced. Raises UsageError for any other file."""
    from edge.config.calibration import is_calibration
    from edge.decoding import read_toml

    if not out.exists():
        return False
    try:
        if is_calibration(read_toml(out, "calibration file")):
            return True
    except ConfigError:
        pass
    raise UsageError(f"--out {out} is there already and is no calibration; choose another name, or remove it first")


def _reference(text: str, mics: int) -> int | None:
    if text == "mean":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < mics):
        raise UsageError(f"--reference is {text!r}, expected mean or the number of a microphone from 0 to {mics - 1}")
    return int(text)


def _place(args: argparse.Namespace) -> SourcePlace | None:
    from edge.calibration.measure import SourcePlace

    if args.azimuth is None:
        return None
    return SourcePlace(args.azimuth, args.elevation or 0.0, args.distance or 0.0)


def _samples(args: argparse.Namespace, config: Config) -> tuple[Any, int, str]:
    """(samples of the microphones, rate, name of the source)."""
    import numpy as np

    from edge.audio.base import Source
    from edge.audio.factory import make_source
    from edge.audio.wav_source import WavSource
    from edge.calibration.listen import record
    from edge.profiles import PROFILES

    rate_hz = PROFILES[config.profile].rate_hz
    roles, mics = config.array.roles, len(config.array.positions_m)
    source: Source
    if args.recording:
        file = WavSource(args.recording, 0, rate_hz)
        file.open()
        channels, seconds = file.channels, file.frames / rate_hz
        file.close()
        if channels not in (len(roles), mics):
            raise AudioFileError(
                f"{args.recording} has {channels} channel{'s' * (channels > 1)}, expected {len(roles)} (roles {roles}) "
                f"or the {mics} microphones alone"
            )
        # a recording of just the microphones is as good
        roles = roles if channels == len(roles) else "M" * mics
        source, name = file, args.recording
        seconds = min(args.seconds or seconds, seconds)
    else:
        source, seconds = make_source(config), args.seconds or 30.0
        name = config.input.path if config.input.kind == "file" else f"{config.input.kind} {config.input.device}"
    played = None
    if args.play:
        from edge.calibration.known_signal import make_test_signal

        played = (_sink(config, args.play), make_test_signal(SIGNAL_RATE_HZ, seconds + EXTRA_S))
    with _progress(seconds) as advance:
        samples = record(source, seconds, played, advance, settle=not args.recording)
    if warning := getattr(source, "warning", ""):
        say(f"warning: {warning}")
    return samples[:, np.array([c for c, role in enumerate(roles) if role == "M"])], rate_hz, name


def _sink(config: Config, device: str) -> Any:
    """The device to play on; the same sound system as the input, and PortAudio for a file."""
    if config.input.kind == "alsa":
        from edge.audio.alsa_sink import AlsaSink

        return AlsaSink(device, SIGNAL_RATE_HZ, 2, "S16_LE", SIGNAL_RATE_HZ // 50, 8, paces=True)
    from edge.audio.portaudio import PortAudioSink

    return PortAudioSink(device, SIGNAL_RATE_HZ, 2, SIGNAL_RATE_HZ // 50, 8, paces=True)


def _write(path: Path, found: Measurement, source: str, seconds: float, reference: int | None) -> None:
    """Write the calibration under its name only when it is complete. Raises EdgeError."""
    from edge.config.calibration import CalibrationFile, calibration_text

    text = calibration_text(
        CalibrationFile(
            gains_db=tuple(map(float, -found.found.gains_db)),
            delays_us=tuple(map(float, -found.found.delays_us)),
            gains_uncertainty_db=tuple(map(float, found.uncertainty.gains_db)),
            delays_uncertainty_us=tuple(map(float, found.uncertainty.delays_us)),
            reference="mean" if reference is None else f"microphone {reference}",
            method=found.method,
            source=source,
            seconds=seconds,
            date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        )
    )
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise EdgeError(f"{path} was not written ({error.strerror})") from error


def _write_signal(path: Path, seconds: float) -> int:
    from edge.audio.wav_sink import WavSink
    from edge.calibration.known_signal import make_test_signal

    signal = make_test_signal(SIGNAL_RATE_HZ, seconds + EXTRA_S)
    sink = WavSink(path, SIGNAL_RATE_HZ, 1, "S16_LE")
    sink.open()
    try:
        sink.write(signal[:, None])
    finally:
        sink.close()
    print(f"{path}: {len(signal) / SIGNAL_RATE_HZ:.1f} s of test signal; play it and run edge calibrate --signal")
    return 0


@contextlib.contextmanager
def _progress(seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar on standard error, if a person is there to see it."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from tqdm import tqdm

    layout = "listening: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s"
    with tqdm(total=seconds, bar_format=layout, leave=False) as bar:
        yield lambda done: bar.update(done - bar.n) and None
