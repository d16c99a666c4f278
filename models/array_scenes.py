"""Makes the training items of the array network beforehand: what the mask behind a beam hears and should let pass.

    python -m models.array_scenes --speech DIR --noise DIR --out DIR --items 3000 --processes 2

Shards as models/array_shards.py describes them. Item n is a function of the options, the part and n alone, so a run
that is started again makes what is missing, and one with more --items adds to it. scenes.json beside the shards says
what they were made of; a run with anything else is refused.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import EdgeError, UsageError
from edge.mask.network import NetworkMask, resolve_model
from models.array_bank import ArrayBank, BankConfig, load_bank
from models.array_items import FRAMES, PROFILE, SceneMaker, make_item
from models.array_shards import COLUMNS, pack, write_shard
from models.data import load_corpus, make_folder

SHARD = 64
PARTS = ("train", "held-out")


@dataclass(frozen=True)
class Job:
    speech: Path
    noise: Path
    cache: Path
    out: Path
    part: str
    seed: int
    rooms: int
    model: str
    first: int
    """number of the first item of the shard"""
    count: int

    @property
    def path(self) -> Path:
        return self.out / f"{self.part}-{self.first // SHARD:05d}"

    @property
    def bank(self) -> BankConfig:
        return BankConfig(self.rooms, 2 * self.seed + PARTS.index(self.part))

    @property
    def done(self) -> bool:
        index = self.path.with_suffix(".json")
        return index.exists() and len(json.loads(index.read_text())) >= self.count


@functools.lru_cache(maxsize=1)
def _tools(
    speech: Path, noise: Path, cache: Path, part: str, bank: BankConfig, model: str
) -> tuple[SceneMaker, ArrayBank, NetworkMask]:
    held_out = part == "held-out"
    sounds = [
        load_corpus(folder, kind, cache).split(held_out) for folder, kind in ((speech, "speech"), (noise, "noise"))
    ]
    network = NetworkMask(resolve_model(model), PROFILE)
    return SceneMaker(*sounds), load_bank(bank, cache), network


def make_shard(job: Job) -> int:
    """Make one shard unless it is there. Returns the number of items."""
    if job.done:
        return job.count
    maker, bank, network = _tools(job.speech, job.noise, job.cache, job.part, job.bank, job.model)
    packed, rows = np.empty((job.count, FRAMES, COLUMNS), np.float16), []
    for place in range(job.count):
        number = job.first + place
        rng = np.random.default_rng([job.seed, PARTS.index(job.part), number])
        chosen = int(rng.integers(len(bank)))
        heard, facts = make_item(rng, maker, bank.room(chosen), network)
        packed[place], scale = pack(heard)
        rows.append({"item": number, "room": chosen, "scale": scale, **facts})
    write_shard(job.path, packed, rows)
    return job.count


def claim(job: Job) -> None:
    """Write down what the part's shards are made of. Raises UsageError where those there are of something else."""
    listener = NetworkMask(resolve_model(job.model), PROFILE).manifest
    facts = {
        "speech": job.speech.resolve().name,
        "noise": job.noise.resolve().name,
        "seed": job.seed,
        "rooms": job.rooms,
        "listener": hashlib.sha256(listener.network_file("int8").read_bytes()).hexdigest(),
    }
    path = job.out / "scenes.json"
    parts = json.loads(path.read_text()) if path.exists() else {}
    known = parts.setdefault(job.part, facts)
    if found := [
        f"{key} was {known.get(key)} and is {facts[key]} now" for key in facts if known.get(key) != facts[key]
    ]:
        raise UsageError(f"{job.out} holds {job.part} scenes made otherwise: {', '.join(found)}; give another --out")
    path.write_text(json.dumps(parts, indent=1) + "\n")


def make_scenes(jobs: Sequence[Job], processes: int) -> None:
    """Make all shards that are missing, with a line of progress."""
    total, done, began = sum(job.count for job in jobs), 0, time.monotonic()
    missing = [job for job in jobs if not job.done]
    done = total - sum(job.count for job in missing)
    before = done
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for count in pool.imap_unordered(make_shard, missing):
            done += count
            pace = (done - before) / (time.monotonic() - began)
            print(
                f"items {done} of {total}, {pace:.2f} a second, {(total - done) / pace / 60:.0f} min left", flush=True
            )


def positive(text: str) -> int:
    """argparse type: a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {value}, expected 1 or more")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.array_scenes", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="folder of speech, as for models.train")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--cache", type=Path, help="decoded audio and rooms; default: a folder in --out")
    parser.add_argument("--items", type=positive, default=3000, help="of 4 s each; 1.2 MB each on disk")
    parser.add_argument("--part", choices=PARTS, default="train", help="held-out: other talkers, noises, rooms")
    parser.add_argument("--rooms", type=positive, default=500, help="different rooms, each with an array of its own")
    parser.add_argument("--model", default="mono-assistant", help="network for one microphone, steers the beam")
    parser.add_argument("--seed", type=int, default=1, help="0 or more")
    parser.add_argument("--processes", type=positive, default=1)
    args = parser.parse_args(argv)
    cache = args.cache or args.out / "cache"
    if args.seed < 0:
        parser.error("--seed is below 0")
    try:
        make_folder(args.out)
        for folder, kind in ((args.speech, "speech"), (args.noise, "noise")):
            load_corpus(folder, kind, cache)
        jobs = [
            Job(
                *(args.speech, args.noise, cache, args.out, args.part, args.seed, args.rooms, args.model),
                first=SHARD * number,
                count=min(SHARD, args.items - SHARD * number),
            )
            for number in range(math.ceil(args.items / SHARD))
        ]
        claim(jobs[0])
        load_bank(jobs[0].bank, cache, args.processes)
        make_scenes(jobs, args.processes)
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
