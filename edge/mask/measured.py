"""What `edge bench --pick-model` found on this machine, as a JSON file in the state folder."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from edge.machine import processor, state_files, state_folder

FORMAT = 2
FILE = "networks.json"
MAX_BYTES = 2**20


@dataclass(frozen=True)
class Timing:
    """Time of one step of one network, on the hops on which it runs."""

    profile: str
    model: str
    kind: str
    """'array' or 'mono'"""
    precision: str
    sha256: str
    """of the network file"""
    p50_ms: float
    p99_ms: float
    hops: int
    listener: str = ""
    """the network that hears one microphone for it; empty: it does that itself"""
    date: str = ""
    """when; filled when it is kept"""


@dataclass(frozen=True)
class Picked:
    """The network of choice for one profile and one kind of geometry ('array' or 'mono')."""

    profile: str
    geometry: str
    model: str
    precision: str
    fits: bool
    """whether its time is within the share of the hop that is allowed"""
    date: str = ""
    """when; filled when it is kept"""


@dataclass(frozen=True)
class Measured:
    """All that counts on this machine now. `why_not`: why there is a file that does not count, empty without one."""

    path: Path | None = None
    timings: tuple[Timing, ...] = ()
    picked: tuple[Picked, ...] = ()
    why_not: str = ""


def read_measured() -> Measured:
    """The nearest file of state, if it holds for this processor and this onnxruntime. Never raises."""
    for path in state_files(FILE):
        try:
            with path.open("rb") as file:
                data = json.loads(file.read(MAX_BYTES).decode("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            return Measured(path, why_not=f"the measurement in {path} cannot be read ({error})")
        try:
            if reasons := list(_differences(data)):
                return Measured(path, why_not=f"the measurement in {path} is ignored: {', '.join(reasons)}")
            timings = tuple(_row(Timing, row) for row in data["timings"])
            picked = tuple(_row(Picked, row) for row in data["picked"])
            return Measured(path, timings, picked)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            return Measured(path, why_not=f"the measurement in {path} is not laid out as this version does")
    return Measured()


def write_measured(date: str, timings: list[Timing], picked: list[Picked]) -> Path:
    """Keep a measurement beside what is known of other networks and geometries. Raises EdgeError if it cannot."""
    path = state_folder() / FILE
    before = read_measured()
    kept = before if before.path == path else Measured()
    timings = [dataclasses.replace(each, date=date) for each in timings]
    picked = [dataclasses.replace(each, date=date) for each in picked]
    timed = {_which(each) for each in timings}
    chosen = {(each.profile, each.geometry) for each in picked}
    data = {
        "about": "written by edge bench --pick-model; read where mask.model or mask.precision is auto",
        "format": FORMAT,
        **here(),
        "picked": [_as_dict(p) for p in (*(k for k in kept.picked if (k.profile, k.geometry) not in chosen), *picked)],
        "timings": [_as_dict(t) for t in (*(k for k in kept.timings if _which(k) not in timed), *timings)],
    }
    beside = path.with_name(f"{FILE}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise EdgeError(
            f"the choice cannot be kept in {path} ({error.strerror}); set XDG_STATE_HOME to a writable folder"
        ) from None
    return path


def here() -> dict[str, str]:
    """What a measurement holds for: the processor, and the library that runs the networks."""
    return {"processor": processor(), "onnxruntime": _runtime_version()}


def _runtime_version() -> str:
    """Version of onnxruntime under whichever name it is installed (a Jetson's has another); it is not imported here."""
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "unknown"


def _differences(data: Any) -> Iterator[str]:
    if data["format"] != FORMAT:
        yield f"format {data['format']}, this version reads {FORMAT}"
        return
    for key, value in here().items():
        if data[key] != value:
            yield f"{key} is {value} now and was {data[key]}"


def _row(cls: type[Any], row: dict[str, Any]) -> Any:
    """A row as written. Raises LookupError, TypeError or ValueError for anything else."""
    kinds = {"str": str, "float": float, "int": int, "bool": bool}
    return cls(**{field.name: kinds[str(field.type)](row[field.name]) for field in dataclasses.fields(cls)})


def _which(timing: Timing) -> tuple[str, str, str]:
    return timing.profile, timing.model, timing.precision


def _as_dict(row: Timing | Picked) -> dict[str, Any]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in vars(row).items()}
