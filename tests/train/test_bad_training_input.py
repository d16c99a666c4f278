"""What training is given that is no good: one sentence, the exit code, and nothing half done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from edge.errors import AudioFileError, ModelError, UsageError  # noqa: E402
from models import checkpoint  # noqa: E402
from models.array_scenes import main as scenes_main  # noqa: E402
from models.array_shards import read_shards  # noqa: E402
from models.config import TrainConfig, config_to_dict  # noqa: E402
from models.data import load_corpus  # noqa: E402
from models.export import export  # noqa: E402

pytestmark = pytest.mark.train


def write_talkers(folder: Path, count: int = 8) -> None:
    for n in range(count):
        (folder / str(n)).mkdir(parents=True)
        soundfile.write(folder / str(n) / "a.wav", 0.1 * np.random.default_rng(n).standard_normal(8000), 16000)


def test_a_file_that_is_no_sound_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_talkers(tmp_path / "speech")
    (tmp_path / "speech" / "3" / "a.wav").write_bytes(b"RIFF no sound at all")
    (tmp_path / "speech" / "4" / "a.wav").write_bytes(b"")
    corpus = load_corpus(tmp_path / "speech", "speech", tmp_path / "cache")
    assert len({clip.group for clip in corpus.clips}) == 6
    said = capsys.readouterr().err
    assert said.count("left out: ") == 2
    assert str(tmp_path / "speech" / "3" / "a.wav") in said


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"file": "a.opus"}', '{"shard": "speech-0.tar", "file": "a", "start": 0}']
)
def test_a_manifest_that_is_wrong_is_one_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(line)
    (tmp_path / "speech-0.tar").write_bytes(b"no archive")
    with pytest.raises(AudioFileError, match=r"speech in .* cannot be read .*; expected sound files, or tar shards"):
        load_corpus(tmp_path, "speech", tmp_path / "cache")


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    write_talkers(tmp_path / "speech", 1)
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(AudioFileError, match="cannot be made"):
        load_corpus(tmp_path / "speech", "speech", tmp_path / "cache" / "of" / "mine")


@pytest.mark.parametrize("index", ["{", "[1]", '[{"item": 0}]'])
def test_a_damaged_shard_of_scenes_is_named(tmp_path: Path, index: str) -> None:
    (tmp_path / "train-00000.json").write_text(index)
    with pytest.raises(AudioFileError, match=r"train-00000\.json cannot be read .* delete this shard"):
        read_shards(tmp_path, "train")


def toy_state(**changes: object) -> dict[str, object]:
    """What `models.checkpoint.load` takes for a checkpoint, but for the changes."""
    state = {"config": config_to_dict(TrainConfig()), "net": {}, "average": {}, "step": 1, "hours": {}, "history": []}
    return state | {"elapsed_s": 1.0} | changes


@pytest.mark.parametrize("state", [[1], None, {"net": {}}, {"config": 1, "average": {}}])
def test_what_torch_can_read_is_not_yet_a_checkpoint(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="is no checkpoint of a training run"):
        checkpoint.load(tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"is a folder; name a checkpoint in it \(last\.pt or best\.pt\)"):
        checkpoint.load(tmp_path)


def test_weights_that_are_no_numbers_are_not_gone_on_with(tmp_path: Path) -> None:
    state = toy_state(average={"w": torch.tensor([1.0, float("nan")])})
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="not all finite"):
        checkpoint.load(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("option", "value"), [("--items", "0"), ("--rooms", "-1"), ("--processes", "0"), ("--seed", "-1")]
)
def test_numbers_of_scenes_are_checked_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    folders = ["--speech", str(tmp_path), "--noise", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        scenes_main([*folders, option, value])
    assert stopped.value.code == UsageError.exit_code
    assert option in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_for_scenes_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    folders = ["--speech", str(tmp_path), "--noise", str(tmp_path), "--out", str(tmp_path / "file" / "scenes")]
    assert scenes_main(folders) == AudioFileError.exit_code
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", ".", "../up", "a/b", "a\\b"])
def test_a_network_is_named_without_a_folder(tmp_path: Path, name: str) -> None:
    state = {"config": config_to_dict(TrainConfig())}
    with pytest.raises(UsageError, match="expected a name without a folder"):
        export(state, tmp_path / "out", name)
    assert list(tmp_path.iterdir()) == []


def test_whole_shards_are_read_all_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "train-00000.npy", np.zeros((2, 3)))
    (tmp_path / "train-00000.json").write_text(json.dumps([{"item": 0}, {"item": 1}]))
    assert [row["place"] for row in read_shards(tmp_path, "train")[1]] == [0, 1]
