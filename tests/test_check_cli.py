"""`edge check`: what it prints, as text and as JSON, and its exit codes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.boards import board_names
from edge.cli.main import main
from edge.config import config_from_dict, default_config_for_board
from edge.description import describe, render
from edge.drawing import draw_from_above
from edge.geometry import ArrayGeometry
from edge.resources import data_folder

EXAMPLES = data_folder("firmware_config") / "examples"

WITHOUT_NETWORK = {"mask": {"kind": "wiener"}}
SQUARE = [[0.03, 0.03, 0.0], [-0.03, 0.03, 0.0], [-0.03, -0.03, 0.0], [0.03, -0.03, 0.0]]


@pytest.fixture
def good_file(tmp_path: Path) -> Path:
    file = tmp_path / "edge.toml"
    file.write_text(
        f"""
        [array]
        positions_m = {SQUARE}
        roles = "XMMMMR"
        gains_db = [0.0, 0.5, -1.0, 0.0]
        [input]
        rate_hz = 48000
        [beamformer]
        azimuth_deg = 90
        [mask]
        kind = "wiener"
        """,
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", ""],
        ["check", "--board", ""],
        ["run", "--config", ""],
        ["doctor", "--config", ""],
        ["warmup", "--config", ""],
        ["bench", "--config", ""],
        ["enhance", "", "out.wav"],
        ["enhance", "in.wav", ""],
        ["enhance", "in.wav", "out.wav", "--config", ""],
        ["enhance", "in.wav", "out.wav", "--board", ""],
    ],
    ids=" ".join,
)
def test_an_empty_name_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "is empty, expected a name or path" in capsys.readouterr().err


def test_the_whole_text(good_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(good_file)]) == 0
    assert capsys.readouterr().out == (
        """\
profile     assistant: 16000 Hz, window 512, hop 128 (8 ms)
input       alsa default: 6 channels, 48000 Hz, S16_LE
output      loopback hw:CARD=Loopback,DEV=0, 16000 Hz, S16_LE: listen, asr
echo        cancelled: reference channel 5, tail 200 ms, found up to 250 ms late
beamformer  mvdr, follows the talker everywhere, starts at azimuth 90, elevation 0 degrees
health      microphones that fail are left out, channels that have changed places are put right
mask        wiener; least gain -24 dB

channel  role                  x mm     y mm     z mm   gain dB   delay towards look (samples)
      0  unused
      1  microphone 0           30.0     30.0      0.0       0.0       -1.40
      2  microphone 1          -30.0     30.0      0.0       0.5       -1.40
      3  microphone 2          -30.0    -30.0      0.0      -1.0        1.40
      4  microphone 3           30.0    -30.0      0.0       0.0        1.40
      5  playback reference

                      x (forward)
                           ^



                    0             3



y (left) <-- @             +



                    1             2



             one row is 8.5 mm, two columns too; @ look direction

aperture                      84.9 mm
smallest spacing              60.0 mm
largest delay between two     3.96 samples
spatial aliasing from         2858 Hz (sound at 343 m/s)

latency (upper bounds)
  capture         0.00 ms   period of 384 frames at 48000 Hz divides the hop: nothing beyond it
  resampling      4.00 ms   input from 48000 Hz, output held to the capture clock; none if the clocks turn out to be one
  algorithmic    16.00 ms   one hop to fill, one hop of overlap-add: 2 x 8 ms
  processing      8.00 ms   deadline of one hop of 8 ms; usually far less
  playback       16.00 ms   half of a buffer of 4 periods of one hop is kept filled
  total          44.00 ms

notes
  - Above 2858 Hz some direction beside the look direction adds up in phase too (spatial aliasing); microphones \
closer together would move that up.
  - All microphones lie in one plane (normal along z): it cannot tell a source on one side of the plane from its \
mirror image on the other (above and below).
  - The input runs at 48000 Hz and the profile at 16000 Hz: it is resampled.
