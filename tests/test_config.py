"""The configuration: precedence, defaults that depend, every rule between keys, files that are no configuration."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from edge.boards import load_board
from edge.config import Config, config_from_dict, default_config_for_board, load_config
from edge.decoding import Choice, keys
from edge.errors import ConfigError
from edge.resources import data_folder

PAIR = [[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]]


def problems(table: dict, overrides: dict | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(table, overrides)
    return list(caught.value.problems)


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


RULES = [
    (
        {"array": {"board": "kinect_v1", "positions_m": PAIR}},
        [
            "array.positions_m: given together with array.board; expected one of them: leave out board to use "
            "positions of your own",
            'array.roles: "MMMM" has 4 M but there are 2 positions; expected one M per position',
        ],
    ),
    (
        {"array": {"positions_m": [[0, 0, 0], [1, 0, 0], [0, 0.0005, 0]]}},
        [
            "array.positions_m: microphones 0 and 2 coincide at [0, 0, 0]; expected different places, at least 1 mm "
            "apart"
        ],
    ),
    (
        {"array": {"positions_m": [[0, 0, 0], [0, 0, 30]]}},
        [
            "array.positions_m: microphones 0 and 1 are 30 m apart, expected at most 2 m; positions are in metres: "
            "divide by 1000 if these are millimetres"
        ],
    ),
    (
        {"array": {"positions_m": []}},
        ["array.positions_m: no microphone; expected one [x, y, z] in metres per microphone"],
    ),
    (
        {"array": {"positions_m": PAIR, "roles": ""}},
        [
            'array.roles: got "" (empty), expected one letter per captured channel: M microphone, R playback '
            "reference, X unused"
        ],
    ),
    ({"array": {"positions_m": PAIR, "roles": "MM" + "X" * 31}}, ["array.roles: got 33 channels, expected at most 32"]),
    (
        {"array": {"positions_m": PAIR, "gains_db": [1.0]}},
        ["array.gains_db: got 1 gains for 2 microphones, expected one per microphone or none"],
    ),
    (
        {"beamformer": {"kind": "delay_sum"}},
        [
            'beamformer.kind: "delay_sum" needs at least 2 microphones and the array has 1; expected "none", or more '
            "positions in array.positions_m"
        ],
    ),
    ({"input": {"rate_hz": 8000}}, ["input.rate_hz: got 8000, expected a whole number from 16000 to 192000"]),
    (
        {"input": {"kind": "file"}},
        ['input.path: missing; input.kind = "file" needs the sound file to read'],
    ),
    (
        {"input": {"path": "a.wav"}},
        ['input.path: given but input.kind is "alsa"; expected kind = "file" or no path'],
    ),
    (
        {"output": {"kind": "file"}},
        ['output.path: missing; output.kind = "file" needs the sound file to write'],
    ),
    (
        {"output": {"kind": "null", "path": "a.wav"}},
        ['output.path: given but output.kind is "null"; expected kind = "file" or no path'],
    ),
    (
        {"output": {"kind": "file", "path": "a.flac", "format": "FLOAT_LE"}},
        ['output.format: "FLOAT_LE" does not fit into FLAC; expected S16_LE or S24_3LE, or a .wav file'],
    ),
    ({"output": {"channels": []}}, ["output.channels: empty, expected listen, asr or both"]),
    (
        {"output": {"kind": "file", "path": "a.wav", "clock": "shared"}},
        [
            'output.clock: "shared" cannot be had with output.kind = "file"; expected "auto", or kind "loopback" or '
            '"alsa"'
        ],
    ),
    (
        {"output": {"kind": "alsa", "device": " "}},
        ["output.device: empty; expected an ALSA name such as hw:CARD=name (`edge devices` lists them)"],
    ),
    (
        {"input": {"device": "hw:CARD=Loopback,DEV=0"}},
        [
            'output.device: "hw:CARD=Loopback,DEV=0" is also the input; expected the other side of the loopback or '
            "another card"
        ],
    ),
    (
        {"post": {"agc": True, "agc_target_dbfs": -0.5}},
        ["post.agc_target_dbfs: -0.5 dBFS is above the limiter at -1 dBFS; expected a target below it"],
    ),
    (
        {"telemetry": {"mqtt": {"host": "mqtt://broker"}}},
        [
            'telemetry.mqtt.host: got "mqtt://broker", expected a host name or address without scheme, path or spaces',
        ],
    ),
    (
        {"telemetry": {"device_name": "a/b", "mqtt": {"topic_prefix": "edge/#"}}},
        [
            'telemetry.mqtt.topic_prefix: got "edge/#", expected an MQTT topic without +, #, spaces, empty levels or '
            "$ in front",
            'telemetry.device_name: got "a/b", expected one level of an MQTT topic: no /, +, # or spaces',
        ],
    ),
    (
        {"telemetry": {"mqtt": {"password_file": "p"}}},
        ["telemetry.mqtt.password_file: given without a username; expected both or neither"],
    ),
    (
        {"array": {"board": "kinect"}, "beamformer": {"kind": "mvdr"}},
        ['array.board: no board preset "kinect"; did you mean kinect_v1?'],
    ),
]


@pytest.mark.parametrize(("table", "expected"), RULES, ids=[r[1][0].split(":")[0] for r in RULES])
def test_rules_between_keys(table: dict, expected: list[str]) -> None:
    assert problems(table) == expected


@pytest.mark.parametrize("name", ["hw:1,0", "hw:0", "plughw:2", "plughw:CARD=1,DEV=0", "dsnoop:3,0", "sysdefault:1"])
def test_cards_by_number_are_refused_with_the_remedy(name: str) -> None:
    (problem,) = problems({"input": {"device": name}})
    assert problem == (
        f'input.device: "{name}" names the card by its number, which changes between boots; expected its id, as in '
        "hw:CARD=name (`edge devices` lists them)"
    )


@pytest.mark.parametrize(
    "name", ["hw:CARD=seeed4micvoicec", "plughw:CARD=Array,DEV=0", "default", "pulse", "mic8", "hw:CARD=2i2,DEV=1"]
)
def test_cards_by_id_are_taken(name: str) -> None:
    assert config_from_dict({"input": {"device": name}}).input.device == name


def test_a_number_in_a_portaudio_name_is_fine() -> None:
    table = {"input": {"kind": "portaudio", "device": "hw:1,0"}, "output": {"kind": "null"}}
    assert config_from_dict(table).input.device == "hw:1,0"


def test_a_bad_key_silences_only_the_rules_that_read_it() -> None:
    table = {"array": {"positions_m": "none", "roles": "MQ"}, "output": {"channels": []}}
    assert problems(table) == [
        'array.positions_m: got "none", expected a list of [x, y, z], three finite numbers each',
        "output.channels: empty, expected listen, asr or both",
    ]


def test_every_choice_of_every_key_is_taken() -> None:
    for key in keys(Config):
        for constraint in key.constraints:
            if isinstance(constraint, Choice):
                for value in constraint.values:
                    table = {"array": {"positions_m": PAIR}, "input": {"path": ""}, "output": {"path": ""}}
                    overrides = {key.path: value if key.type is str else [value]}
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
    ],
    ids=["syntax", "twice", "deep", "bytes"],
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


def test_nul_in_a_path_is_no_crash() -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        load_config("a\0b.toml")


BROKEN = """\
sample_rate: unknown key; expected one of profile, array, input, output, beamformer, mask, post, runtime, telemetry
telemtry: unknown key; did you mean telemetry?
profile: got "assistent", expected assistant or hearing; did you mean assistant?
input.rate_hz: got "48k", expected a whole number from 16000 to 192000
beamformer.azimut_deg: unknown key; did you mean azimuth_deg?
beamformer.floor_db: unknown key; did you mean mask.floor_db?
beamformer.elevation_deg: got 120.0, expected a finite number from -90 to 90
mask.kind: got "neural", expected network, wiener, spectral_subtraction or bypass
post.limiter_dbfs: got inf, expected a finite number from -60 to 0
telemetry.mqtt.password: unknown key; did you mean password_file?
telemetry.mqtt.port: got 0, expected a whole number from 1 to 65535
array.positions_m: microphones 0 and 2 are 82.02 m apart, expected at most 2 m; positions are in metres: divide by \
1000 if these are millimetres
array.roles: got "MMMQ" (unknown letter Q), expected one letter per captured channel: M microphone, R playback \
reference, X unused
array.gains_db: got 2 gains for 3 microphones, expected one per microphone or none
input.period_frames: got 3, expected 0 (one hop) or from 16 to 16384
output.path: "out.mp3" is neither .wav nor .flac; expected one of these endings
input.device: "hw:1,0" names the card by its number, which changes between boots; expected its id, as in \
hw:CARD=name (`edge devices` lists them)
output.channels: "listen" is there more than once, expected each at most once
telemetry.mqtt.ca_file: given but tls is off; expected tls = true, or no ca_file
"""


def test_the_broken_example_says_exactly_this() -> None:
    file = data_folder("firmware_config") / "examples" / "broken.toml"
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert "\n".join(caught.value.problems) + "\n" == BROKEN
    assert "secret" not in str(caught.value), "a password in the wrong place must not end up in a log"


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
