"""Everything that can be wrong between keys, with the exact words; the broken example in one go."""

from __future__ import annotations

import dataclasses

import pytest

from edge.config import Config, config_from_dict, load_config
from edge.errors import ConfigError
from edge.profiles import PROFILES, Profile
from edge.resources import data_folder

PAIR = [[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]]


def problems(table: dict, overrides: dict | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(table, overrides)
    return list(caught.value.problems)


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
            'output.clock: given but output.kind is "file"; expected kind = "loopback" or "alsa" or "portaudio" or no '
            "clock"
        ],
    ),
    (
        {"output": {"kind": "portaudio", "clock": "shared"}},
        [
            'output.clock: "shared" cannot be had with output.kind = "portaudio"; expected "auto", or kind "loopback" '
            'or "alsa"'
        ],
    ),
    (
        {"output": {"kind": "file", "path": "a.wav", "rate_hz": 8001}},
        ["output.rate_hz: 8001 Hz is no rate of sound devices and files; expected one such as 8000"],
    ),
    (
        {"output": {"rate_hz": 44100}},
        [
            "output.rate_hz: a hop would be 352.8 frames at 44100 Hz, and the loopback runs in periods of one hop; "
            "expected a rate with whole frames such as 16000 or 48000 (a program that wants another one records from "
            "plughw)"
        ],
    ),
    (
        {"output": {"kind": "null", "rate_hz": 8000}},
        [
            'output.rate_hz: given but output.kind is "null"; expected kind = "loopback" or "alsa" or "portaudio" or '
            '"file" or no rate_hz'
        ],
    ),
    (
        {"input": {"loop": True, "realtime": False}},
        [
            'input.realtime: given but input.kind is "alsa"; expected kind = "file" or no realtime',
            'input.loop: given but input.kind is "alsa"; expected kind = "file" or no loop',
        ],
    ),
    (
        {"input": {"kind": "portaudio", "format": "S32_LE"}, "output": {"kind": "portaudio", "format": "S32_LE"}},
        [
            'input.format: given but input.kind is "portaudio"; expected kind = "alsa" or no format',
            'output.format: given but output.kind is "portaudio"; expected kind = "loopback" or "alsa" or "file" or '
            "no format",
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


OTHER_VALUES = {
    **{"device": "hw:CARD=a", "path": "a.wav", "rate_hz": 48000, "format": "S24_3LE", "period_frames": 64},
    **{"periods": 8, "realtime": False, "loop": True, "clock": "resample"},
}
"""for every key that some kind of input or output does not use: a value that is not the default"""


@pytest.mark.parametrize(
    ("side", "kind", "used"),
    [
        ("input", "alsa", "device rate_hz format period_frames periods"),
        ("input", "portaudio", "device rate_hz period_frames periods"),
        ("input", "file", "path realtime loop"),
        ("output", "loopback", "device rate_hz format periods clock"),
        ("output", "alsa", "device rate_hz format periods clock"),
        ("output", "portaudio", "device rate_hz periods clock"),
        ("output", "file", "path rate_hz format"),
        ("output", "null", ""),
    ],
)
def test_a_key_is_used_by_the_kind_or_a_problem(side: str, kind: str, used: str) -> None:
    section = getattr(Config(), side)
    names = {field.name for field in dataclasses.fields(section)} - {"kind", "channels"}
    table: dict = {"output": {"kind": "null"}}
    table[side] = {"kind": kind} | ({"path": "a.wav"} if kind == "file" else {})
    config_from_dict(table)
    for name in names - set(used.split()):
        (problem,) = problems(table, {side: {name: OTHER_VALUES[name]}})
        assert problem.startswith(f'{side}.{name}: given but {side}.kind is "{kind}"; expected kind = ')
        assert problem.endswith(f" or no {name}")
        config_from_dict(table, {side: {name: getattr(section, name)}})  # what is the default anyway misleads nobody
    for name in used.split():
        config_from_dict(table, {side: {name: OTHER_VALUES[name]}})


def test_an_override_of_the_kind_leaves_the_keys_of_the_other_kind_alone() -> None:
    table = {"input": {"device": "hw:CARD=a", "rate_hz": 48000, "periods": 8}, "output": {"kind": "null"}}
    config = config_from_dict(table, {"input.kind": "file", "input.path": "a.wav"})
    assert config.input.kind == "file"
    # but not what the override itself says
    assert problems(table, {"input": {"kind": "file", "path": "a.wav", "format": "S32_LE"}}) == [
        'input.format: given but input.kind is "file"; expected kind = "alsa" or no format'
    ]


@pytest.mark.parametrize("kind", ["alsa", "portaudio"])
def test_a_device_may_have_a_rate_with_uneven_hops(kind: str) -> None:
    assert config_from_dict({"output": {"kind": kind, "rate_hz": 44100}}).output.rate_hz == 44100
    assert problems({"output": {"kind": kind, "rate_hz": 44000}}) == [
        "output.rate_hz: 44000 Hz is no rate of sound devices and files; expected one such as 44100"
    ]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_hop_of_every_profile_divides_its_window(profile: Profile) -> None:
    assert profile.window_samples % profile.hop_samples == 0
    assert profile.window_samples >= 2 * profile.hop_samples


def test_a_bad_key_silences_only_the_rules_that_read_it() -> None:
    table = {"array": {"positions_m": "none", "roles": "MQ"}, "output": {"channels": []}}
    assert problems(table) == [
        'array.positions_m: got "none", expected a list of [x, y, z], three finite numbers each',
        "output.channels: empty, expected listen, asr or both",
    ]


BROKEN = """\
sample_rate: unknown key; expected one of profile, array, input, output, echo, beamformer, health, mask, post, \
runtime, telemetry
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
