"""Which clean, noisy and enhanced files belong together: those of the same name, folders below counted, suffix not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
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
    """Pairs in the order of their names, and one sentence for each kind of file that has no partner or is none.

    enhanced: name of each system -> folder of its files. Raises AudioFileError where a folder is missing, holds two
    files of one name, or where no pair is found.
    """
    clean_files, noisy_files = sound_files(clean), sound_files(noisy)
    made = {name: sound_files(folder) for name, folder in enhanced.items()}
    sentences = [sentence for folder in (clean, noisy, *enhanced.values()) for sentence in left_out(folder)]
    names = sorted(clean_files.keys() & noisy_files.keys())
    if not names:
        raise AudioFileError(
            f"no file of {clean} has the name of one of {noisy} ({_some(clean_files)} against {_some(noisy_files)}); "
            f"expected sound files ({', '.join(SUFFIXES)}) of the same names in both"
            + "".join(f"; {sentence}" for sentence in sentences)
        )
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
    """Name without suffix, below `folder` -> file, links to folders followed. Raises AudioFileError."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise AudioFileError(f"the folder {folder} {what}; expected a folder of sound files")
    found: dict[str, Path] = {}
    for path, why_not in _walk(folder):
        if why_not:
            continue
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in found:
            raise AudioFileError(f"{found[key]} and {path} have the same name; expected one file of each name")
        found[key] = path
    return found


def left_out(folder: Path) -> list[str]:
    """What below `folder` `sound_files` passes over though it has the name of a sound file or is a folder: one sentence
    for each reason.
    """
    odd: dict[str, list[str]] = {}
    for path, why_not in _walk(folder):
        if why_not:
            odd.setdefault(why_not, []).append(path.relative_to(folder).as_posix())
    return [f"left out of {folder}, {why_not}: {_some(names)}" for why_not, names in odd.items()]


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything below `folder` with the name of a sound file, and folders and links that lead to nothing; each with
    the reason why it is left out, empty where it is not.
    """
    unopened: list[OSError] = []
    real: dict[str, tuple[str, ...]] = {os.fspath(folder): (os.path.realpath(folder),)}
    """folder that is still to be entered -> where it and those above it really are"""
    for parent, folders, names in os.walk(folder, onerror=unopened.append, followlinks=True):
        above = real.pop(parent)
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and (path.suffix.lower() in SUFFIXES or _leads_nowhere(path)):
                yield path, _why_not(path)
        for name in sorted(folders):
            path = Path(parent, name)
            where = os.path.realpath(path)
            if where in above:
                folders.remove(name)
                yield path, "a link to a folder that it is in itself"
            else:
                real[os.path.join(parent, name)] = (*above, where)
        folders.sort()
    for error in unopened:
        yield Path(error.filename), f"a folder that cannot be opened ({error.strerror})"


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)


def _why_not(path: Path) -> str:
    """Why a path with the name of a sound file is left out: what has no end would be read for ever."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"
    return "" if regular else "no regular file"


def _count(names: list[str]) -> str:
    return f"{len(names)} file{'s' * (len(names) != 1)}"


def _some(names: list[str] | dict[str, Path]) -> str:
    listed = list(names)
    if not listed:
        return "no sound files at all"
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
