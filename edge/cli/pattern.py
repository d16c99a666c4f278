"""`edge pattern`: what a beam of an array hears, over frequency and direction."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import (
    add_config_or_board,
    config_of,
    not_empty,
    picture_path,
    plain_warnings,
    print_json,
    say_when_compiling,
)
from edge.console import say
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.kinds import BEAMFORMER_KINDS

if TYPE_CHECKING:
    from edge.config.schema import Config
    from edge.quality.pattern import Pattern

KINDS = tuple(kind for kind in BEAMFORMER_KINDS if kind != "none")
TABLE_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pattern",
        help="show what a beam hears over frequency and direction, as numbers and picture",
        description="Beam pattern, white-noise gain (over noise that each microphone makes by itself) and directivity "
        "index (over noise from everywhere) of an array, from the very weights that the runtime uses. mvdr is as it "
        "starts, before it has learnt anything; --after shows it as a recording left it.",
    )
    add_config_or_board(parser, "with the array")
    parser.add_argument(
        "--kind", metavar="KIND", action="append", choices=KINDS, help=f"{', '.join(KINDS)}; again for more (all)"
    )
    parser.add_argument("--azimuth", metavar="DEG", type=float, help="look direction, counter-clockwise from the front")
    parser.add_argument("--elevation", metavar="DEG", type=float, help="look direction above the plane of the array")
    parser.add_argument(
        "--after",
        metavar="WAV",
        type=not_empty,
        help="also show the beamformer of the configuration after this recording",
    )
    parser.add_argument("--out", metavar="PNG", type=picture_path, help="write the picture here (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    say_when_compiling()
    from edge.geometry import geometry_from_config
    from edge.quality.pattern import pattern_of, starting_beamformer, starting_weights

    config = _config(args)
    geometry = geometry_from_config(config.array)
    azimuth_deg, elevation_deg = config.beamformer.azimuth_deg, config.beamformer.elevation_deg
    found = []
    for kind in args.kind or KINDS:
        beamformer, frequencies_hz = starting_beamformer(config, kind)
        weights = starting_weights(beamformer, azimuth_deg, elevation_deg)
        found.append(pattern_of(kind, weights, frequencies_hz, geometry, azimuth_deg, elevation_deg))
    if args.after:
        learnt = _learnt(config, Path(args.after))
        found.append(learnt)
    named = args.board or args.config
    if args.out:
        from edge.quality.pattern_picture import draw

        title = f"{named}: {geometry.mics} microphones, look {azimuth_deg:g}°, elevation {elevation_deg:g}°"
        draw(Path(args.out), found, geometry, title)
    aliasing_hz = geometry.spatial_aliasing_hz
    if args.json:
        _print_json(named, config, found, aliasing_hz, args.out)
    else:
        _print(named, config, found, aliasing_hz, args.out)
        if args.after:
            _print_learnt(learnt)
    return 0


def _config(args: argparse.Namespace) -> Config:
    if not (args.config or args.board):
        raise UsageError("no array; expected --config FILE or --board NAME (`edge check --boards` lists them)")
    for name, value, limit in (("--azimuth", args.azimuth, 360.0), ("--elevation", args.elevation, 90.0)):
        if value is not None and not abs(value) <= limit:
            raise UsageError(f"{name} is {value:g}, expected from {-limit:g} to {limit:g} degrees")
    overrides = {"beamformer.azimuth_deg": args.azimuth, "beamformer.elevation_deg": args.elevation}
    config = config_of(args, overrides, {})
    if len(config.array.positions_m) < 2:
        raise ConfigError("one microphone makes no beam; expected an array of 2 or more", args.config or args.board)
    return config


def _learnt(config: Config, path: Path) -> Pattern:
    """Pattern of the weights in use at the end of a recording."""
    import dataclasses

    from edge.audio.wav_source import WavSource
    from edge.quality.pattern import pattern_after

    roles, mics = config.array.roles, len(config.array.positions_m)
    source = WavSource(path)
    source.open()
    try:
        if source.channels not in (len(roles), mics):
            raise AudioFileError(
                f"{path} has {source.channels} channel{'s' * (source.channels > 1)}, expected {len(roles)} (roles "
                f"{roles}) or the {mics} microphones alone"
            )
        if source.channels != len(roles):
            config = dataclasses.replace(config, array=dataclasses.replace(config.array, roles="M" * mics))
        return pattern_after(config, source, path.name)
    finally:
        source.close()
        if source.warning:
            say(f"warning: {source.warning}")


def _print(named: str, config: Config, found: list[Pattern], aliasing_hz: float, out: str | None) -> None:
    import numpy as np

    beam = config.beamformer
    print(
        f"{named}: {len(config.array.positions_m)} microphones, look {beam.azimuth_deg:g} deg, elevation "
        f"{beam.elevation_deg:g} deg, spatial aliasing from {aliasing_hz:.0f} Hz"
    )
    for name, title in (
        ("directivity_index_db", "directivity index, dB"),
        ("white_noise_gain_db", "white-noise gain, dB"),
    ):
        print(f"{title:<34}" + "".join(f"{hz:>7g}" for hz in TABLE_HZ) + " Hz")
        for pattern in found:
            bins = [int(np.argmin(np.abs(pattern.frequencies_hz - hz))) for hz in TABLE_HZ]
            print(f"  {pattern.kind:<32}" + "".join(f"{getattr(pattern, name)[b]:7.1f}" for b in bins))
    if out:
        print(f"picture in {out}")


def _print_learnt(pattern: Pattern) -> None:
    print(f"{pattern.kind}: looks at {pattern.azimuth_deg + 0.0:.0f} deg, elevation {pattern.elevation_deg:g} deg")
    for sentence in pattern.left_out or ("all microphones are in use",):
        print(f"  {sentence}")


def _print_json(named: str, config: Config, found: list[Pattern], aliasing_hz: float, out: str | None) -> None:
    from edge.quality.pattern import pattern_as_dict

    print_json(
        {
            "array": named,
            "positions_m": config.array.positions_m,
            "azimuth_deg": config.beamformer.azimuth_deg,
            "elevation_deg": config.beamformer.elevation_deg,
            "spatial_aliasing_hz": aliasing_hz if math.isfinite(aliasing_hz) else None,
            "picture": out,
            "patterns": [pattern_as_dict(pattern) for pattern in found],
        }
    )
