"""`edge qa` from the command line: report, exit code, resuming after a kill, the cache, several systems, sentences."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from qa_files import make_odd_pairs, make_pairs, write

from edge.cli import main as cli
from edge.qa.journal import FILE_NAME

ROOT = Path(__file__).resolve().parent.parent

EASY = "[limits]\nclipping_percent = { below = 1.0 }\nsi_sdr_gain_db = { above = 0.5 }\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["qa", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def no_nan(text: str) -> None:
    assert re.search(r"\b(nan|inf|infinity)\b", text, re.IGNORECASE) is None


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(finite(item) for item in value.values())
    if isinstance(value, list):
        return all(finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def test_a_report_of_several_systems_and_odd_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    clean, noisy = make_pairs(tmp_path, 3)
    make_odd_pairs(tmp_path)
    for path in sorted(noisy.glob("u*.wav")):
        samples, rate_hz = soundfile.read(path)
        write(tmp_path / "made <i>" / path.name, 0.9 * samples, rate_hz)
    (tmp_path / "c.toml").write_text("measured_share = 0.2\n" + EASY)
    arguments = (
        *("--clean", clean, "--noisy", noisy, "--criteria", tmp_path / "c.toml", "--no-dnsmos", "--jobs", 1),
        *("--enhanced", tmp_path / "made <i>", "--mask", "wiener", "--cache", tmp_path / "cache", "--examples", 1),
        *("--out", tmp_path / "out"),
    )
    code, out, err = run(capsys, *arguments)
    assert code == 8
    assert "the criteria are not met by made <i>;" in err
    assert "wiener: PASS" in out
    assert "made <i>: FAIL" in out
    assert "Files, wiener" not in out, "only the file has a line per file"
    no_nan(re.sub(r"NaN or infinite samples", "", out))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert finite(report)
    assert report["passed"] is False
    assert [system["passed"] for system in report["systems"]] == [False, True]
    assert report["pairs"] == 10
    assert report["cache"]["hits"] == 0
    for system in report["systems"]:
        for row in system["files"]:
            for name, value in row["values"].items():
                assert (value is None) == (name in row["reasons"])
                assert value is not None or row["reasons"][name]
    text = (tmp_path / "out" / "report.txt").read_text()
    assert "Files, wiener" in text
    assert "the noisy file cannot be read" in text
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:audio/") == 2 * 2 * 3
    assert page.count("data:image/png") >= 2 + 4
    assert "made &lt;i&gt;" in page
    assert "made <i>" not in page
    assert not re.search(r"(src|href)='?(?!'?data:)", page), "nothing is fetched"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "report.json", "report.txt"]

    code, out, err = run(capsys, *arguments, "--json")
    again = json.loads(out)
    assert (again["cache"]["hit_rate"], again["effort"]["measured"]) == (1.0, 0)
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert kept["systems"] == report["systems"]


def test_processes_give_what_one_process_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, noisy = make_pairs(tmp_path, 4, 0.5)
    (tmp_path / "c.toml").write_text("[limits]\nclipping_percent = { below = 1.0 }\n")
    found = []
    for jobs in (1, 2):
        options = f"--clean {clean} --noisy {noisy} --mask wiener --no-dnsmos --no-cache --examples 0 --json"
        files = ("--criteria", tmp_path / "c.toml", "--out", tmp_path / f"{jobs}")
        code, out, _ = run(capsys, *options.split(), "--jobs", jobs, *files)
        assert code == 0
        found.append(json.loads(out))
    assert found[0]["systems"] == found[1]["systems"]
    assert found[1]["effort"]["workers"] == "2 processes"
    assert found[1]["cache"]["hit_rate"] is None


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_run_goes_on_without_any_cache(tmp_path: Path) -> None:
    clean, noisy = make_pairs(tmp_path, 8, 1.0)
    options = f"--clean {clean} --noisy {noisy} --mask bypass --no-dnsmos --no-cache --jobs 2 --examples 0 --json"
    command = [sys.executable, "-m", "edge", "qa", *options.split(), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    journal = tmp_path / "out" / FILE_NAME
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as process:
        deadline_s = time.monotonic() + 200.0
        while time.monotonic() < deadline_s and process.poll() is None:
            if journal.exists() and journal.read_text().count("\n") >= 4:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    while time.monotonic() < deadline_s and _runs(process.pid):
        time.sleep(0.05)
    assert not _runs(process.pid), "workers end with the process that asked"
    known = journal.read_text().count("\n")
    assert known >= 4
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 8, done.stderr
    report = json.loads(done.stdout)
    assert report["effort"]["resumed"] >= 4
    assert report["effort"]["measured"] <= 8 - known // 2 + 1
    assert len(report["systems"][0]["files"]) == 8
    assert not journal.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--noisy", "nowhere"], 6, "does not exist"),
        (["--mask", "wienr"], 3, "wienr"),
        (["--mask", "wiener=x.toml"], 2, "no use for a model"),
        (["--mask", "bypass", "--mask", "bypass"], 2, "named twice"),
        (["--channel", "0"], 2, "--channel is 0"),
        (["--jobs", "0"], 2, "--jobs is 0"),
        (["--criteria", "missing.toml"], 3, "no such file of criteria"),
        (["--cache", "file"], 2, "expected a folder"),
        (["--out", "file"], 2, "cannot be written"),
        (["--scheduler", "tcp://127.0.0.1:1"], 2, "no Dask scheduler answers"),
    ],
)
def test_sentences(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    if "--scheduler" in arguments:
        pytest.importorskip("distributed")
        monkeypatch.setattr("edge.qa.workers.CONNECT_S", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    make_pairs(tmp_path, 1, 0.1)
    given = {"--clean": "clean", "--noisy": "noisy", "--mask": "bypass"}
    rest = [word for key, value in given.items() if key not in arguments for word in (key, value)]
    found, _, err = run(capsys, *rest, "--no-dnsmos", *arguments)
    assert found == code
    assert words in err
    assert len(err.strip().splitlines()) <= 2


def test_criteria_may_not_ask_for_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, noisy = make_pairs(tmp_path, 1, 0.1)
    (tmp_path / "c.toml").write_text("[limits]\ndnsmos_ovr = { above = 3 }\n")
    code, _, err = run(capsys, "--clean", clean, "--noisy", noisy, "--no-dnsmos", "--criteria", tmp_path / "c.toml")
    assert code == 2
    assert "dnsmos_ovr, which --no-dnsmos leaves out" in err


@pytest.mark.parametrize("size", ["10", "1X", "-5G", "nanM"])
def test_wrong_sizes_of_the_cache(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["qa", "--clean", "a", "--noisy", "b", f"--cache-size={size}"])
    assert caught.value.code == 2
    assert "500M" in capsys.readouterr().err


def test_an_array_is_enhanced_as_an_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two microphones in a row, the talker in front, noise of their own: delay and sum gains its 3 dB."""
    clean, noisy = make_pairs(tmp_path, 2, 1.0)
    random = np.random.default_rng(0)
    for path in noisy.glob("*.wav"):
        speech, rate_hz = soundfile.read(clean / path.name, dtype="float32")
        write(path, speech[:, None] + 0.02 * random.standard_normal((speech.size, 2)).astype(np.float32), rate_hz)
    (tmp_path / "array.toml").write_text(
        '[input]\nkind = "file"\npath = "recording.wav"\n[output]\nkind = "null"\n[array]\n'
        "positions_m = [[0.0, 0.02, 0.0], [0.0, -0.02, 0.0]]\n"
        '[beamformer]\nkind = "delay_sum"\nsteering = "fixed"\nazimuth_deg = 0.0\n'
    )
    (tmp_path / "c.toml").write_text("[limits]\nsi_sdr_gain_db = { above = 2.0 }\n")
    options = f"--clean {clean} --noisy {noisy} --mask bypass --no-dnsmos --no-cache --jobs 1 --examples 0 --json"
    files = ("--config", tmp_path / "array.toml", "--criteria", tmp_path / "c.toml", "--out", tmp_path / "out")
    code, out, _ = run(capsys, *options.split(), *files)
    report = json.loads(out)
    assert code == 0, report["systems"][0]["files"]
    assert 2.0 < report["systems"][0]["means"]["si_sdr_gain_db"]["mean"] < 4.0
