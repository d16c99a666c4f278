"""The quality benchmark's JSON and page: parts of several runs, each with where it comes from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.quality import mono, report
from benchmarks.quality.document import compact, known, ordered
from benchmarks.record import commit, digest, machine, provenance, stamp, still


def test_parts_are_kept_with_their_stamps_and_costs_of_this_machine_only(tmp_path: Path, capsys) -> None:
    path, same = tmp_path / "quality.json", {"networks": {"mono": {}}, "options": {"limit": None}}
    here, now = machine(), stamp()
    there = here | {"processor": "another"}
    stamps = {"mono": now | {"machine": there, "commit": "abc"}, "cost": now}
    last = {**same, "stamps": stamps, "mono": [{"a": 1}], "cost": {"mono": {"ours int8": {"ms_per_s": 5.0}}}}
    path.write_text(compact(last))
    assert known(path, same, now, ["array"]) == {key: last[key] for key in ("stamps", "mono", "cost")}
    assert known(path, same, now, ["mono"]) == {"stamps": {"cost": now}, "cost": last["cost"]}
    for elsewhere in (there, here | {"onnxruntime": "0"}):
        path.write_text(compact(last | {"stamps": stamps | {"cost": now | {"machine": elsewhere}}}))
        assert known(path, same, now, ["array"]) == {"stamps": {"mono": stamps["mono"]}, "mono": last["mono"]}
        assert "another machine" in capsys.readouterr().err
    assert known(path, same | {"networks": {}}, now, []) == {}
    assert known(tmp_path / "none.json", same, now, []) == {}


@pytest.mark.parametrize("older", [{}, {"digest": "another"}, {"digest": None}])
def test_parts_of_another_state_of_the_project_do_not_stay(tmp_path: Path, capsys, older: dict) -> None:
    path, now = tmp_path / "quality.json", stamp()
    path.write_text(compact({"stamps": {"mono": now, "array": older}, "mono": [{"a": 1}], "array": [{"a": 2}]}))
    assert known(path, {}, now, ["clean"]) == {"stamps": {"mono": now}, "mono": [{"a": 1}]}
    assert "another state of edge or of the networks: array" in capsys.readouterr().err


def test_the_digest_is_of_code_and_networks_and_of_nothing_else(tmp_path: Path) -> None:
    files = ("edge/a.py", "edge/mask/b.py", "models/shipped/x.onnx", "models/shipped/x.json")
    others = ("README.md", "models/shipped/x.md", "tests/test_a.py", "benchmarks/a.py")
    for name in (*files, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    first = digest(tmp_path)
    assert len(first) == 12
    for name in files:
        (tmp_path / name).write_text("2")
        assert digest(tmp_path) != first
        (tmp_path / name).write_text("1")
    for name in others:
        (tmp_path / name).write_text("2")
    assert digest(tmp_path) == first
    (tmp_path / "edge" / "a.py").rename(tmp_path / "edge" / "c.py")
    assert digest(tmp_path) != first


def test_a_stamp_has_no_digest_where_the_project_changed_meanwhile(monkeypatch) -> None:
    begun = stamp()
    assert still(begun) == begun
    assert f"code and networks {begun['digest']}" in provenance(begun)
    monkeypatch.setattr("benchmarks.record.digest", lambda: "another")
    assert still(begun) == begun | {"digest": None}
    assert "code or networks changed during the run" in provenance(still(begun))


def test_page_tells_once_where_parts_come_from_or_under_each_heading() -> None:
    rows = [{"snr_db": 0.0, "system": mono.NOISY, "pesq_wb": 1.0}]
    document = {
        "networks": {},
        "options": {"profile": "assistant", "limit": None, "scenes": None},
        "summary": {"mono": report.summarise(rows, "snr_db", ["pesq_wb"])},
        "cost": {"mono": {"ours int8": {"ms_per_s": 5.0}}},
    }
    one = {"machine": {"processor": "P", "cores": 2}, "commit": "abc, changed", "digest": "123", "date": "2026-01-02"}
    page = report.markdown(document | {"stamps": {"mono": one, "cost": one}}, "")
    assert (
        page.count("Measured: 2026-01-02, commit abc, changed, code and networks 123, P, 2 cores.")
        == page.count("Measured")
        == 1
    )
    assert page.index("Measured") < page.index("## ")
    other = one | {"commit": None, "peers": {"dtln": "dtln 1", "dtln-int8": "dtln 1"}}
    heading, told, timed = (
        "## One microphone",
        "commit abc",
        "commit not known, code and networks 123, P, 2 cores, peers dtln 1.",
    )
    page = report.markdown(document | {"stamps": {"mono": one, "cost": other}}, "")
    assert page.index(heading) < page.index(told) < page.index("Cost on one core") < page.index(timed)


def test_a_stamp_names_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    if not shutil.which("git"):
        pytest.skip("git is not installed")
    assert commit(tmp_path) is None
    git("init")
    assert commit(tmp_path) is None
    results = tmp_path / "benchmarks" / "results" / "a.json"
    results.parent.mkdir(parents=True)
    code = tmp_path / "code.py"
    code.write_text("1")
    results.write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    name = commit(tmp_path)
    assert name is not None
    assert len(name) == 12
    results.write_text("2")
    assert commit(tmp_path) == name
    code.write_text("2")
    assert commit(tmp_path) == f"{name}, changed"
    assert commit(results.parent) is None  # within somebody else's


def test_rows_are_a_line_each() -> None:
    value = {
        "a": {"b": 1, "c": None},
        "rows": [{"x": 0.5, "y": "é"}, {"x": 1}],
        "deep": {"d": {"e": [1, 2]}},
        "none": [],
    }
    text = compact(value)
    assert list(ordered(dict.fromkeys(("musts", "silence", "mono", "options")))) == [
        "options",
        "mono",
        "silence",
        "musts",
    ]
    assert json.loads(text) == value
    assert text.splitlines()[1] == ' "a": {"b": 1, "c": null},'
    assert text.count('"x"') == len([line for line in text.splitlines() if '"x"' in line]) == 2
