"""What several subcommands share: options that name a configuration, sentences on standard error, JSON."""

from __future__ import annotations

import argparse
import importlib.util
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.console import say

if TYPE_CHECKING:
    from edge.config.schema import Config


def print_json(value: Any) -> None:
    """`value` with NaN and infinity as null, indented."""
    from edge.telemetry.payload import json_ready

    print(json.dumps(json_ready(value, 4), indent=2, allow_nan=False))


def plain_warnings() -> None:
    """Python warnings as one sentence of ours, without file and source line."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        say(f"warning: {message}")

    warnings.showwarning = show  # type: ignore[assignment]


def say_when_compiling() -> None:
    """One sentence as soon as it turns out that numba's cache is cold; loads numba."""
    from edge.runtime.footprint import load_numba_without_scipy

    load_numba_without_scipy()
    from edge.kernels import jit

    jit.on_first_compile = lambda: say(
        "compiling the kernels for this machine, once (about 20 s; minutes on a small board)"
    )


def add_config_or_board(parser: argparse.ArgumentParser, help_: str) -> None:
    """--config FILE and --board NAME, at most one of them."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="FILE", type=not_empty, help=f"configuration (TOML) {help_}")
    which.add_argument(
        "--board",
        metavar="NAME",
        type=not_empty,
        help=f"board preset {help_} (`edge check --boards` lists them)",
    )


def config_of(args: argparse.Namespace, overrides: Mapping[str, Any], default: Mapping[str, Any]) -> Config:
    """The configuration that --config or --board names, or the one made of `default` where neither is given."""
    from edge.config import config_from_dict, default_config_for_board, load_config

    if args.config:
        return load_config(args.config, overrides)
    if args.board:
        return default_config_for_board(args.board, overrides)
    return config_from_dict(default, overrides, source="command line")


def not_empty(text: str) -> str:
    """argparse type: a name or path; empty it is most often a shell variable that was not set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, expected a name or path")
    return text


def picture_path(text: str) -> str:
    """argparse type: a .png that can be written, with what it takes to draw it."""
    path = Path(not_empty(text))
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text}: expected a name that ends in .png")
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected the name of a file in a folder that exists")
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("a picture needs matplotlib, which is not here: pip install mic-edge[quality]")
    return text


def positive_seconds(text: str) -> float:
    """argparse type: a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of seconds above 0")
    return value
