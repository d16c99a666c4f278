"""The table of `python -m benchmarks.qa`: speed-up, hits, and the criteria of every system, whatever came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from qa_files import RATE_HZ, speech_like, write

from benchmarks import qa


def criterion(name: str, limit: float, mean: float | None, passed: bool, why: str = "") -> dict[str, Any]:
    return {"name": name, "above": limit, "mean": mean, "low": mean, "high": mean, "passed": passed, "why": why}


def result(at_once: float) -> dict[str, Any]:
    run = {"wall_s": 90.0, "whole_s": 99.0, "at_once": at_once, "hit_rate": None}
    systems = {
        "network": {"passed": True, "criteria": [criterion("snr_gain_db", 3.0, 6.5, True)]},
        "wiener": {"passed": False, "criteria": [criterion("snr_gain_db", 3.0, 2.0, False)]},
        "bypass": {"passed": False, "criteria": [criterion("snr_gain_db", 3.0, None, False, "no file has a value")]},
    }
    return {
        "stamp": {"machine": {"processor": "P"}, "date": "D"},
        "quiet": at_once > qa.QUIET,
        "files": 300,
        "seconds": 3.0,
        "mask": "network",
        "runs": {"one process": run, "the same again": {**run, "hit_rate": 1.0}},
        "speed_up": 1.91,
        "speed_up_whole": 1.8,
        "systems_files": 60,
        "sentence": "A system passes if.",
        "systems": systems,
        "musts": {"speed-up of 2 processes above 1.7": True, "cache hits of a second run above 95 %": False},
    }


def test_the_table_says_all_that_is_asked() -> None:
    text = qa.tables(result(0.99))
    assert "Speed-up 1.91 (measuring)" in text
    assert "- met: speed-up of 2 processes above 1.7" in text
    assert "- missed: cache hits of a second run above 95 %" in text
    assert "| the same again | 90.0 | 99.0 | 0.99 | 100.0 % |" in text
    assert "| network | 6.50 [6.50, 6.50] | pass |" in text
    assert "| wiener | 2.00 [2.00, 2.00], missed | fail |" in text
    assert "| bypass | no value, no file has a value | fail |" in text
    assert "1 of 3 systems pass: network." in text
    assert "Something else ran" not in text
    assert "Something else ran" in qa.tables(result(0.3))


def test_files_are_pairs_at_the_snrs(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(0)
    for n in range(3):
        write(tmp_path / "speech" / f"{n}.flac", speech_like(4.0, n), subtype="PCM_16")
        write(tmp_path / "noise" / f"{n}.flac", 0.05 * rng.standard_normal(4 * RATE_HZ), subtype="PCM_16")
    qa.make_files(tmp_path / "made", tmp_path, 3, 2.0)
    for n, snr_db in enumerate(qa.SNRS_DB):
        clean, noisy = (soundfile.read(tmp_path / "made" / part / f"{n:03d}.wav")[0] for part in ("clean", "noisy"))
        assert clean.size == noisy.size == 2 * RATE_HZ
        found_db = 10.0 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2))
        assert found_db == pytest.approx(snr_db, abs=3.0)  # pauses are not counted when mixing
