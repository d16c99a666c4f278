"""Which sound devices this machine has, under the names that belong into a configuration."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.audio.alsa_pcm import PROC_ASOUND, import_alsaaudio
from edge.audio.loopback import Roots, read_state
from edge.audio.portaudio_devices import portaudio_devices
from edge.errors import EdgeError

_PLUGINS = re.compile(
    r"null|\w*rate|jack|oss|speex|upmix|vdownmix|usbstream|front|rear|center_lfe|side|surround\d+|iec958|spdif|hdmi|modem|"
    r"phoneline|dmix|dsnoop"
)
"""names that alsa-lib ships for every machine"""


@dataclass(frozen=True)
class CardPcm:
    name: str
    """as in input.device or output.device"""
    description: str


@dataclass(frozen=True)
class Card:
    id: str
    number: int
    description: str
    capture: tuple[CardPcm, ...] = ()
    playback: tuple[CardPcm, ...] = ()
    boards: tuple[str, ...] = ()
    """presets whose card id this is"""


@dataclass(frozen=True)
class Devices:
    cards: tuple[Card, ...]
    other_pcms: tuple[str, ...]
    """ALSA names that are no card: default, sound servers, names of the user's asound.conf"""
    portaudio: tuple[dict[str, Any], ...]
    loopback: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    """what could not be found out, and why"""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_devices(roots: Roots = Roots(), with_portaudio: bool = True) -> Devices:  # noqa: B008 - immutable
    """Everything there is. Never raises: what a missing library keeps from being found is in `notes`."""
    notes: list[str] = []
    others: tuple[str, ...] = ()
    portaudio: tuple[dict[str, Any], ...] = ()
    try:
        others = tuple(other_pcms(import_alsaaudio()))
    except EdgeError as error:
        notes.append(str(error))
    if with_portaudio:
        try:
            portaudio = tuple(portaudio_devices())
        except EdgeError as error:
            notes.append(str(error))
    cards = tuple(alsa_cards(roots.proc_asound, _boards_by_card(notes)))
    return Devices(cards, others, portaudio, asdict(read_state(roots)), tuple(notes))


def other_pcms(alsa: Any) -> list[str]:
    """Named PCMs that are neither cards nor bare plugins."""
    names = dict.fromkeys([*alsa.pcms(alsa.PCM_CAPTURE), *alsa.pcms(alsa.PCM_PLAYBACK)])
    return [n for n in names if ":" not in n and not _PLUGINS.fullmatch(n)]


def alsa_cards(proc: Path = PROC_ASOUND, boards: dict[str, list[str]] | None = None) -> list[Card]:
    """The cards of /proc/asound, by number."""
    try:
        listing = (proc / "cards").read_text()
    except OSError:
        return []
    try:
        pcms = (proc / "pcm").read_text()
    except OSError:
        pcms = ""
    found = re.findall(r"^\s*(\d+) \[(\S+)\s*\]: \S.* - (.*)$", listing, re.MULTILINE)
    return [
        Card(
            id=card,
            number=int(number),
            description=description.strip(),
            capture=tuple(_pcms(pcms, int(number), card, "capture")),
            playback=tuple(_pcms(pcms, int(number), card, "playback")),
            boards=tuple((boards or {}).get(card, ())),
        )
        for number, card, description in found
    ]


def _pcms(listing: str, number: int, card: str, direction: str) -> list[CardPcm]:
    """Lines such as '01-00: USB Audio : USB Audio : playback 1 : capture 1'."""
    found = []
    for line in listing.splitlines():
        match = re.match(r"(\d+)-(\d+): (.*)", line)
        if match and int(match.group(1)) == number:
            parts = [p.strip() for p in match.group(3).split(" : ")]
            if any(p.startswith(direction + " ") for p in parts[1:]):
                found.append(CardPcm(f"hw:CARD={card},DEV={int(match.group(2))}", parts[0]))
    return found


def _boards_by_card(notes: list[str]) -> dict[str, list[str]]:
    from edge.boards import board_names, load_board

    by_card: dict[str, list[str]] = {}
    try:
        for name in board_names():
            card = load_board(name).card_id
            if card:
                by_card.setdefault(card, []).append(name)
    except EdgeError as error:
        notes.append(str(error))
    return by_card
