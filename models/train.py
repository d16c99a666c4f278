"""Train a network: python -m models.train RECIPE.toml. See models/README.md."""

from __future__ import annotations

import argparse
import ctypes
import sys
from pathlib import Path

import torch

from edge.errors import EdgeError
from models.data import make_folder
from models.recipe import change, load_recipe
from models.tasks import Sources
from models.trainer import Trainer

FOLDERS = {
    "speech": "folder of sound files or of speech*.tar shards",
    "noise": "folder of sound files or of noise*.tar shards",
    "scenes": "folder of models.array_scenes, for a network with cues",
    "cache": "where decoded audio is kept (default: OUT/cache)",
    "start-from": "checkpoint of another run to begin with, or manifest (.json) of an exported network",
    "out": "folder of the run; a run that is there is resumed",
}

EXIT_INTERRUPTED = 130
"""as of `edge`"""
MOST_THREADS = 256
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""from malloc.h"""


def keep_freed_memory() -> None:
    """Let the C library keep freed blocks of up to 32 MB instead of handing them back and asking for them every step.

    A fifth of a step's time went into pages filled with zeros anew. Nothing happens where the library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def _threads(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 1 to {MOST_THREADS}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument(
        "recipe", type=Path, metavar="RECIPE.toml", help="every setting; those that ship: models/recipes"
    )
    for name, text in FOLDERS.items():
        parser.add_argument(f"--{name}", metavar="PATH", help=f"{text}, instead of what the recipe says")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any other setting, as often as needed"
    )
    parser.add_argument(
        "--threads", type=_threads, default=1, help="per process; two processes beat one with two threads"
    )
    a = parser.parse_args(arguments)
    torch.set_num_threads(a.threads)
    keep_freed_memory()
    trainer = out = None
    try:
        folders = {name.replace("-", "_") for name in FOLDERS}
        changes = [(f"data.{n}", getattr(a, n)) for n in sorted(folders) if getattr(a, n) is not None]
        recipe = load_recipe(a.recipe, [*map(change, a.set), *changes])
        data = recipe.data
        out = Path(data.out).expanduser()
        make_folder(out)  # before anything that takes long
        sources = Sources(data.path("cache") or out / "cache", *map(data.path, ("speech", "noise", "scenes")))
        trainer = Trainer(recipe.config, sources, out, data.path("start_from"))
        if trainer.ranks.rank == 0:
            print(trainer.task.about, flush=True)
        if not trainer.run():
            return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        last = out / "last.pt" if out is not None else None
        kept = f"the same command goes on from {last}" if last is not None and last.exists() else "nothing was kept"
        print(f"\ninterrupted; {kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        if trainer is not None:
            trainer.ranks.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
