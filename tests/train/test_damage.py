"""Training on a full disk, with files that are damaged or that are none: one sentence, nothing half done."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import CONFIG, MIXING  # noqa: E402
from tasnet_toy import SMALL, write_model  # noqa: E402

from edge.errors import AudioFileError, ModelError  # noqa: E402
from edge.sane import SANE_MAX  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import BlstmConfig, MaskConfig, TasNetConfig, TrainConfig, config_to_dict  # noqa: E402
from models.data import load_corpus  # noqa: E402
from models.export import main as export_main  # noqa: E402
from models.exported import read_exported  # noqa: E402
from models.net import make_mask_net  # noqa: E402
from models.restore import make_front, restore_mask, restore_tasnet  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train

Said = pytest.CaptureFixture[str]
Corpora = tuple[Path, Path, Path]

SECOND = 0.1 * np.random.default_rng(0).standard_normal(16000)
TINY = dataclasses.replace(
    CONFIG,
    network=MaskConfig(hidden=8, local_units=3),
    mixing=dataclasses.replace(MIXING, batch=2, pool=4, refresh=1, rooms=2),
)


@contextmanager
def full_disk(left_bytes: int) -> Iterator[None]:
    """No file can become longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    (tmp_path / "speech").mkdir()
    for name in "abc":
        soundfile.write(tmp_path / "speech" / f"{name}.wav", SECOND, 16000)
    return tmp_path / "speech"


@pytest.mark.timeout(60)
def test_pipes_with_the_name_of_a_sound_are_no_sounds(speech: Path, tmp_path: Path) -> None:
    os.mkfifo(speech / "pipe.wav")
    os.mkfifo(speech / "manifest.jsonl")
    assert [clip.group for clip in load_corpus(speech, "speech", tmp_path / "cache").clips] == ["a", "b", "c"]


@pytest.mark.timeout(60)
def test_a_pipe_as_shard_is_one_sentence(tmp_path: Path) -> None:
    row = {"shard": "speech-0.tar", "file": "a.wav", "start": 0, "n": 1, "id": 1, "source": "x", "speaker": "y"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    os.mkfifo(tmp_path / "speech-0.tar")
    with pytest.raises(AudioFileError, match=r"speech-0\.tar is no file"):
        load_corpus(tmp_path, "speech", tmp_path / "cache")


@pytest.mark.parametrize("left_bytes", [4000, 20000])
def test_a_disk_that_is_full_while_decoding(speech: Path, tmp_path: Path, left_bytes: int) -> None:
    with (
        full_disk(left_bytes),
        pytest.raises(AudioFileError, match=r"the decoded speech cannot be kept in .* make room"),
    ):
        load_corpus(speech, "speech", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("left_bytes", [4000, 20000])
def test_a_disk_that_is_full_keeps_the_checkpoint_of_before(tmp_path: Path, left_bytes: int) -> None:
    checkpoint.save(tmp_path / "last.pt", {"step": 1})
    with (
        full_disk(left_bytes),
        pytest.raises(ModelError, match=r"the run cannot be kept in .*last\.pt .* make room") as e,
    ):
        checkpoint.save(tmp_path / "last.pt", {"step": 2, "net": [torch.ones(5000), torch.zeros(5000)]})
    assert "\n" not in str(e.value)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    assert torch.load(tmp_path / "last.pt") == {"step": 1}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        ("npy", cut),
        ("npy", Path.unlink),
        ("npy", lambda path: path.write_bytes(b"")),
        ("json", cut),
        ("json", lambda path: path.write_text("[[0, 1]]")),
        ("json", lambda path: path.write_text('[[0, 1000000, "a", "speech", NaN]]')),
    ],
)
def test_a_damaged_cache_is_made_anew(
    speech: Path, tmp_path: Path, capsys: Said, suffix: str, damage: Callable[[Path], object]
) -> None:
    expected = load_corpus(speech, "speech", tmp_path / "cache").samples.copy()
    capsys.readouterr()
    damage(next((tmp_path / "cache").glob(f"*.{suffix}")))
    for said in (1, 0):
        again = load_corpus(speech, "speech", tmp_path / "cache")
        np.testing.assert_array_equal(again.samples, expected)
        assert [clip.group for clip in again.clips] == ["a", "b", "c"]
        assert capsys.readouterr().err.count("is damaged") == said


