"""Recipes: one TOML file with every setting of a training run. See models/recipes/ and models/README.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.decoding import Decoder, did_you_mean, read_toml, show
from edge.errors import ConfigError
from models.config import NETWORKS, MaskConfig, NetworkConfig, TrainConfig, TrainingConfig
from models.mixing import MixingConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DataConfig:
    """Where things lie: paths from the folder that the command runs in; empty means none."""

    speech: str = ""
    """folder of sound files or of speech*.tar shards"""
    noise: str = ""
    """folder of sound files or of noise*.tar shards"""
    scenes: str = ""
    """folder of models.array_scenes, for a network with cues, instead of speech and noise"""
    cache: str = ""
    """where decoded audio is kept; empty: in the run's folder"""
    start_from: str = ""
    """checkpoint of another run, or manifest (.json) of an exported network, to begin with"""
    out: str = ""
    """folder of the run; a run that is there is resumed"""

    def problems(self, network: NetworkConfig) -> list[str]:
        found = [] if self.out else ["data.out: expected the folder of the run (--out)"]
        if isinstance(network, MaskConfig) and network.cues:
            if not self.scenes or self.speech or self.noise:
                found.append("a network with cues is trained on data.scenes (--scenes), without speech and noise")
        elif self.scenes or not self.speech or not self.noise:
            found.append("this network is trained on data.speech and data.noise (--speech, --noise), without scenes")
        return found

    def path(self, name: str) -> Path | None:
        value = getattr(self, name)
        return Path(value).expanduser() if value else None


@dataclass(frozen=True)
class Recipe:
    data: DataConfig
    config: TrainConfig


SECTIONS = ("data", "network", "training", "mixing")


def load_recipe(path: Path, changes: Iterable[tuple[str, Any]] = ()) -> Recipe:
    """Read a recipe; changes: (section.key, value) that take the place of what it says.

    Raises ConfigError with every problem: a key that is not known, a value of another kind, a setting out of range.
    """
    table = read_toml(path, "recipe")
    others = [name for name in table if name not in SECTIONS]
    problems = [f"unknown section [{name}]{did_you_mean(name, SECTIONS)}" for name in others]
    for dotted, value in changes:
        section, dot, key = dotted.partition(".")
        if section not in SECTIONS or not dot:
            problems.append(f"--set {dotted}: expected SECTION.KEY, a section out of {', '.join(SECTIONS)}")
        elif isinstance(table.setdefault(section, {}), dict):
            table[section][key] = value
    network_table = table.get("network", {})
    kind = network_table.pop("kind", None) if isinstance(network_table, dict) else None
    if not isinstance(kind, str) or kind not in NETWORKS:
        problems.append(f"network.kind: got {show(kind)}, expected one of {', '.join(NETWORKS)}")
        raise ConfigError(problems, str(path))
    decoder = Decoder()
    network: NetworkConfig = decoder.decode(NETWORKS[kind], network_table, prefix="network.")
    data = decoder.decode(DataConfig, table.get("data", {}), prefix="data.")
    training = decoder.decode(TrainingConfig, table.get("training", {}), prefix="training.")
    mixing = decoder.decode(MixingConfig, table.get("mixing", {}), prefix="mixing.")
    problems += decoder.problems
    if not problems:
        problems = [*network.problems(), *mixing.problems(), *data.problems(network)]
    if problems:
        raise ConfigError(problems, str(path))
    return Recipe(data, TrainConfig(network=network, mixing=mixing, **vars(training)))


def change(text: str) -> tuple[str, Any]:
    """The command line's "training.minutes=5" as (section.key, value): TOML, or text where it is none.

    Raises ConfigError where there is no equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r}: expected SECTION.KEY=VALUE, as in --set training.minutes=5")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
