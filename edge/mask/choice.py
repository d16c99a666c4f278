"""Which network runs: the one the configuration names, the one picked on this machine, or what ships."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.config.schema import Config, MaskConfig
from edge.errors import ModelError
from edge.kinds import PRECISIONS
from edge.mask.manifest import Manifest, load_manifest, resolve_model
from edge.mask.measured import Measured, read_measured
from edge.profiles import PROFILES, Profile
from edge.resources import data_folder

DEFAULT_PRECISION = PRECISIONS[0]
QUALITY_ORDER = ("array", "mono")
"""kinds of network, the better first; the precisions of one network are equally good"""
PICK = "edge bench --pick-model"


@dataclass(frozen=True)
class Choice:
    """A network and the precision of its weights. `note`: when it was measured, or why a measurement does not count."""

    manifest: Path
    precision: str
    source: Literal["configuration", "measurement", "default"]
    note: str = ""
    checked: Manifest | None = field(default=None, compare=False, repr=False)
    """what the manifest says, of a network that the configuration names: it was read to choose the precision"""

    def open(self, profile: Profile) -> Manifest:
        """The manifest, read and checked, once. Raises ModelError."""
        return self.checked or load_manifest(self.manifest, profile)

    @property
    def why(self) -> str:
        """One phrase for people."""
        if self.source == "configuration":
            return "named in the configuration"
        if self.source == "measurement":
            return f"picked by {PICK} on {self.note}"
        return f"{self.note}; {PICK} measures again" if self.note else f"not measured here; {PICK} does"


@dataclass(frozen=True)
class Shipped:
    """What a glance at the manifest of a shipped network tells; it is checked when it is opened."""

    path: Path
    name: str
    kind: str
    """'array' for one that hears cues of the array, else 'mono'"""
    sha256: dict[str, str]
    """of the network file of each precision"""
    listener: str
    """the network that hears one microphone for it; empty: it does that itself"""


def geometry_kind(mics: int) -> str:
    """'array' from two microphones on, formed to a beam; else 'mono'."""
    return "array" if mics > 1 else "mono"


def mics_in_beam(config: Config) -> int:
    """How many microphones a configuration forms a beam of; 1 without a beamformer."""
    return len(config.array.positions_m) if config.beamformer.kind != "none" else 1


def shipped_networks(profile: Profile, mics: int) -> list[Shipped]:
    """Those made for `profile` that suit so many microphones, the best first."""
    found = []
    for path in sorted(data_folder("models").glob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["profile"] != profile.name:
                continue
            kind = "array" if data["features"].get("cues") else "mono"
            sha256 = {precision: row["sha256"] for precision, row in data["files"].items()}
            found.append(Shipped(path, path.stem, kind, sha256, str(data.get("listener") or "")))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # a damaged neighbour must not hide the good one
    suited = [each for each in found if each.kind == "mono" or geometry_kind(mics) == "array"]
    return sorted(suited, key=lambda each: QUALITY_ORDER.index(each.kind))


def profile_of(model: str) -> str | None:
    """Name of the profile that a model, named or by the path of its manifest, is made for; None where a glance does not
    tell: what is wrong with it is told when it is opened. Raises ModelError for an unknown name.
    """
    try:
        profile = json.loads(resolve_model(model).read_text(encoding="utf-8"))["profile"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return profile if profile in PROFILES else None


def choose(config: MaskConfig, profile: Profile, mics: int = 1) -> Choice:
    """The network of a configuration with `mics` microphones in its beam (1 without one). Raises ModelError."""
    if config.model != "auto":
        manifest = load_manifest(resolve_model(config.model), profile)
        if manifest.cues and geometry_kind(mics) == "mono":
            raise ModelError(
                f"model {manifest.name} listens to what a beam of several microphones leaves out, and here there is no "
                f'such beam; choose mask.model = "{manifest.listener}" or "auto"'
            )
        if config.precision != "auto":
            return Choice(manifest.path, config.precision, "configuration", checked=manifest)
        return _precision_of(manifest, read_measured())
    measured = read_measured()
    shipped = shipped_networks(profile, mics)
    if not shipped:
        raise ModelError(
            f"no shipped model is made for profile {profile.name} (looked in {data_folder('models')}); "
            'name a manifest in mask.model, or choose mask.kind = "wiener"'
        )
    precision = DEFAULT_PRECISION if config.precision == "auto" else config.precision
    picked = next((p for p in measured.picked if (p.profile, p.geometry) == (profile.name, geometry_kind(mics))), None)
    if picked is None:
        return Choice(shipped[0].path, precision, "default", measured.why_not)
    timed = {(t.model, t.precision): t.sha256 for t in measured.timings if t.profile == profile.name}
    path = next((each.path for each in shipped if each.name == picked.model), None)
    if path is None or any(timed.get((s.name, p)) != sha256 for s in shipped for p, sha256 in s.sha256.items()):
        note = f"the measurement in {measured.path} is ignored: it was of other networks than those installed"
        return Choice(shipped[0].path, precision, "default", note)
    precision = picked.precision if config.precision == "auto" else precision
    return Choice(path, precision, "measurement", picked.date[:10])


def _precision_of(manifest: Manifest, measured: Measured) -> Choice:
    """The quicker of the precisions of a network that the configuration names, as far as both were measured."""
    files = manifest.files
    sha256 = {row[1]: precision for precision, row in files.items()}
    timed = {sha256[t.sha256]: t for t in measured.timings if t.sha256 in sha256}
    if set(timed) == set(files):
        quickest = min(timed, key=lambda each: timed[each].p50_ms)
        return Choice(manifest.path, quickest, "measurement", timed[quickest].date[:10], manifest)
    precision = DEFAULT_PRECISION if DEFAULT_PRECISION in files else next(iter(files))
    return Choice(manifest.path, precision, "default", measured.why_not, manifest)
