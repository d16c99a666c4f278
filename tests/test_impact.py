"""Impact on recognition: the whole command with a recogniser that is plugged in by a real entry point."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import impact_parts as parts
import numpy as np
import pytest
import soundfile

from edge.cli.main import main
from edge.errors import UsageError
from edge.impact.recognisers import BUILT_IN, make_recogniser, recogniser_names


@pytest.fixture
def ears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the installed package."""
    package = parts.install_recogniser(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "tone_ears", raising=False)
    from edge.impact import measure

    measure._recogniser.cache_clear()  # of another test's package
    return package


def impact(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    where = ["--out", str(folder / "out"), "--cache", str(folder / "cache"), "--jobs", "1"]
    code = main(["impact", "--recogniser", "tones", "--no-speaker", *where, *options])
    path = folder / "out" / "impact.json"

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} in the JSON")

    return code, json.loads(path.read_text(), parse_constant=no_constant) if path.exists() else {}


def mixed(folder: Path) -> list[str]:
    return ["--speech", str(folder / "speech"), "--noise", str(folder / "noise")]


def wer(report: dict[str, Any], condition: str, snr_db: float | None) -> float:
    (cell,) = [c for c in report["cells"] if c["condition"] == condition and c["snr_db"] == snr_db]
    value = cell["wer"]["tones"]["value"]
    assert isinstance(value, float)
    return value


def test_recogniser_is_found_by_its_entry_point(ears: Path) -> None:
    assert recogniser_names() == [*BUILT_IN, "broken", "mute", "tones"]
    heard = make_recogniser("tones").transcribe(parts.said("ut la mi"), parts.RATE_HZ)
    assert heard == "UT LA MI."
    for name, why in (("mute", "no identity"), ("broken", "RuntimeError: no weights"), ("nobody", "expected one of")):
        with pytest.raises(UsageError, match=why):
            make_recogniser(name)


def test_sweep_shows_errors_falling_with_snr_and_a_second_run_finds_everything(
    tmp_path: Path, ears: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts.write_material(tmp_path)
    options = [*mixed(tmp_path), "--snr=-25,-5,20", "--mask", "bypass", "--mix-back", "0.3"]
    code, report = impact(tmp_path, *options)
    assert code == 0
    assert wer(report, "clean", None) == 0.0
    assert wer(report, "noisy", 20.0) == 0.0
    assert wer(report, "noisy", -25.0) > 0.5 > wer(report, "noisy", -5.0)
    # what passes unchanged is heard as before
    for snr_db in (-25.0, -5.0, 20.0):
        assert wer(report, "bypass", snr_db) == pytest.approx(wer(report, "noisy", snr_db), abs=0.15)
    cell = report["cells"][1]
    assert cell["wer"]["tones"]["low"] <= cell["wer"]["tones"]["value"] <= cell["wer"]["tones"]["high"]
    assert cell["words"] == {"tones": 14}
    assert report["settings"]["cache"] == {"found": 0, "made": 30}
    assert soundfile.info(tmp_path / "speech" / "0.wav").frames  # inputs are as they were
    said = capsys.readouterr().out
    assert "word error rate in %, tones" in said
    assert (tmp_path / "out" / "impact.txt").read_text() in said
    calls = (ears / "calls").stat().st_size
    code, again = impact(tmp_path, *options)
    assert again["settings"]["cache"] == {"found": 30, "made": 0}
    assert again["cells"] == report["cells"]
    assert (ears / "calls").stat().st_size == calls


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, ears: Path) -> None:
    parts.write_material(tmp_path)
    options = [*mixed(tmp_path), "--snr=0", "--mask", "bypass", "--mix-back", "0"]
    (ears / "interrupt_after").write_text("5")
    code, _ = impact(tmp_path, *options)
    assert code == 130
    (ears / "interrupt_after").unlink()
    code, report = impact(tmp_path, *options)
    assert code == 0
    assert report["settings"]["cache"] == {"found": 5, "made": 4}


