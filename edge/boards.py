"""Board presets: what is known of an array that can be bought, and where that knowledge comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from edge.decoding import Choice, Decoder, Range, did_you_mean, read_toml
from edge.errors import ConfigError
from edge.geometry import position_problems
from edge.resources import data_folder

SampleFormat = Choice("S16_LE", "S24_3LE", "S32_LE", "FLOAT_LE")
Positions = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class BoardSource:
    """Where the coordinates come from and how far to trust them."""

    kind: Annotated[str, Choice("vendor", "open_project", "derived", "convention")] = "derived"
    """vendor: drawing or documentation; open_project: in another project's files; derived: computed from a stated
    dimension; convention: no board at all, only a custom"""
    where: str = ""
    """document or file, precise enough to find it"""
    confidence: Annotated[str, Choice("high", "medium", "low")] = "low"
    note: str = ""
    """what was computed or assumed, and which channel belongs to which microphone by what evidence"""


@dataclass(frozen=True)
class Board:
    """One preset in firmware_config/boards/."""

    name: str
    description: str
    positions_m: Positions
    roles: str
    card_id: str = ""
    """id of the ALSA card, as in /proc/asound/cards; empty when it depends on the system"""
    device: str = "default"
    rate_hz: Annotated[int, Range(16000, 192000)] = 16000
    format: Annotated[str, SampleFormat] = "S16_LE"
    period_frames: Annotated[int, Range(0, 16384)] = 0
    """the only period the driver offers, or 0 when it is free"""
    unseen: tuple[str, ...] = ()
    """what of this preset was never seen on hardware"""
    source: BoardSource = field(default_factory=BoardSource)


def boards_folder() -> Path:
    return data_folder("firmware_config") / "boards"


def board_names() -> tuple[str, ...]:
    """Names of the shipped presets, sorted."""
    return tuple(sorted(path.stem for path in boards_folder().glob("*.toml")))


def load_board(name: str) -> Board:
    """A shipped preset by name, or one of your own by the path of its .toml. Raises ConfigError with every problem."""
    if name.endswith(".toml"):
        return read_board(Path(name))
    names = board_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"; expected one of {', '.join(names)}, or the path of a .toml of your own"
        raise ConfigError(f'no board preset "{name}"{hint}')
    return read_board(boards_folder() / f"{name}.toml")


def read_board(path: Path) -> Board:
    """Decode and check one preset file."""
    decoder = Decoder()
    board = decoder.decode(Board, read_toml(path, "board preset"))
    problems = decoder.problems
    if not {"positions_m", "roles"} & decoder.bad:
        problems += [f"positions_m: {text}" for text in position_problems(board.positions_m)]
        problems += [f"roles: {text}" for text in role_problems(board.roles, len(board.positions_m))]
    if problems:
        raise ConfigError(problems, str(path))
    return board


def role_problems(roles: str, mics: int) -> list[str]:
    """What is wrong with a string of channel roles for an array of `mics` microphones."""
    wrong = sorted(set(roles) - set("MRX"))
    if wrong or not roles:
        what = f"unknown letter{'s' if len(wrong) > 1 else ''} {', '.join(wrong)}" if wrong else "empty"
        return [
            f'got "{roles}" ({what}), expected one letter per captured channel: M microphone, R playback '
            "reference, X unused"
        ]
    if len(roles) > 32:
        return [f"got {len(roles)} channels, expected at most 32"]
    if roles.count("M") != mics:
        return [f'"{roles}" has {roles.count("M")} M but there are {mics} positions; expected one M per position']
    return []
