"""The JSON file beside a network: what it expects, what it is made of, and the checksums that prove it."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.kinds import PRECISIONS
from edge.mask.features import CUES, BandLayout, layout_from_centres
from edge.profiles import PROFILES, Profile
from edge.resources import data_folder

FORMAT = 2
FEATURES = "log10 of mean power in triangular bands, above a floor and as it is, analysis window of edge.windows"
"""the only kind of features this program computes"""
MAX_MANIFEST_BYTES = 2**20
_LARGEST_WHOLE = 2**127
_MOST_HOPS = 64


@dataclass(frozen=True)
class Manifest:
    """One network, checked against its profile; arrays are ready for the kernels."""

    path: Path
    name: str
    run_every_hops: int
    layout: BandLayout
    power_floor: float
    mean: NDArray[np.float32]
    inverse_std: NDArray[np.float32]
    """(features,), of the floor's distance, the cues and the log power of all bands"""
    cues: tuple[str, ...]
    """spatial cues it is fed, none or all of edge.mask.features.CUES"""
    listener: str
    """name of the network beside this one that hears one microphone for it; empty: this one can"""
    input_name: str
    direct_name: str
    output_name: str
    states: tuple[tuple[str, str, tuple[int, ...]], ...]
    """(input name, output name, shape) of every recurrent state"""
    files: dict[str, tuple[str, str, int]]
    """precision -> (file name, sha256, bytes)"""

    def network_file(self, precision: str) -> Path:
        """Path of the network of a precision, size and checksum verified. Raises ModelError."""
        if precision not in self.files:
            known = ", ".join(sorted(self.files))
            raise ModelError(
                f"model {self.name} has no {precision!r} network, only {known}; set mask.precision to one of them"
            )
        name, expected, size = self.files[precision]
        path = self.path.parent / name
        try:
            found = path.stat().st_size
            if found != size and not path.is_dir():
                raise ModelError(
                    f"network file {path} is damaged: it has {found} bytes, the manifest says {size}; "
                    "install the model again"
                )
            content = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(
                f"network file {path} is missing beside its manifest; copy it there or reinstall the model"
            ) from None
        except (OSError, ValueError) as error:
            raise ModelError(
                f"network file {path} cannot be read ({_reason(error)}); check the file and its permissions"
            ) from None
        actual = hashlib.sha256(content).hexdigest()
        if actual != expected:
            raise ModelError(
                f"network file {path} is damaged: its sha256 begins {actual[:12]}, the manifest says {expected[:12]}; "
                "install the model again"
            )
        return path