def test_samples_that_are_no_numbers_become_silence_and_are_counted(tmp_path: Path, capsys: Said) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    for name, rate in (("a", 16000), ("b", 44100)):
        bad = 0.5 * np.sin(np.arange(rate) * 0.01)
        bad[1000:1010], bad[2000], bad[2001], bad[2002] = np.nan, np.inf, -np.inf, 1e30
        soundfile.write(folder / f"{name}.wav", bad, rate, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = load_corpus(folder, "noise", tmp_path / "cache")
    as_it_is, resampled = (corpus.audio(clip) for clip in corpus.clips)
    assert not as_it_is[[*range(1000, 1010), 2000, 2001, 2002]].any()
    np.testing.assert_allclose(as_it_is[3000:], 0.5 * np.sin(np.arange(3000, 16000) * 0.01), atol=1e-4)
    assert np.abs(resampled).max() < 0.7
    said = [line for line in capsys.readouterr().err.splitlines() if "became silence" in line]
    assert said == [
        f"{folder / f'{name}.wav'}: 13 samples were not finite or beyond +-{SANE_MAX:.0f} and became silence"
        for name in "ab"
    ]


def state_of(network: MaskConfig | BlstmConfig) -> dict[str, Any]:
    """A checkpoint of an untrained network, as far as an export needs it."""
    front = make_front(network)
    weights = make_mask_net(network, front).state_dict()
    return {
        "config": config_to_dict(TrainConfig(network=network)),
        "net": weights,
        "average": weights,
        "front": {"mean": front.mean, "inverse_std": front.inverse_std},
        **{"step": 1, "hours": {}, "history": [], "elapsed_s": 1.0},
    }


def changed_config(**changes: object) -> dict[str, Any]:
    return config_to_dict(TrainConfig(network=MaskConfig(hidden=4))) | changes


@pytest.mark.parametrize(
    "change",
    [
        {"config": 5},
        {"config": {}},
        {"config": changed_config(unknown=1)},
        {"config": changed_config(network={"kind": "other"})},
        {"config": changed_config(network={"letters": 3})},
        {"config": changed_config(network={"hidden": "many"})},
        {"config": changed_config(network={"hidden": -4})},
        {"config": changed_config(network=7)},
        {"average": [1.0]},
        {"average": {"head.weight": "text"}},
        {"average": {}},
        {"net": "text"},
        {"front": {}},
        {"front": 3},
        {"step": "many"},
        {"elapsed_s": None},
        {"history": [1]},
        {"ancestors": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_of_broken_content_is_one_sentence(tmp_path: Path, capsys: Said, change: dict[str, Any]) -> None:
    torch.save(state_of(MaskConfig(hidden=4)) | change, tmp_path / "x.pt")
    given = ["--checkpoint", str(tmp_path / "x.pt"), "--out", str(tmp_path / "out"), "--name", "toy"]
    assert export_main(given) == ModelError.exit_code
    said = capsys.readouterr().err
    assert re.fullmatch(r".* is damaged \(.*\); take another checkpoint, last\.pt or best\.pt of a run\n", said), said


def test_weights_of_another_network_than_the_settings_say() -> None:
    state = state_of(BlstmConfig(hidden=4)) | {"config": config_to_dict(TrainConfig(network=TasNetConfig()))}
    with pytest.raises(ModelError, match="this network is damaged"):
        restore_tasnet(state)
    state["config"] = config_to_dict(TrainConfig(network=MaskConfig(hidden=8)))
    with pytest.raises(ModelError, match="this network is damaged"):
        restore_mask(state)


@pytest.fixture(scope="module")
def run(corpora: Corpora, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of no steps yet."""
    folder = tmp_path_factory.mktemp("run")
    checkpoint.save(folder / "last.pt", Trainer(TINY, Sources(*corpora), folder).state())
    return folder


@pytest.mark.parametrize(
    ("key", "value"),
    [("factor", None), ("factor", "half"), ("net", {}), ("optimiser", {}), ("best", []), ("history", 1), ("front", {})],
)
def test_a_run_does_not_go_on_with_broken_content(
    run: Path, corpora: Corpora, tmp_path: Path, key: str, value: object
) -> None:
    state = torch.load(run / "last.pt")
    if value is None:
        del state[key]
    else:
        state[key] = value
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(ModelError, match=r"last\.pt is damaged \(.*\); take another checkpoint"):
        Trainer(TINY, Sources(*corpora), tmp_path)


def test_another_part_of_the_network_to_train_is_refused(run: Path, corpora: Corpora, tmp_path: Path) -> None:
    shutil.copy(run / "last.pt", tmp_path)
    assert Trainer(TINY, Sources(*corpora), tmp_path).step == 0
    with pytest.raises(
        ModelError, match=r"was trained with training\.only = '', .* 'local'; give another folder \(--out"
    ):
        Trainer(dataclasses.replace(TINY, only="local"), Sources(*corpora), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"minutes": "abc"}}, r"training\.minutes should be a number"),
        ({"training": {"minutes": None}}, r"training\.minutes should be a number"),
        ({"training": {"steps": "abc"}}, r"training\.steps should be a whole number"),
        ({"training": {"begun_from": 3}}, r"training\.begun_from should be a list"),
        ({"architecture": {"filters": -5}}, r"architecture\.filters: got -5, expected"),
        ({"architecture": {"stride_samples": 0}}, r"architecture\.stride_samples: got 0, expected"),
        ({"architecture": {"filters": 63}}, "filters 63: expected an even number"),
        ({"architecture": {"hidden": 2**31}}, "no weights that training could go on with"),
    ],
)
def test_a_manifest_of_broken_content_is_one_sentence(
    tmp_path: Path, changes: dict[str, dict[str, Any]], message: str
) -> None:
    path = write_model(tmp_path, SMALL, training={})
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {key: data[key] | change for key, change in changes.items()}))
    with pytest.raises(ModelError, match=message):
        read_exported(path)
