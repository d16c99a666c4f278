"""Word errors of the quality benchmark: counting, features, and the recogniser where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.quality import words
from benchmarks.quality.cache import ScoreCache
from benchmarks.quality.corpus import mixtures, transcripts
from benchmarks.quality.scores import Scorer
from edge.impact.recognisers import whisper_tiny
from edge.impact.words import without_repeats


def test_words_are_counted_only_where_sentences_are_said() -> None:
    assert words.spoken_words("Don\u2019t stop, HE said - at 3!") == ["don't", "stop", "he", "said", "at", "3"]
    assert words.countable("SO TINA WENT ON TO WASHROOM") == ["so", "tina", "went", "on", "to", "washroom"]
    for text in (None, "", "zoom in", "8829090933", "R O C H E S T E R"):
        assert words.countable(text) == []


def test_features_show_a_tone_in_its_band_and_silence_after_it() -> None:
    filters = whisper_tiny.mel_filters()
    assert filters.shape == (80, 201)
    np.testing.assert_allclose(filters.sum(axis=1) * 40.0, 1.0, atol=0.35)  # unit area on a grid of 40 Hz
    tone = np.sin(2.0 * np.pi * 1000.0 * np.arange(16000) / 16000.0).astype(np.float32)
    features = whisper_tiny.log_mel(tone)
    assert features.shape == (1, 80, 3000)
    assert features.dtype == np.float32
    centre = int(np.argmax(filters[:, 25]))
    assert abs(int(features[0, :, 50].argmax()) - centre) <= 1
    np.testing.assert_allclose(features[0, :, 200:], features.min())
    # eight decades and no more, four of them to one
    assert features.max() - features.min() == pytest.approx(2.0)


def test_mixtures_know_what_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder, name in (("speech", "one"), ("speech", "two"), ("noise", "hiss")):
        (tmp_path / folder).mkdir(exist_ok=True)
        audio = 0.1 * rng.standard_normal(32000)
        soundfile.write(tmp_path / folder / f"{name}.wav", audio, 16000)
    assert transcripts(tmp_path) == {}
    rows = [{"file": "speech/one.wav", "text": "THE WORDS OF ONE"}, {"file": "speech/two.wav", "text": None}]
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    found = {m.speech_name: m.text for m in mixtures(tmp_path, (5.0,), 2)}
    assert found == {"one": "THE WORDS OF ONE", "two": None}


@pytest.mark.parametrize(
    ("said", "once"),
    [
        ("no no no", "no no no"),
        ("no no no no", "no"),
        ("he said the end the end the end the end the", "he said the end the"),
        ("a b a b a b a b a b a b c d", "a b c d"),
        ("one two three four five six", "one two three four five six"),
        ("x x x x y y y y", "x y"),
        ("", ""),
    ],
)
def test_what_is_said_over_and_over_counts_once(said: str, once: str) -> None:
    assert without_repeats(said.split()) == once.split()


def test_a_transcript_may_be_as_long_as_people_speak() -> None:
    assert whisper_tiny.most_tokens(7 * 16000) == 42
    assert whisper_tiny.most_tokens(0) == whisper_tiny.FEWEST_TOKENS


class Ears:
    """Hears what it is told to."""

    def __init__(self, said: str, ran_away: bool) -> None:
        self.found, self.calls = words.Transcript(said.split(), ran_away), 0

    def transcript(self, audio: np.ndarray) -> words.Transcript:
        self.calls += 1
        return self.found


def test_kept_transcripts_know_whether_they_ran_away(tmp_path: Path) -> None:
    sound = np.ones(16000, np.float32)

    def scorer(ears: Ears) -> Scorer:
        made = Scorer(ScoreCache(tmp_path), count_words=False)
        made._hears, made._ears = "ears", ears  # type: ignore[assignment]
        return made

    first = Ears("so much of it is said", True)
    for _ in range(2):
        row = scorer(first).output(sound, sound, ["so", "much", "is", "said"], wanted=())
        assert row == {"words": 4.0, "word_errors": 2.0, "ran_away": True}
        assert scorer(first).heard(sound) == []  # nothing to count errors against
    assert first.calls == 1
    # at most as bad as nothing heard, if it ran away
    assert scorer(first).output(sound, sound, ["thanks"], wanted=())["word_errors"] == 1.0
    talking = scorer(Ears("so much of it is said", False)).output(sound, 5 * sound, ["thanks"], wanted=())
    assert talking["word_errors"] == 6.0
    assert scorer(Ears("that is what he said", False)).heard(2 * sound) == ["that", "is", "what", "he", "said"]
    assert scorer(Ears("oh yes", False)).heard(3 * sound) == []  # too short to be worth it


def test_recogniser_hears_nothing_in_silence_and_the_same_twice(monkeypatch) -> None:
    try:
        ears = words.Recogniser()
    except ImportError:
        pytest.skip("no recogniser is installed (benchmarks/quality/words.txt)")
    assert len(ears.transcript(np.zeros(16000, np.float32)).words) <= 2
    noise = 0.1 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    assert ears.transcript(noise) == ears.transcript(noise)
    # not a letter more than somebody could say in two seconds
    monkeypatch.setattr(whisper_tiny, "TOKENS_PER_S", 0.5)
    monkeypatch.setattr(whisper_tiny, "FEWEST_TOKENS", 2)
    heard = ears.transcript(noise)
    assert len(heard.words) <= 2