def test_what_has_no_value_has_a_reason(tmp_path: Path, ears: Path) -> None:
    parts.write_material(tmp_path, ("ut re mi fa",))
    speech = tmp_path / "speech"
    parts.write(speech / "silent.wav", np.zeros(16000, np.float32))
    parts.write(speech / "one.wav", np.ones(1, np.float32))
    parts.write(speech / "untold.wav", parts.said("la la"))
    parts.write(speech / "spelled.wav", parts.said("la la"))
    parts.write(speech / "clipped.wav", np.sign(parts.said("sol la")))
    stereo = np.repeat(np.stack([parts.said("ut re")] * 2, axis=1), 3, axis=0)
    parts.write(speech / "stereo48.wav", stereo, 48000)
    (speech / "torn.wav").write_bytes(b"RIFF")
    told = {"silent": "ut", "one": "ut", "spelled": "l a l a", "clipped": "sol la", "stereo48": "ut re", "torn": "ut"}
    for name, text in told.items():
        (speech / f"{name}.txt").write_text(text)
    code, report = impact(tmp_path, *mixed(tmp_path), "--snr=20", "--mask", "bypass", "--mix-back", "0")
    assert code == 0
    assert wer(report, "noisy", 20.0) < 0.4
    heard = {one["utterance"]: one for one in report["heard"] if one["condition"] == "bypass"}
    assert {name for name, one in heard.items() if one["errors"] is not None} == {"0", "clipped", "stereo48"}
    for name, why in (
        ("silent", "silent"),
        ("one", "too short"),
        ("untold", "no transcript"),
        ("spelled", "letter by letter"),
        ("torn", "cannot be read"),
    ):
        assert why in heard[name]["why"]
    assert sum(row["count"] for row in report["reasons"]) == 5 * 3


def test_array_hears_the_beam_too(tmp_path: Path, ears: Path) -> None:
    rng = np.random.default_rng(3)
    tone = np.pad(parts.said("ut re mi fa sol la"), (8, 8))
    delays = (0, 2, 4, 2)
    signals = np.stack([tone[8 - d : tone.size - d] for d in delays], axis=1)
    parts.write(tmp_path / "speech" / "a.wav", signals)
    (tmp_path / "speech" / "a.txt").write_text("ut re mi fa sol la")
    parts.write(tmp_path / "noise" / "a.wav", 0.1 * rng.standard_normal((40000, 4)).astype(np.float32))
    board = ["--board", "respeaker_4mic_square"]
    options = [*mixed(tmp_path), "--snr=10", "--mask", "bypass", "--mix-back", "0.2"]
    code, report = impact(tmp_path, *options, *board)
    assert code == 0
    names = [cell["condition"] for cell in report["cells"]]
    assert names == ["clean", "noisy", "beam", "bypass", "bypass + 0.2"]
    # at the same gain an array with nothing but a mask that passes everything is its beam
    texts = {one["condition"]: one["heard"] for one in report["heard"]}
    assert texts["beam"] == texts["bypass"] == texts["bypass + 0.2"]
    parts.write(tmp_path / "noise" / "a.wav", np.ones((40000, 2), np.float32))
    code, report = impact(tmp_path, *options, *board)
    assert report["reasons"][0]["reason"] == "word errors: the noise has 2 channels, the array has 4"


