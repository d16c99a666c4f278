"""`edge calibrate` from a recording or a live input to the file that a configuration refers to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signal_path import SQUARE
from sound_fields import noise_field, sphere

from edge.calibration.known_signal import make_test_signal
from edge.calibration.listen import SETTLE_S, record
from edge.cli.main import main
from edge.config import load_config
from edge.config.calibration import read_calibration
from edge.errors import DeviceError

LATE_US = np.array([30.0, -30.0, 12.0, -12.0])
LOUD_DB = np.array([1.5, -1.5, -0.5, 0.5])
ARRAY = f"[array]\npositions_m = {[list(position) for position in SQUARE]}\n"


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return noise_field(SQUARE, sphere(100), 11.0, np.random.default_rng(0), LATE_US, LOUD_DB)


@pytest.fixture
def folder(tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "noise.wav", noise, 16000, "PCM_24")
    (tmp_path / "edge.toml").write_text(ARRAY + 'calibration = "mics.toml"\n', encoding="utf-8")
    return tmp_path


def test_from_a_recording_to_a_configuration_that_uses_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["calibrate", "noise.wav", "--config", "edge.toml", "--out", "mics.toml", "--picture", "c.png"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "gain, loudest to quietest, dB" in out
    assert "delay_sum, directivity, dB" in out
    assert 'written to mics.toml; [array] calibration = "mics.toml"' in out
    assert (folder / "c.png").read_bytes().startswith(b"\x89PNG")
    array = load_config(folder / "edge.toml").array
    np.testing.assert_allclose(array.gains_db, -LOUD_DB, atol=0.3)
    np.testing.assert_allclose(array.delays_us, -LATE_US, atol=3.0)
    found = read_calibration(folder / "mics.toml", 4)
    assert (found.method, found.source, found.reference, found.seconds) == ("diffuse", "noise.wav", "mean", 11.0)
    assert max(found.gains_uncertainty_db) < 0.3
    assert max(found.delays_uncertainty_us) < 3.0
    assert found.date.endswith("+00:00")
    assert main(["check", "edge.toml"]) in (0, 5)
    assert "mics.toml: gains below, delays -" in capsys.readouterr().out


def test_json_and_another_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "noise.wav", "--config", "edge.toml", "--reference", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == "calibration.toml"
    assert found["applied_gains_db"][1] == found["applied_delays_us"][1] == 0.0
    np.testing.assert_allclose(found["applied_gains_db"], LOUD_DB[1] - LOUD_DB, atol=0.3)
    assert {beam["kind"] for beam in found["beams"]} >= {"delay_sum", "mvdr"}
    assert read_calibration(folder / "calibration.toml", 4).reference == "microphone 1"


def test_live_from_the_input_of_the_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six channels, of which four are microphones; what the configuration applies is left out of the measurement."""
    x, _ = soundfile.read(folder / "noise.wav")
    soundfile.write(folder / "six.wav", np.column_stack([x[:, 0] * 0, x, x[:, 0] * 0]), 16000, "PCM_24")
    (folder / "live.toml").write_text(
        ARRAY + 'roles = "XMMMMR"\ngains_db = [5, 5, -5, -5]\n[input]\nkind = "file"\npath = "six.wav"\n'
        "realtime = false\n",
        encoding="utf-8",
    )
    assert main(["calibrate", "--config", "live.toml", "--seconds", "10"]) == 0
    assert "take gains_db and delays_us out of the configuration" in capsys.readouterr().err
    found = read_calibration(folder / "calibration.toml", 4)
    np.testing.assert_allclose(found.gains_db, -LOUD_DB, atol=0.3)
    assert found.seconds == 10.0


def test_the_test_signal_is_written_and_heard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--write-signal", "signal.wav", "--seconds", "12"]) == 0
    assert "play it and run edge calibrate --signal" in capsys.readouterr().out
    signal, rate_hz = soundfile.read(folder / "signal.wav")
    assert rate_hz == 48000
    heard = np.outer(signal, 0.3 * 10.0 ** (LOUD_DB / 20.0))
    heard += 1e-4 * np.random.default_rng(1).standard_normal(heard.shape)
    soundfile.write(folder / "heard.wav", heard, rate_hz, "PCM_24")
    # a far source straight above reaches all microphones at once
    place = ["--azimuth", "0", "--elevation", "90"]
    assert main(["calibrate", "heard.wav", "--config", "edge.toml", "--signal", *place]) == 0
    found = read_calibration(folder / "calibration.toml", 4)
    assert found.method == "signal"
    np.testing.assert_allclose(found.gains_db, -LOUD_DB, atol=0.05)
    np.testing.assert_allclose(found.delays_us, 0.0, atol=0.5)


class Microphones:
    """A source that hears what its room plays."""

    rate_hz, channels, gap_frames = 16000, 2, 0

    def __init__(self) -> None:
        self.closed = False

    def open(self) -> None:
        self.closed = False

    def read(self, block: np.ndarray) -> int:
        block[:] = 0.25
        return len(block)

    def close(self) -> None:
        self.closed = True


