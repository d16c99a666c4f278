"""Which network runs: named, picked on this machine, or shipped; and what makes a measurement count no more."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edge.pick
from edge.bench import synthetic_config
from edge.cli.main import main
from edge.cli.pick_model import as_text
from edge.config.schema import MaskConfig
from edge.diagnosis import _models
from edge.errors import EdgeError, ModelError
from edge.mask.choice import choose, mics_in_beam, shipped_networks
from edge.mask.factory import make_estimator
from edge.mask.manifest import load_manifest
from edge.mask.measured import FILE, Picked, Timing, read_measured, write_measured
from edge.mask.network import NetworkMask
from edge.pick import SHARE_OF_HOP, pick, share_of_hop, time_networks
from edge.profiles import PROFILES
from edge.resources import data_folder

PROFILE = PROFILES["assistant"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a choice is kept; not there yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "mic-edge" / FILE


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped networks: that of one microphone, and the same once more as one that takes cues."""
    folder = tmp_path / "models"
    folder.mkdir()
    for file in data_folder("models").glob("mono-assistant*"):
        shutil.copy(file, folder)
    data = json.loads((folder / "mono-assistant.json").read_text())
    data["name"] = "array-assistant"
    data["features"]["cues"] = ["removed", "disagreement"]
    (folder / "array-assistant.json").write_text(json.dumps(data))
    for module in ("choice", "manifest"):
        monkeypatch.setattr(f"edge.mask.{module}.data_folder", lambda name: folder)
    return folder


def sums(folder: Path, model: str = "mono-assistant") -> dict[str, str]:
    files = json.loads((folder / f"{model}.json").read_text())["files"]
    return {precision: row["sha256"] for precision, row in files.items()}


def timing(model: str, precision: str, p50_ms: float, p99_ms: float, sha256: str = "") -> Timing:
    kind = model.partition("-")[0]
    return Timing("assistant", model, kind, precision, sha256, p50_ms, p99_ms, 1000)


def measured(folder: Path, precision: str, model: str = "mono-assistant", geometry: str = "mono") -> None:
    """Keep a choice as `edge bench --pick-model` does."""
    timings = [
        timing(each.stem, p, 0.1 if p == precision else 0.2, 0.3, sha256)
        for each in folder.glob("*.json")
        for p, sha256 in sums(folder, each.stem).items()
    ]
    write_measured("2026-11-23T03:00:00Z", timings, [Picked("assistant", geometry, model, precision, True)])


def test_nothing_measured_is_what_ships_in_int8(state: Path) -> None:
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.manifest.stem, chosen.precision, chosen.source) == ("mono-assistant", "int8", "default")
    assert chosen.why == "not measured here; edge bench --pick-model does"


def test_what_is_named_goes_before_what_is_picked(state: Path, models: Path) -> None:
    measured(models, "float")
    chosen = choose(MaskConfig(model="mono-assistant", precision="int8"), PROFILE)
    assert (chosen.manifest.stem, chosen.precision, chosen.source) == ("mono-assistant", "int8", "configuration")
    assert choose(MaskConfig(precision="int8"), PROFILE).precision == "int8"
    assert choose(MaskConfig(model="mono-assistant"), PROFILE).precision == "float"


def test_what_is_picked_is_what_runs(state: Path) -> None:
    measured(data_folder("models"), "float")
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.precision, chosen.source) == ("float", "measurement")
    assert chosen.why == "picked by edge bench --pick-model on 2026-11-23"
    estimator = make_estimator("network", MaskConfig(), PROFILE)
    assert isinstance(estimator, NetworkMask)
    assert estimator.precision == "float"


def test_networks_for_arrays_are_for_arrays(state: Path, models: Path) -> None:
    assert [each.name for each in shipped_networks(PROFILE, 1)] == ["mono-assistant"]
    assert [each.name for each in shipped_networks(PROFILE, 2)] == ["array-assistant", "mono-assistant"]
    assert choose(MaskConfig(), PROFILE, mics=4).manifest.stem == "array-assistant"
    measured(models, "int8", "mono-assistant", "array")
    assert choose(MaskConfig(), PROFILE, mics=4).manifest.stem == "mono-assistant"
    assert choose(MaskConfig(), PROFILE, mics=1).source == "default", "nothing was picked for one microphone"
    assert mics_in_beam(synthetic_config(4)) == 4
    assert mics_in_beam(synthetic_config(4, {"beamformer.kind": "none"})) == 1


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("processor", "another", "processor is .* now and was another"),
        ("onnxruntime", "1.0", "onnxruntime is .* now and was 1.0"),
        ("format", 99, "format 99, this version reads 2"),
        ("picked", [{"profile": "assistant"}], "not laid out as this version does"),
        ("timings", 5, "not laid out as this version does"),
    ],
)
def test_a_measurement_of_something_else_does_not_count(
    state: Path, models: Path, key: str, value: object, why: str
) -> None:
    measured(models, "float")
    data = json.loads(state.read_text())
    data[key] = value
    state.write_text(json.dumps(data))
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.precision, chosen.source) == ("int8", "default")
    assert re.search(why, chosen.note)
    assert chosen.why.endswith("edge bench --pick-model measures again")


