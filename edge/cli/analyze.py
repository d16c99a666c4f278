"""`edge analyze`: spectra of recordings and their shape, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import not_empty, picture_path, plain_warnings, print_json
from edge.console import say
from edge.errors import AudioFileError

if TYPE_CHECKING:
    from edge.analysis import ChannelAnalysis, FileAnalysis
    from edge.quality.metrics import Score

LABEL_WIDTH = 24


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "analyze",
        help="show spectra and their shape: centroid, bandwidth, flatness, roll-off",
        description="Long-term spectrum, spectrogram, spectral centroid, bandwidth, flatness and roll-off (85 %) of a "
        "recording, as a whole and over time, per channel; clean, noisy and enhanced side by side.",
    )
    parser.add_argument("input", metavar="FILE", type=not_empty, help="sound file (WAV, FLAC, OGG) of any rate")
    parser.add_argument("--clean", metavar="FILE", type=not_empty, help="the same without noise; FILE is the noisy one")
    parser.add_argument("--enhanced", metavar="FILE", type=not_empty, help="what an enhancer made of it")
    parser.add_argument(
        "--channel", metavar="N", type=int, help="take only this channel (1 is the first) of files that have several"
    )
    parser.add_argument("--window-ms", metavar="MS", type=float, default=32.0, help="length of a frame (32)")
    parser.add_argument("--out", metavar="PNG", type=picture_path, help="write the picture here (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON, with spectra and tracks")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    from edge.analysis import analyze_file

    compared = args.clean or args.enhanced
    files: dict[str, FileAnalysis] = {}
    for role, path in (("clean", args.clean), ("noisy" if compared else "", args.input), ("enhanced", args.enhanced)):
        if path:
            files[role] = analyze_file(path, args.window_ms, _channel(args, path), show_progress=True)
            if files[role].warning:
                say(f"warning: {files[role].warning}")
    rows = [row for role, found in files.items() for row in _rows(role, found)]
    if args.out:
        _draw(Path(args.out), rows, Path(args.input).name)
    if args.json:
        _print_json(args, files)
    else:
        _print(files, rows, args.out)
    return 0


def _channel(args: argparse.Namespace, path: str) -> int | None:
    """The channel to take of a file; beside FILE, one that has a single channel is taken as it is."""
    if args.channel is None or path == args.input:
        channel: int | None = args.channel
        return channel
    from edge.audio.wav_source import WavSource

    probe = WavSource(path)
    probe.open()
    probe.close()
    return args.channel if probe.channels > 1 else None


def _rows(role: str, found: FileAnalysis) -> list[tuple[str, ChannelAnalysis]]:
    several = len(found.numbers) > 1
    labels = [f"{role} channel {n}".strip() if several else role or found.path.name for n in found.numbers]
    return list(zip(labels, found.channels, strict=True))


def _draw(path: Path, rows: list[tuple[str, ChannelAnalysis]], name: str) -> None:
    from edge.analysis.picture import MOST_SHOWN, Shown, draw

    if len(rows) > MOST_SHOWN:
        say(f"warning: the picture shows the first {MOST_SHOWN} of {len(rows)} channels; --channel N chooses one")
    try:
        draw(path, [Shown(label, found) for label, found in rows], name)
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be written ({error.strerror or error})") from error


def _print_json(args: argparse.Namespace, files: dict[str, FileAnalysis]) -> None:
    from edge.analysis.result import UNITS

    print_json(
        {
            "units": UNITS,
            "window_ms": args.window_ms,
            "picture": args.out,
            "files": [{"role": role or None, **found.as_dict()} for role, found in files.items()],
        }
    )


def _print(files: dict[str, FileAnalysis], rows: list[tuple[str, ChannelAnalysis]], picture: str | None) -> None:
    for role, file in files.items():
        first = file.channels[0]
        print(
            f"{role + ': ' if role else ''}{file.path}, {len(file.numbers)} channel{'s' * (len(file.numbers) > 1)}, "
            f"{file.rate_hz} Hz, {first.samples / file.rate_hz:.2f} s, {first.frames} frames of "
            f"{1000.0 * first.window_samples / file.rate_hz:g} ms"
        )
    print()
    print(f"{'long-term spectrum':<{LABEL_WIDTH}}  level   peak  centroid bandwidth  roll-off flatness")
    print(f"{'':<{LABEL_WIDTH}}   dBFS   dBFS        Hz        Hz        Hz  0 to 1")
    for label, found in rows:
        level, peak = (f"{_cell(score, '.1f'):>7}" for score in (found.level_dbfs, found.peak_dbfs))
        print(f"{label:<{LABEL_WIDTH}}{level}{peak}" + _shape(found.long_term))
    print("over time: median")
    for label, found in rows:
        print(f"  {label:<{LABEL_WIDTH - 2}}{'':14}" + _shape({k: v.median for k, v in found.over_time.items()}))
    print("over time: deviation")
    for label, found in rows:
        print(f"  {label:<{LABEL_WIDTH - 2}}{'':14}" + _shape({k: v.deviation for k, v in found.over_time.items()}))
    _print_octaves(rows)
    for label, found in rows:
        for note in _notes(found):
            print(f"{label}: {note}")
    if picture:
        print(f"picture in {picture}")


def _cell(score: Score, layout: str) -> str:
    return format(score.value, layout) if score.ok else "-"


def _shape(scores: dict[str, Score]) -> str:
    hertz = "".join(f"{_cell(scores[name], '.0f'):>10}" for name in ("centroid_hz", "bandwidth_hz", "rolloff_hz"))
    return f"{hertz}{_cell(scores['flatness'], '.4f'):>9}"


def _print_octaves(rows: list[tuple[str, ChannelAnalysis]]) -> None:
    centres_hz = sorted({hz for _, found in rows for hz in found.octaves_dbfs})
    if not centres_hz:
        return
    print(f"{'octaves, dBFS':<{LABEL_WIDTH}}" + "".join(f"{hz:>7g}" for hz in centres_hz) + " Hz")
    for label, found in rows:
        cells = [found.octaves_dbfs.get(hz) for hz in centres_hz]
        print(f"  {label:<{LABEL_WIDTH - 2}}" + "".join(f"{_cell(c, '.1f') if c else '-':>7}" for c in cells))


def _notes(found: ChannelAnalysis) -> list[str]:
    """Why values are missing, and what was left out."""
    notes = sorted({score.reason for score in (found.level_dbfs, *found.long_term.values()) if not score.ok})
    if found.nonfinite_samples:
        notes.append(
            f"{found.nonfinite_samples} of {found.samples} samples are not finite; {found.damaged_frames} of "
            f"{found.frames} frames left out"
        )
    if found.silent_frames and any(score.ok for score in found.long_term.values()):
        notes.append(f"{found.silent_frames} of {found.frames} frames are silent and have no shape over time")
    return notes
