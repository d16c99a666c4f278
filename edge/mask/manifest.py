"""The JSON file beside a network: what it expects, what it is made of, and the checksums that prove it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.manifests import is_whole, network_file, open_manifest, read_files, read_states, resolve
from edge.mask.features import CUES, BandLayout, layout_from_centres
from edge.profiles import PROFILES, Profile
from edge.resources import data_folder

FORMAT = 2
FEATURES = "log10 of mean power in triangular bands, above a floor and as it is, analysis window of edge.windows"
"""the only kind of features this program computes"""
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
        return network_file(self.path, self.name, self.files, precision)


def resolve_model(name_or_path: str) -> Path:
    """Path of the manifest of a shipped model, by its name, or of any other, by the path of its .json file.

    Raises ModelError naming the shipped models when there is no such one.
    """
    return resolve(name_or_path, data_folder("models"))


def load_manifest(path: Path, profile: Profile) -> Manifest:
    """Read and check a manifest for a profile. Raises ModelError, one sentence, for anything wrong with it."""
    read = open_manifest(path)
    kind = read.data.get("kind") if isinstance(read.data, dict) else None
    if kind is not None:
        raise ModelError(
            f"model {path} is a {kind!r}, expected a mask network; for recordings name it to `edge enhance --mask`"
        )
    if read.value(int, "format") != FORMAT:
        raise ModelError(
            f"model manifest {path} has format {read.data['format']}, this program reads format {FORMAT}; update one"
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
    if not all(is_whole(centre) and 0 <= centre <= last for centre in centres):
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
        if not all(map(is_whole, found)) or found != shape:
            raise read.wrong(f"{key}.shape", str(shape))
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
        states=read_states(read),
        files=read_files(read),
    )
