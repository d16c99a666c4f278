"""The configuration of `edge enhance`: what the options say of a file with so many channels."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from edge.cli.common import config_of
from edge.console import say
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.kinds import MASK_KINDS

if TYPE_CHECKING:
    from edge.config.schema import Config

OUTPUTS = {"listen": ["listen"], "asr": ["asr"], "both": ["listen", "asr"]}


def enhance_config(args: argparse.Namespace, channels: int) -> Config:
    """The configuration for a file of so many channels. Raises ConfigError, UsageError or AudioFileError."""
    from edge.config.schema import ArrayConfig
    from edge.enhancers.factory import check_network_options

    live = args.mask in (None, *MASK_KINDS)
    overrides = {
        "profile": _profile(args),
        "beamformer.kind": args.beamformer,
        "beamformer.steering": None if args.azimuth is None else "fixed",
        "beamformer.azimuth_deg": args.azimuth,
        "beamformer.elevation_deg": args.elevation,
        "mask.kind": args.mask if live else None,
        "mask.model": args.model if live else None,
        "mask.precision": args.precision if live else None,
        "mask.floor_db": args.floor_db,
        "output.channels": OUTPUTS[args.output],
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
    check_network_options(args.mask or config.mask.kind, args.model, args.precision)
    if args.floor_db is not None and config.mask.kind == "bypass":
        raise UsageError("bypass has no gains, so no least gain; leave out --floor-db")
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


def _profile(args: argparse.Namespace) -> str | None:
    """The profile that the options ask for: by name, or as the one of --model where no configuration tells."""
    if args.profile is not None or args.config or not args.model or args.mask not in (None, "network"):
        return str(args.profile) if args.profile else None
    from edge.mask.choice import profile_of

    return profile_of(args.model)


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


def needs_whole(args: argparse.Namespace) -> bool:
    """Whether the options ask for more than the pipeline of a live run gives."""
    told = (args.noise, args.noise_from, args.over_subtraction)
    return args.mask not in (None, *MASK_KINDS) or any(each is not None for each in told)


def floor_db(text: str) -> float | str:
    """argparse type: a number of dB, the range of which is that of mask.floor_db, or "auto"."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of dB from -120 to 0, or auto") from None


def seconds_range(text: str) -> tuple[float, float]:
    """argparse type: START:END in seconds."""
    start, _, stop = text.partition(":")
    try:
        found = float(start), float(stop)
    except ValueError:
        found = 0.0, 0.0
    if not 0.0 <= found[0] < found[1] < 1e9:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected two times in seconds such as 0:0.5, the first less")
    return found
