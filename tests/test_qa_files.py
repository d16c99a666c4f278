"""Which files `edge qa` and `edge impact` take, and the journal on a disk that is full or has lost bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from qa_files import make_pairs, write

from edge.cli.main import main
from edge.errors import AudioFileError
from edge.impact.material import find_utterances, mixed_items, paired_items
from edge.qa.journal import FILE_NAME, Journal
from edge.qa.pairs import find_pairs, left_out, sound_files


def sounds(folder: Path, *names: str) -> Path:
    for name in names:
        write(folder / name, np.zeros(10), subtype="PCM_16")
    return folder


# ---- which files ----


def test_a_pipe_is_named_and_never_opened(tmp_path: Path) -> None:
    clean, noisy = (sounds(tmp_path / name, "1.wav") for name in ("clean", "noisy"))
    sounds(clean, "2.wav", "3.wav")
    os.mkfifo(noisy / "2.wav")
    (noisy / "3.wav").symlink_to("/dev/zero")
    pairs, said = find_pairs(clean, noisy, {})
    assert [pair.name for pair in pairs] == ["1"]
    assert said == [
        f"left out of {noisy}, no regular file: 2.wav, 3.wav",
        f"left out, 2 files of {clean} with no partner in {noisy}: 2, 3",
    ]


def test_linked_folders_are_followed_and_loops_are_named(tmp_path: Path) -> None:
    folder = sounds(tmp_path / "speech", "z/1.wav")
    sounds(tmp_path / "elsewhere", "2.wav", "deep/3.wav")
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "z" / "up").symlink_to(folder)
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    (folder / "alias").symlink_to(folder / "z")
    assert list(sound_files(folder)) == ["a/2", "a/deep/3", "alias/1", "z/1"]
    assert left_out(folder) == [
        f"left out of {folder}, nothing that can be read (No such file or directory): gone",
        f"left out of {folder}, a link to a folder that it is in itself: a/self, alias/up, z/up",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder")
def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    folder = sounds(tmp_path / "speech", "1.wav", "closed/2.wav")
    (folder / "closed").chmod(0)
    try:
        assert list(sound_files(folder)) == ["1"]
        assert left_out(folder) == [f"left out of {folder}, a folder that cannot be opened (Permission denied): closed"]
    finally:
        (folder / "closed").chmod(0o755)


def test_where_nothing_is_left_the_reason_is_in_the_sentence(tmp_path: Path) -> None:
    clean = sounds(tmp_path / "clean", "1.wav")
    (tmp_path / "noisy").mkdir()
    os.mkfifo(tmp_path / "noisy" / "1.wav")
    with pytest.raises(AudioFileError, match=r"no regular file: 1\.wav"):
        find_pairs(clean, tmp_path / "noisy", {})


def test_impact_passes_over_and_names_the_same(tmp_path: Path) -> None:
    speech, noise = (sounds(tmp_path / name, "1.wav") for name in ("speech", "noise"))
    os.mkfifo(speech / "2.wav")
    os.mkfifo(noise / "3.flac")
    (item,) = mixed_items(find_utterances(speech), noise, None, 0)
    assert (item.utterance.name, item.noise) == ("1", noise / "1.wav")
    _, said = paired_items(speech, noise, None, 0, 1)
    assert said == [f"left out of {speech}, no regular file: 2.wav", f"left out of {noise}, no regular file: 3.flac"]


def test_the_command_impact_names_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pocketsphinx")
    noise = sounds(tmp_path / "noise", "1.wav")
    (tmp_path / "speech").mkdir()
    os.mkfifo(tmp_path / "speech" / "2.wav")
    os.mkfifo(noise / "3.wav")
    options = ["--out", str(tmp_path / "out"), "--no-speaker", "--recogniser", "pocketsphinx"]
    assert main(["impact", "--speech", str(tmp_path / "speech"), "--noise", str(noise), *options]) == 6
    told, also, failed = capsys.readouterr().err.splitlines()
    assert told == f"edge: left out of {tmp_path / 'speech'}, no regular file: 2.wav"
    assert also == f"edge: left out of {noise}, no regular file: 3.wav"
    assert failed.endswith("holds no sound file; expected clean speech")


@pytest.mark.parametrize(
    "line",
    ['{"file": "a\\u0000.wav"}', '{"file": "\\ud800.wav"}', '{"file": 5}', "[]", "5", "{}", "[" * 9999, "{'file'"],
)
def test_a_manifest_that_names_no_file_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    speech = sounds(tmp_path / "speech", "1.wav")
    (speech / "manifest.jsonl").write_text('{"file": "1.wav", "text": "so be it"}\n\n' + line + "\n")
    with pytest.raises(AudioFileError, match=r"manifest\.jsonl, line 3: expected an object with the name of a file"):
        find_utterances(speech)
    (speech / "manifest.jsonl").write_text('{"file": "1.wav", "text": "so be it"}\n')
    assert find_utterances(speech)[0].words == ("so", "be", "it")


# ---- journal and report ----


def test_the_journal_passes_over_bytes_that_are_no_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for key in "abc":
        journal.add(key, {"scores": {"x": [1.0, "why"]}})
    journal.close(finished=False)
    path = tmp_path / FILE_NAME
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"why", b"w\xff\xfe") + b"[" * 99999 + b"\n" + third + b"\xc3")
    again = Journal(tmp_path)
    assert set(again.known) == {"a", "c"}
    again.add("d", {"scores": {}})
    again.close(finished=False)
    last = Journal(tmp_path)
    assert set(last.known) == {"a", "c", "d"}
    last.close(finished=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_a_full_disk_ends_the_run_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(Journal):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self._file.close()
            self._file = open("/dev/full", "ab")  # noqa: SIM115

    monkeypatch.setattr("edge.qa.journal.Journal", Full)
    assert qa(tmp_path) == 6
    said = capsys.readouterr().err
    assert "cannot be kept in" in said
    assert FILE_NAME in said
    assert "No space left on device" in said
    assert said.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_sentence_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    assert qa(tmp_path) == 6
    said = capsys.readouterr().err
    assert said.startswith("edge: the report cannot be written to ")
    assert said.count("\n") == 1
    assert (tmp_path / "out" / FILE_NAME).read_text().count("\n") == 2, "the next run goes on"
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["report.html", "report.json", "report.txt", FILE_NAME], "and no part of a document"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_no_room_for_the_pictures_of_the_report_is_one_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **_: Path("/dev/full").write_text("x"))
    assert qa(tmp_path) == 6
    said = capsys.readouterr().err
    assert said.startswith("edge: the report cannot be written to ")
    assert "TMPDIR" in said


def qa(folder: Path) -> int:
    clean, noisy = make_pairs(folder, 1, 0.5)
    options = ["--mask", "bypass", "--no-dnsmos", "--no-cache", "--jobs", "1", "--examples", "0"]
    return main(["qa", "--clean", str(clean), "--noisy", str(noisy), "--out", str(folder / "out"), *options])
