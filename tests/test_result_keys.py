"""What `edge qa` and `edge impact` keep: not after a package changed, and not what only failed this once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from qa_files import RATE_HZ, make_pairs, speech_like, write

from edge.cli.main import main
from edge.enhancers import make_enhancer
from edge.errors import AudioFileError
from edge.impact import measure as impact_measure
from edge.qa import measure as qa_measure
from edge.qa.measure import Recipe, Task, code, measure
from edge.store import Store
from edge.store.digest import PACKAGES, program_digest

store_digest = importlib.import_module("edge.store.digest")  # the package has a function of that name

WANTED = ("snr_db",)


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A call that makes one package look like another version."""
    installed = store_digest._version

    def pretend(package: str) -> None:
        monkeypatch.setattr(store_digest, "_version", lambda name: "99" if name == package else installed(name))
        program_digest.cache_clear()

    yield pretend
    monkeypatch.undo()
    program_digest.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    kept = Store(tmp_path / "cache")
    yield kept
    kept.close()


def a_task(folder: Path, mask: str = "wiener_offline") -> Task:
    clean, noisy = make_pairs(folder, 1, 0.6)
    recipes = {mask: Recipe(mask, make_enhancer(mask).identity)}
    files = str(clean / "u0.wav"), str(noisy / "u0.wav")
    return Task("u0", *files, channel=0, wanted=WANTED, noisy_wanted=True, recipes=recipes, code=code())


@pytest.mark.parametrize("package", PACKAGES)
def test_another_version_of_what_makes_sounds_makes_them_anew(
    package: str, tmp_path: Path, store: Store, upgrade: Any
) -> None:
    task = a_task(tmp_path)
    assert measure(task, store).sounds_made == 1
    assert measure(task, store).sounds_found == 1
    before = code(), program_digest(impact_measure._CANNOT_CHANGE_A_RESULT)
    upgrade(package)
    after = code(), program_digest(impact_measure._CANNOT_CHANGE_A_RESULT)
    assert not set(before) & set(after)
    again = measure(Task(**{**vars(task), "code": code()}), store)
    assert (again.sounds_made, again.sounds_found) == (1, 0)


def test_another_version_of_what_scores_leaves_the_sounds(tmp_path: Path, store: Store, upgrade: Any) -> None:
    task = a_task(tmp_path)
    measure(task, store)
    before = code()
    upgrade("pesq")
    assert code() != before
    assert measure(Task(**{**vars(task), "code": code()}), store).sounds_found == 1


def test_a_file_that_was_not_there_for_a_moment_is_not_held_against_it(tmp_path: Path, store: Store) -> None:
    task = a_task(tmp_path)
    path = Path(str(task.noisy))
    moved = path.rename(path.with_suffix(".away"))
    outcome = measure(task, store)
    assert outcome.noisy is not None
    assert "the noisy file cannot be read" in outcome.noisy["scores"]["snr_db"][1]
    assert not outcome.noisy["lasting"]
    assert not outcome.systems["wiener_offline"]["lasting"]
    moved.rename(path)
    assert measure(task, store).systems["wiener_offline"]["scores"]["snr_db"][0] is not None
    path.write_bytes(b"RIFF and then nothing")
    torn = measure(task, store)
    assert torn.noisy is not None
    assert torn.noisy["lasting"], "what a file holds stays what it is"


def test_an_enhancer_that_has_no_room_once_is_tried_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task(tmp_path)
    qa_measure._enhancer.cache_clear()

    def full(*_: object) -> None:
        raise AudioFileError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("edge.enhancers.classical.OfflineWiener.enhance", full)
        outcome = measure(task, store)
    assert outcome.systems["wiener_offline"]["scores"]["snr_db"] == [None, "no space left"]
    assert not outcome.systems["wiener_offline"]["lasting"]
    assert measure(task, store).systems["wiener_offline"]["scores"]["snr_db"][0] is not None


def test_a_recogniser_that_has_no_room_once_is_asked_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech, noise = tmp_path / "speech" / "a.wav", tmp_path / "noise" / "n.wav"
    write(speech, speech_like(1.0, 1))
    write(noise, 0.01 * np.random.default_rng(0).standard_normal(2 * RATE_HZ).astype(np.float32))
    speech.with_suffix(".txt").write_text("one two three")
    from edge.impact.conditions import NOISY, Condition
    from edge.impact.material import find_utterances, mixed_items

    (item,) = mixed_items(find_utterances(speech.parent, 1), noise.parent, None, 0)
    condition = Condition(NOISY, identity=NOISY)
    task = impact_measure.Task(item, 5.0, 0.0, 1, (condition,), (("ears", "1"),), "")
    heard: list[object] = [AudioFileError("no space left"), "one two", "never asked"]

    class Ears:
        identity = "1"

        def transcribe(self, samples: np.ndarray, rate_hz: int) -> object:
            if isinstance(said := heard.pop(0), Exception):
                raise said
            return said

    ears = Ears()
    monkeypatch.setattr(impact_measure, "_recogniser", lambda name: ears)
    texts = [impact_measure.measure(task, store).texts[NOISY]["ears"] for _ in range(3)]
    assert texts == [(None, "no space left"), ("one two", ""), ("one two", "")]


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_a_system_is_not_called_like_another_sound_of_the_report(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean, noisy = make_pairs(tmp_path, 1, 0.2)
    made = tmp_path / "made" / name
    write(made / "u0.wav", soundfile.read(noisy / "u0.wav", dtype="float32")[0])
    given = ["--clean", clean, "--noisy", noisy, "--enhanced", made, "--out", tmp_path / "out"]
    assert main(["qa", *map(str, given)]) == 2
    said = capsys.readouterr().err
    assert f"a system cannot be called {name}" in said
    assert said.count("\n") == 1
