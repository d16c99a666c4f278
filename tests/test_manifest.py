"""Whatever stands in a manifest, reading it ends with a manifest that can be used or with one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.schema import MaskConfig
from edge.errors import ModelError
from edge.mask.choice import choose
from edge.mask.features import band_layout
from edge.mask.manifest import FEATURES, load_manifest
from edge.profiles import PROFILES

PROFILE = PROFILES["assistant"]
BANDS = band_layout(PROFILE).bands
COUNT = 2 * BANDS


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest that is right, its networks two files of a few bytes."""
    path = tmp_path / "small.json"
    data = {
        "format": 2,
        "name": "small",
        "profile": PROFILE.name,
        "rate_hz": PROFILE.rate_hz,
        "window_samples": PROFILE.window_samples,
        "hop_samples": PROFILE.hop_samples,
        "run_every_hops": 1,
        "features": {
            "kind": FEATURES,
            "band_centre_bins": band_layout(PROFILE).centre_bins.tolist(),
            "power_floor": 1e-7,
            "cues": [],
            "mean": [0.0] * COUNT,
            "std": [1] * COUNT,
        },
        "listener": "",
        "input": {"name": "x", "shape": [1, 1, COUNT]},
        "direct": {"name": "d", "shape": [1, 1, COUNT]},
        "output": {"name": "y", "shape": [1, 1, BANDS]},
        "states": [{"input": "a", "output": "b", "shape": [1, 1, 4]}],
        "files": {"float": {"file": "small.onnx", "sha256": "0" * 64, "bytes": 5}},
    }
    path.write_text(json.dumps(data))
    return path


def changed(path: Path, literal: str, *keys: Any) -> Path:
    """Put a JSON literal in place of one value; json.dumps could not write some of them."""
    data = json.loads(path.read_text())
    here = data
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = "@here@"
    path.write_text(json.dumps(data).replace('"@here@"', literal))
    return path


