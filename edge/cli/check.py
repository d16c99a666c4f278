"""`edge check`: says what a configuration means, or everything wrong with it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge.cli.common import not_empty
from edge.console import say
from edge.errors import ModelError, UsageError


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="say what a configuration file means, or everything wrong with it",
        description="Read a configuration and print what it means: array, channels, beam, network, latency line by "
        "line. Opens no device. Exit code 3 with every problem listed when the file is wrong, 5 when only its network "
        "is.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("file", nargs="?", metavar="FILE", type=not_empty, help="configuration file (TOML)")
    what.add_argument("--board", metavar="NAME", type=not_empty, help="the configuration that a board preset makes")
    what.add_argument("--boards", action="store_true", help="list the board presets")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    return parser


def run(args: argparse.Namespace) -> int:
    from edge.config import default_config_for_board, load_config
    from edge.description import describe, render

    if args.boards:
        return _list_boards(args.json)
    if args.board:
        config = default_config_for_board(args.board)
    elif args.file:
        config = load_config(args.file)
    else:
        raise UsageError("nothing to check; expected a configuration FILE, --board NAME or --boards")
    description = describe(config)
    print(json.dumps(description, indent=2) if args.json else render(description), end="\n" if args.json else "")
    if problem := description["mask"]["problem"]:
        say(problem)
        return ModelError.exit_code
    return 0


def _list_boards(as_json: bool) -> int:
    from dataclasses import asdict

    from edge.boards import board_names, load_board

    boards = [load_board(name) for name in board_names()]
    if as_json:
        print(json.dumps([asdict(board) for board in boards], indent=2))
        return 0
    for board in boards:
        channels = f"{len(board.positions_m)} mics of {len(board.roles)} channels"
        print(f"{board.name:<26}{channels:<23}{board.source.confidence:<8}{board.description}")
    print('\nThe third column says how far to trust the coordinates. Use one with: [array] board = "NAME"')
    return 0
