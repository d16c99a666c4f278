"""The parts of the quality report: pairs, criteria, intervals, records of odd files, verdicts, journal, workers."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from qa_files import RATE_HZ, make_odd_pairs, make_pairs, speech_like, write

from edge.enhancers import make_enhancer
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.qa import measure as measure_module
from edge.qa.criteria import DEFAULTS, Criteria, Criterion, load_criteria
from edge.qa.evaluate import Measured, System, evaluate
from edge.qa.examples import compressed, ranked
from edge.qa.journal import FILE_NAME, Journal
from edge.qa.measure import Recipe, Task, code, measure
from edge.qa.pairs import Pair, find_pairs
from edge.qa.statistics import spread
from edge.qa.summary import FAIL, OPEN, PASS, summarize
from edge.qa.table import COLUMNS, METRICS, SLOW, columns_of
from edge.qa.workers import LocalProcesses, ThisProcess
from edge.quality.evaluate import METRICS as ALL_METRICS
from edge.quality.metrics import SILENT_ESTIMATE
from edge.store import Store

QUICK = tuple(name for name in METRICS if name not in (*SLOW, "srmr"))
CHEAP = ("snr_db", "si_sdr_db", "clipping_percent")


def recipe(name: str = "bypass") -> Recipe:
    return Recipe(name, make_enhancer(name).identity)


def task(clean: Path, noisy: Path, wanted: tuple[str, ...] = CHEAP, **more: object) -> Task:
    values = {"channel": 0, "noisy_wanted": True, "recipes": {"bypass": recipe()}, "code": code(), **more}
    return Task("t", str(clean), str(noisy), wanted=wanted, **values)  # type: ignore[arg-type]


def test_the_table_names_every_metric_there_is() -> None:
    assert set(METRICS) == set(ALL_METRICS)
    assert all(column.gain_of in METRICS for column in COLUMNS.values() if column.gain_of)
    assert columns_of(("pesq_wb", "snr_db")) == ("snr_db", "pesq_wb", "snr_gain_db", "pesq_gain")


def test_only_what_decides_a_record_is_in_its_key() -> None:
    folder = Path(measure_module.__file__).parent
    left_out = {name for name in measure_module._CANNOT_CHANGE_A_RESULT if name.startswith("qa/")}
    assert left_out == {f"qa/{path.name}" for path in folder.glob("*.py")} - {"qa/measure.py", "qa/table.py"}
    for name in measure_module._CANNOT_CHANGE_A_RESULT:
        assert (folder.parent / name).exists() or name == "impact", name


def test_files_pair_by_name_and_the_rest_is_named(tmp_path: Path) -> None:
    for name in ("clean/a/1.wav", "clean/2.wav", "clean/3.wav", "noisy/a/1.flac", "noisy/2.wav", "noisy/9.wav"):
        write(tmp_path / name, np.zeros(10), subtype="PCM_16")
    write(tmp_path / "made/2.wav", np.zeros(10))
    (tmp_path / "clean" / "notes.txt").write_text("")
    pairs, said = find_pairs(tmp_path / "clean", tmp_path / "noisy", {"made": tmp_path / "made"})
    assert [pair.name for pair in pairs] == ["2", "a/1"]
    assert pairs[0].enhanced == {"made": tmp_path / "made" / "2.wav"}
    assert pairs[1].enhanced == {}
    assert pairs[1].noisy.name == "1.flac"
    assert [sentence.rpartition(": ")[2] for sentence in said] == ["3", "9", "a/1"]
    write(tmp_path / "clean/2.flac", np.zeros(10), subtype="PCM_16")
    with pytest.raises(AudioFileError, match="same name"):
        find_pairs(tmp_path / "clean", tmp_path / "noisy", {})
    with pytest.raises(AudioFileError, match="does not exist"):
        find_pairs(tmp_path / "nowhere", tmp_path / "noisy", {})
    with pytest.raises(AudioFileError, match="no file of"):
        find_pairs(tmp_path / "made", tmp_path / "noisy" / "a", {})


def test_criteria_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "criteria.toml"
    path.write_text('rule = "every_file"\nmeasured_share = 0.5\n[limits]\nsi_sdr_db = { below = 3 }\n')
    found = load_criteria(path)
    assert found == Criteria((Criterion("si_sdr_db", 3.0, above=False),), "every_file", 0.5)
    text = "".join(f"{c.name} = {{ {'above' if c.above else 'below'} = {c.limit} }}\n" for c in DEFAULTS.limits)
    path.write_text("[limits]\n" + text)
    assert load_criteria(path) == DEFAULTS
    limits = {c.name: (c.above, c.limit) for c in DEFAULTS.limits}
    assert limits == {
        "snr_gain_db": (True, 3.0),
        "pesq_gain": (True, 0.5),
        "stoi_gain": (True, 0.1),
        "artifacts": (False, 0.3),
        "clipping_percent": (False, 1.0),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "[limits]"),
        ("[limits]\nsnr_gain = { above = 3 }", "did you mean snr_gain_db"),
        ("[limits]\nstoi = 0.9", "{ above = NUMBER }"),
        ("[limits]\nstoi = { over = 0.9 }", "{ above = NUMBER }"),
        ("[limits]\nstoi = { above = nan }", "limits.stoi.above: got nan, expected a number between -1e9 and 1e9"),
        ("[limits]\nsnr_db = { below = 1e12 }", "limits.snr_db.below: got 1000000000000.0, expected a number between"),
        ("[limits]\nstoi = { above = 'x' }", 'limits.stoi.above: got "x", expected a number'),
        ('rule = "average"\n[limits]\nstoi = { above = 0.9 }', "mean, confidence, every_file"),
        ("measured_share = 2\n[limits]\nstoi = { above = 0.9 }", "from 0 to 1"),
        ("rules = 1\n[limits]\nstoi = { above = 0.9 }", "did you mean rule"),
        ("[limits", "not valid TOML"),
    ],
)
def test_wrong_criteria_are_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_criteria(tmp_path / "c.toml")
    assert words in str(caught.value)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    for files, skewed, least in ((8, False, 0.9), (30, False, 0.9), (30, True, 0.85)):
        held = 0
        for _ in range(100):
            x = random.exponential(1.0, files) if skewed else random.normal(1.0, 2.0, files)
            found = spread(list(x))
            held += found.low <= 1.0 <= found.high  # type: ignore[operator]
        assert least <= held / 100 <= 0.995


def test_spread_is_seeded_and_knows_few_files() -> None:
    assert spread([1.0, 2.0, 4.0]) == spread([1.0, 2.0, 4.0])
    one = spread([2.0])
    assert (one.files, one.mean, one.low, one.high, one.median) == (1, 2.0, None, None, 2.0)
    assert spread([]).mean is None
    same = spread([3.0] * 5)
    assert (same.low, same.high) == (3.0, 3.0)
    with pytest.raises(ValueError, match="not finite"):
        spread([1.0, math.nan])


def test_odd_files_get_a_value_or_a_reason(tmp_path: Path) -> None:
    least = make_odd_pairs(tmp_path)
    for name, missing in least.items():
        outcome = measure(
            task(tmp_path / "clean" / f"{name}.wav", tmp_path / "noisy" / f"{name}.wav", QUICK), Store(None)
        )
        for record in (outcome.noisy, outcome.systems["bypass"]):
            assert record is not None
            scores = record["scores"]
            assert set(scores) >= set(QUICK)
            json.dumps(record, allow_nan=False)
            for value, reason in scores.values():
                assert (value is None) == bool(reason), name
        # an enhancer makes silence of what is no number, so its output may have values
        assert outcome.noisy is not None
        scores = outcome.noisy["scores"]
        assert sum(scores[metric][0] is None for metric in QUICK) >= missing, (name, scores)


def test_enhanced_files_of_every_kind_get_values_or_the_reason(tmp_path: Path) -> None:
    """Names with spaces and other letters, 8 kHz, 48 kHz stereo, clipped, late, far too late, half of it, no number."""
    import soxr

    clean = speech_like(1.5, 3)
    noise = np.random.default_rng(2).standard_normal(clean.size).astype(np.float32)
    noisy, made = clean + 0.03 * noise, clean + 0.01 * noise
    bad = made.copy()
    bad[5] = np.inf

    def late(samples: int) -> np.ndarray:
        return np.concatenate([np.zeros(samples, np.float32), made])

    kinds = {
        "plain": (made, RATE_HZ, ""),
        "with ümläut <b> $": (made, RATE_HZ, ""),
        "8 kHz": (soxr.resample(made, RATE_HZ, 8000), 8000, ""),
        "48 kHz stereo": (np.stack([soxr.resample(made, RATE_HZ, 48000)] * 2, 1), 48000, ""),
        "clipped": (np.clip(30.0 * made, -1.0, 1.0), RATE_HZ, ""),
        "300 ms late": (late(4800), RATE_HZ, ""),
        "800 ms late": (late(12800), RATE_HZ, "the estimate is 0.80 s late, at most 0.5 s are taken out"),
        "half": (made[: clean.size // 2], RATE_HZ, "it may lack 0.5 s"),
        "no number": (bad, RATE_HZ, "NaN or infinite samples"),
        "nothing": (made[:0], RATE_HZ, "the enhanced file is empty"),
    }
    write(tmp_path / "c.wav", clean)
    write(tmp_path / "n.wav", noisy)
    for name, (samples, rate_hz, _) in kinds.items():
        write(tmp_path / "made" / f"{name}.wav", samples, rate_hz)
    files = {name: str(tmp_path / "made" / f"{name}.wav") for name in kinds}
    wanted = ("snr_db", "stoi", "clipping_percent")
    found = measure(task(tmp_path / "c.wav", tmp_path / "n.wav", wanted, recipes={}, files=files), Store(None)).systems
    for name, (_, _, why) in kinds.items():
        value, reason = found[name]["scores"]["snr_db"]
        assert (value is None) is bool(why), (name, value, reason)
        assert why in reason
    plain = found["plain"]["scores"]
    for name in ("with ümläut <b> $", "300 ms late", "48 kHz stereo"):
        assert found[name]["scores"]["snr_db"][0] == pytest.approx(plain["snr_db"][0], abs=0.7), name
        assert found[name]["scores"]["stoi"][0] == pytest.approx(plain["stoi"][0], abs=0.01), name
    assert found["clipped"]["scores"]["clipping_percent"][0] > 5.0


def test_rates_channels_and_lengths_are_brought_together(tmp_path: Path) -> None:
    import soxr

    clean = speech_like(2.0, 0)
    noisy = clean + 0.02 * np.random.default_rng(0).standard_normal(clean.size).astype(np.float32)
    write(tmp_path / "c.wav", clean)
    write(tmp_path / "n.wav", noisy)
    up = [soxr.resample(x, RATE_HZ, 48000) for x in (clean, noisy)]
    write(tmp_path / "c48.wav", np.stack([up[0], 0.0 * up[0]], 1), 48000)
    write(tmp_path / "n48.wav", np.stack([np.zeros_like(up[1]), up[1]], 1), 48000)
    plain = measure(task(tmp_path / "c.wav", tmp_path / "n.wav"), Store(None)).noisy
    assert plain is not None
    for clean_name, noisy_name, channel, same in (
        ("c.wav", "n48.wav", 1, True),
        ("c48.wav", "n.wav", 0, True),
        ("c.wav", "n48.wav", 0, False),
    ):
        outcome = measure(task(tmp_path / clean_name, tmp_path / noisy_name, channel=channel), Store(None))
        assert outcome.noisy is not None
        value, reason = outcome.noisy["scores"]["si_sdr_db"]
        if same:
            assert value == pytest.approx(plain["scores"]["si_sdr_db"][0], abs=0.3)
        else:
            assert reason == "the estimate is silent"
    missing = measure(task(tmp_path / "c.wav", tmp_path / "n.wav", channel=1), Store(None)).noisy
    assert missing is not None
    assert missing["scores"]["snr_db"] == [None, "the noisy file has no channel 2, only 1"]


def test_a_worker_with_other_code_or_another_network_refuses(tmp_path: Path) -> None:
    clean, noisy = make_pairs(tmp_path, 1, 0.5)
    with pytest.raises(UsageError, match="same versions"):
        measure(task(clean / "u0.wav", noisy / "u0.wav", code="other"), Store(None))
    other = dataclasses.replace(recipe(), identity="other")
    with pytest.raises(UsageError, match="another model or configuration of bypass"):
        measure(task(clean / "u0.wav", noisy / "u0.wav", recipes={"bypass": other}), Store(None))
    for error in (UsageError("sentence"), task(clean, noisy)):
        assert pickle.loads(pickle.dumps(error)).__class__ is error.__class__


def record(**values: float | None) -> dict[str, object]:
    return {"scores": {name: [value, "" if value is not None else "no reason"] for name, value in values.items()}}


def measured(values: list[tuple[float | None, float | None]]) -> list[Measured]:
    """SNR of noisy and enhanced files."""
    return [
        Measured(Pair(f"f{n}", Path("c"), Path("n"), {}), record(snr_db=a), {"s": record(snr_db=b)})
        for n, (a, b) in enumerate(values)
    ]


def gain_above(limit: float, **more: object) -> Criteria:
    return Criteria((Criterion("snr_gain_db", limit, above=True),), **more)  # type: ignore[arg-type]


def test_means_are_of_values_only_and_gains_of_what_both_have() -> None:
    found = summarize(
        measured([(0.0, 4.0), (None, 5.0), (1.0, None), (2.0, 8.0)]), "s", gain_above(4.5), columns_of(["snr_db"])
    )
    assert found.spreads["snr_db"].mean == pytest.approx((4.0 + 5.0 + 8.0) / 3)
    assert found.spreads["snr_gain_db"].mean == 5.0
    assert found.spreads["snr_gain_db"].files == 2
    assert [row.verdict for row in found.rows] == [FAIL, OPEN, OPEN, PASS]
    assert found.rows[1].reasons == {"snr_gain_db": "noisy: no reason"}
    assert dict(found.reasons) == {"no reason": 1, "noisy: no reason": 1}


@pytest.mark.parametrize(
    ("criteria", "passed"),
    [
        (gain_above(4.9), True),
        (gain_above(5.0), False),
        (gain_above(4.9, rule="every_file"), False),
        (gain_above(3.9, rule="every_file"), True),
        (gain_above(4.9, rule="confidence"), False),
        (gain_above(3.9, rule="confidence"), True),
    ],
)
def test_rules_make_the_verdict(criteria: Criteria, passed: bool) -> None:
    files = measured([(0.0, 4.0), (0.0, 6.0)] * 4)
    found = summarize(files, "s", criteria, columns_of(["snr_db"]))
    assert found.passed is passed
    assert bool(found.findings[0].why) is not passed


def test_nothing_passes_by_not_being_measured() -> None:
    files = measured([(0.0, 9.0)] * 8 + [(0.0, None)] * 2)
    columns = columns_of(["snr_db"])
    assert summarize(files, "s", gain_above(3.0, measured_share=0.8), columns).passed
    unmeasured = summarize(files, "s", gain_above(3.0), columns)
    assert not unmeasured.passed
    assert unmeasured.findings[0].why == "only 8 of 10 files have a value"
    assert not summarize(measured([(None, None)]), "s", gain_above(3.0, measured_share=0.0), columns).passed


def test_an_enhancer_that_mutes_the_talker_does_not_pass() -> None:
    files = measured([(0.0, 9.0)] * 19 + [(0.0, None)])
    files[-1].systems["s"]["scores"]["snr_db"] = [None, SILENT_ESTIMATE]
    found = summarize(files, "s", gain_above(3.0), columns_of(["snr_db"]))
    assert not found.passed
    assert found.findings[0].why == "1 of 20 files came out silent"
    assert found.rows[-1].verdict == FAIL
    # where the noisy file is silent too the enhancer is not to blame
    files[-1].noisy["scores"]["snr_db"] = [None, SILENT_ESTIMATE]
    assert summarize(files, "s", gain_above(3.0), columns_of(["snr_db"])).passed


def test_the_worst_file_is_one_that_came_out_silent() -> None:
    files = measured([(0.0, 9.0), (0.0, 5.0), (0.0, None), (0.0, None)])
    files[2].systems["s"]["scores"]["snr_db"] = [None, SILENT_ESTIMATE]
    found = summarize(files, "s", gain_above(3.0), columns_of(["snr_db"]))
    # what has no value through no fault of the enhancer is neither
    assert [row.name for row in ranked(found.rows, gain_above(3.0))] == ["f2", "f1", "f0"]


def test_worst_and_best_by_rank() -> None:
    found = summarize(
        measured([(0.0, 4.0), (0.0, None), (0.0, 1.0), (0.0, 8.0)]), "s", gain_above(3.0), columns_of(["snr_db"])
    )
    assert [row.name for row in ranked(found.rows, gain_above(3.0))] == ["f2", "f0", "f3"]


def test_players_get_small_files() -> None:
    media_type, content = compressed(speech_like(2.0, 0) * 20.0)
    assert media_type in ("audio/mpeg", "audio/flac")
    assert 1000 < len(content) < 64000


def test_the_journal_forgets_what_a_kill_cut_short(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("a", {"scores": {}})
    journal.add("b", {"scores": {"x": [1.0, ""]}})
    with pytest.raises(UsageError, match="another run"):
        Journal(tmp_path)
    journal.close(finished=False)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text()[:-9])
    again = Journal(tmp_path)
    assert again.known == {"a": {"scores": {}}}
    again.add("c", {"scores": {}})
    again.close(finished=False)
    last = Journal(tmp_path)
    assert set(last.known) == {"a", "c"}
    last.close(finished=True)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_measured_anew_and_nothing_else(tmp_path: Path) -> None:
    folders = make_pairs(tmp_path, 3, 0.5)
    systems, store = [System("bypass", recipe=recipe())], Store(tmp_path / "cache")

    def run() -> int:
        journal = Journal(tmp_path / "out")
        pairs, _ = find_pairs(*folders, {})
        found, effort = evaluate(pairs, systems, ThisProcess(store), store, journal, CHEAP)
        journal.close(finished=True)
        assert [one.pair.name for one in found] == ["u0", "u1", "u2"]
        assert all(one.systems["bypass"]["scores"]["snr_db"][0] is not None for one in found)
        return effort.measured

    assert run() == 3
    assert run() == 0
    (folders[1] / "u1.wav").write_bytes((folders[1] / "u2.wav").read_bytes())
    assert run() == 1
    systems.append(System("wiener", recipe=recipe("wiener")))
    assert run() == 3
    assert store.use.misses == 6 + 2 + 3
    assert store.use.hits == 6 + 4 + 6


def _dies_on_one(task: Task) -> measure_module.Outcome:
    if task.name == "u1":
        os._exit(1)
    return measure(task, Store(None))


def test_a_file_that_kills_its_process_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, _ = find_pairs(*make_pairs(tmp_path, 3, 0.5), {})
    monkeypatch.setattr("edge.qa.workers._measure_in_worker", _dies_on_one)
    journal, store = Journal(tmp_path), Store(tmp_path / "cache")
    found, _ = evaluate(pairs, [System("b", recipe=recipe())], LocalProcesses(2, store), store, journal, CHEAP)
    journal.close(finished=True)
    values = [one.systems["b"]["scores"]["snr_db"] for one in found]
    assert values[1] == [None, "the process that measured it died"]
    assert values[0][0] is not None
    assert values[2][0] is not None
    assert evaluate(pairs, [], ThisProcess(store), store, Journal(tmp_path), CHEAP)[1].measured == 1, "not kept"