def resolve_model(name_or_path: str) -> Path:
    """Path of the manifest of a shipped model, by its name, or of any other, by the path of its .json file.

    Raises ModelError naming the shipped models when there is no such one.
    """
    folder = data_folder("models")
    shipped = {p.stem: p for p in sorted(folder.glob("*.json"))}
    if name_or_path in shipped:
        return shipped[name_or_path]
    if name_or_path.endswith(".json") or "/" in name_or_path or "\\" in name_or_path:
        return Path(os.path.expanduser(name_or_path))
    close = difflib.get_close_matches(name_or_path, shipped, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(shipped) or "none"
    raise ModelError(
        f"model {name_or_path!r} is not known; shipped models: {known}; or give the path of a manifest{hint}"
    )


def load_manifest(path: Path, profile: Profile) -> Manifest:
    """Read and check a manifest for a profile. Raises ModelError, one sentence, for anything wrong with it."""
    try:
        if path.suffix == ".onnx":
            raise ModelError(f"model {path} is a network; name its manifest, the .json beside it")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(f"model manifest {path} is a device, pipe or socket, expected a file; check mask.model")
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1).decode("utf-8")
    except FileNotFoundError:
        raise ModelError(f"model manifest {path} does not exist; check mask.model") from None
    except IsADirectoryError:
        raise ModelError(f"model {path} is a folder; name the manifest (.json) in it") from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model manifest {path} cannot be read ({_reason(error)}); check the file and its permissions"
        ) from None
    if len(text) > MAX_MANIFEST_BYTES:
        raise ModelError(f"model manifest {path} is larger than 1 MiB, expected a few KiB; check mask.model")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(f"model manifest {path} is not valid JSON ({reason}); install the model again") from None
    read = _Reader(path, data)
    if read.value(int, "format") != FORMAT:
        raise ModelError(
            f"model manifest {path} has format {data['format']}, this program reads format {FORMAT}; update one"
        )
    expected = {
        "profile": profile.name,
        "rate_hz": profile.rate_hz,
        "window_samples": profile.window_samples,
        "hop_samples": profile.hop_samples,
    }
    for key, wanted in expected.items():
        found = read.value(type(wanted), key)
        if found != wanted:
            of_profile = f"profile {profile.name} has {key} {wanted}"
            here = f"this run uses profile {wanted}" if key == "profile" else of_profile
            raise ModelError(
                f"model {path} is made for {key} {found}, but {here}; "
                + ('set profile = "' + found + '", ' if key == "profile" and found in PROFILES else "")
                + 'choose a model of this profile or mask.model = "auto"'
            )
    name, listener = read.value(str, "name"), read.value(str, "listener")
    if not name or "/" in name or "\\" in name:
        raise read.wrong("name", "a name without a folder")
    if "/" in listener or "\\" in listener or listener == name:
        raise read.wrong("listener", "the name of another network in the same folder, or empty")
    if read.value(str, "features", "kind") != FEATURES:
        raise read.wrong("features.kind", f'"{FEATURES}", the only features this program computes')
    centres = read.value(list, "features", "band_centre_bins")
    last = profile.bins - 1
    # before the layout is made, which has as many bins as the last centre says
    if not all(_is_whole(centre) and 0 <= centre <= last for centre in centres):
        raise read.wrong("features.band_centre_bins", f"whole numbers rising from 0 to a last bin of {last}")
    try:
        layout = layout_from_centres(centres)
    except ValueError as error:
        raise read.wrong("features.band_centre_bins", f"whole numbers rising from 0 ({error})") from None
    if layout.bins != profile.bins:
        raise read.wrong("features.band_centre_bins", f"a last bin of {last}")
    with np.errstate(over="ignore"):
        power_floor = float(np.float32(read.value(float, "features", "power_floor")))
    # not so small that a processor which flushes tiny numbers to zero would take its logarithm for minus infinity
    if not 1e-30 <= power_floor <= 1.0:
        raise read.wrong("features.power_floor", "a number from 1e-30 to 1")
    run_every_hops = read.value(int, "run_every_hops")
    # a network that runs less often than once in a window would leave some of the sound unseen
    most_hops = min(_MOST_HOPS, profile.window_samples // profile.hop_samples)
    if not 1 <= run_every_hops <= most_hops:
        raise read.wrong("run_every_hops", f"from 1 to {most_hops}, the hops in a window of profile {profile.name}")
    cues = read.value(list, "features", "cues")
    if cues not in ([], list(CUES)):
        raise read.wrong("features.cues", f"[] or {json.dumps(CUES)}")
    if cues and not listener:
        raise read.wrong("listener", "the name of the network for one microphone beside it, since this one needs cues")
    count = (2 + len(cues)) * layout.bands
    mean = read.numbers(count, "features", "mean")
    if not np.all(np.abs(mean) <= 1e3):
        raise read.wrong("features.mean", "numbers from -1000 to 1000")
    std = read.numbers(count, "features", "std")
    if not np.all((std >= np.float32(1e-6)) & (std <= 1e3)):
        raise read.wrong("features.std", "numbers from 1e-06 to 1000")
    for key, size in (("input", count), ("direct", count), ("output", layout.bands)):
        shape = [1, 1, size]
        found = read.value(list, key, "shape")
        if not all(map(_is_whole, found)) or found != shape:
            raise read.wrong(f"{key}.shape", str(shape))
    states = []
    for i, row in enumerate(read.value(list, "states")):
        one = _Reader(path, row, f"states[{i}].")
        dims = one.value(list, "shape")
        if not all(_is_whole(d) and d > 0 for d in dims):
            raise one.wrong("shape", "positive whole numbers")
        states.append((one.value(str, "input"), one.value(str, "output"), tuple(dims)))
    files = {}
    for precision, row in read.value(dict, "files").items():
        one = _Reader(path, row, f"files.{precision}.")
        file_name, size = one.value(str, "file"), one.value(int, "bytes")
        if Path(file_name).name != file_name:
            raise one.wrong("file", "a file name without a folder")
        if size < 1:
            raise one.wrong("bytes", "the size of the file")
        files[str(precision)] = (file_name, one.value(str, "sha256"), size)
    if not files or not set(files) <= set(PRECISIONS):
        raise read.wrong("files", f"a table of at least one of {', '.join(PRECISIONS)}")
    return Manifest(
        path=path,
        name=name,
        run_every_hops=run_every_hops,
        layout=layout,
        power_floor=power_floor,
        mean=mean,
        inverse_std=(1.0 / std).astype(np.float32),
        cues=tuple(cues),
        listener=listener,
        input_name=read.value(str, "input", "name"),
        direct_name=read.value(str, "direct", "name"),
        output_name=read.value(str, "output", "name"),
        states=tuple(states),
        files=files,
    )


def _is_whole(value: Any) -> bool:
    """JSON's true and false are whole numbers for Python, not for a manifest."""
    return isinstance(value, int) and not isinstance(value, bool)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class _Reader:
    """Typed reading of the manifest's keys with one kind of message."""

    def __init__(self, path: Path, data: Any, prefix: str = "") -> None:
        self.path, self.data, self.prefix = path, data, prefix

    def wrong(self, key: str, expected: str) -> ModelError:
        return ModelError(
            f"model manifest {self.path}: {self.prefix}{key} should be {expected}; install the model again"
        )

    def value(self, kind: type, *keys: str) -> Any:
        here = self.data
        for key in keys:
            if not isinstance(here, dict) or key not in here:
                raise ModelError(
                    f"model manifest {self.path}: key {self.prefix}{'.'.join(keys)} is missing; install the model again"
                )
            here = here[key]
        if kind is float and _is_whole(here):
            here = float(here) if abs(here) < _LARGEST_WHOLE else math.inf
        if not isinstance(here, kind) or isinstance(here, bool):
            names = {int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}
            raise self.wrong(".".join(keys), names[kind])
        return here

    def numbers(self, count: int, *keys: str) -> NDArray[np.float32]:
        values = np.empty(0, np.float32)
        given = self.value(list, *keys)
        if all(isinstance(number, float) or _is_whole(number) for number in given):
            # what does not fit into 32 bits becomes infinite and is refused below
            with contextlib.suppress(OverflowError), np.errstate(over="ignore"):
                values = np.asarray(given, np.float32)
        if values.shape != (count,) or not np.all(np.isfinite(values)):
            raise self.wrong(".".join(keys), f"{count} numbers, one per feature and band")
        return values
