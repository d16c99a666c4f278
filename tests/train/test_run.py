"""A training run as a process: what it says, what it refuses, how it is stopped, and what it leaves."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from small import CONFIG, MIXING, RECIPES  # noqa: E402

from edge.errors import ConfigError, ModelError, UsageError  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import MaskConfig, TasNetConfig  # noqa: E402
from models.examples import Examples  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.train import EXIT_INTERRUPTED  # noqa: E402
from models.train import main as train_main  # noqa: E402
from models.trainer import MOST_BAD_BATCHES, Trainer  # noqa: E402

pytestmark = pytest.mark.train

Corpora = tuple[Path, Path, Path]
Said = pytest.CaptureFixture[str]

TINY = dataclasses.replace(
    CONFIG, network=MaskConfig(hidden=8), mixing=dataclasses.replace(MIXING, batch=2, pool=4, refresh=1, rooms=2)
)
SMALL = [
    *("network.local_units=0", "network.hidden=8", "mixing.segment_s=1", "mixing.batch=2", "mixing.pool=4"),
    *("mixing.refresh=1", "mixing.rooms=2", "training.validation_batches=1", "training.warmup_steps=2"),
]


def command(corpora: Corpora, out: Path, *settings: str) -> list[str]:
    cache, speech, noise = map(str, corpora)
    made = [str(RECIPES / "mono.toml"), "--speech", speech, "--noise", noise, "--cache", cache, "--out", str(out)]
    for setting in (*SMALL, *settings):
        made += ["--set", setting]
    return made


def test_every_stage_is_a_line(corpora: Corpora, tmp_path: Path, capsys: Said) -> None:
    _, speech, noise = corpora
    settings = ["training.max_steps=2", "training.validate_every=2"]
    assert train_main(command((tmp_path / "cache", speech, noise), tmp_path / "run", *settings)) == 0
    captured = capsys.readouterr()
    said = captured.err.splitlines()
    for line in (
        f"decoding speech in {speech}, once, into {tmp_path / 'cache'}",
        f"{noise}: 4 clips, 0.00 hours",
        "making 2 rooms each for training, for its beginning and for held-out mixtures",
        "making 1 held-out batches",
        "measuring the features of 4 batches",
        "making the sounds for the first step",
    ):
        assert line in said, captured.err
    assert "step 2 " in captured.out
    # again: nothing is decoded, and nothing is left to do
    assert train_main(command((tmp_path / "cache", speech, noise), tmp_path / "run", *settings)) == 0
    again = capsys.readouterr()
    assert "decoding" not in again.err
    assert f"going on with the run in {tmp_path / 'run'} after step 2" in again.err
    assert "has ended: its minutes or steps are used up" in again.err
    assert checkpoint.load(tmp_path / "run" / "last.pt")["step"] == 2


def test_ctrl_c_keeps_the_step_and_the_same_command_goes_on(
    corpora: Corpora,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
) -> None:
    config = dataclasses.replace(TINY, max_steps=6, minutes=1e9, validate_every=100)
    whole = Trainer(config, Sources(*corpora), tmp_path / "whole")
    assert whole.run()
    stopped = Trainer(config, Sources(*corpora), tmp_path / "parts")
    right = stopped.task.source.batch

    def interrupted(step: int) -> Examples:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return right(step)

    monkeypatch.setattr(stopped.task.source, "batch", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert not stopped.run()
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err
    assert "stopping after this step; once more to stop at once" in said
    assert f"stopped after step 3, kept in {tmp_path / 'parts' / 'last.pt'}; the same command goes on" in said
    rest = Trainer(config, Sources(*corpora), tmp_path / "parts")
    assert rest.step == 3
    assert rest.run()
    for a, b in zip(whole.net.parameters(), rest.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_ctrl_c_before_the_first_step_says_that_nothing_was_kept(
    corpora: Corpora,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
) -> None:
    def interrupted(trainer: Trainer) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run", interrupted)
    assert train_main(command(corpora, tmp_path / "run")) == EXIT_INTERRUPTED
    assert "interrupted; nothing was kept" in capsys.readouterr().err


def test_a_loss_that_stays_no_number_ends_the_run(
    corpora: Corpora,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
) -> None:
    config = dataclasses.replace(TINY, max_steps=1000, validate_every=MOST_BAD_BATCHES)
    trainer = Trainer(config, Sources(*corpora), tmp_path)
    good = trainer.task.source.batch(0)
    bad = dataclasses.replace(good, clean=good.clean * float("nan"))
    monkeypatch.setattr(trainer.task.source, "batch", lambda step: good if step == 3 else bad)
    with pytest.raises(ModelError, match=r"no finite number 50 steps in a row, up to step 54; .*learning_rate"):
        trainer.run()
    said = capsys.readouterr().err
    assert said.count("this batch is left out") == 2
    assert "49 batches were left out so far" in said
    state = checkpoint.load(tmp_path / "last.pt")  # of the validation at step 50, whose weights are sound
    assert state["step"] == MOST_BAD_BATCHES
    assert all(bool(torch.isfinite(value).all()) for value in state["net"].values())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.validate_every=0", "training.validate_every: got 0, expected"),
        ("training.minutes=0", "training.minutes: got 0, expected"),
        ("training.max_steps=0", "training.max_steps: got 0, expected"),
        ("training.learning_rate=-1", "training.learning_rate: got -1, expected"),
        ("mixing.muted=2", "mixing.muted: got 2, expected a share from 0 to 1"),
        ("mixing.clean=0.98", "mixing.silent and mixing.clean: expected shares"),
        ("mixing.snr_spread_db=-1", "mixing.snr_spread_db: got -1, expected 0 or more"),
        ("mixing.snr_low_db=40", "mixing.snr_low_db: got 40, expected no more than snr_high_db"),
        ("mixing.level_high_dbfs=-60", "mixing.level_low_dbfs: got -48, expected no more than level_high_dbfs"),
        ("mixing.segment_s=1e9", "mixing.segment_s: got 1e+09, expected from half a second to a minute"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_sentence(
    corpora: Corpora, tmp_path: Path, capsys: Said, setting: str, words: str
) -> None:
    assert train_main(command(corpora, tmp_path / "run", setting)) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", ["0", "-1", "many"])
def test_threads_are_checked(threads: str, capsys: Said) -> None:
    with pytest.raises(SystemExit) as stopped:
        train_main([str(RECIPES / "mono.toml"), "--threads", threads])
    assert stopped.value.code == UsageError.exit_code
    assert "expected a whole number from 1 to 256" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_sentence(corpora: Corpora, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "file").write_text("")
    assert train_main(command(corpora, tmp_path / "file" / "run")) == 6
    assert "cannot be made" in capsys.readouterr().err


def test_another_network_in_the_folder_of_a_run_is_refused(corpora: Corpora, tmp_path: Path) -> None:
    trainer = Trainer(TINY, Sources(*corpora), tmp_path)
    checkpoint.save(tmp_path / "last.pt", trainer.state())
    with pytest.raises(ModelError, match="trains another network"):
        Trainer(dataclasses.replace(TINY, network=TasNetConfig()), Sources(*corpora), tmp_path)
