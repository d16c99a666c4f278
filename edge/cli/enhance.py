"""`edge enhance`: a sound file through the very same pipeline as live audio."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import add_config_or_board, not_empty, plain_warnings, print_json, say_when_compiling
from edge.cli.enhance_config import OUTPUTS, enhance_config, floor_db, needs_whole, seconds_range
from edge.cli.sound_target import check_target, format_for, temporary
from edge.console import say, seconds_bar
from edge.errors import AudioFileError
from edge.kinds import BEAMFORMER_KINDS, ENHANCER_KINDS, MASK_KINDS, PRECISION_CHOICES
from edge.profiles import PROFILES

if TYPE_CHECKING:
    from edge.audio.wav_source import WavSource
    from edge.config.schema import Config


CLIPPED_SHARE = 0.001
"""of the samples of a channel, above which its loud syllables are square"""


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
    parser.add_argument(
        "--mask",
        choices=ENHANCER_KINDS,
        help=f"what removes the noise; {', '.join(MASK_KINDS)} as live, the others hear the whole recording at once",
    )
    parser.add_argument(
        "--model", metavar="NAME", type=not_empty, help="network: shipped name, or path of a manifest (.json)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISION_CHOICES,
        help="weights of the network (default: mask.precision of the configuration; auto: as live, float for blstm and "
        "conv_tasnet)",
    )
    parser.add_argument(
        "--profile",
        choices=tuple(PROFILES),
        help="window and hop of the pipeline, so how late it would be live (default: that of the configuration, or of "
        "--model)",
    )
    parser.add_argument(
        "--floor-db", metavar="DB", type=floor_db, help="least gain of the listen output, or auto: as mask.floor_db"
    )
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument(
        "--noise",
        metavar="FILE",
        type=not_empty,
        help="recording of the noise alone, for wiener and spectral_subtraction and their _offline kin",
    )
    noise.add_argument(
        "--noise-from",
        metavar="START:END",
        type=seconds_range,
        help="from and to which second IN is noise alone, for the same; without either the noise is tracked",
    )
    parser.add_argument(
        "--over-subtraction",
        metavar="TIMES",
        type=float,
        help="how many times spectral subtraction takes off the noise where speech is weak (default 3)",
    )
    parser.add_argument(
        "--output",
        choices=tuple(OUTPUTS),
        default="listen",
        help="what to write: listen (beam and mask), asr (beam only), or both as two channels",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    say_when_compiling()
    from edge.audio.wav_source import WavSource
    from edge.latency import latency_budget_ms
    from edge.mask.base import model_name
    from edge.offline import Enhancer
    from edge.sane import SANE_MAX

    source_path, target_path = Path(args.input), Path(args.output_file)
    probe = WavSource(source_path)
    probe.open()
    channels, rate_hz = probe.channels, probe.file_rate_hz
    probe.close()
    check_target(target_path, source_path)
    if args.channel is not None:
        if not 1 <= args.channel <= channels:
            raise AudioFileError(f"{args.input} has no channel {args.channel}; expected --channel from 1 to {channels}")
        channels = 1
    config = enhance_config(args, channels)
    if needs_whole(args):
        return _run_whole(args, config, rate_hz, channels)
    enhancer = Enhancer(config, rate_hz)
    source = WavSource(source_path, rate_hz=rate_hz)
    started_s = time.perf_counter()
    outputs = len(config.output.channels)
    frames = _write(source, enhancer.push, lambda: [enhancer.flush()], target_path, outputs, args.channel)
    measured = enhancer.report()
    warnings = [source.warning] if source.warning else []
    if bad := measured["nonfinite_samples"]:
        warnings.append(f"{bad} samples were not finite or beyond +-{SANE_MAX:.0f} and became silence")
    clipped = max(measured["clipped_samples"]) / (measured["hops"] * enhancer.pipeline.hop_samples)
    if clipped > CLIPPED_SHARE:
        warnings.append(f"{100.0 * clipped:.1f} % of the samples are at full scale: the recording is clipped")
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
        "precision": getattr(enhancer.estimator, "precision", None),
        "gain_floor_db": config.gain_floor_db,
        "seconds": frames / rate_hz,
        "warning": "; ".join(warnings) or None,
        "wall_s": time.perf_counter() - started_s,
        "algorithmic_latency_ms": latency_budget_ms(config)["algorithmic"],
        **measured,
    }
    if "listen" not in config.output.channels:
        report["snr_out_db"] = None  # the estimate is that of the listen output, which nobody gets here
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _run_whole(args: argparse.Namespace, config: Config, rate_hz: int, channels: int) -> int:
    """The same with an enhancer that is not of the pipeline, or was told about the noise."""
    from edge.audio.wav_source import WavSource
    from edge.cli.enhance_whole import Whole, print_whole

    whole = Whole(args, config, rate_hz)
    source = WavSource(args.input, rate_hz=rate_hz)
    started_s = time.perf_counter()
    _write(source, whole.push, whole.finish, Path(args.output_file), 1, args.channel)
    warnings = [source.warning] * bool(source.warning) + whole.warnings
    for warning in warnings:
        say(f"warning: {warning}")
    report = {
        "input": args.input,
        "output": args.output_file,
        "rate_hz": rate_hz,
        "channels": channels,
        "channel": args.channel,
        **whole.report(),
        "warning": "; ".join(warnings) or None,
        "wall_s": time.perf_counter() - started_s,
    }
    if args.json:
        print_json(report)
    else:
        print_whole(report)
    return 0


def _write(
    source: WavSource,
    push: Callable[[Any], Any],
    finish: Callable[[], Iterable[Any]],
    target_path: Path,
    outputs: int,
    channel: int | None,
) -> int:
    """Enhance all of `source`, or one channel of it, into a file that has its name only when it is complete.

    push: float32 (frames, channels) to what is finished, (frames', outputs); finish: the rest, in pieces of the same.
    Returns how many frames the file has.
    """
    import numpy as np

    from edge.audio.wav_sink import WavSink

    source.open()
    bar = seconds_bar(source.path.name, source.frames / source.rate_hz)
    with contextlib.closing(source), temporary(target_path) as path, bar as advance:
        sink = WavSink(path, source.rate_hz, outputs, format_for(Path(source.path), target_path))
        try:
            sink.open()
            try:
                block = np.zeros((source.rate_hz, source.channels), np.float32)
                taken = block if channel is None else block[:, channel - 1 : channel]
                frames = written = 0
                while not sink.warning and (got := source.read(block)):
                    frames += got
                    made = push(taken[:got])
                    sink.write(made)
                    written += len(made)
                    # once when it is read and once when it is written: some enhancers hear all before they speak
                    advance((got + len(made)) / (2.0 * source.rate_hz))
                for made in finish():
                    sink.write(made)
                    written += len(made)
                    advance(len(made) / (2.0 * source.rate_hz))
            finally:
                sink.close()
        except AudioFileError as error:
            # of the temporary file nobody else knows
            raise AudioFileError(f"{target_path} was not written: {str(error).removeprefix(f'{path}: ')}") from error
        if not frames:
            raise AudioFileError(
                f"{source.warning or f'{source.path}: no sound could be read'}; {target_path} was not written"
            )
    return written


def _estimate(snr_db: float) -> str:
    from edge.snr import ESTIMATE_MAX_DB

    return f"{snr_db:.1f}" if snr_db < ESTIMATE_MAX_DB else f">= {ESTIMATE_MAX_DB:.0f}"


def _print(report: dict[str, Any]) -> None:
    print(f"{report['output']}: {report['seconds']:.2f} s, {' and '.join(report['outputs'])}, {report['rate_hz']} Hz")
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
    factor, late_ms = report["real_time_factor"], report["algorithmic_latency_ms"]
    took = "" if factor is None else f"real-time factor {factor:.4f} here; "
    print(f"  {took}profile {report['profile']}: {late_ms:g} ms algorithmic latency live")
