"""Shards of array training items on disk: how an item is packed, and how finished shards are read.

A shard is `<part>-<number>.npy`, float16 (items, frames, COLUMNS), and `<part>-<number>.json`, one row per item with
its `scale`, written last: a shard without it is not finished.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import AudioFileError
from edge.mask.features import band_layout
from models.array_items import PROFILE, Heard

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]

LARGEST = 30000.0
"""what the largest number of a spectrum becomes in a shard; float16 ends at 65504"""
LEAST_POWER = 1e-12
BINS, BANDS = PROFILE.bins, band_layout(PROFILE).bands
COLUMNS = 4 * BINS + 2 * BANDS
"""beam real, beam imaginary, target real, target imaginary (divided by scale), log10 of the band power of both rows"""


@functools.lru_cache(maxsize=1)
def pooling() -> F32:
    """(bins, bands): power per bin times this is the mean power per band, as the network's features have it."""
    layout = band_layout(PROFILE)
    return np.ascontiguousarray((layout.matrix() * layout.inverse_weight[:, None]).T)


def pack(heard: Heard) -> tuple[F16, float]:
    """(frames, COLUMNS) and the scale: real and imaginary part of beam and of target divided by the scale, log10 of the
    band powers of both rows of cues."""
    parts = np.concatenate(
        [heard.beam.real, heard.beam.imag, heard.target.real, heard.target.imag],
        axis=1,
    )
    scale = max(float(np.abs(parts).max()), 1e-6) / LARGEST
    logs = np.log10(np.maximum(heard.cue_power @ pooling(), LEAST_POWER)).reshape(len(parts), 2 * BANDS)
    return np.concatenate([parts / np.float32(scale), logs], axis=1).astype(np.float16), scale


def unpack(packed: NDArray[Any], scale: float | F32) -> tuple[C64, C64, F32]:
    """(beam, target, cues) of items packed (..., frames, COLUMNS): complex64 (..., frames, bins) each, and log10 of the
    band powers, float32 (..., frames, 2, bands). `scale`: one, or one per item (..., 1, 1)."""
    x = np.asarray(packed[..., : 4 * BINS], np.float32) * np.asarray(scale, np.float32)
    beam, target = (x[..., at : at + BINS] + 1j * x[..., at + BINS : at + 2 * BINS] for at in (0, 2 * BINS))
    logs = np.asarray(packed[..., 4 * BINS :], np.float32)
    return beam.astype(np.complex64), target.astype(np.complex64), logs.reshape(*logs.shape[:-1], 2, BANDS)


def read_shards(folder: Path, part: str) -> tuple[list[F16], list[dict[str, Any]]]:
    """Finished shards of a part, mapped, and one row per item in the same order with `shard` and `place` added.

    Raises AudioFileError for a damaged one.
    """
    shards: list[F16] = []
    rows: list[dict[str, Any]] = []
    for index in sorted(folder.glob(f"{part}-*.json")):
        try:
            found = json.loads(index.read_text())
            rows += [{**row, "shard": len(shards), "place": place} for place, row in enumerate(found)]
            shards.append(np.load(index.with_suffix(".npy"), mmap_mode="r"))
        except (OSError, ValueError, TypeError) as error:
            raise AudioFileError(
                f"the scenes {index} cannot be read ({error}); delete this shard and run models.array_scenes again"
            ) from None
    return shards, rows


def write_shard(path: Path, packed: F16, rows: list[dict[str, Any]]) -> None:
    """Write `path`.npy and then `path`.json, each wholly or not at all."""
    with open(path.with_name(f"{path.name}.{os.getpid()}.tmp"), "wb") as file:
        np.save(file, packed)
    os.replace(file.name, path.with_suffix(".npy"))
    with open(path.with_name(f"{path.name}.{os.getpid()}.tmp"), "w") as text:
        json.dump(rows, text)
    os.replace(text.name, path.with_suffix(".json"))
