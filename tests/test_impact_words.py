"""Impact on recognition: words, errors, bounds, intervals, mixing."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from edge.impact import mixing
from edge.impact.spelled import cardinal
from edge.impact.statistics import mean, rate
from edge.impact.torch_file import read_weights
from edge.impact.words import bounded, is_spelled, normalised_words, without_repeats, word_errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t STOP - he's well-known!", "dont stop hes well known"),
        ("the 20th time, the 22nd and the 101st", "the twentieth time the twenty second and the one hundred first"),
        ("1986, 1905, 1900", "nineteen eighty six nineteen oh five nineteen hundred"),
        ("2005 and 2024", "two thousand five and twenty twenty four"),
        ("the 1980s", "the nineteen eighties"),
        ("$1,500 & 3.05%", "one thousand five hundred dollars and three point zero five percent"),
        ("8829090933", "eight eight two nine zero nine zero nine three three"),
        ("007", "zero zero seven"),
        ("1,000,000", "one million"),
        ("Mr. O'Neil and Dr. No", "mister oneil and doctor no"),
        ("h\u00e9 \u2026 [noise]", "h\u00e9 noise"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_only_spelling_is_evened_out(text: str, words: str) -> None:
    assert normalised_words(text) == words.split()


def test_numbers_are_read_out() -> None:
    assert " ".join(cardinal(987654321012)) == (
        "nine hundred eighty seven billion six hundred fifty four million three hundred twenty one thousand twelve"
    )


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [
        ("a b c d", "a b c d", 0),
        ("a b c d", "a x c d", 1),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c d", "d c b a", 4),
        ("kitten sat here", "sat here now", 2),
    ],
)
def test_word_errors_are_the_edit_distance(reference: str, heard: str, errors: int) -> None:
    assert word_errors(reference.split(), heard.split()) == errors


def test_a_runaway_costs_no_more_than_its_time_allows() -> None:
    assert without_repeats(["so", *["the", "end"] * 4, "of", "it"]) == ["so", "the", "end", "of", "it"]
    assert without_repeats(["no"] * 3) == ["no"] * 3  # said by people
    kept, ran_away = bounded([str(i) for i in range(500)], 3.0)
    assert len(kept) == 18
    assert ran_away
    assert bounded(["a", "b"], 3.0) == (["a", "b"], False)
    assert is_spelled(list("rochester"))
    assert not is_spelled(["a", "man", "i", "saw"])


def test_rates_have_intervals_that_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        words = rng.integers(5, 15, 40)
        errors = rng.binomial(words, 0.3)
        found = rate(list(errors), list(words))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.3 <= found.high
    assert 86 <= held <= 100
    assert rate(list(errors), list(words)) == rate(list(errors), list(words))
    assert rate([3, 1], [4, 4]).value == 0.5  # not the mean of rates
    assert mean([]).value is None
    assert rate([0.0], [0.0]).value is None
    assert mean([0.7]).low is None
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            mean([0.5, bad])


@pytest.mark.parametrize("channels", [1, 3])
def test_mixtures_have_the_snr_asked_for_and_the_lead(channels: int) -> None:
    rng = np.random.default_rng(1)
    speech = (rng.standard_normal((16000, channels)) * [0.3, 0.1, 0.2][:channels]).astype(np.float32)
    speech[6000:9000] = 0.0  # a pause is no speech
    noise = rng.standard_normal((5000, channels)).astype(np.float32)
    for snr_db in (-5.0, 20.0):
        clean, noisy = mixing.mix(speech, noise, snr_db, 0.5, seed=3, from_start=False)
        assert noisy.shape == (24000, channels)
        assert not clean[:8000].any()
        part = (noisy - clean)[:, 0].astype(np.float64)
        found_db = 10.0 * np.log10(mixing.active_power(clean[:, 0]) / np.mean(part**2))
        assert found_db == pytest.approx(snr_db, abs=0.05)
        again = mixing.mix(speech, noise, snr_db, 0.5, seed=3, from_start=False)[1]
        np.testing.assert_array_equal(noisy, again)
        # between the channels nothing changes
        np.testing.assert_allclose(clean[8000:, -1] * speech[0, 0], speech[:, -1] * clean[8000, 0], atol=1e-6)
    other = mixing.mix(speech, noise, 20.0, 0.5, seed=4, from_start=False)[1]
    assert np.abs(other - noisy).max() > 1e-3
    clean, noisy = mixing.mix(speech, noise, 0.0, 0.0, seed=4, from_start=True)
    ratio = (noisy - clean)[:100] / noise[:100]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-2)


def test_snr_of_a_given_recording_is_measured_whatever_its_gain() -> None:
    rng = np.random.default_rng(2)
    clean = rng.standard_normal(32000).astype(np.float32)
    noisy = 0.2 * (clean + 0.5 * rng.standard_normal(32000).astype(np.float32))
    assert mixing.measured_snr_db(clean, noisy) == pytest.approx(6.0, abs=0.3)


def test_weights_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {
        "a": torch.arange(12.0).reshape(3, 4),
        "b": torch.arange(12.0).reshape(3, 4).T[1:],
        "n": torch.tensor([7]),
    }
    path = tmp_path / "old.pt"
    torch.save({"step": 3, "state": tensors}, path, _use_new_zipfile_serialization=False)
    found = read_weights(path, "state")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
    torch.save({"state": tensors}, path)
    with pytest.raises(ValueError, match=r"torch\.save before 1\.6"):
        read_weights(path, "state")


def test_a_file_of_weights_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "evil.pt"
    parts = [0x1950A86A20F9469CFC6C, 1001, {}, {"state": Evil()}, []]
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(ValueError, match="is no tensor"):
        read_weights(path, "state")
    assert not (tmp_path / "ran").exists()