def test_given_recordings_are_put_to_the_nearest_snr(tmp_path: Path, ears: Path) -> None:
    rng = np.random.default_rng(4)
    rows = []
    for name, words, snr_db in (("a", "ut re mi", 9.0), ("b", "la sol", 21.0), ("c", "mi fa", None)):
        clean = parts.said(words)
        parts.write(tmp_path / "clean" / f"{name}.wav", clean)
        (tmp_path / "clean" / f"{name}.txt").write_text(words)
        noise = np.sqrt(np.mean(clean**2)) * rng.standard_normal(clean.size).astype(np.float32)
        parts.write(tmp_path / "noisy" / f"{name}.wav", clean + noise * np.float32(10.0 ** (-(snr_db or 1.0) / 20.0)))
        rows.append({"file": f"{name}.wav", **({} if snr_db is None else {"snr_db": snr_db})})
    (tmp_path / "noisy" / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    given = ["--clean", str(tmp_path / "clean"), "--noisy", str(tmp_path / "noisy")]
    code, report = impact(tmp_path, *given, "--mask", "bypass", "--mix-back", "0")
    assert code == 0
    assert [(c["snr_db"], c["words"]["tones"]) for c in report["cells"] if c["condition"] == "noisy"] == [
        (0.0, 2),
        (10.0, 3),
        (20.0, 2),
    ]


def test_given_recordings_are_aligned_first(tmp_path: Path, ears: Path) -> None:
    words, noise = "ut re mi fa", np.random.default_rng(5).standard_normal(100_000).astype(np.float32)
    clean = np.concatenate([parts.said(words), np.zeros(1000, np.float32)])
    noisy = clean + 0.02 * noise[: clean.size]
    moved = {
        "there": noisy,
        "late": np.concatenate([0.02 * noise[:4800], noisy]),
        "early": noisy[300:],
        "longer": np.concatenate([noisy, parts.said("la la la")]),
        "torn": noisy[: clean.size // 2],
    }
    for name, samples in moved.items():
        parts.write(tmp_path / "clean" / f"{name}.wav", clean)
        (tmp_path / "clean" / f"{name}.txt").write_text(words)
        parts.write(tmp_path / "noisy" / f"{name}.wav", samples)
    given = ["--clean", str(tmp_path / "clean"), "--noisy", str(tmp_path / "noisy")]
    code, report = impact(tmp_path, *given, "--mask", "bypass", "--mix-back", "0")
    assert code == 0
    heard = {one["utterance"]: one for one in report["heard"] if one["condition"] == "noisy"}
    assert {name: one["errors"] for name, one in heard.items()} == {
        "there": 0,
        "late": 0,
        "early": 0,
        "longer": 0,
        "torn": None,
    }
    assert "ends more than 0.1 s before" in heard["torn"]["why"]
    for name in ("late", "early", "longer"):
        assert heard[name]["snr_db"] == pytest.approx(heard["there"]["snr_db"], abs=0.5)


def test_what_decides_a_result_is_in_its_key() -> None:
    from edge.impact import measure

    root = Path(measure.__file__).resolve().parent.parent
    for name in measure._CANNOT_CHANGE_A_RESULT:
        assert (root / name).exists(), name
    assert not any("quality/alignment.py".startswith(name) for name in measure._CANNOT_CHANGE_A_RESULT)
    left_out = {name for name in measure._CANNOT_CHANGE_A_RESULT if name.startswith("quality/")}
    assert left_out == {f"quality/{path.name}" for path in (root / "quality").glob("*.py")} - {"quality/alignment.py"}


def test_processes_share_the_work_and_one_that_dies_becomes_a_reason(tmp_path: Path, ears: Path) -> None:
    parts.write_material(tmp_path, ("ut re mi fa",))
    parts.write(tmp_path / "speech" / "deadly.wav", np.resize(parts.said("ut re mi"), parts.DEADLY_SAMPLES))
    (tmp_path / "speech" / "deadly.txt").write_text("ut re mi")
    code, report = impact(tmp_path, *mixed(tmp_path), "--snr=20", "--mask", "bypass", "--mix-back", "0", "--jobs", "2")
    assert code == 0
    assert {(one["utterance"], one["errors"], one["why"]) for one in report["heard"]} == {
        ("0", 0, ""),
        ("deadly", None, "the process that measured it died"),
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--speech", "x"], "expected --speech and --noise"),
        (["--speech", "x", "--noise", "y", "--clean", "z", "--noisy", "z"], "expected --speech and --noise"),
        (["--speech", "nowhere", "--noise", "nowhere"], "does not exist"),
        (["--speech", "x", "--noise", "x", "--limit", "0"], "--limit is 0"),
        (["--speech", "x", "--noise", "x", "--mask", "magic"], "magic"),
        (["--speech", "x", "--noise", "x", "--mask", "bypass", "--mask", "bypass"], "named twice"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, ears: Path, capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    code, _ = impact(tmp_path, *options)
    assert code not in (0, 1)
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said


@pytest.mark.parametrize("snr", ["", "5:0:1", "0:10:0", "a", "0,nan", "0:1e9:1", "-100"])
def test_snrs_that_cannot_be_are_refused(tmp_path: Path, ears: Path, snr: str) -> None:
    with pytest.raises(SystemExit) as caught:
        impact(tmp_path, "--speech", "x", "--noise", "y", f"--snr={snr}")
    assert caught.value.code == 2