@pytest.mark.parametrize(("key", "literal"), [("hops", "1e999"), ("p50_ms", "9" * 400)])
def test_numbers_beyond_all_bounds_are_passed_over(state: Path, models: Path, key: str, literal: str) -> None:
    measured(models, "float")
    state.write_text(re.sub(rf'"{key}": [0-9.]+', f'"{key}": {literal}', state.read_text()))
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.precision, chosen.source) == ("int8", "default")


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\xff"])
def test_a_damaged_file_is_told_and_passed_over(state: Path, content: str) -> None:
    state.parent.mkdir(parents=True)
    state.write_bytes(content.encode("latin-1"))
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.precision, chosen.source) == ("int8", "default")
    assert str(state) in chosen.note


def test_another_network_under_the_same_name_has_to_be_measured_again(state: Path, models: Path) -> None:
    measured(models, "float")
    path = models / "mono-assistant.json"
    data = json.loads(path.read_text())
    data["files"]["int8"]["sha256"] = "0" * 64
    path.write_text(json.dumps(data))
    chosen = choose(MaskConfig(), PROFILE)
    assert (chosen.precision, chosen.source) == ("int8", "default")
    assert "other networks than those installed" in chosen.note


def test_a_second_measurement_keeps_what_it_does_not_touch(state: Path) -> None:
    hearing = Timing("hearing", "mono-hearing", "mono", "int8", "a", 0.1, 0.2, 10)
    write_measured("2026-11-22T03:00:00Z", [hearing], [Picked("hearing", "mono", "mono-hearing", "int8", True)])
    measured(data_folder("models"), "float")
    found = read_measured()
    assert dataclasses.replace(hearing, date="2026-11-22T03:00:00Z") in found.timings
    assert {(p.profile, p.date[:10]) for p in found.picked} == {("hearing", "2026-11-22"), ("assistant", "2026-11-23")}
    assert choose(MaskConfig(), PROFILES["hearing"]).source == "default", "of another network"
    assert {each.profile for each in found.picked} == {"hearing", "assistant"}
    assert len(found.timings) == 1 + sum(
        len(sums(data_folder("models"), p.stem)) for p in data_folder("models").glob("*.json")
    )


def test_the_best_kind_that_fits_in_its_quicker_precision() -> None:
    limit_ms = SHARE_OF_HOP * PROFILE.hop_ms
    rows = [
        timing("array-assistant", "int8", 0.2, 0.4 * limit_ms),
        timing("array-assistant", "float", 0.1, 0.45 * limit_ms),
        timing("mono-assistant", "int8", 0.05, 0.1 * limit_ms),
    ]
    assert pick(PROFILE, rows, 4) == Picked("assistant", "array", "array-assistant", "float", True)
    assert pick(PROFILE, rows, 1) == Picked("assistant", "mono", "mono-assistant", "int8", True)
    # two networks run in an array, so half of the share is too much for one of them
    slow = [timing("array-assistant", "int8", 0.2, 0.6 * limit_ms), rows[2]]
    assert pick(PROFILE, slow, 4) == Picked("assistant", "array", "mono-assistant", "int8", True)
    # unless the other one is a smaller network
    helped = [dataclasses.replace(slow[0], listener="mono-assistant"), rows[2]]
    assert pick(PROFILE, helped, 4) == Picked("assistant", "array", "array-assistant", "int8", True)
    assert share_of_hop(helped[0], PROFILE, 4, helped) == pytest.approx(0.7 * SHARE_OF_HOP)
    none_fits = [timing("mono-assistant", p, ms, 2 * limit_ms) for p, ms in (("int8", 3.0), ("float", 2.0))]
    assert pick(PROFILE, none_fits, 1) == Picked("assistant", "mono", "mono-assistant", "float", False)
    assert pick(PROFILE, [], 1) is None


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_every_precision_is_timed_and_in_turn(name: str, state: Path) -> None:
    turns: list[None] = []
    found = time_networks(PROFILES[name], 4, rounds=2, hops=3, progress=lambda: turns.append(None))
    assert {(t.profile, t.precision) for t in found} == {(name, "int8"), (name, "float")}
    assert len(turns) == 2 * len(found)
    for each in found:
        assert each.hops == 6
        assert 0.0 < each.p50_ms <= each.p99_ms < np.inf


