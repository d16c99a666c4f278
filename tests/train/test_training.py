"""Training on toy data: it learns, resumes exactly, and exports what it trained."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import CONFIG, MIXING, RECIPES  # noqa: E402

from edge.errors import AudioFileError, ModelError  # noqa: E402
from models import checkpoint, synthetic  # noqa: E402
from models.data import load_corpus  # noqa: E402
from models.examples import Examples  # noqa: E402
from models.mixing import Mixer, mix  # noqa: E402
from models.restore import restore_mask  # noqa: E402
from models.rooms import room_response  # noqa: E402
from models.sounds import NoiseMaker  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.train import main as train_main  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train


def test_corpora_are_decoded_resampled_and_split(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    voices, sounds = load_corpus(speech, "speech", cache), load_corpus(noise, "noise", cache)
    assert len(voices.clips) == 12
    assert {c.samples for c in sounds.clips} == {48000, round(3 * 16000 * 16000 / 44100)}
    train, held = voices.split(False), voices.split(True)
    groups = [{c.group for c in part.clips} for part in (train, held)]
    assert groups[0].isdisjoint(groups[1])
    assert groups[0] | groups[1] == {f"talker{n}" for n in range(4)}
    again = load_corpus(speech, "speech", cache)
    np.testing.assert_array_equal(again.audio(again.clips[3]), voices.audio(voices.clips[3]))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="no speech found"):
        load_corpus(tmp_path, "speech", tmp_path / "cache")


def test_batches_depend_on_the_step_alone(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    parts = [load_corpus(speech, "speech", cache), load_corpus(noise, "noise", cache)]
    straight, jumping = (Mixer(*parts, MIXING, seed=3) for _ in range(2))
    batches = [straight.batch(step) for step in range(9)]
    for step in (8, 2):
        for got, expected in zip(jumping.batch(step), batches[step], strict=True):
            np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(batches[0][0], batches[1][0])
    for mixture, target in batches:
        assert np.isfinite(mixture).all()
        assert np.isfinite(target).all()
        assert np.abs(mixture).max() <= 1.0


def test_early_responses_end_by_70_ms() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        response, early = room_response(rng)
        np.testing.assert_array_equal(early[:800], response[:800])
        assert not early[1120:].any()
        assert response[0] == 1.0


def test_a_batch_that_is_no_number_is_left_out(
    corpora: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(CONFIG, Sources(*corpora), tmp_path / "run")
    trainer.train_step()
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    right = trainer.task.source.batch

    def broken(step: int) -> Examples:
        examples = right(step)
        examples.clean[3] = float("nan")
        return examples

    monkeypatch.setattr(trainer.task.source, "batch", broken)
    trainer.train_step()
    assert trainer.step == 2
    for name, value in trainer.net.state_dict().items():
        assert torch.equal(value, before[name])
    monkeypatch.setattr(trainer.task.source, "batch", right)
    trainer.train_step()
    assert all(bool(torch.isfinite(v).all()) for v in trainer.average.state_dict().values())


def test_some_items_begin_in_silence() -> None:
    rng = np.random.default_rng(4)
    wet, noise = (rng.standard_normal(16000).astype(np.float32) for _ in range(2))
    config = dataclasses.replace(MIXING, muted=1.0, silent=0.0, clean=0.0, clipped=0.0)
    for seed in range(6):
        mixture, target = mix(np.random.default_rng(seed), wet, wet, noise, config)
        assert np.abs(mixture[:1600]).max() < 10.0 ** (-70.0 / 20.0)
        assert not target[:1600].any()
        assert np.abs(mixture[-1600:]).max() > 10.0 ** (-60.0 / 20.0)


def test_every_kind_of_noise_is_finite_and_of_its_length(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    samples = 20000
    maker = NoiseMaker(load_corpus(noise, "noise", cache), load_corpus(speech, "speech", cache), samples)
    kinds = (maker.recording, maker.texture, maker.babble, maker.coloured, maker.wind, maker.hum, maker.clicks)
    made = [maker.over_floor(f) for f in (synthetic.machine, synthetic.tones, synthetic.rain, synthetic.notes)]
    for seed, kind in enumerate((*kinds, *made * 8, *[maker.draw] * 12)):
        audio = kind(np.random.default_rng(seed))
        assert audio.shape == (samples,)
        assert audio.dtype == np.float32
        assert np.isfinite(audio).all()
        np.testing.assert_array_equal(audio, kind(np.random.default_rng(seed)))
    wind = np.abs(np.fft.rfft(maker.wind(np.random.default_rng(3)))) ** 2
    low = wind[: samples // 16].sum()  # below 1 kHz
    assert low > 4.0 * (wind.sum() - low)


def test_clipping_leaves_the_target_whole() -> None:
    rng = np.random.default_rng(2)
    wet, noise = (rng.standard_normal(8000).astype(np.float32) for _ in range(2))
    config = dataclasses.replace(MIXING, clipped=1.0, silent=0.0, clean=0.0)
    mixture, target = mix(np.random.default_rng(5), wet, wet, noise, config)
    top = np.abs(mixture).max()
    assert np.sum(np.abs(mixture) > 0.9999 * top) > 20
    factor = float(target @ wet) / float(wet @ wet)
    np.testing.assert_allclose(target, factor * wet, rtol=1e-4)


def test_training_lowers_the_loss_on_held_out_talkers(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, Sources(*corpora), tmp_path / "run")
    before = trainer.validate()["loss"]
    trainer.run()
    after = trainer.validate()["loss"]
    assert after < before - 0.05
    assert (tmp_path / "run" / "best.pt").exists()
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [20, 40]


def test_resuming_continues_exactly(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    # the learning rate follows the processor's clock too; with hours allowed it follows the steps alone
    config = dataclasses.replace(CONFIG, max_steps=10, minutes=1e9, validate_every=5)
    whole = Trainer(config, Sources(*corpora), tmp_path / "whole")
    whole.run()
    part = Trainer(config, Sources(*corpora), tmp_path / "parts")
    for _ in range(5):
        part.train_step()
    checkpoint.save(tmp_path / "parts" / "last.pt", part.state())
    rest = Trainer(config, Sources(*corpora), tmp_path / "parts")
    assert rest.step == 5
    rest.run()
    for one, other in ((whole.net, rest.net), (whole.average, rest.average)):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_average_of_the_weights_is_what_is_exported(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(CONFIG, averaging=0.9), Sources(*corpora), tmp_path / "run")
    mean = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    for step in range(1, 13):
        trainer.train_step()
        kept = min(0.9, step / (step + 10.0))
        mean = {k: kept * mean[k] + (1.0 - kept) * v for k, v in trainer.net.state_dict().items()}
    net, _ = restore_mask(trainer.state())
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, mean[name], atol=1e-5, rtol=1e-4)


def test_a_run_of_the_same_profile_begins_where_the_other_ended(
    corpora: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    first = Trainer(dataclasses.replace(CONFIG, max_steps=20), Sources(*corpora), tmp_path / "first")
    first.run()
    other = dataclasses.replace(CONFIG, seed=9)
    second = Trainer(other, Sources(*corpora), tmp_path / "second", tmp_path / "first" / "best.pt")
    assert [run["step"] for run in second.ancestors] == [20]
    checkpoint.save(tmp_path / "second" / "last.pt", second.state())
    third = Trainer(other, Sources(*corpora), tmp_path / "third", tmp_path / "second" / "last.pt")
    assert [run["step"] for run in third.ancestors] == [20, 0]
    torch.testing.assert_close(second.task.front.mean, first.task.front.mean)
    examples = first.task.validation[0]
    with torch.no_grad():
        expected = first.task.judge(first.average, examples)[0]
        torch.testing.assert_close(second.task.judge(second.net, examples)[0], expected)
        torch.testing.assert_close(second.task.judge(second.average, examples)[0], expected)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(ModelError, match="no checkpoint"):
        checkpoint.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        checkpoint.load(path)


def test_the_command_trains_and_explains_a_missing_folder(
    corpora: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, speech, _ = corpora
    (tmp_path / "empty").mkdir()
    arguments = [
        str(RECIPES / "mono.toml"),
        "--speech",
        str(speech),
        "--noise",
        str(tmp_path / "empty"),
        "--out",
        str(tmp_path / "run"),
    ]
    assert train_main(arguments) == AudioFileError.exit_code
    assert "no noise found" in capsys.readouterr().err
