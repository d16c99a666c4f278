"""The configuration: precedence, defaults that depend, examples, files that are no configuration."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.boards import load_board
from edge.config import Config, config_from_dict, default_config_for_board, load_config
from edge.decoding import NUMBER_OR_WORD, Choice, keys
from edge.errors import ConfigError
from edge.resources import data_folder

PAIR = [[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]]


def test_an_empty_file_is_one_microphone_without_a_beam() -> None:
    config = config_from_dict({})
    assert config == dataclasses.replace(Config(), beamformer=dataclasses.replace(Config().beamformer, kind="none"))


def test_bare_positions_are_one_microphone_per_channel() -> None:
    config = config_from_dict({"array": {"positions_m": PAIR}})
    assert config.array.roles == "MM"
    assert config.beamformer.kind == "mvdr"
    assert config.array.positions_m == ((0.0, 0.03, 0.0), (0.0, -0.03, 0.0))


def test_the_board_fills_in_and_the_file_goes_before_it() -> None:
    board = load_board("matrix_voice")
    config = default_config_for_board("matrix_voice")
    assert config.array.positions_m == board.positions_m
    assert config.array.roles == board.roles
    taken = config.input
    assert (taken.device, taken.rate_hz, taken.format, taken.period_frames) == (board.device, 48000, "S16_LE", 512)
    table = {"array": {"board": "matrix_voice"}, "input": {"device": "hw:CARD=mine", "rate_hz": 16000}}
    config = config_from_dict(table)
    assert (config.input.device, config.input.rate_hz, config.input.period_frames) == ("hw:CARD=mine", 16000, 512)
    assert config_from_dict(table, {"input.rate_hz": 44100}).input.rate_hz == 44100


def test_the_board_of_another_kind_of_input_gives_no_device() -> None:
    config = config_from_dict({"array": {"board": "matrix_voice"}, "input": {"kind": "file", "path": "a.wav"}})
    assert (config.input.device, config.input.rate_hz, config.input.period_frames) == ("default", 16000, 0)
    config = config_from_dict({"array": {"board": "matrix_voice"}, "input": {"kind": "portaudio"}})
    assert (config.input.device, config.input.rate_hz) == ("default", 48000)


def test_roles_override_those_of_the_board() -> None:
    config = config_from_dict({"array": {"board": "respeaker_usb_v2", "roles": "MMMM"}})
    assert config.array.roles == "MMMM"


def test_overrides_nested_or_dotted_and_none_is_not_given() -> None:
    table = {"beamformer": {"azimuth_deg": 10}, "array": {"positions_m": PAIR}}
    nested = config_from_dict(table, {"beamformer": {"azimuth_deg": 20.0, "kind": None}})
    dotted = config_from_dict(table, {"beamformer.azimuth_deg": 20.0, "beamformer.kind": None})
    assert nested == dotted
    assert nested.beamformer.azimuth_deg == 20.0
    assert table["beamformer"] == {"azimuth_deg": 10}, "the caller's table stays as it was"


def test_relative_paths_belong_to_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    board = (data_folder("firmware_config") / "boards" / "i2s_pair.toml").read_text(encoding="utf-8")
    (folder / "mine.toml").write_text(board.replace("0.03", "0.02"), encoding="utf-8")
    file = folder / "edge.toml"
    file.write_text(
        '[array]\nboard = "mine.toml"\n[input]\nkind = "file"\npath = "in.wav"\n'
        '[mask]\nmodel = "nets/a.json"\n[telemetry.mqtt]\ntls = true\nca_file = "/abs/ca.pem"\n',
        encoding="utf-8",
    )
    config = load_config(file)
    assert config.array.positions_m[0] == (0.0, 0.02, 0.0)
    assert config.array.board == str(folder / "mine.toml")
    assert config.input.path == str(folder / "in.wav")
    assert config.mask.model == str(folder / "nets/a.json")
    assert config.telemetry.mqtt.ca_file == "/abs/ca.pem"
    overridden = load_config(file, {"input.path": "other.wav", "mask.model": "lstm"})
    assert (overridden.input.path, overridden.mask.model) == ("other.wav", "lstm")


def test_the_default_output_device_is_the_loopback_only_for_the_loopback() -> None:
    assert config_from_dict({}).output.device == "hw:CARD=Loopback,DEV=0"
    assert config_from_dict({"output": {"kind": "alsa"}}).output.device == "default"
    assert config_from_dict({"output": {"kind": "alsa", "device": "hw:CARD=x"}}).output.device == "hw:CARD=x"


def test_every_choice_of_every_key_is_taken() -> None:
    for key in keys(Config):
        for constraint in key.constraints:
            if isinstance(constraint, Choice):
                for value in constraint.values:
                    table = {"array": {"positions_m": PAIR}, "input": {"path": ""}, "output": {"path": ""}}
                    overrides = {key.path: value if key.type in (str, NUMBER_OR_WORD) else [value]}
                    if key.path == "input.kind" and value == "file":
                        overrides["input.path"] = "a.wav"
                    if key.path == "output.kind" and value == "file":
                        overrides["output.path"] = "a.wav"
                    config_from_dict(table, overrides)


def test_defaults_meet_their_own_ranges() -> None:
    given: dict = {}
    for key in keys(Config):
        if key.path not in ("array.positions_m", "beamformer.kind"):
            given[key.path] = list(key.default) if isinstance(key.default, tuple) else key.default
    config_from_dict({}, given)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[array\n", "not valid TOML: "),
        (b'profile = "assistant"\nprofile = "hearing"\n', "not valid TOML: "),
        (b"a = " + b"[" * 50000, "not valid TOML: "),
        (b'profile = "assistant"\n\xff\xfe', "byte 22 (line 2) is not UTF-8; expected TOML in UTF-8"),
        (b'\xef\xbb\xbfprofile = "assistant"\n\xff\xfe', "byte 25 (line 2) is not UTF-8; expected TOML in UTF-8"),
        (b"[beamformer]\nazimuth_deg = " + b"1" * 5000, "a number in it has thousands of digits"),
        (b"#" * (2**20 + 1), "larger than 1 MiB; expected a configuration file"),
    ],
    ids=["syntax", "twice", "deep", "bytes", "bytes after a mark", "digits", "large"],
)
def test_files_that_are_not_toml(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    (problem,) = caught.value.problems
    assert problem.startswith(expected)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert caught.value.exit_code == 3


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such configuration file; expected a TOML file$"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"this is a folder; expected a configuration file in TOML$"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the configuration file: "):
        load_config(tmp_path / ("x" * 300 + ".toml"))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_bytes(b'\xef\xbb\xbfprofile = "hearing"\n')
    assert load_config(file).profile == "hearing"


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path in ("/dev/zero", tmp_path / "pipe.toml"):
        with pytest.raises(ConfigError, match=r"this is a device, pipe or socket; expected a configuration file in TO"):
            load_config(path)


def test_nul_in_a_path_is_no_crash() -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        load_config("a\0b.toml")


def test_the_good_examples_load() -> None:
    examples = data_folder("firmware_config") / "examples"
    assert load_config(examples / "minimal.toml") == default_config_for_board("respeaker_usb_v2")
    config = load_config(examples / "full.toml")
    assert config.array.roles == "MMMMRR"


def test_the_full_example_has_every_key_and_the_defaults() -> None:
    file = data_folder("firmware_config") / "examples" / "full.toml"
    text = file.read_text(encoding="utf-8")
    config = load_config(file)
    for key in keys(Config):
        name = key.path.rpartition(".")[2]
        lines = [line for line in text.splitlines() if line.lstrip("# ").startswith(f"{name} =")]
        assert lines, f"firmware_config/examples/full.toml does not mention {key.path}"
        if not any("not the default" in line or line.startswith("#") for line in lines):
            value: object = config
            for part in key.path.split("."):
                value = getattr(value, part)
            assert value == key.default, f"full.toml does not have the default of {key.path}"


def test_configurations_cannot_be_changed() -> None:
    config = config_from_dict({})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.profile = "hearing"  # type: ignore[misc]


def test_loading_and_describing_need_neither_kernels_nor_network() -> None:
    code = (
        "import sys; from edge.config import config_from_dict; from edge.description import describe, render; "
        "render(describe(config_from_dict({'input': {'rate_hz': 48000}}))); "
        "print([m for m in ('numba', 'onnxruntime', 'scipy', 'sounddevice', 'alsaaudio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
