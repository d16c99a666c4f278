"""The quality benchmark: kept scores, levels, tables and one whole small run."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmark_sounds import F32, RATE_HZ, speech_like

from benchmarks import record
from benchmarks.array.specs import SceneSpec
from benchmarks.quality import arrays, clean, mono, musts, picture, report
from benchmarks.quality.__main__ import main
from benchmarks.quality.cache import ScoreCache, digest
from benchmarks.quality.document import plain
from benchmarks.quality.scores import Scorer
from edge.store.disk import FILE_NAME

# ---- kept scores ----


def test_a_digest_is_of_order_type_and_shape() -> None:
    a, b = np.zeros(4, np.float32), np.ones(4, np.float32)
    same = digest("x", a, b)
    assert same == digest("x", a.copy(), b.copy())
    others = (
        digest("x", b, a),
        digest("y", a, b),
        digest("x", a.astype(np.float64), b),
        digest("x", a.reshape(2, 2), b),
    )
    assert len({same, *others}) == 5


def test_cache_adds_and_forgives_damage(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.add("abcd", {"one": 1.0})
    cache.add("abcd", {"two": None})
    assert cache.load("abcd") == {"one": 1.0, "two": None}
    assert ScoreCache(tmp_path).load("abcd") == {"one": 1.0, "two": None}
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE entries SET value = ?", (b"{half",))
    assert ScoreCache(tmp_path).load("abcd") == {}
    nothing = ScoreCache(None)
    nothing.add("abcd", {"one": 1.0})
    assert nothing.load("abcd") == {}


def test_a_peer_runs_once_and_again_only_for_new_metrics_inputs_and_versions(tmp_path: Path) -> None:
    runs: list[int] = []
    reference, given = speech_like(1.0), speech_like(1.5, seed=2)

    def make(x: F32) -> F32:
        runs.append(x.size)
        return x * np.float32(0.5)

    def score(by: str = "peer 1", x: F32 = given, wanted: tuple[str, ...] = ("si_sdr",)) -> dict[str, float]:
        scorer = Scorer(ScoreCache(tmp_path), count_words=False)  # a new run
        return scorer.made(reference, x, by, make, wanted=wanted)

    first = score()
    assert score() == first
    assert runs == [given.size]
    # what is scored is the end of what was made
    direct = Scorer(ScoreCache(None), count_words=False).output(reference, given[-reference.size :], wanted=("si_sdr",))
    assert direct["si_sdr_db"] == pytest.approx(first["si_sdr_db"], abs=1e-4)
    both = score(wanted=("si_sdr", "srmr"))
    assert both["si_sdr_db"] == first["si_sdr_db"]
    assert both["srmr"] > 0.0
    score("peer 2")
    score(x=given * np.float32(2.0))
    assert len(runs) == 4
    quick = Scorer(ScoreCache(tmp_path), count_words=False)
    left = quick.made(reference, given, "peer 1", make, wanted=("si_sdr", "dnsmos"), quick=True)
    assert left == first
    assert len(runs) == 4


def test_an_undefined_score_stays_undefined_when_kept(tmp_path: Path) -> None:
    silent = np.zeros(RATE_HZ, np.float32)
    for _ in range(2):
        found = Scorer(ScoreCache(tmp_path), count_words=False).output(silent, silent, wanted=("si_sdr", "srmr"))
        assert np.isnan(found["si_sdr_db"])
        assert np.isnan(found["srmr"])
    assert plain({"a": [np.float32("nan"), 1.0], "b": float("inf")}) == {"a": [None, 1.0], "b": None}


# ---- clean speech, silence ----


def test_levels_stop_at_full_scale() -> None:
    speech = speech_like(2.0)
    for level_dbfs in (-45.0, -25.0):
        item = clean.Clean("x", level_dbfs, clean.at_level(speech, level_dbfs))
        assert item.level_dbfs == pytest.approx(level_dbfs, abs=0.01)
    loud = clean.Clean("x", -1.0, clean.at_level(speech, -1.0))
    assert np.abs(loud.speech).max() == pytest.approx(1.0)
    assert loud.level_dbfs < -1.0


def test_silence_is_silence_and_dither_is_quiet() -> None:
    made = clean.silences(4, 0.5)
    assert not made["digital silence"].any()
    assert made["dither"].shape == (8000, 4)
    assert clean._dbfs(made["dither"]) == pytest.approx(-90.0, abs=0.2)
    assert clean._dbfs(made["digital silence"]) is None


# ---- array scenes ----


def test_a_few_scenes_are_of_all_families() -> None:
    specs = arrays.square_specs()
    assert {spec.array for spec in specs} == {"square"}
    assert len(specs) == len({spec.name for spec in specs}) > 20
    assert {spec.family for spec in arrays.square_specs(7)} == {spec.family for spec in specs}


def test_the_snr_of_a_scene_is_that_of_all_its_noise() -> None:
    assert SceneSpec("x", "static", sir_db=0.0, diffuse_db=0.0, sensor_db=None).snr_db == pytest.approx(-3.01, abs=0.01)
    assert SceneSpec("x", "static", sir_db=5.0, diffuse_db=None, sensor_db=None).snr_db == pytest.approx(5.0)
    by_name = {spec.name: spec.snr_db for spec in arrays.square_specs()}
    assert by_name["doa-snr5-0"] == pytest.approx(5.0, abs=0.01)
    assert by_name["doa-snr0-0"] == pytest.approx(0.0, abs=0.01)


# ---- report, the whole ----


def test_summary_leaves_out_and_counts_what_is_undefined() -> None:
    rows = [{"snr_db": s, "system": "x", "pesq_wb": v} for s, v in ((5.0, 2.0), (0.0, None), (0.0, 1.0))]
    found = report.summarise(rows, "snr_db", ("pesq_wb",))
    assert [(r["snr_db"], r["pesq_wb"], r.get("pesq_wb_missing")) for r in found] == [
        (0.0, 1.0, 1),
        (5.0, 2.0, None),
        ("all", 1.5, 1),
    ]
    assert "| all | 3 | x | 1.50 |" in report.table(found, "snr_db", ("pesq_wb",))


def test_summary_has_no_mean_of_a_part_of_the_mixtures() -> None:
    rows = [{"snr_db": 0.0, "system": s, "stoi": 0.5, "words": 10.0, "word_errors": 1.0} for s in "aabb"]
    del rows[3]["stoi"], rows[3]["words"]
    found = {r["system"]: r for r in report.summarise(rows, "snr_db", ("stoi",)) if r["snr_db"] == "all"}
    assert found["a"]["stoi"] == 0.5
    assert found["a"]["wer"] == 0.1
    assert found["b"]["stoi"] is None
    assert "wer" not in found["b"]


def test_word_errors_stand_beside_their_median_and_who_ran_away() -> None:
    rows = [
        {"snr_db": 0.0, "system": "x", "words": 10.0, "word_errors": wrong, "ran_away": wrong > 10.0}
        for wrong in (1.0, 2.0, 45.0)
    ]
    found = report.summarise(rows, "snr_db", ())[-1]
    assert (found["wer"], found["wer_median"], found["ran_away"], found["words"]) == (1.6, 0.2, 1, 30)
    table = report.table([found], "snr_db", ())
    assert "| word errors | median of items | ran away |" in table
    assert "| all | 3 | x | 1.600 | 0.200 | 1 |" in table


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Evaluation data as small as it can be."""
    folder = tmp_path_factory.mktemp("data")
    for kind, sounds in {
        "speech": [speech_like(2.0, seed) for seed in (3, 4)],
        "noise": [0.1 * np.random.default_rng(5).standard_normal(RATE_HZ).astype(np.float32)],
    }.items():
        (folder / kind).mkdir()
        for i, sound in enumerate(sounds):
            soundfile.write(folder / kind / f"{kind}{i}.flac", sound, RATE_HZ)
    return folder