def test_the_command_picks_keeps_and_says(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.pick.time_networks, "__defaults__", (1, 3, lambda: None))
    assert main(["bench", "--pick-model", "--profile", "assistant", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said["file"]) == state
    assert {(p["profile"], p["geometry"]) for p in said["picked"]} == {("assistant", "mono"), ("assistant", "array")}
    assert choose(MaskConfig(), PROFILE).source == "measurement"
    assert main(["bench", "--pick-model", "--mics", "1", "--profile", "assistant"]) == 0
    out = capsys.readouterr().out
    assert "mono-assistant int8" in out
    assert "array" not in out
    assert "assistant, one microphone: mono-assistant" in out
    assert str(state) in out
    assert main(["bench", "--pick-model", "--seconds", "3"]) == 2
    assert "leave out --seconds" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_a_network_for_arrays_is_refused_where_there_is_no_beam(state: Path, precision: str) -> None:
    config = MaskConfig(model="array-assistant", precision=precision)
    assert choose(config, PROFILE, mics=2).manifest.stem == "array-assistant"
    with pytest.raises(ModelError, match=r'no such beam; choose mask\.model = "mono-assistant" or "auto"'):
        choose(config, PROFILE, mics=1)


@pytest.mark.parametrize(("name", "sentence"), [("x.onnx", "name its manifest"), ("nets", "is a folder; name the man")])
def test_what_is_next_to_a_manifest_is_no_manifest(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "nets").mkdir()
    with pytest.raises(ModelError, match=sentence):
        load_manifest(tmp_path / name, PROFILE)


def test_a_choice_that_cannot_be_kept_is_shown_all_the_same(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.pick.time_networks, "__defaults__", (1, 3, lambda: None))
    state.parent.parent.mkdir(parents=True)
    state.parent.write_text("a file in the way of the folder")
    assert main(["bench", "--pick-model", "--mics", "1", "--profile", "assistant"]) == EdgeError.exit_code
    said = capsys.readouterr()
    assert "mono-assistant int8" in said.out
    assert "cannot be kept" in said.err


def test_a_choice_that_cannot_be_kept_is_one_sentence(state: Path) -> None:
    state.parent.parent.mkdir(parents=True)
    state.parent.write_text("a file in the way of the folder")
    with pytest.raises(EdgeError, match="cannot be kept") as caught:
        measured(data_folder("models"), "int8")
    assert "\n" not in str(caught.value)
    assert choose(MaskConfig(), PROFILE).source == "default"


def test_doctor_says_which_and_warns_of_a_stale_measurement(state: Path) -> None:
    config = synthetic_config(1)
    before = next(f for f in _models(config) if f.check == "network")
    assert (before.status, before.found) == (
        "ok",
        "mono-assistant int8: not measured here; edge bench --pick-model does",
    )
    measured(data_folder("models"), "float")
    picked = next(f for f in _models(config) if f.check == "network")
    assert (picked.status, picked.found[:20]) == ("ok", "mono-assistant float")
    state.write_text(state.read_text().replace('"onnxruntime": "', '"onnxruntime": "0.'))
    stale = next(f for f in _models(config) if f.check == "network")
    assert stale.status == "warning"
    assert "onnxruntime is" in stale.found
    assert stale.remedy.startswith("edge bench --pick-model")


def test_no_shipped_network_is_one_sentence(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mask.choice.data_folder", lambda name: tmp_path)
    with pytest.raises(ModelError, match="no shipped model is made for profile hearing"):
        choose(MaskConfig(), PROFILES["hearing"])


def test_state_is_that_of_the_service_of_root_or_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from edge import machine

    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert machine.state_folder() == tmp_path / ".local/state/mic-edge"
    assert list(machine.state_files("a")) == [tmp_path / ".local/state/mic-edge/a", machine.SYSTEM_STATE / "a"]
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert list(machine.state_files("a")) == [machine.SYSTEM_STATE / "a"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert machine.state_folder() == tmp_path / "mic-edge"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert machine.state_folder() == Path("/var/lib/one")


def test_the_table_has_a_column_for_each_line_that_is_picked() -> None:
    rows = [
        dataclasses.replace(timing("array-assistant", "int8", 0.2, 0.4), listener="mono-assistant"),
        timing("mono-assistant", "int8", 0.1, 0.2),
    ]
    lines = [line.split() for line in as_text(rows, [], 4).splitlines()]
    assert lines[0][-3:] == ["1", "mic", "array"]
    hop = PROFILE.hop_ms
    assert lines[1][4:] == ["-", f"{100 * 0.6 / hop:.1f}", "%"]
    assert lines[2][4:] == [f"{100 * 0.2 / hop:.1f}", "%", f"{100 * 0.4 / hop:.1f}", "%"]
    assert "array" not in as_text(rows[1:], [], 1)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_what_is_timed_are_the_steps_in_which_the_network_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = PROFILES[name]
    network = NetworkMask(shipped_networks(profile, 1)[0].path, profile)
    clock, ran = iter(range(1_000_000)), []
    reads: list[int] = []

    def read() -> int:
        reads.append(next(clock))
        return reads[-1]

    def watched(run: Callable[[], None]) -> Callable[[], None]:
        return lambda: (ran.append(len(reads)), run())[1]

    network._runs = [watched(run) for run in network._runs]
    monkeypatch.setattr(edge.pick, "thread_time_ns", read)
    taken = edge.pick._time(network, edge.pick._spectra(profile), 6, np.zeros(4, np.float32))
    assert len(taken) == 6
    assert ran == [1, 3, 5, 7, 9, 11]  # every run lies between the two readings of one timing
