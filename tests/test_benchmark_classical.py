"""The benchmark of classical enhancers: means, verdicts, ranks, and one small run that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmark_sounds import RATE_HZ, speech_like

from benchmarks.classical import __main__ as classical
from benchmarks.classical import peers, report


def row(snr_db: float, system: str, pesq: float | None, artifacts: float | None) -> report.Row:
    return {"snr_db": snr_db, "system": system, "pesq_wb": pesq, "estoi": 0.7, "si_sdr_db": 5.0, "artifacts": artifacts}


def test_means_leave_out_and_count_what_is_undefined() -> None:
    rows = [row(0.0, "wiener", 1.0, 0.2), row(0.0, "wiener", None, 0.4), row(5.0, "wiener", 3.0, None)]
    found = {each["snr_db"]: each for each in report.means(rows)}
    assert (found[0.0]["pesq_wb"], found[0.0]["pesq_wb_missing"], found[0.0]["artifacts"]) == (
        1.0,
        1,
        pytest.approx(0.3),
    )
    assert (found["all"]["pesq_wb"], found["all"]["items"]) == (2.0, 3)
    assert found[5.0]["artifacts"] is None
    assert "| 5.0 | wiener | 3.000 | 0.700 | 5.00 | - |" in report.table(report.means(rows))


def test_a_lead_that_may_be_chance_is_told_and_a_sure_one_is_not() -> None:
    random = np.random.default_rng(0)
    hard = random.uniform(1.0, 2.0, 40)
    rows = [row(0.0, "logmmse", value, 0.1) for value in hard]
    rows += [row(0.0, "wiener", value + 0.1 + 0.02 * random.standard_normal(), 0.1) for value in hard]
    rows += [row(0.0, "spectral_subtraction", value + 0.3 * random.standard_normal(), 0.1) for value in hard]
    # ESTOI and SI-SDR are the same everywhere here
    found = [line for line in report.within_chance(rows) if "pesq_wb" in line]
    assert len(found) == 1
    assert found[0].startswith("- spectral_subtraction against logmmse: pesq_wb ")
    assert "(-0." in found[0]


def test_verdicts_name_what_is_missed_and_what_is_unknown() -> None:
    summary = report.means(
        [row(0.0, "wiener", 1.2, 0.2), row(0.0, "spectral_subtraction", None, 0.2), row(0.0, "logmmse", 1.3, 0.1)]
    )
    assert report.verdicts(summary) == [
        "- wiener against logmmse: missed, pesq_wb 1.200 against 1.300",
        "- spectral_subtraction against logmmse: missed, pesq_wb is unknown",
    ]
    equal = report.means([row(0.0, "wiener", 1.3, 0.2), row(0.0, "logmmse", 1.3, 0.1)])
    assert report.verdicts(equal) == ["- wiener against logmmse: met"]
    assert report.missed_by_snr(equal) == []
    mixed = [row(0.0, "wiener", 1.3, 0.2), row(0.0, "logmmse", 1.2, 0.1)]
    mixed += [row(5.0, "wiener", 1.3, 0.2), row(5.0, "logmmse", 1.4, 0.1)]
    assert report.verdicts(report.means(mixed)) == ["- wiener against logmmse: met"]
    assert report.missed_by_snr(report.means(mixed)) == [
        "- wiener against logmmse: missed, pesq_wb 1.300 against 1.400 at 5 dB"
    ]


def test_ranks_are_of_the_means_and_counted_by_mixture() -> None:
    scores = {"spectral_subtraction": (0.5, 0.1), "wiener": (0.2, 0.2), "network": (0.1, 0.1), "clean": (0.0, 0.0)}
    rows = [row(0.0, name, 1.0, value[i]) for i in range(2) for name, value in scores.items()]
    assert report.ranks(rows) == [
        "- spectral_subtraction 0.30 > wiener 0.20 > network 0.10 > clean 0.00: met in the mean; spectral_subtraction "
        "above wiener in 1 of 2, wiener above network in 2 of 2, network above clean in 2 of 2 mixtures"
    ]
    worse = [{**each, "artifacts": 0.9} if each["system"] == "network" else each for each in rows]
    assert "missed" in report.ranks(worse)[0]


def test_a_peer_leaves_numpy_as_it_was() -> None:
    pytest.importorskip("logmmse")
    before = np.geterr()
    noisy = speech_like(1.0) + np.random.default_rng(0).normal(0.0, 0.01, RATE_HZ).astype(np.float32)
    assert np.isfinite(peers.logmmse_(noisy)).all()
    assert np.geterr() == before


def test_a_small_run_is_kept_and_the_next_one_scores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("pesq", "pystoi", "matplotlib"):
        pytest.importorskip(package)
    rng = np.random.default_rng(1)
    for kind, sound in (("speech", speech_like(2.0)), ("noise", rng.normal(0.0, 0.05, 3 * RATE_HZ))):
        (tmp_path / kind).mkdir()
        soundfile.write(tmp_path / kind / "a.flac", sound, RATE_HZ)
    out = tmp_path / "out"
    out.mkdir()
    argv = ["--data", str(tmp_path), "--limit", "1", "--cache", str(tmp_path / "cache"), "--out", str(out)]
    monkeypatch.setattr(classical, "PEERS", {})
    monkeypatch.setattr(classical, "TOLD", ())
    monkeypatch.setattr(report, "NETWORKS", ("network",))  # the others take long
    assert classical.main(argv) == 0
    page = (out / "classical.md").read_text()
    assert "1 mixtures" in page
    assert "classical.png" in page
    assert (out / "classical.png").stat().st_size > 10_000
    systems = [each["system"] for each in json.loads((out / "classical.json").read_text())["rows"]]
    assert systems == ["noisy", "clean", *report.TRACKED, "network"]

    def never(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(classical, "scored", never)
    assert classical.main(argv) == 0
    assert (out / "classical.md").read_text() == page
    capsys.readouterr()
    with pytest.raises(SystemExit):
        classical.main([*argv, "--only", "winer"])
    assert "'winer' is not known" in capsys.readouterr().err
