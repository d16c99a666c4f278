"""The arithmetic that steps of networks are measured against: counted rightly, and every part really runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="counting needs onnx")

from benchmarks import inference, record
from benchmarks.inference import Insides, examine, macs_of, parts_of
from edge.mask.manifest import load_manifest, resolve_model
from edge.mask.network import NetworkMask
from edge.profiles import PROFILES


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_products_of_a_shipped_network_are_counted(name: str) -> None:
    manifest = load_manifest(resolve_model(f"mono-{name}"), PROFILES[name])
    inputs = inputs_of_all = manifest.mean.size
    bands = manifest.layout.bands
    expected = 0
    for state in manifest.states[::2]:  # hidden states; the cell states multiply no matrix
        _, vectors, hidden = state[2]
        if vectors == bands:  # each band by itself: its groups of features and three to either side, logits, place
            near = 7 * inputs_of_all // bands + 3 + 4
            expected += bands * (4 * hidden * (near + hidden) + hidden)
            continue
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


@pytest.mark.parametrize("name", ["mono-assistant", "mono-hearing", "array-assistant"])
def test_every_step_that_is_timed_runs_the_network(name: str) -> None:
    profile = PROFILES[name.split("-")[1]]
    network = NetworkMask(resolve_model(name), profile)
    inner, parts = Insides.of(network), parts_of(network, profile)
    for _ in range(3):  # also in hops in which a network that runs in every fourth would rest
        inner.gains.fill(np.nan)
        parts["step"]()
        assert np.isfinite(inner.gains).all()
        inner.gains.fill(np.nan)
        parts["session"]()
        assert np.isfinite(inner.gains).all()


def test_every_shipped_network_is_put_into_the_file_of_this_machine(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    times = {"macs": 1000, "macs_per_us": {"vector": 4e3, "matrix": 8e3}, "bound_us": 0.25, "step_us": 1 / 3}
    split = {"step_over_bound": 4 / 3, "split_us": {"arithmetic": 0.25, "features": 1 / 12}}
    monkeypatch.setattr(inference, "examine", lambda network, profile, rounds: times | split)
    record.record("hop_cost", {"kept": True})
    inference.main([])
    whole = json.loads(record.results_file().read_text())
    assert whole["hop_cost"] == {"kept": True}
    rows = [f"{name} {p}" for name in ("mono-assistant", "mono-hearing", "array-assistant") for p in ("int8", "float")]
    assert sorted(whole["inference"]["networks"]) == sorted(rows)
    assert whole["inference"]["networks"]["array-assistant int8"]["step_us"] == 0.333
    assert whole["inference"]["stamp"]["digest"] == record.digest()
    page = (tmp_path / "inference.md").read_text()
    assert [line.split("|")[1].strip() for line in page.splitlines() if line.startswith(("| mono", "| array"))] == rows
    assert "| array-assistant int8 | 1 k | 4.0 | 8.0 | 0.2 | 0.3 | 1.3 | 0.2 | 0.1 |" in page
    assert page in capsys.readouterr().out
