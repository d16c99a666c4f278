"""Board presets: each is complete, honest about its source, and agrees with what its source says."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from edge.boards import board_names, boards_folder, load_board, role_problems
from edge.config import config_from_dict, default_config_for_board
from edge.errors import ConfigError
from edge.geometry import ArrayGeometry

WANTED = {
    "i2s_pair": 2,
    "kinect_v1": 4,
    "matrix_voice": 8,
    "minidsp_uma8": 7,
    "playstation_eye": 4,
    "respeaker_2mic": 2,
    "respeaker_4mic_linear": 4,
    "respeaker_4mic_square": 4,
    "respeaker_6mic_circular": 6,
    "respeaker_usb_v2": 4,
    "respeaker_xvf3800": 4,
}

GOOD = """
name = "mine"
description = "two"
positions_m = [[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]]
roles = "MM"
"""


def distances_mm(name: str) -> list[float]:
    return sorted(1000 * math.dist(a, b) for a, b in itertools.combinations(load_board(name).positions_m, 2))


def test_the_promised_boards_are_there() -> None:
    assert {name: len(load_board(name).positions_m) for name in board_names()} == WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_preset_is_complete_and_honest(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert len(board.description) > 20
    assert board.card_id
    assert board.device == f"hw:CARD={board.card_id},DEV=0"
    assert len(board.source.where) > 40
    assert len(board.source.note) > 20
    assert board.unseen, "nobody here has seen any of these boards"
    assert "the whole preset" in board.unseen[0]
    assert board.roles.count("M") == len(board.positions_m)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_preset_makes_a_configuration(name: str) -> None:
    for profile in ("assistant", "hearing"):
        config = default_config_for_board(name, {"profile": profile})
        geometry = ArrayGeometry(config.array.positions_m)
        assert config.beamformer.kind == "mvdr"
        assert 0.02 < geometry.aperture_m < 0.25, "tabletop devices"
        assert geometry.min_spacing_m >= 0.0199


@pytest.mark.parametrize("name", sorted(WANTED))
def test_centred_so_that_azimuth_means_the_same_everywhere(name: str) -> None:
    p = np.array(load_board(name).positions_m)
    middle = (p.max(axis=0) + p.min(axis=0)) / 2
    assert np.abs(middle).max() < 0.002


def test_dimensions_that_the_sources_state() -> None:
    assert distances_mm("respeaker_2mic") == pytest.approx([58.0])
    assert distances_mm("respeaker_4mic_linear")[-1] == pytest.approx(149.6)
    assert distances_mm("respeaker_4mic_square")[-1] == pytest.approx(81.27, abs=0.3)
    assert distances_mm("respeaker_6mic_circular")[-1] == pytest.approx(92.18, abs=0.5)
    assert distances_mm("respeaker_usb_v2")[-1] == pytest.approx(64.0)
    assert distances_mm("respeaker_xvf3800")[0] == pytest.approx(66.0)
    assert distances_mm("minidsp_uma8")[-1] == pytest.approx(87.0, abs=0.01)
    assert distances_mm("kinect_v1")[-1] == pytest.approx(226.0)
    assert distances_mm("playstation_eye")[-1] == pytest.approx(62.0, abs=2.1)
    ring = [1000 * math.hypot(x, y) for x, y, _ in load_board("matrix_voice").positions_m]
    assert ring[0] == 0.0
    assert ring[1:] == pytest.approx([38.3] * 7, abs=0.05)


def test_roles_that_the_sources_state() -> None:
    assert load_board("respeaker_usb_v2").roles == "XMMMMR"
    assert load_board("respeaker_6mic_circular").roles == "MMMMMMRR"
    assert load_board("respeaker_4mic_linear").roles == "MMMMXXRR"
    assert load_board("respeaker_xvf3800").roles == "XXMMMM"
    assert load_board("minidsp_uma8").roles == "MMMMMMMX"


def test_an_unknown_board_names_the_nearest_or_all() -> None:
    with pytest.raises(ConfigError, match=r'^no board preset "respeaker_usb"; did you mean respeaker_usb_v2\?$'):
        load_board("respeaker_usb")
    with pytest.raises(ConfigError, match=r"did you mean minidsp_uma8\?$"):
        load_board("MiniDSP-UMA8")
    with pytest.raises(ConfigError) as caught:
        load_board("qqq")
    assert all(name in str(caught.value) for name in board_names())


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, encoding="utf-8")
    board = load_board(str(file))
    assert (board.rate_hz, board.format, board.device) == (16000, "S16_LE", "default")
    assert config_from_dict({"array": {"board": str(file)}}).array.roles == "MM"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("roles", 'roles = "MMM"'), ['roles: "MMM" has 3 M but there are 2 positions; expected one M per position']),
        (
            ("positions_m", "positions_m = [[0, 0, 0], [0, 0, 0]]"),
            ["positions_m: microphones 0 and 1 coincide at [0, 0, 0]; expected different places, at least 1 mm apart"],
        ),
        (
            ("roles", "role = 1"),
            ["role: unknown key; did you mean roles?", "roles: missing; expected a string in quotes"],
        ),
        (
            ("name", 'format = "S24_LE"'),
            [
                "name: missing; expected a string in quotes",
                'format: got "S24_LE", expected S16_LE, S24_3LE, S32_LE or FLOAT_LE; did you mean S24_3LE?',
            ],
        ),
    ],
)
def test_wrong_boards_say_everything(tmp_path: Path, change: tuple[str, str], expected: list[str]) -> None:
    lines = [change[1] if line.startswith(change[0]) else line for line in GOOD.splitlines()]
    file = tmp_path / "mine.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_board(str(file))
    assert sorted(caught.value.problems) == sorted(expected)
    with pytest.raises(ConfigError) as through_config:
        config_from_dict({"array": {"board": str(file)}})
    assert sorted(through_config.value.problems) == sorted(f"array.board: {text}" for text in expected)


def test_a_missing_board_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such board preset; expected a TOML file$"):
        load_board(str(tmp_path / "absent.toml"))


def test_roles() -> None:
    assert role_problems("XMMRR", 2) == []
    assert role_problems("MM", 3) == ['"MM" has 2 M but there are 3 positions; expected one M per position']
    assert "unknown letters 1, m" in role_problems("Mm1", 1)[0]


def test_preset_files_are_named_after_their_boards() -> None:
    assert sorted(path.stem for path in boards_folder().iterdir()) == list(board_names())
