"""What the subcommands that measure many files share: processors, a bar, the array of recordings, documents."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.common import config_of
from edge.errors import AudioFileError

if TYPE_CHECKING:
    from edge.config.schema import Config

MOST_JOBS = 256


def processors() -> int:
    """That this process may use, MOST_JOBS at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(MOST_JOBS, len(os.sched_getaffinity(0)))
    return min(MOST_JOBS, os.cpu_count() or 1)


def recording_config(args: argparse.Namespace) -> Config | None:
    """What recordings go through, as recordings: where the microphones would be read from does not matter. None where
    neither --config nor --board is given.
    """
    if not (args.config or args.board):
        return None
    config = config_of(args, {}, {})
    return dataclasses.replace(config, input=dataclasses.replace(config.input, kind="file", path="recording"))


@contextmanager
def progress(total: int, what: str, unit: str) -> Iterator[Callable[[], Any]]:
    """A bar on standard error, if a person is there to see it; what comes moves it on by one."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit=unit, leave=False) as bar:
        yield bar.update


@contextmanager
def report_in(out: Path) -> Iterator[None]:
    """Around what writes a report to the folder `out`. Raises AudioFileError where that raises OSError."""
    try:
        yield
    except OSError as error:
        raise AudioFileError(
            f"the report cannot be written to {out} ({error.strerror or error}); make room there and for temporary "
            "files (TMPDIR) and give the command again, or name another folder with --out"
        ) from None


def write_whole(folder: Path, documents: Mapping[str, str]) -> None:
    """Each document under its name, whole or not at all. Raises OSError."""
    for name, text in documents.items():
        part = folder / f".{name}.part"
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
