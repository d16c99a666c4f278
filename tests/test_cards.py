"""The cards of the shipped networks say of them what their manifests say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.manifests import LAB
from edge.resources import data_folder

MANIFESTS = sorted([*data_folder("models").glob("*.json"), *(data_folder("models") / LAB).glob("*.json")])


@pytest.mark.parametrize("path", MANIFESTS, ids=[path.stem for path in MANIFESTS])
def test_a_card_has_the_numbers_of_its_manifest(path: Path) -> None:
    manifest = json.loads(path.read_text())
    card = path.with_name(manifest["card"]).read_text()
    assert card.startswith(f"# {manifest['name']}\n")
    assert f"{manifest['training']['parameters']:,} parameters" in card
    for row in manifest["files"].values():
        assert f"`{row['file']}`" in card
        assert f"({row['bytes']:,}" in card
        assert row["bytes"] < 1_500_000 or path.parent.name == LAB
    assert manifest["licence"] in card
    assert "training-sources.md" in card


def test_every_network_has_a_card() -> None:
    assert MANIFESTS
    cards = {json.loads(path.read_text())["card"] for path in MANIFESTS}
    models = data_folder("models")
    found = {path.name for path in [*models.glob("*.md"), *(models / LAB).glob("*.md")]}
    assert found - {"training-sources.md"} == cards
