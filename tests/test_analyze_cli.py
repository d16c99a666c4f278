"""`edge analyze`: table, JSON and picture of files of every kind, long ones in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from live_parts import recording

from edge.analysis import analyze_array, analyze_file
from edge.cli.main import main

RATE_HZ = 16000


def analyze(*arguments):
    return main(["analyze", *(str(argument) for argument in arguments)])


def write(path, samples, rate_hz=RATE_HZ, subtype="FLOAT"):
    soundfile.write(path, samples, rate_hz, subtype)
    return path


@pytest.fixture
def three(tmp_path):
    """Clean, noisy with four channels, enhanced."""
    noisy = recording(24000, 4)
    rng = np.random.default_rng(1)
    clean = write(tmp_path / "clean.wav", noisy[:, 0] + 1e-4 * rng.standard_normal(24000))
    return clean, write(tmp_path / "noisy.wav", noisy), write(tmp_path / "enhanced.wav", 0.5 * noisy[:, 0])


def test_a_file_is_what_its_samples_are(tmp_path):
    samples = recording(30001, 2)
    found = analyze_file(write(tmp_path / "a.wav", samples, 44100))
    assert (found.rate_hz, found.numbers) == (44100, (1, 2))
    for channel, expected in zip(found.channels, analyze_array(samples, 44100), strict=True):
        assert channel.samples == 30001
        np.testing.assert_allclose(channel.density, expected.density, rtol=1e-9)
    second = analyze_file(tmp_path / "a.wav", channel=2)
    np.testing.assert_allclose(second.channels[0].density, found.channels[1].density, rtol=1e-12)
    assert second.numbers == (2,)


def test_one_file_with_several_channels(tmp_path, capsys):
    path = write(tmp_path / "a.wav", recording(8000, 2))
    assert analyze(path) == 0
    out = capsys.readouterr().out
    assert "2 channels, 16000 Hz, 0.50 s, 59 frames of 32 ms" in out
    assert "channel 1" in out
    assert "channel 2" in out
    assert "octaves, dBFS" in out


def test_clean_noisy_and_enhanced_in_one_table_and_picture(three, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    clean, noisy, enhanced = three
    picture = tmp_path / "compared.png"
    assert analyze(noisy, "--clean", clean, "--enhanced", enhanced, "--channel", 1, "--out", picture) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in lines[6:9]}
    assert list(rows) == ["clean", "noisy", "enhanced"]
    assert rows["enhanced"][0] == pytest.approx(rows["noisy"][0] - 6.0, abs=0.11)
    assert rows["enhanced"][2:] == pytest.approx(rows["noisy"][2:], abs=0.11), "half as loud, the same shape"
    pixels = imread(picture)
    assert pixels.shape[0] > 800
    assert pixels.shape[1] > 1200
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 500, "more than empty axes"


def test_all_channels_are_drawn_and_too_many_are_told(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = write(tmp_path / "a.wav", recording(3000, 9))
    assert analyze(path, "--out", tmp_path / "a.png") == 0
    assert "the first 8 of 9 channels" in capsys.readouterr().err
    assert (tmp_path / "a.png").stat().st_size > 10000


def test_json_has_values_units_spectra_and_tracks(three, capsys):
    clean, noisy, _ = three
    assert analyze(noisy, "--clean", clean, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [found["role"] for found in report["files"]] == ["clean", "noisy"]
    assert report["units"]["centroid_hz"] == "Hz"
    assert [found["channel"] for found in report["files"][1]["channels"]] == [1, 2, 3, 4]
    channel = report["files"][0]["channels"][0]
    expected = analyze_file(clean).channels[0]
    assert channel["long_term"]["centroid_hz"] == pytest.approx(expected.long_term["centroid_hz"].value, abs=1e-3)
    assert channel["over_time"]["rolloff_hz"]["median"] == pytest.approx(
        expected.over_time["rolloff_hz"].median.value, abs=1e-3
    )
    spectrum, tracks = channel["spectrum"], channel["tracks"]
    assert len(spectrum["frequency_hz"]) == len(spectrum["density_dbfs_hz"]) == 257
    assert {len(track) for track in tracks.values()} == {channel["frames"]}
    assert set(report["units"]) >= set(tracks) - {"time_s"}


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(16000), ["digital silence"]),
        (np.ones(1), ["too short: 1 samples", "0.0"]),
        (np.full(16000, np.nan), ["no sample is finite", "16000 of 16000 samples are not finite"]),
        (np.append(recording(9000, 1)[:, 0], [np.nan, np.inf]), ["2 of 9002 samples are not finite"]),
        (np.append(np.zeros(9000), recording(9000, 1)[:, 0]), ["frames are silent and have no shape over time"]),
        (np.clip(9 * recording(9000, 2), -1, 1), ["channel 2"]),
    ],
    ids=["silence", "one sample", "nan", "damaged", "pause", "clipped"],
)
def test_every_file_gets_a_value_or_a_reason(tmp_path, capsys, samples, words):
    pytest.importorskip("matplotlib")
    path = write(tmp_path / "a.wav", samples.astype(np.float32), 48000)
    assert analyze(path, "--out", tmp_path / "a.png") == 0
    out = capsys.readouterr().out
    assert "nan" not in out.lower()
    for word in words:
        assert word in out
    assert analyze(path, "--json") == 0
    for channel in json.loads(capsys.readouterr().out)["files"][0]["channels"]:
        for name, value in channel["long_term"].items():
            assert value is not None or channel["reasons"][f"long_term.{name}"]


def test_a_truncated_file_is_told(tmp_path, capsys):
    path = write(tmp_path / "a.wav", recording(16000, 1), subtype="PCM_16")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert analyze(path) == 0
    assert "truncated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.wav"], 6, ["none.wav", "no such file"]),
        (["a.wav", "--clean", "none.wav"], 6, ["none.wav"]),
        (["a.wav", "--channel", "3"], 6, ["no channel 3", "from 1 to 2"]),
        (["a.wav", "--window-ms", "0.1"], 2, ["window of 0.1 ms", "16"]),
        (["text.wav"], 6, ["no sound file"]),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    write("a.wav", recording(2000, 2))
    (tmp_path / "text.wav").write_text("hello")
    assert analyze(*arguments) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("name", ["a $^$ b.wav", "ä 日本 <i>.wav", "one $.wav"])
def test_any_name_can_be_drawn(tmp_path, capsys, name):
    pytest.importorskip("matplotlib")
    path = write(tmp_path / name, recording(3000, 1))
    assert analyze(path, "--out", tmp_path / "a.png") == 0
    assert "warning" not in capsys.readouterr().err
    assert (tmp_path / "a.png").stat().st_size > 10000


@pytest.mark.parametrize("out", ["a.jpg", "none/a.png"])
def test_a_picture_has_to_be_a_png_in_a_folder(tmp_path, capsys, out):
    path = write(tmp_path / "a.wav", recording(2000, 1))
    with pytest.raises(SystemExit) as stopped:
        analyze(path, "--out", tmp_path / out)
    assert stopped.value.code == 2


MEMORY = """
import resource, sys
from edge.analysis import analyze_file
analyze_file(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = analyze_file(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, found.channels[0].frames)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_memory_does_not_grow_with_the_file(tmp_path):
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(8000 * 60)).astype(np.float32)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 8000, 1, "PCM_16") as file:
        for _ in range(20):
            file.write(noise)
    write(tmp_path / "short.wav", noise, 8000, "PCM_16")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "short.wav"), str(tmp_path / "long.wav")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    grown_kib, frames = (int(word) for word in done.stdout.split())
    assert frames > 140000
    # 20 minutes are 37 MiB as float32, and more as spectra
    assert grown_kib < 8 * 1024
