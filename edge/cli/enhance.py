"""`edge enhance`: a sound file through the very same pipeline as live audio."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import add_config_or_board, config_of, not_empty, plain_warnings, print_json, say_when_compiling
from edge.console import say
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.kinds import BEAMFORMER_KINDS, MASK_KINDS

if TYPE_CHECKING:
    from edge.audio.wav_source import WavSource
    from edge.config.schema import Config

_OUTPUTS = {"listen": ["listen"], "asr": ["asr"], "both": ["listen", "asr"]}
_FORMATS = {
    "PCM_24": "S24_3LE",
    "PCM_32": "S32_LE",
    "FLOAT": "FLOAT_LE",
    "DOUBLE": "FLOAT_LE",
}
"""subtype of the input -> format of the output; anything else, 8 bits and lossy ones among them, becomes 16 bits"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "enhance",
        help="enhance a sound file through the very same pipeline",
        description="Enhance a recording. The output has the length and rate of the input and is aligned with it to "
        "the sample. A mono file needs neither --config nor --board and goes through the mask without a beamformer.",
    )
    parser.add_argument(
        "input", metavar="IN", type=not_empty, help="sound file (WAV, FLAC, OGG), one channel per letter of array.roles"
    )
    parser.add_argument(
        "output_file", metavar="OUT", type=not_empty, help="sound file to write, .wav or .flac; replaced when complete"
    )
    add_config_or_board(parser, "with the array of the recording")
    parser.add_argument("--channel", metavar="N", type=int, help="take only this channel (1 is the first), as mono")
    parser.add_argument("--azimuth", metavar="DEG", type=float, help="fixed look direction, counter-clockwise")
    parser.add_argument("--elevation", metavar="DEG", type=float, help="look direction above the plane of the array")
    parser.add_argument("--beamformer", choices=BEAMFORMER_KINDS)
    parser.add_argument("--mask", choices=MASK_KINDS)
    parser.add_argument("--model", metavar="NAME", help="shipped model, or path of a manifest (.json)")
    parser.add_argument("--floor-db", metavar="DB", type=float, help="least gain of the listen output")
    parser.add_argument(
        "--output",
        choices=tuple(_OUTPUTS),
        default="listen",
        help="what to write: listen (beam and mask), asr (beam only), or both as two channels",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    say_when_compiling()
    from edge.audio.wav_source import WavSource
    from edge.frontend import SANE_MAX
    from edge.mask.base import model_name
    from edge.offline import Enhancer

    source_path, target_path = Path(args.input), Path(args.output_file)
    probe = WavSource(source_path)
    probe.open()
    channels, rate_hz = probe.channels, probe.file_rate_hz
    probe.close()
    _check_target(target_path, source_path)
    if args.channel is not None:
        if not 1 <= args.channel <= channels:
            raise AudioFileError(f"{args.input} has no channel {args.channel}; expected --channel from 1 to {channels}")
        channels = 1
    config = _config(args, channels)
    enhancer = Enhancer(config, rate_hz)
    source = WavSource(source_path, rate_hz=rate_hz)
    started_s = time.perf_counter()
    _write(source, enhancer, target_path, len(config.output.channels), args.channel)
    measured = enhancer.report()
    warnings = [source.warning] if source.warning else []
    if bad := measured["nonfinite_samples"]:
        warnings.append(f"{bad} samples were not finite or beyond +-{SANE_MAX:.0f} and became silence")
    for sentence in (*(f"warning: {warning}" for warning in warnings), *enhancer.findings):
        say(sentence)
    report = {
        "input": str(source_path),
        "output": str(target_path),
        "rate_hz": rate_hz,
        "channels": channels,
        "channel": args.channel,
        "outputs": list(config.output.channels),
        "profile": config.profile,
        "beamformer": config.beamformer.kind,
        "mask": config.mask.kind,
        "model": model_name(enhancer.estimator) or None,
        "gain_floor_db": config.mask.floor_db,
        "warning": "; ".join(warnings) or None,
        "wall_s": time.perf_counter() - started_s,
        **measured,
    }
    if "listen" not in config.output.channels:
        report["snr_out_db"] = None  # the estimate is that of the listen output, which nobody gets here
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _config(args: argparse.Namespace, channels: int) -> Config:
    """The configuration for a file of so many channels. Raises ConfigError, UsageError or AudioFileError."""
    from edge.config.schema import ArrayConfig

    overrides = {
        "beamformer.kind": args.beamformer,
        "beamformer.steering": None if args.azimuth is None else "fixed",
        "beamformer.azimuth_deg": args.azimuth,
        "beamformer.elevation_deg": args.elevation,
        "mask.kind": args.mask,
        "mask.model": args.model,
        "mask.floor_db": args.floor_db,
        "output.channels": _OUTPUTS[args.output],
    }
    named = args.config or args.board
    one = f"{args.input} has 1 channel" if args.channel is None else f"--channel {args.channel} takes 1 channel"
    if channels == 1 and (args.azimuth is not None or args.elevation is not None):
        raise UsageError(f"{one}, so there is no direction to look into; leave out the angles")
    if channels == 1 and args.beamformer not in (None, "none"):
        raise UsageError(f"{one}, so there is nothing to beamform; leave out --beamformer")
    if channels > 1 and not named:
        raise AudioFileError(
            f"{args.input} has {channels} channels; name the array with --config or --board, or take one channel of it "
            "with --channel 1"
        )
    try:
        config = config_of(args, overrides, {"output": {"kind": "null"}})
    except ConfigError as error:
        raise _naming_options(error, args) from None
    roles, mics = config.array.roles, len(config.array.positions_m)
    if channels == len(roles):
        return config
    if channels == 1:
        say(f"{one}, so the beamformer of {named} is left out")
        beamformer = dataclasses.replace(config.beamformer, kind="none")
        return dataclasses.replace(config, array=ArrayConfig(), beamformer=beamformer)  # one microphone
    if channels == mics:
        say(
            f"{args.input} has {channels} channels of {len(roles)} ({roles}), taken for the {mics} microphones in order"
        )
        return dataclasses.replace(config, array=dataclasses.replace(config.array, roles="M" * mics))
    raise AudioFileError(
        f"{args.input} has {channels} channels, but the array of {named} captures {len(roles)} (roles {roles}); "
        "give the configuration or board that recorded it, or take one channel of it with --channel 1"
    )


def _naming_options(error: ConfigError, args: argparse.Namespace) -> ConfigError:
    """The same error with options called by their names, and without the name of a file that is not to blame."""
    options = {
        "beamformer.azimuth_deg: ": ("--azimuth: ", args.azimuth),
        "beamformer.elevation_deg: ": ("--elevation: ", args.elevation),
        "mask.floor_db: ": ("--floor-db: ", args.floor_db),
    }
    problems, blamed = [], ""
    for problem in error.problems:
        key = next((key for key, (_, value) in options.items() if problem.startswith(key) and value is not None), "")
        problems.append(problem.replace(key, options[key][0], 1) if key else problem)
        blamed = blamed if key else error.source
    return ConfigError(problems, blamed)


def _write(source: WavSource, enhancer: Any, target_path: Path, outputs: int, channel: int | None) -> None:
    """Enhance all of `source`, or one channel of it, into a file that has its name only when it is complete."""
    import numpy as np

    from edge.audio.wav_sink import WavSink

    source.open()
    with contextlib.closing(source), _temporary(target_path) as path, _progress(source) as advance:
        sink = WavSink(path, source.rate_hz, outputs, _format(Path(source.path), target_path))
        try:
            sink.open()
            try:
                block = np.zeros((source.rate_hz, source.channels), np.float32)
                taken = block if channel is None else block[:, channel - 1 : channel]
                frames = 0
                while not sink.warning and (got := source.read(block)):
                    frames += got
                    sink.write(enhancer.push(taken[:got]))
                    advance(got)
                sink.write(enhancer.flush())
            finally:
                sink.close()
        except AudioFileError as error:
            # of the temporary file nobody else knows
            raise AudioFileError(f"{target_path} was not written: {str(error).removeprefix(f'{path}: ')}") from error
        if not frames:
            raise AudioFileError(
                f"{source.warning or f'{source.path}: no sound could be read'}; {target_path} was not written"
            )


def _format(source_path: Path, target_path: Path) -> str:
    import soundfile

    format_ = _FORMATS.get(soundfile.info(source_path).subtype, "S16_LE")
    fits = target_path.suffix.lower() != ".flac" or format_ in ("S16_LE", "S24_3LE")
    return format_ if fits else "S24_3LE"


def _check_target(target_path: Path, source_path: Path) -> None:
    """Whether a sound file can be written there. Raises UsageError or AudioFileError."""
    if target_path.suffix.lower() not in (".wav", ".flac"):
        raise UsageError(f"{target_path}: expected an output name that ends in .wav or .flac")
    try:
        found = os.stat(os.path.realpath(target_path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AudioFileError(f"{target_path}: cannot be written ({error.strerror})") from error
    if os.path.samestat(found, os.stat(source_path)):
        raise UsageError(f"{target_path} is both input and output; write to another file")
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{target_path} is a folder; expected the name of a file to write")
    if not stat.S_ISREG(found.st_mode):
        raise AudioFileError(f"{target_path} is not a regular file; expected the name of a sound file to write")


@contextlib.contextmanager
def _temporary(target_path: Path) -> Iterator[Path]:
    """A path beside the file that `target_path` or its link means; takes that name in the end, or goes away."""
    real_path = Path(os.path.realpath(target_path))
    folder = real_path.parent
    if not folder.is_dir():
        shown = folder if target_path.is_symlink() else target_path.parent
        raise AudioFileError(f"{target_path}: the folder {shown} does not exist; create it first")
    try:
        # a name near the longest that the file system takes has to fit with what is added to it
        handle, name = tempfile.mkstemp(prefix=f".{target_path.stem[:30]}-", suffix=target_path.suffix, dir=folder)
    except OSError as error:
        raise AudioFileError(f"{target_path}: cannot be written ({error.strerror})") from error
    os.close(handle)
    # a temporary file is private, the result gets the rights any new file gets
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)
    try:
        yield Path(name)
        os.replace(name, real_path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def _progress(source: WavSource) -> Iterator[Any]:
    """A bar in seconds of audio on standard error, if a person is there to see it."""
    if not sys.stderr.isatty():
        yield lambda frames: None
        return
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s, {remaining} left"
    with tqdm(total=source.frames / source.rate_hz, desc=source.path.name, bar_format=layout, leave=False) as bar:
        yield lambda frames: bar.update(frames / source.rate_hz)


def _estimate(snr_db: float) -> str:
    from edge.snr import ESTIMATE_MAX_DB

    return f"{snr_db:.1f}" if snr_db < ESTIMATE_MAX_DB else f">= {ESTIMATE_MAX_DB:.0f}"


def _print(report: dict[str, Any]) -> None:
    hop = report["hop_ms"]
    seconds = report["hops"] * report["deadline_ms"] / 1000.0
    print(f"{report['output']}: {seconds:.2f} s, {' and '.join(report['outputs'])}, {report['rate_hz']} Hz")
    steered = report["beamformer"] != "none"
    how = "following the talker, at the end at" if report["steering"] == "track" else "towards"
    beam = f"{report['beamformer']} {how} {report['azimuth_deg']:.0f} deg" if steered else "no beamformer"
    print(f"  {beam}, mask {report['mask']}" + (f" ({report['model']})" if report["model"] else ""))
    snr = [(report["snr_in_db"], "in"), (report["snr_out_db"], "out (listen)")]
    told = ", ".join(f"{_estimate(value)} dB {where}" for value, where in snr if value is not None)
    if told:
        print(f"  SNR estimate {told}")
    levels = ", ".join(f"{level:.1f}" for level in report["level_in_dbfs"])
    print(f"  level in {levels} dBFS, out " + ", ".join(f"{level:.1f}" for level in report["level_out_dbfs"]))
    print(f"  {hop['p50']:.3f} ms per hop of {report['deadline_ms']:g} ms (p99 {hop['p99']:.3f})", end="")
    print(f", {report['real_time_factor']:.4f} of real time")
