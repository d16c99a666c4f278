"""Recipes of training runs: each that ships holds every setting, and what is wrong in one is said in one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edge.decoding import read_toml
from edge.errors import ConfigError
from models.config import (
    NETWORKS,
    MaskConfig,
    TasNetConfig,
    TrainConfig,
    TrainingConfig,
    config_from_dict,
    config_to_dict,
)
from models.mixing import MixingConfig
from models.recipe import DataConfig, change, load_recipe

RECIPES = sorted((Path(__file__).resolve().parent.parent / "models" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_holds_every_setting(path: Path) -> None:
    recipe, table = load_recipe(path), read_toml(path, "recipe")
    sections = {"data": DataConfig, "training": TrainingConfig, "mixing": MixingConfig}
    sections["network"] = NETWORKS[table["network"].pop("kind")]
    assert set(table) == set(sections)
    for name, section in sections.items():
        assert list(table[name]) == [field.name for field in dataclasses.fields(section)]
    assert config_from_dict(config_to_dict(recipe.config)) == recipe.config
    assert not Path(recipe.data.out).is_absolute()


def test_there_is_a_recipe_for_every_network() -> None:
    assert [path.stem for path in RECIPES] == ["array", "blstm", "conv_tasnet", "hearing", "mono"]
    networks = {path.stem: load_recipe(path).config.network for path in RECIPES}
    assert networks["hearing"] == MaskConfig("hearing", run_every_hops=4)
    assert networks["array"] == MaskConfig(cues=True, local_units=24)
    assert networks["mono"] == MaskConfig(local_units=24)
    assert networks["conv_tasnet"] == TasNetConfig()


def test_the_command_line_comes_before_the_recipe() -> None:
    changes = [change("training.minutes=5"), change("training.learning_rate = 2e-4"), change("mixing.batch=3")]
    recipe = load_recipe(RECIPES[-1], [*changes, ("data.speech", "/elsewhere")])
    assert (recipe.config.minutes, recipe.config.learning_rate, recipe.config.mixing.batch) == (5.0, 2e-4, 3)
    assert (recipe.data.path("speech"), recipe.data.path("start_from")) == (Path("/elsewhere"), None)
    assert change("data.out=runs/x") == ("data.out", "runs/x")
    with pytest.raises(ConfigError, match=r"expected SECTION\.KEY=VALUE"):
        change("minutes")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.minuts=5", "training.minuts: unknown key; did you mean minutes"),
        ("training.minutes=-5", "training.minutes: got -5, expected a finite number from"),
        ("training.minutes=long", 'training.minutes: got "long", expected a finite number'),
        ("optimiser.rate=1", "--set optimiser.rate: expected SECTION.KEY, a section out of data, network"),
        ("network.kind=lstm", 'network.kind: got "lstm", expected one of mask, blstm, conv_tasnet'),
        ("network.norm=layer", 'network.norm: got "layer", expected global, cumulative or channel'),
        ("network.norm=global", "expected global for both or for none"),
        ("network.stride_samples=100", "kernel_samples 128: expected 2, 3 or more times stride_samples"),
        ("network.filters=200", "filters 200: expected an even number of at least twice kernel_samples"),
        ("network.kernel=4", "kernel 4: expected an odd number"),
        ("network.memory_frames=1", "memory_frames 1: expected 0"),
        ("mixing.pool=2", "mixing: expected batch from 1 to pool"),
        ("data.speech=", r"trained on data.speech and data.noise \(--speech, --noise\), without scenes"),
        ("data.out=", r"data.out: expected the folder of the run \(--out\)"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, message: str) -> None:
    path = next(path for path in RECIPES if path.stem == "conv_tasnet")
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(path, [change(setting)])
    assert len(caught.value.problems) == 1


def test_an_unknown_section_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[trainning]\nminutes = 1\n[network]\nkind = "mask"\n[data]\nspeech = "a"\nnoise = "b"\nout = "c"\n'
    )
    with pytest.raises(ConfigError, match=r"unknown section \[trainning\]; did you mean training"):
        load_recipe(path)
    with pytest.raises(ConfigError, match="no such recipe"):
        load_recipe(tmp_path / "none.toml")


def test_a_checkpoint_of_the_first_mask_networks_is_understood() -> None:
    old = {"profile": "hearing", "run_every_hops": 4, "cues": False, "hidden": 64, "layers": 2, "seed": 7}
    old["mixing"] = {"batch": 5}
    config = config_from_dict(old)
    assert config == TrainConfig(seed=7, network=MaskConfig("hearing", 4, hidden=64), mixing=MixingConfig(batch=5))