class Loudspeaker:
    rate_hz, channels, dropped_frames, underruns = 48000, 2, 0, 0

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []
        self.closed = False

    def open(self) -> None:
        self.closed = False

    def write(self, block: np.ndarray) -> None:
        self.heard.append(block.copy())

    def close(self) -> None:
        self.closed = True


def test_recording_while_playing() -> None:
    microphones, loudspeaker, done = Microphones(), Loudspeaker(), []
    signal = make_test_signal(48000, 2.0)
    samples = record(microphones, 3.0, (loudspeaker, signal), done.append)
    assert samples.shape == (48000, 2)
    assert microphones.closed
    assert loudspeaker.closed
    assert done[-1] == 3.0
    heard = np.concatenate(loudspeaker.heard)
    np.testing.assert_array_equal(heard[:, 0], signal[: len(heard)])
    np.testing.assert_array_equal(heard[:, 0], heard[:, 1])
    assert len(record(microphones, 3.0, None, done.append, settle=False)) == 48000
    assert SETTLE_S > 0.0


def test_lost_sound_is_a_failure_of_the_device() -> None:
    microphones = Microphones()
    microphones.gap_frames = 1600
    with pytest.raises(DeviceError, match="100 ms of sound were lost while recording"):
        record(microphones, 1.0, None, lambda done: None)
    assert microphones.closed
    loudspeaker = Loudspeaker()
    loudspeaker.underruns = 1
    with pytest.raises(DeviceError, match="lost parts of the test signal"):
        record(Microphones(), 1.0, (loudspeaker, make_test_signal(48000, 2.0)), lambda done: None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["noise.wav"], 2, "no array; expected --config FILE or --board NAME"),
        (["noise.wav", "--config", "edge.toml", "--play", "default"], 2, "--play needs a live recording"),
        (["noise.wav", "--config", "edge.toml", "--elevation", "10"], 2, "together with --azimuth"),
        (["noise.wav", "--config", "edge.toml", "--azimuth", "nan"], 2, "--azimuth is nan, expected from -360 to 360"),
        (["noise.wav", "--config", "edge.toml", "--azimuth", "0", "--distance", "0"], 2, "--distance is 0, expected"),
        (["noise.wav", "--config", "edge.toml", "--reference", "4"], 2, "--reference is '4', expected mean or"),
        (["noise.wav", "--config", "edge.toml", "--out", "no/such/c.toml"], 2, "the folder no/such does not exist"),
        (["noise.wav", "--config", "nothing.toml"], 3, "no such configuration file"),
        (["noise.wav", "--config", "mono.toml"], 3, "one microphone"),
        (["nothing.wav", "--config", "edge.toml"], 6, "there is no such file"),
        (["noise.wav", "--board", "respeaker_2mic"], 6, "noise.wav has 4 channels, expected 2 (roles MM)"),
        (["noise.wav", "--config", "edge.toml", "--seconds", "5"], 6, "noise.wav: 5.0 s are too short"),
        (["noise.wav", "--config", "edge.toml", "--signal"], 6, "the test signal is clear in 0 of its periods"),
        (["--write-signal", "signal.mp3"], 6, "expected a name that ends in .wav or .flac"),
    ],
)
def test_bad_input_is_one_sentence(folder, arguments, code, words, capsys) -> None:
    (folder / "mono.toml").write_text("", encoding="utf-8")
    assert main(["calibrate", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not (folder / "calibration.toml").exists()


def test_a_missing_device_is_exit_code_4(folder, capsys) -> None:
    (folder / "live.toml").write_text(ARRAY + '[input]\ndevice = "hw:CARD=nothing"\n', encoding="utf-8")
    assert main(["calibrate", "--config", "live.toml"]) == 4
    assert capsys.readouterr().err.startswith("edge: ")


def test_a_wrong_sign_is_exit_code_6(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, rate_hz = soundfile.read("noise.wav")
    soundfile.write("odd.wav", x * [1.0, -1.0, 1.0, 1.0], rate_hz, "PCM_24")
    assert main(["calibrate", "odd.wav", "--config", "edge.toml"]) == 6
    err = capsys.readouterr().err
    assert "odd.wav: microphone 1 is wired the wrong way round (" in err
    assert err.count("\n") == 1
    assert not (folder / "calibration.toml").exists()


def test_an_older_calibration_is_replaced_and_said_so_and_no_other_file_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["calibrate", "noise.wav", "--config", "edge.toml", "--out"]
    assert main([*arguments, "mics.toml"]) == 0
    assert "is replaced" not in capsys.readouterr().out
    assert main([*arguments, "mics.toml"]) == 0
    assert "written to mics.toml (the calibration that was there is replaced); [array]" in capsys.readouterr().out
    before = (folder / "edge.toml").read_bytes()
    for other in ("edge.toml", "noise.wav"):
        assert main([*arguments, other]) == 2
        assert f"--out {other} is there already and is no calibration" in capsys.readouterr().err
    assert (folder / "edge.toml").read_bytes() == before


@pytest.mark.parametrize("step", ["chmod", "replace"])
def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = sorted(folder.iterdir())
    monkeypatch.setattr(f"os.{step}", refuse)
    assert main(["calibrate", "noise.wav", "--config", "edge.toml", "--out", "mics.toml"]) == 1
    assert "mics.toml was not written (Operation not permitted)" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
