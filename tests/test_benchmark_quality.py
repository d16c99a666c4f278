"""The quality benchmark: kept scores, SRMR, late reverberation, levels, musts, tables and one whole small run."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.quality import arrays, clean, cost, mono, musts, ours, peers, picture, report, reverb
from benchmarks.quality.__main__ import main
from benchmarks.quality.bench import Bench, Options
from benchmarks.quality.cache import ScoreCache, digest
from benchmarks.quality.document import plain
from benchmarks.quality.scores import Scorer
from edge.store.disk import FILE_NAME

RATE_HZ = 16000
F32 = np.ndarray


def speech_like(seconds: float, seed: int = 0, syllables_hz: float = 4.0) -> F32:
    """Low-pass noise in syllables."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= 1.0 + (np.fft.rfftfreq(samples, 1 / RATE_HZ) / 800.0) ** 2
    loudness = np.maximum(np.sin(2.0 * np.pi * syllables_hz * np.arange(samples) / RATE_HZ), 0.0)
    wave = np.fft.irfft(spectrum, samples) * loudness
    return (0.05 * wave / wave.std()).astype(np.float32)


def tail(rt60_s: float, seed: int = 1) -> np.ndarray:
    """A response that decays by 60 dB in rt60_s, a direct path of equal energy before it."""
    samples = round(1.2 * rt60_s * RATE_HZ)
    h = np.random.default_rng(seed).standard_normal(samples) * 10.0 ** (-3.0 * np.arange(samples) / RATE_HZ / rt60_s)
    h /= np.sqrt(np.sum(h**2))
    h[0] = 1.0
    return h


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


# ---- late reverberation ----


@pytest.mark.parametrize("rt60_s", [0.3, 0.8])
def test_measured_reverberation_time(rt60_s: float) -> None:
    assert reverb.measured_rt60_s(tail(rt60_s)[1:]) == pytest.approx(rt60_s, rel=0.1)


def test_a_room_is_split_50_ms_after_the_direct_path() -> None:
    pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed (extra: development)")
    whole, early, distance_m = reverb.responses(reverb.Room(0.3, 1))
    assert whole.shape == early.shape == (4, whole.shape[1])
    arrival = 40 + distance_m / 343.0 * RATE_HZ
    for mic in range(4):
        late = np.flatnonzero(whole[mic] - early[mic])
        assert late[0] == pytest.approx(arrival + 0.05 * RATE_HZ, abs=12)
        np.testing.assert_array_equal(early[mic][: late[0]], whole[mic][: late[0]])
    assert 0.2 < reverb.measured_rt60_s(whole[0]) < 0.45
    again = reverb.responses(reverb.Room(0.3, 1))[0]
    np.testing.assert_array_equal(again, whole)


def test_every_room_and_a_part_of_them_in_turn() -> None:
    assert len(reverb.all_rooms()) == reverb.ROOMS * len(reverb.RT60S_S)
    assert [room.rt60_s for room in reverb.all_rooms(len(reverb.RT60S_S))] == list(reverb.RT60S_S)


def test_gains_that_do_nothing_leave_the_early_to_late_ratio_and_no_state_behind() -> None:
    early = speech_like(1.5)[:, None]
    parts = {"early": early, "late": 0.3 * np.roll(early, 1600, axis=0)}
    before_db = reverb._ratio_db({name: part[:, 0] for name, part in parts.items()})
    open_mask = ours.make(mask={"kind": "wiener", "floor_db": 0.0}).pipeline
    for sound, ratio_db in reverb._ours(open_mask, parts).values():
        assert ratio_db == pytest.approx(before_db, abs=0.05)
        assert np.corrcoef(sound, (parts["early"] + parts["late"])[:, 0])[0, 1] > 0.999
    closing = ours.make(mask={"kind": "wiener"}).pipeline
    first = reverb._ours(closing, parts)["listen"][1]
    assert reverb._ours(closing, parts)["listen"][1] == first


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


def test_a_whole_run_and_one_that_keeps_a_part_of_it(data: Path, tmp_path: Path, capsys) -> None:
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
    assert second["stamps"]["clean"] == first["stamps"]["clean"]
    # of another floor nothing may stay
    assert main([*common, "--only", "mono", "--floor-db", "-12"]) == 0
    third = json.loads((tmp_path / "out" / "quality-assistant.json").read_text())
    assert "clean" not in third
    assert "nothing of it is kept" in capsys.readouterr().err


def test_costs_of_everything(monkeypatch) -> None:
    monkeypatch.setattr(cost, "SILENCE_S", 3.0)
    monkeypatch.setattr(cost, "STRETCH_S", 1.0)
    monkeypatch.setattr(cost, "SILENCE_TURNS", 2)
    tools = Bench(Options(Path(), None, peers=(), count_words=False))
    sound = speech_like(1.0)
    one = cost.mono_costs(tools, sound)
    assert list(one) == [mono.WIENER, mono.INT8, mono.FLOAT]
    assert {row["latency_ms"] for row in one.values()} == {16.0}
    square = cost.array_costs(tools, np.repeat(sound[:, None], 4, axis=1))
    assert list(square) == [arrays.INT8, arrays.FLOAT, arrays.MVDR]
    silent = cost.silence_costs(tools, sound)
    assert [(row["microphones"], row["in"]) for row in silent] == [
        (mics, kind) for mics in (1, 4) for kind in ("digital silence", "dither")
    ]
    for row in [*one.values(), *square.values()]:
        assert 0.0 < row["hop_us_p50"] <= row["hop_us_p99"]
    for row in silent:
        assert row["ms_per_s_silence"] > 0.0
        assert row["worst_stretch_at_s"] in (0.0, 1.0)


class Halving(peers.Peer):
    """Half of what it hears, at once."""

    hop_samples, delay_samples, identity = 160, 0, "halving 1"

    def reset(self) -> None:
        pass

    def process(self, block: F32) -> F32:
        return block * np.float32(0.5)


def test_chains_cost_the_beam_and_the_network_behind_it() -> None:
    tools = Bench(Options(Path(), None, count_words=False))
    tools.peers = {"halving": Halving()}  # type: ignore[misc]
    found = cost.array_costs(tools, np.repeat(speech_like(1.0)[:, None], 4, axis=1))
    beam, alone, both = (
        found[n] for n in (arrays.MVDR, arrays.behind(arrays.MIC, "halving"), arrays.behind(arrays.MVDR, "halving"))
    )
    assert both["ms_per_s"] == pytest.approx(beam["ms_per_s"] + alone["ms_per_s"], abs=1e-3)
    assert both["latency_ms"] == beam["latency_ms"] + 10.0 == 42.0


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
