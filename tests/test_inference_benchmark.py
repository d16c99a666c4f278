"""The arithmetic that steps of networks are measured against: counted rightly, and every part really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="counting needs onnx")

from benchmarks.inference import examine, macs_of
from edge.mask.manifest import load_manifest, resolve_model
from edge.mask.network import NetworkMask
from edge.profiles import PROFILES


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_products_of_a_shipped_network_are_counted(name: str) -> None:
    manifest = load_manifest(resolve_model(f"mono-{name}"), PROFILES[name])
    inputs, bands = manifest.mean.size, manifest.layout.bands
    expected = 0
    for state in manifest.states[::2]:  # hidden states; the cell states multiply no matrix
        hidden = state[2][-1]
        expected += 4 * hidden * (inputs + hidden)
        inputs = hidden
    expected += inputs * bands * (1 + len(manifest.cues) + 1)  # a threshold and slopes per band
    for precision in manifest.files:
        assert macs_of(Path(manifest.network_file(precision))) == expected


@pytest.mark.parametrize("precision", ["int8", "float"])
def test_the_parts_make_up_the_step(precision: str) -> None:
    profile = PROFILES["assistant"]
    found = examine(NetworkMask(resolve_model("mono-assistant"), profile, precision), profile, rounds=2)
    assert found["macs"] > 100_000
    assert sum(found["split_us"].values()) == pytest.approx(found["step_us"])
    assert found["step_over_bound"] == pytest.approx(found["step_us"] / found["bound_us"])