def test_a_whole_run_and_one_that_keeps_a_part_of_it(data: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    common = ["--data", str(data), "--peers", "--no-words", "--no-dnsmos", "--processes", "1", "--limit", "1"]
    common += ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main([*common, "--only", "mono", "clean"]) == 0
    first = json.loads((tmp_path / "out" / "quality-assistant.json").read_text())
    assert [row["system"] for row in first["mono"]] == [mono.NOISY, mono.INT8, mono.ASR, mono.WIENER, mono.FLOAT]
    # asr of one microphone is the microphone: its scores may not hang on how the transforms round
    noisy, asr = ({k: v for k, v in first["mono"][i].items() if k != "system"} for i in (0, 2))
    assert asr == noisy | {"same_as_noisy": True}
    assert {row["wanted_dbfs"] for row in first["clean"]} == set(clean.LEVELS_DBFS)
    assert len(first["silence"]) == 16
    assert all(
        row["out_dbfs"] is None or row["out_dbfs"] < -90.0 for row in first["silence"] if row["after"] == "reset"
    )
    assert (tmp_path / "out" / "quality-assistant.png").stat().st_size > 10_000
    page = (tmp_path / "out" / "quality-assistant.md").read_text()
    assert "Musts:" in page
    assert page.strip() in capsys.readouterr().out
    assert main([*common, "--only", "mono"]) == 0
    second = json.loads((tmp_path / "out" / "quality-assistant.json").read_text())
    assert second["clean"] == first["clean"]
    assert second["mono"] == first["mono"]
    assert set(second["stamps"]) == {"mono", "clean"}
    assert first["stamps"]["mono"] == first["stamps"]["clean"] == second["stamps"]["mono"]
    assert first["stamps"]["mono"]["digest"] == record.digest()
    assert second["stamps"]["clean"] == first["stamps"]["clean"]
    # of another state of the code nothing may stay, nor of another floor
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(record, "digest", lambda: "0" * 12)
        assert main([*common, "--only", "mono"]) == 0
    assert "clean" not in json.loads((tmp_path / "out" / "quality-assistant.json").read_text())
    assert "another state of edge or of the networks: clean" in capsys.readouterr().err
    assert main([*common, "--only", "mono", "--floor-db", "-12"]) == 0
    third = json.loads((tmp_path / "out" / "quality-assistant.json").read_text())
    assert "clean" not in third
    assert "nothing of it is kept" in capsys.readouterr().err


def test_picture_with_costs(tmp_path: Path) -> None:
    means = {"pesq_wb": 1.5, "estoi": 0.6, "items": 1}
    systems = [mono.NOISY, mono.INT8, "dtln", "dtln-int8"]
    summary = {
        "mono": [{"snr_db": snr, "system": s, **means} for snr in (0.0, 5.0, "all") for s in systems],
        "array": [{"family": "all", "system": s, **means} for s in (arrays.MIC, arrays.INT8, musts.RIVAL)],
    }
    spent = {"latency_ms": 16.0, "ms_per_s": 5.0}
    costs = {"mono": dict.fromkeys(systems[1:], spent), "array": dict.fromkeys((arrays.INT8, musts.RIVAL), spent)}
    assert picture.draw(tmp_path / "p.png", {"summary": summary, "cost": costs})
    assert (tmp_path / "p.png").stat().st_size > 30_000
    assert not picture.draw(tmp_path / "q.png", {"summary": {}})
    assert not (tmp_path / "q.png").exists()


def test_without_data_it_is_skipped(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path / "none")])
    assert ended.value.code == 0
    assert "skipped" in capsys.readouterr().err