"""
    )


def test_json(good_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(good_file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["array"]["aperture_m"] == pytest.approx(0.06 * math.sqrt(2))
    assert said["array"]["spatial_aliasing_hz"] == pytest.approx(343 / 0.12)
    assert said["array"]["look_delay_samples"] == pytest.approx([-480 / 343, -480 / 343, 480 / 343, 480 / 343])
    assert [c["role"] for c in said["channels"]] == list("XMMMMR")
    microphone = {"channel": 2, "role": "M", "meaning": "microphone 1", "gain_db": 0.5, "delay_us": 0.0}
    assert said["channels"][2] == microphone
    assert said["latency_ms"]["total"] == 44.0
    assert said["echo"] == {"enabled": True, "references": [5], "tail_ms": 200.0, "max_delay_ms": 250.0}
    assert said["health"] == {"enabled": True, "channel_order": "correct"}
    assert (said["beamformer"]["steering"], said["beamformer"]["sector_deg"]) == ("track", 180.0)
    assert said["mask"] == {
        "kind": "wiener",
        "floor_db": -24.0,
        "model": None,
        "manifest": None,
        "precision": None,
        "chosen": None,
        "problem": None,
    }


UPRIGHT = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.05]]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"array": {"positions_m": SQUARE}}, "echo        nothing to cancel: no channel has role R"),
        (
            {"array": {"positions_m": SQUARE, "roles": "RMMMMR"}, "echo": {"tail_ms": 100}},
            "echo        cancelled: reference channels 0 and 5, tail 100 ms, found up to 250 ms late",
        ),
        (
            {"array": {"positions_m": SQUARE, "roles": "RMMMM"}, "echo": {"enabled": False}},
            "echo        off, reference channel 0 not used",
        ),
        (
            {"array": {"positions_m": SQUARE}, "beamformer": {"steering": "fixed", "azimuth_deg": 30}},
            "beamformer  mvdr, fixed at azimuth 30, elevation 0 degrees",
        ),
        (
            {"array": {"positions_m": SQUARE}, "beamformer": {"sector_deg": 45}},
            "beamformer  mvdr, follows the talker within 45 degrees of its start, starts at azimuth 0, elevation 0 "
            "degrees",
        ),
        ({"array": {"positions_m": UPRIGHT}}, "beamformer  mvdr, fixed at azimuth 0, elevation 0 degrees"),
        ({}, "beamformer  none"),
        ({}, "health      one microphone: none to leave out"),
        ({"array": {"positions_m": SQUARE}, "health": {"enabled": False}}, "health      off"),
        (
            {"array": {"positions_m": SQUARE}, "health": {"channel_order": "alarm"}},
            "health      microphones that fail are left out, channels that have changed places are reported",
        ),
    ],
)
def test_echo_steering_and_health_are_said(table: dict, line: str) -> None:
    assert line in render(describe(config_from_dict({**WITHOUT_NETWORK, **table}))).splitlines()


def test_an_upright_line_that_follows_nobody_has_a_note() -> None:
    table = {**WITHOUT_NETWORK, "array": {"positions_m": UPRIGHT}}
    assert any("does not follow" in note for note in describe(config_from_dict(table))["notes"])
    fixed = {**table, "beamformer": {"steering": "fixed"}}
    assert not any("does not follow" in note for note in describe(config_from_dict(fixed))["notes"])


def test_a_broken_file_is_exit_3_with_everything_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLES / "broken.toml")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == f"edge: {EXAMPLES / 'broken.toml'}: 19 problems"
    assert len(lines) == 20
    assert all(line.startswith("  - ") for line in lines[1:])


def test_the_documents_show_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    docs = Path(__file__).resolve().parent.parent / "docs"
    assert main(["check", "--board", "respeaker_usb_v2"]) == 0
    sample = "$ edge check --board respeaker_usb_v2\n" + capsys.readouterr().out
    assert sample in (docs / "cli.md").read_text(encoding="utf-8")
    main(["check", str(EXAMPLES / "broken.toml")])
    printed = [line.strip() for line in capsys.readouterr().err.splitlines()[1:]]
    shown = (docs / "configuration.md").read_text(encoding="utf-8").split("19 problems\n")[1].split("  ...\n")[0]
    # the document breaks long lines
    problems = [" ".join(("- " + problem).split()) for problem in shown.removeprefix("  - ").split("\n  - ")]
    assert len(problems) == 6
    for problem in problems:
        assert problem in printed


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "absent.toml"
    assert main(["check", str(file)]) == 3
    assert capsys.readouterr().err == f"edge: {file}: no such configuration file; expected a TOML file\n"


def test_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "expected a configuration FILE" in capsys.readouterr().err


def test_a_missing_network_is_said_and_exit_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[mask]\nmodel = "nets/absent.json"\n', encoding="utf-8")
    assert main(["check", str(file)]) == 5
    text = capsys.readouterr().out
    assert "mask        network that cannot run, auto; least gain -60 dB" in text
    assert f"PROBLEM: model manifest {tmp_path / 'nets/absent.json'} does not exist" in text
    assert "total" in text, "the rest is still said"


def test_boards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--boards"]) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[: len(board_names())]] == list(board_names())
    assert main(["check", "--boards", "--json"]) == 0
    boards = {board["name"]: board for board in json.loads(capsys.readouterr().out)}
    assert boards["kinect_v1"]["roles"] == "MMMM"
    assert boards["kinect_v1"]["source"]["confidence"] == "medium"


def test_an_unknown_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--board", "kinect"]) == 3
    assert "did you mean kinect_v1?" in capsys.readouterr().err


@pytest.mark.parametrize("name", board_names())
def test_every_board_can_be_described(name: str) -> None:
    config = default_config_for_board(name, WITHOUT_NETWORK)
    description = describe(config)
    json.loads(json.dumps(description, allow_nan=False))
    text = render(description)
    assert f"board       {name}: " in text
    assert "never seen on hardware" in text
    for number in range(len(config.array.positions_m)):
        assert f"microphone {number} " in text


def test_one_microphone() -> None:
    description = describe(config_from_dict(WITHOUT_NETWORK))
    assert description["array"]["spatial_aliasing_hz"] is None
    assert description["beamformer"]["kind"] == "none"
    assert description["notes"] == []
    assert "one microphone: no beam, no direction" in render(description)


def test_a_file_has_its_own_rate_and_format_and_is_told_to_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f'[array]\npositions_m = {SQUARE}\nroles = "MMMMRR"\n[input]\nkind = "file"\npath = "in.wav"\n'
    file = tmp_path / "edge.toml"
    file.write_text(table + '[mask]\nkind = "wiener"\n', encoding="utf-8")
    sound = tmp_path / "in.wav"
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert f"input       file {sound}: 6 channels expected (one per role)\n" in said
    assert "has 4 channels" not in said
    soundfile.write(sound, np.zeros((100, 4)), 48000)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert (
        'in.wav has 4 channels, expected 6 (roles MMMMRR); for just the microphones set array.roles = "MMMM".' in said
    )
    assert "The input runs at 48000 Hz" in said
    soundfile.write(sound, np.zeros((100, 6)), 16000)
    assert main(["check", str(file), "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description["input"]["rate_hz"] is None
    assert not any("channels" in note or "runs at" in note for note in description["notes"])


def test_a_password_in_the_clear_is_noted() -> None:
    mqtt = {"enabled": True, "host": "broker.lan", "username": "edge", "password_file": "p"}
    table = {**WITHOUT_NETWORK, "telemetry": {"mqtt": mqtt}}
    assert any("unencrypted" in note for note in describe(config_from_dict(table))["notes"])
    for change in ({"tls": True}, {"host": "localhost"}, {"enabled": False}):
        table["telemetry"]["mqtt"] = {**mqtt, **change}
        assert not any("unencrypted" in note for note in describe(config_from_dict(table))["notes"])


def at(lines: list[str], mark: str) -> list[tuple[int, int]]:
    """(row, column) of every `mark` inside the drawing."""
    return [(r, c) for r, line in enumerate(lines[2:-1]) for c, x in enumerate(line) if x == mark and c >= 13]


def test_the_drawing_has_forward_up_and_left_left() -> None:
    lines = draw_from_above(ArrayGeometry([[0.05, 0, 0], [0, 0.05, 0], [-0.05, 0, 0], [0, -0.05, 0]]), 45)
    ((front, _),), ((_, left),), ((back, _),), ((_, right),) = (at(lines, mark) for mark in "0123")
    assert front < back
    assert left < right
    ((row, column),) = at(lines, "@")
    ((middle_row, middle_column),) = at(lines, "+")
    assert row < middle_row, "45 degrees is forward ..."
    assert column < middle_column, "... and left"


def test_the_drawing_of_a_circle_is_round() -> None:
    p = [[0.05 * math.cos(a), 0.05 * math.sin(a), 0.0] for a in (k * math.pi / 4 for k in range(8))]
    lines = draw_from_above(ArrayGeometry(p), 0)
    ((middle_row, middle_column),) = at(lines, "+")
    for number in range(8):
        ((row, column),) = at(lines, str(number))
        assert math.hypot(row - middle_row, (column - middle_column) / 2) == pytest.approx(5.0, abs=0.75)


def test_microphones_above_each_other_share_a_star() -> None:
    lines = draw_from_above(ArrayGeometry([[0.05, 0, 0], [0.05, 0, 0.1], [0, 0, 0]]), 0, 90)
    assert len(at(lines, "*")) == 1
    assert at(lines, "@") == [], "straight up has no place in a view from above"
