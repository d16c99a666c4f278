"""`edge devices`: which sound devices this machine has, under the names that belong into a configuration."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge.audio.devices import Card, Devices, find_devices


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "devices",
        help="list the sound devices this machine offers",
        description="List ALSA cards with the names to write into a configuration, PortAudio devices, the board "
        "presets that fit a card, and the state of the loopback. Exits 0 also where there is no card.",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> int:
    found = find_devices()
    print(json.dumps(found.as_dict(), indent=2) if args.json else describe(found))
    return 0


def describe(found: Devices) -> str:
    """The listing as text."""
    lines = ["ALSA cards"]
    for card in found.cards:
        lines += _card(card)
    if not found.cards:
        lines.append("  none: this machine has no sound card (or its driver is not loaded)")
    if found.other_pcms:
        lines.append(f"  other ALSA names: {', '.join(found.other_pcms)}")
    lines.append('PortAudio devices (kind = "portaudio", device = part of the name)')
    for device in found.portaudio:
        lines.append(
            f'  "{device["name"]}" ({device["host_api"]}): {device["inputs"]} in, {device["outputs"]} out, '
            f"{device['default_rate_hz']} Hz"
        )
    if not found.portaudio:
        lines.append("  none")
    lines.append(f"Loopback: {describe_loopback(found.loopback)}")
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join(lines)


def _card(card: Card) -> list[str]:
    lines = [f"  {card.id} ({card.description})"]
    for word, pcms in (("input ", card.capture), ("output", card.playback)):
        lines += [f'    {word}  device = "{pcm.name}"  ({pcm.description})' for pcm in pcms]
    if card.boards:
        lines.append(f"    presets that fit: {', '.join(card.boards)} (edge check --board NAME shows one)")
    return lines


def describe_loopback(state: dict[str, Any]) -> str:
    """One line about the loopback card."""
    if not state["available"]:
        return "not possible, the running kernel has no snd-aloop module"
    if not state["card"]:
        return "not loaded; `edge loopback --setup` loads it now and at every boot"
    clock = f"clock of {state['timer_source']}" if state["timer_source"] else "system clock"
    boot = "loaded at boot" if state["at_boot"] else "not loaded at boot (`edge loopback --setup`)"
    return f"card {state['card']}, {clock}, {boot}, {'open with ' + state['in_use'] if state['in_use'] else 'idle'}"
