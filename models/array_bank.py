"""A bank of rooms with arrays in them, made once by several processes and kept in one file."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import array_rooms
from models.array_rooms import PLACES, SOURCES, ArrayRoom, make_room

PART = 16
"""rooms made at a time; what is finished of them survives an interruption"""


@dataclass(frozen=True)
class BankConfig:
    rooms: int = 500
    seed: int = 1


@dataclass(frozen=True)
class _Part:
    seed: int
    folder: Path
    first: int
    count: int

    @property
    def data(self) -> Path:
        return self.folder / f"{self.first:05d}.npy"

    @property
    def index(self) -> Path:
        return self.folder / f"{self.first:05d}.json"


class ArrayBank:
    """Rooms by number. The responses stay on disk as float16 and are read when asked for."""

    def __init__(self, samples: NDArray[np.float16], index: list[dict[str, object]]) -> None:
        self._samples, self._index = samples, index

    def __len__(self) -> int:
        return len(self._index)

    def room(self, number: int) -> ArrayRoom:
        row = self._index[number]
        positions_m = np.array(row["positions_m"])
        start, taps = int(str(row["start"])), int(str(row["taps"]))
        shape = (SOURCES, len(positions_m), taps)
        flat = self._samples[start : start + SOURCES * len(positions_m) * taps]
        return ArrayRoom(
            positions_m,
            flat.reshape(shape).astype(np.float32),
            np.array(row["arrival"], np.int32).reshape(PLACES, -1),
            np.array(row["azimuth_deg"]),
            float(str(row["rt60_s"])),
        )


def _key(config: BankConfig) -> str:
    """Of everything that the rooms are made of: parameters, presets and the code that draws them."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    digest.update(Path(array_rooms.__file__).read_bytes())
    for positions in array_rooms.preset_arrays():
        digest.update(positions.tobytes())
    return digest.hexdigest()[:16]


def _write(path: Path, data: bytes | NDArray[np.float16]) -> None:
    """All of a file or none of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        if isinstance(data, bytes):
            file.write(data)
        else:
            np.save(file, data)
    os.replace(temporary, path)


def _make_part(job: _Part) -> int:
    """Rooms of one part into two files, the index last, unless they are there. Returns how many."""
    if not job.index.exists():
        numbers = range(job.first, job.first + job.count)
        rooms = [make_room(np.random.default_rng([job.seed, number])) for number in numbers]
        _write(job.data, np.concatenate([room.responses.ravel().astype(np.float16) for room in rooms]))
        rows = [
            {
                "positions_m": room.positions_m.tolist(),
                "taps": room.responses.shape[2],
                "arrival": room.arrival.tolist(),
                "azimuth_deg": room.azimuth_deg.tolist(),
                "rt60_s": room.rt60_s,
            }
            for room in rooms
        ]
        _write(job.index, json.dumps(rows).encode())
    return job.count


def load_bank(config: BankConfig, cache: Path, processes: int = 1) -> ArrayBank:
    """The bank of `config`, made in `cache` if it is not there; one that was interrupted goes on where it stopped."""
    data, index = (cache / f"array-rooms-{_key(config)}{suffix}" for suffix in (".npy", ".json"))
    if not index.exists():
        folder = cache / f"array-rooms-{_key(config)}"
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [
            _Part(config.seed, folder, first, min(PART, config.rooms - first)) for first in range(0, config.rooms, PART)
        ]
        with multiprocessing.get_context("spawn").Pool(min(processes, len(jobs))) as pool:
            done = 0
            for made in pool.imap(_make_part, jobs):
                done += made
                print(f"\rrooms {done} of {config.rooms}", end="", flush=True)
        print()
        _join(jobs, data, index)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    return ArrayBank(np.load(data, mmap_mode="r"), json.loads(index.read_text()))


def _join(jobs: list[_Part], data: Path, index: Path) -> None:
    rows, start = [], 0
    for job in jobs:
        for row in json.loads(job.index.read_text()):
            rows.append({**row, "start": start})
            start += SOURCES * len(row["positions_m"]) * row["taps"]
    _write(data, np.concatenate([np.load(job.data) for job in jobs]))
    _write(index, json.dumps(rows).encode())
