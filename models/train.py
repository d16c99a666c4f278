"""Train a mask network: python -m models.train --speech DIR --noise DIR --out DIR. See models/README.md."""

from __future__ import annotations

import argparse
import ctypes
import sys
from pathlib import Path

import torch

from edge.errors import EdgeError
from edge.profiles import PROFILES
from models.trainer import TrainConfig, Trainer

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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("--speech", type=Path, help="folder of sound files or of speech*.tar shards")
    parser.add_argument("--noise", type=Path, help="folder of sound files or of noise*.tar shards")
    parser.add_argument("--scenes", type=Path, help="folder of models.array_scenes: trains the network for arrays")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a run that is there is resumed")
    parser.add_argument("--cache", type=Path, help="where decoded audio is kept (default: OUT/cache)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="assistant")
    parser.add_argument("--run-every-hops", type=int, help="hops between network runs (default: 1, hearing 4)")
    parser.add_argument("--start-from", type=Path, help="checkpoint of another run to begin with")
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time of a process to stop after")
    parser.add_argument("--max-steps", type=int, default=1_000_000, help="steps to stop after")
    parser.add_argument("--validate-every", type=int, default=TrainConfig.validate_every, help="steps; saves too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="per process; two processes beat one with two threads")
    a = parser.parse_args(arguments)
    if (a.scenes is None) == (a.speech is None or a.noise is None):
        parser.error("give --speech and --noise, or --scenes")
    if a.scenes is not None and a.profile != "assistant":
        parser.error("--scenes are made for the profile assistant")
    if a.scenes is not None and a.run_every_hops not in (None, 1):
        parser.error("--scenes have a frame every hop, so the network runs every hop")
    torch.set_num_threads(a.threads)
    keep_freed_memory()
    every = a.run_every_hops or {"assistant": 1, "hearing": 4}[a.profile]
    config = TrainConfig(
        a.profile,
        every,
        a.scenes is not None,
        a.hidden,
        learning_rate=a.learning_rate,
        validate_every=a.validate_every,
        minutes=a.minutes,
        max_steps=a.max_steps,
        seed=a.seed,
    )
    try:
        Trainer(config, a.cache or a.out / "cache", a.speech, a.noise, a.out, a.start_from, a.scenes).run()
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
