"""Which clean, noisy and enhanced files belong together: those of the same name, folders below counted, suffix not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import AudioFileError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
_SHOWN = 5
"""names of files that have no partner before "and N more" """


@dataclass(frozen=True)
class Pair:
    """A clean and a noisy file, and where there is one the enhanced file of each folder of those."""

    name: str
    clean: Path
    noisy: Path
    enhanced: Mapping[str, Path]


def find_pairs(clean: Path, noisy: Path, enhanced: Mapping[str, Path]) -> tuple[list[Pair], list[str]]:
    """Pairs in the order of their names, and one sentence for each kind of file that has no partner.

    enhanced: name of each system -> folder of its files. Raises AudioFileError where a folder is missing, holds two
    files of one name, or where no pair is found.
    """
    clean_files, noisy_files = sound_files(clean), sound_files(noisy)
    made = {name: sound_files(folder) for name, folder in enhanced.items()}
    names = sorted(clean_files.keys() & noisy_files.keys())
    if not names:
        raise AudioFileError(
            f"no file of {clean} has the name of one of {noisy} ({_some(clean_files)} against {_some(noisy_files)}); "
            f"expected sound files ({', '.join(SUFFIXES)}) of the same names in both"
        )
    sentences = []
    for files, folder, missing_in in ((clean_files, clean, noisy), (noisy_files, noisy, clean)):
        if lonely := sorted(files.keys() - set(names)):
            sentences.append(f"left out, {_count(lonely)} of {folder} with no partner in {missing_in}: {_some(lonely)}")
    for system, files in made.items():
        folder = enhanced[system]
        if lonely := sorted(files.keys() - set(names)):
            sentences.append(f"left out, {_count(lonely)} of {folder} that belong to no pair: {_some(lonely)}")
        if absent := [name for name in names if name not in files]:
            sentences.append(f"{_count(absent)} missing in {folder}, without a value below: {_some(absent)}")
    pairs = [
        Pair(name, clean_files[name], noisy_files[name], {s: files[name] for s, files in made.items() if name in files})
        for name in names
    ]
    return pairs, sentences


def sound_files(folder: Path) -> dict[str, Path]:
    """Name without suffix, below `folder` -> file. Raises AudioFileError."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise AudioFileError(f"the folder {folder} {what}; expected a folder of sound files")
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in found:
                raise AudioFileError(f"{found[key]} and {path} have the same name; expected one file of each name")
            found[key] = path
    return found


def _count(names: list[str]) -> str:
    return f"{len(names)} file{'s' * (len(names) != 1)}"


def _some(names: list[str] | dict[str, Path]) -> str:
    listed = list(names)
    if not listed:
        return "no sound files at all"
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
