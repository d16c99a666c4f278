"""The options of every subcommand that keeps results of batch work: --cache, --no-cache, --cache-size, --cache-days."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.common import not_empty
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.store import Store

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_BYTES = 1 << 20


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cache", "results by content of sound, configuration and model; safe to share")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--cache", metavar="DIR", type=not_empty, help="folder on a local disk (default: ~/.cache/mic-edge/store)"
    )
    where.add_argument("--no-cache", action="store_true", help="look nothing up and keep nothing")
    group.add_argument(
        "--cache-size",
        metavar="BYTES",
        type=size_bytes,
        default="1G",
        help="least recently used results leave beyond this, such as 500M or 2G (default: %(default)s)",
    )
    group.add_argument(
        "--cache-days",
        metavar="DAYS",
        type=_days,
        default=30.0,
        help="older results are made again; 0 for no limit (default: %(default)g)",
    )


def store_of(args: argparse.Namespace) -> Store:
    """The store that the options name. Raises UsageError where --cache is no folder."""
    from edge.store import Store, default_folder

    if args.no_cache:
        return Store(None)
    folder = Path(args.cache).expanduser().absolute() if args.cache else default_folder()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--cache {folder} is a file; expected a folder, which is made where it does not exist")
    return Store(folder, args.cache_size, args.cache_days * 86400.0 if args.cache_days else None)


def size_bytes(text: str) -> int:
    """argparse type: "500M" -> bytes, units of 1024; at least 1 MiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    value = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if not _LEAST_BYTES <= value < 1 << 50:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a size of at least 1M, such as 500M or 2G")
    return value


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days, 0 for no limit")
    return value