def sentence(act: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_right_manifest_is_read(manifest: Path) -> None:
    read = load_manifest(manifest, PROFILE)
    assert read.power_floor == pytest.approx(1e-7)
    assert read.layout.bands == BANDS
    assert read.states == (("a", "b", (1, 1, 4)),)


BAD_NUMBERS = ["NaN", "Infinity", "1e400", "1" + "0" * 400, "true", "null", '"1"', "[1]"]


@pytest.mark.parametrize("literal", [*BAD_NUMBERS, "0", "-1", "1e-60", "1e39", "1.01"])
def test_power_floor_is_a_positive_number(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "features", "power_floor")
    assert "features.power_floor should be a" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("literal", [*BAD_NUMBERS, "-1e400", "-1", "2.5", "3000000000", "1000000000"])
def test_band_centres_are_bins(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "features", "band_centre_bins", BANDS - 1)
    assert "features.band_centre_bins should be" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("key", ["mean", "std"])
@pytest.mark.parametrize("literal", [*BAD_NUMBERS, "1e39"])
def test_statistics_are_finite_numbers(manifest: Path, key: str, literal: str) -> None:
    changed(manifest, literal, "features", key, 3)
    assert f"features.{key} should be {COUNT} numbers" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("literal", ["-1001", "1e9"])
def test_means_are_logarithms(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "features", "mean", 3)
    assert "features.mean should be numbers from -1000 to 1000" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("literal", ["0", "-1", "1e-45", "9e-7", "1001"])
def test_deviations_can_be_divided_by(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "features", "std", 3)
    assert "features.std should be numbers from" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("literal", ["NaN", "1e400", "true", "null", '"1"', "[1]", "0", "-1", "1.0"])
def test_dimensions_are_positive_whole_numbers(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "states", 0, "shape", 1)
    assert "states[0].shape should be positive whole numbers" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("side", ["input", "direct", "output"])
@pytest.mark.parametrize("literal", ["true", "1.0"])
def test_shapes_hold_no_booleans(manifest: Path, side: str, literal: str) -> None:
    changed(manifest, literal, side, "shape", 0)
    assert f"{side}.shape should be" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("key", ["format", "rate_hz", "run_every_hops"])
def test_true_is_no_whole_number(manifest: Path, key: str) -> None:
    changed(manifest, "true", key)
    assert f"{key} should be a whole number" in sentence(lambda: load_manifest(manifest, PROFILE))


def test_a_network_runs_at_least_once_a_window(manifest: Path) -> None:
    most = PROFILE.window_samples // PROFILE.hop_samples
    assert load_manifest(changed(manifest, str(most), "run_every_hops"), PROFILE).run_every_hops == most
    for literal in ("0", "-1", str(most + 1), "1000000000", "1" + "0" * 400):
        changed(manifest, literal, "run_every_hops")
        text = sentence(lambda: load_manifest(manifest, PROFILE))
        assert f"run_every_hops should be from 1 to {most}, the hops in a window" in text


@pytest.mark.parametrize("name", ["", "../small", "a/b", "a\\b"])
def test_a_name_has_no_folder(manifest: Path, name: str) -> None:
    changed(manifest, json.dumps(name), "name")
    assert "name should be a name without a folder" in sentence(lambda: load_manifest(manifest, PROFILE))


def test_other_features_are_refused(manifest: Path) -> None:
    changed(manifest, '"mel"', "features", "kind")
    assert "features.kind should be" in sentence(lambda: load_manifest(manifest, PROFILE))


@pytest.mark.parametrize("literal", ['["removed"]', '["disagreement", "removed"]', "[1]", "true"])
def test_cues_are_none_or_all(manifest: Path, literal: str) -> None:
    changed(manifest, literal, "features", "cues")
    assert "features.cues should be" in sentence(lambda: load_manifest(manifest, PROFILE))


def test_every_cue_needs_its_statistics(manifest: Path) -> None:
    changed(manifest, '["removed", "disagreement"]', "features", "cues")
    assert "listener should be the name of the network for one microphone" in sentence(
        lambda: load_manifest(manifest, PROFILE)
    )
    changed(manifest, '"ears"', "listener")
    assert f"features.mean should be {4 * BANDS} numbers" in sentence(lambda: load_manifest(manifest, PROFILE))
    for key in ("mean", "std"):
        changed(manifest, json.dumps([1.0] * 4 * BANDS), "features", key)
    for side in ("input", "direct"):
        changed(manifest, json.dumps([1, 1, 4 * BANDS]), side, "shape")
    assert load_manifest(manifest, PROFILE).cues == ("removed", "disagreement")


@pytest.mark.parametrize("files", ["{}", '{"int4": {"file": "small.onnx", "sha256": "0", "bytes": 5}}'])
def test_networks_are_of_the_precisions_there_are(manifest: Path, files: str) -> None:
    changed(manifest, files, "files")
    assert "files should be a table of at least one of int8, float" in sentence(
        lambda: load_manifest(manifest, PROFILE)
    )


def test_a_network_of_another_size_is_damaged(manifest: Path) -> None:
    (manifest.parent / "small.onnx").write_bytes(b"six by")
    read = load_manifest(manifest, PROFILE)
    assert "is damaged: it has 6 bytes, the manifest says 5" in sentence(lambda: read.network_file("float"))
    for literal in ("0", "-5"):
        changed(manifest, literal, "files", "float", "bytes")
        assert "files.float.bytes should be the size" in sentence(lambda: load_manifest(manifest, PROFILE))


def test_a_manifest_without_an_end_is_not_read(tmp_path: Path) -> None:
    assert "is a device, pipe or socket" in sentence(lambda: load_manifest(Path("/dev/zero"), PROFILE))
    (tmp_path / "large.json").write_text(" " * (2**20 + 1))
    assert "is larger than 1 MiB" in sentence(lambda: load_manifest(tmp_path / "large.json", PROFILE))


def test_a_manifest_nested_too_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000 + "]" * 200_000)
    assert "is not valid JSON (nested too deeply)" in sentence(lambda: load_manifest(path, PROFILE))
    monkeypatch.setattr("edge.mask.choice.data_folder", lambda name: tmp_path)
    assert "no shipped model is made for" in sentence(lambda: choose(MaskConfig(), PROFILE))


def test_a_folder_in_place_of_a_file(manifest: Path) -> None:
    assert "is a folder; name the manifest" in sentence(lambda: load_manifest(manifest.parent, PROFILE))
    (manifest.parent / "small.onnx").mkdir()
    read = load_manifest(manifest, PROFILE)
    assert "small.onnx cannot be read (Is a directory)" in sentence(lambda: read.network_file("float"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_network_without_permission_to_read(manifest: Path) -> None:
    network = manifest.parent / "small.onnx"
    network.write_bytes(b"bytes")
    network.chmod(0)
    read = load_manifest(manifest, PROFILE)
    assert "cannot be read (Permission denied)" in sentence(lambda: read.network_file("float"))


def test_a_network_that_cannot_be_read(manifest: Path) -> None:
    changed(manifest, json.dumps("x" * 300), "files", "float", "file")
    read = load_manifest(manifest, PROFILE)
    assert "cannot be read (File name too long)" in sentence(lambda: read.network_file("float"))
