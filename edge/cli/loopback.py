"""`edge loopback`: explains the ALSA loopback, shows its state, sets it up or removes it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from edge.audio.alsa_pcm import known_cards
from edge.audio.loopback import EXPLANATION, LoopbackState, Roots, read_state, unavailable_sentence
from edge.audio.loopback_setup import LoopbackSetup, sound_goes_through
from edge.cli.devices import describe_loopback
from edge.errors import DeviceError, UsageError


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "loopback",
        help="explain and set up the ALSA loopback and its clock",
        description="Explain the ALSA loopback (snd-aloop) and show its state; --setup installs it now and for every "
        "boot, with sudo when not root, and shows every command. Exits 4 where the kernel has no snd-aloop.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--setup", action="store_true", help="write /etc/modprobe.d and modules-load.d, load the module")
    what.add_argument("--status", action="store_true", help="only the state")
    what.add_argument("--undo", action="store_true", help="remove what --setup wrote and unload the module")
    parser.add_argument(
        "--timer-card",
        metavar="NAME",
        default="",
        help="with --setup: let the loopback follow the clock of this card (its id in `edge devices`)",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable state at the end, and nothing else")


def run(args: argparse.Namespace, roots: Roots = Roots()) -> int:  # noqa: B008 - immutable
    def say(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    if args.timer_card and not args.setup:
        raise UsageError("--timer-card only has a meaning together with --setup")
    state = read_state(roots)
    if args.undo:
        say("Removing the loopback:")
        LoopbackSetup(roots, say).undo()
    elif not (args.setup or args.status):
        say(EXPLANATION)
    if not state.available and not args.undo:
        if args.json:
            print(json.dumps(asdict(state)))
        raise DeviceError(unavailable_sentence(roots))
    if args.setup:
        _setup(args.timer_card, roots, say)
    state = read_state(roots)
    say(f"Loopback: {describe_loopback(asdict(state))}")
    if args.json:
        print(json.dumps(asdict(state)))
    return 0


def _setup(timer: str, roots: Roots, say: Any) -> None:
    cards = known_cards(roots.proc_asound)
    if timer and timer not in cards:
        have = ", ".join(cards) or "none"
        raise DeviceError(f'there is no sound card "{timer}" to take the clock from (cards here: {have})')
    say("Setting up the loopback:")
    LoopbackSetup(roots, say).setup(timer)
    _verify(read_state(roots), timer, say)


def _verify(state: LoopbackState, timer: str, say: Any) -> None:
    if not state.card:
        raise DeviceError(
            "snd-aloop is loaded but there is no card named Loopback; another file in /etc/modprobe.d may name it "
            "otherwise: take that `options snd-aloop` line out and run `edge loopback --setup` again"
        )
    if state.in_use:
        say(f"  in use ({state.in_use}), so not tried out")
    elif timer or state.timer_source:
        say("  follows the clock of another card and runs only while that captures, so not tried out")
    else:
        problem = sound_goes_through()
        if problem:
            raise DeviceError(f"the loopback is there but does not work: {problem}")
        say("  tried out: noise played on one end came out of the other unchanged")
