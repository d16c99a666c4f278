"""What a configuration has to satisfy beyond each key by itself. One function per part, one sentence per problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath

from edge.boards import role_problems
from edge.card_names import names_card_by_number
from edge.config.schema import Config
from edge.geometry import position_problems
from edge.profiles import PROFILES

Problems = Iterator[str]

OUTPUT_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000)
"""rates that sound files and devices have; anything else is a slip of the finger"""

_INPUT_KEYS = {
    "device": ("alsa", "portaudio"),
    "path": ("file",),
    "rate_hz": ("alsa", "portaudio"),
    "format": ("alsa",),
    "period_frames": ("alsa", "portaudio"),
    "periods": ("alsa", "portaudio"),
    "realtime": ("file",),
    "loop": ("file",),
}
_OUTPUT_KEYS = {
    "device": ("loopback", "alsa", "portaudio"),
    "path": ("file",),
    "rate_hz": ("loopback", "alsa", "portaudio", "file"),
    "format": ("loopback", "alsa", "file"),
    "periods": ("loopback", "alsa", "portaudio"),
    "clock": ("loopback", "alsa", "portaudio"),
}
"""key -> kinds that use it"""


def problems_between_keys(config: Config, given: Iterable[str], bad: Iterable[str]) -> list[str]:
    """Everything wrong in `config` as a whole. A rule is left out when a key that it reads is bad by itself."""
    given, bad = set(given), set(bad)
    found: list[str] = []
    for rule, reads in _RULES:
        if not any(key == read or key.startswith(read + ".") for key in bad for read in reads):
            found += rule(config, given)
    return found


def _positions(config: Config, given: set[str]) -> Problems:
    for text in position_problems(config.array.positions_m):
        yield f"array.positions_m: {text}"


def _roles(config: Config, given: set[str]) -> Problems:
    if not config.array.positions_m:
        return  # said by _positions
    for text in role_problems(config.array.roles, len(config.array.positions_m)):
        yield f"array.roles: {text}"


def _board_or_positions(config: Config, given: set[str]) -> Problems:
    if config.array.board and "array.positions_m" in given:
        yield (
            "array.positions_m: given together with array.board; expected one of them: leave out board to use "
            "positions of your own"
        )


def _gains(config: Config, given: set[str]) -> Problems:
    mics = len(config.array.positions_m)
    for name, what in (("gains_db", "gains"), ("delays_us", "delays")):
        got = len(getattr(config.array, name))
        if got not in (0, mics):
            yield f"array.{name}: got {got} {what} for {mics} microphones, expected one per microphone or none"


def _calibration(config: Config, given: set[str]) -> Problems:
    for name in ("gains_db", "delays_us"):
        if config.array.calibration and f"array.{name}" in given:
            yield (
                f"array.{name}: given together with array.calibration, whose file has these numbers; expected one of "
                "them"
            )


def _beamformer(config: Config, given: set[str]) -> Problems:
    if len(config.array.positions_m) == 1 and config.beamformer.kind != "none":
        yield (
            f'beamformer.kind: "{config.beamformer.kind}" needs at least 2 microphones and the array has 1; '
            'expected "none", or more positions in array.positions_m'
        )


def _input_rate(config: Config, given: set[str]) -> Problems:
    rate = PROFILES[config.profile].rate_hz
    if config.input.rate_hz < rate:
        yield f"input.rate_hz: {config.input.rate_hz} Hz is below the {rate} Hz of the profile; expected {rate} or more"


def _output_rate(config: Config, given: set[str]) -> Problems:
    kind, rate_hz, profile = config.output.kind, config.output.rate_hz, PROFILES[config.profile]
    if kind == "null":
        return  # has no rate: said by _unused_keys
    if rate_hz not in OUTPUT_RATES_HZ:
        near = min(OUTPUT_RATES_HZ, key=lambda rate: abs(rate - rate_hz))
        yield f"output.rate_hz: {rate_hz} Hz is no rate of sound devices and files; expected one such as {near}"
    elif kind == "loopback" and profile.hop_samples * rate_hz % profile.rate_hz:
        hop_frames = profile.hop_samples * rate_hz / profile.rate_hz
        yield (
            f"output.rate_hz: a hop would be {hop_frames:g} frames at {rate_hz} Hz, and the loopback runs in periods "
            "of one hop; expected a rate with whole frames such as 16000 or 48000 (a program that wants another one "
            "records from plughw)"
        )


def _unused_keys(config: Config, given: set[str]) -> Problems:
    """Keys that the kind of input or output does not use. What equals its default misleads nobody."""
    for side, section, used_by in (("input", config.input, _INPUT_KEYS), ("output", config.output, _OUTPUT_KEYS)):
        defaults = type(section)()
        for name, kinds in used_by.items():
            if section.kind in kinds or f"{side}.{name}" not in given:
                continue
            if getattr(section, name) != getattr(defaults, name):
                quoted = " or ".join(f'"{kind}"' for kind in kinds)
                yield f'{side}.{name}: given but {side}.kind is "{section.kind}"; expected kind = {quoted} or no {name}'


def _input_file(config: Config, given: set[str]) -> Problems:
    if config.input.kind == "file" and not config.input.path:
        yield 'input.path: missing; input.kind = "file" needs the sound file to read'


def _output_file(config: Config, given: set[str]) -> Problems:
    output = config.output
    if output.kind != "file":
        return
    suffix = PurePath(output.path).suffix.lower()
    if not output.path:
        yield 'output.path: missing; output.kind = "file" needs the sound file to write'
    elif suffix not in (".wav", ".flac"):
        yield f'output.path: "{output.path}" is neither .wav nor .flac; expected one of these endings'
    elif suffix == ".flac" and output.format in ("FLOAT_LE", "S32_LE"):
        yield f'output.format: "{output.format}" does not fit into FLAC; expected S16_LE or S24_3LE, or a .wav file'


def same_file_problems(config: Config) -> Problems:
    """Whether a run would write over what it reads. For paths that are anchored, unlike the rules between keys."""
    source, sink = config.input, config.output
    if source.kind != "file" or sink.kind != "file" or not source.path or not sink.path:
        return
    if os.path.realpath(source.path) == os.path.realpath(sink.path):
        yield f"output.path: {sink.path} is both input and output; write to another file"


def _input_period(config: Config, given: set[str]) -> Problems:
    if 0 < config.input.period_frames < 16:
        yield f"input.period_frames: got {config.input.period_frames}, expected 0 (one hop) or from 16 to 16384"


def _devices(config: Config, given: set[str]) -> Problems:
    for side, kind, device in (
        ("input", config.input.kind, config.input.device),
        ("output", config.output.kind, config.output.device),
    ):
        if kind not in ("alsa", "loopback"):
            continue
        if not device.strip():
            yield f"{side}.device: empty; expected an ALSA name such as hw:CARD=name (`edge devices` lists them)"
        elif names_card_by_number(device):
            yield (
                f'{side}.device: "{device}" names the card by its number, which changes between boots; expected its '
                "id, as in hw:CARD=name (`edge devices` lists them)"
            )
    same = config.input.device == config.output.device and config.output.kind == "loopback"
    if same and config.input.kind == "alsa":
        yield (
            f'output.device: "{config.output.device}" is also the input; expected the other side of the loopback or '
            "another card"
        )


def _output_channels(config: Config, given: set[str]) -> Problems:
    channels = config.output.channels
    if not channels:
        yield "output.channels: empty, expected listen, asr or both"
    for name in dict.fromkeys(c for c in channels if channels.count(c) > 1):
        yield f'output.channels: "{name}" is there more than once, expected each at most once'


def _clock(config: Config, given: set[str]) -> Problems:
    if config.output.clock == "shared" and config.output.kind == "portaudio":
        yield (
            'output.clock: "shared" cannot be had with output.kind = "portaudio"; expected "auto", or kind "loopback" '
            'or "alsa"'
        )


def _mqtt_host(config: Config, given: set[str]) -> Problems:
    host = config.telemetry.mqtt.host
    if not host.strip() or any(c.isspace() or c == "/" for c in host):
        yield f'telemetry.mqtt.host: got "{host}", expected a host name or address without scheme, path or spaces'


def _topics(config: Config, given: set[str]) -> Problems:
    prefix, device = config.telemetry.mqtt.topic_prefix, config.telemetry.device_name
    if not _is_topic(prefix) or prefix.startswith("$"):
        yield (
            f'telemetry.mqtt.topic_prefix: got "{prefix}", expected an MQTT topic without +, #, spaces, empty levels '
            "or $ in front"
        )
    if not _is_topic(device) or "/" in device:
        yield f'telemetry.device_name: got "{device}", expected one level of an MQTT topic: no /, +, # or spaces'


def _is_topic(text: str) -> bool:
    return all(text.split("/")) and not any(c in "+#" or c.isspace() for c in text)


def _mqtt_secrets(config: Config, given: set[str]) -> Problems:
    mqtt = config.telemetry.mqtt
    if mqtt.ca_file and not mqtt.tls:
        yield "telemetry.mqtt.ca_file: given but tls is off; expected tls = true, or no ca_file"
    if mqtt.password_file and not mqtt.username:
        yield "telemetry.mqtt.password_file: given without a username; expected both or neither"


def _agc(config: Config, given: set[str]) -> Problems:
    post = config.post
    if post.agc and post.agc_target_dbfs > post.limiter_dbfs:
        yield (
            f"post.agc_target_dbfs: {post.agc_target_dbfs:g} dBFS is above the limiter at {post.limiter_dbfs:g} dBFS; "
            "expected a target below it"
        )


_RULES: tuple[tuple[Callable[[Config, set[str]], Problems], tuple[str, ...]], ...] = (
    (_board_or_positions, ()),
    (_positions, ("array.board", "array.positions_m")),
    (_roles, ("array.board", "array.positions_m", "array.roles")),
    (_gains, ("array.board", "array.positions_m", "array.gains_db", "array.delays_us", "array.calibration")),
    (_calibration, ("array.calibration",)),
    (_beamformer, ("array.board", "array.positions_m", "beamformer.kind")),
    (_input_rate, ("profile", "input.rate_hz")),
    (_output_rate, ("profile", "output.kind", "output.rate_hz")),
    (_unused_keys, ("input.kind", "output.kind")),
    (_input_file, ("input.kind", "input.path")),
    (_input_period, ("input.period_frames",)),
    (_output_file, ("output.kind", "output.path", "output.format")),
    (_devices, ("input.kind", "input.device", "output.kind", "output.device")),
    (_output_channels, ("output.channels",)),
    (_clock, ("output.kind", "output.clock")),
    (_agc, ("post",)),
    (_mqtt_host, ("telemetry.mqtt.host",)),
    (_topics, ("telemetry.mqtt.topic_prefix", "telemetry.device_name")),
    (_mqtt_secrets, ("telemetry.mqtt.ca_file", "telemetry.mqtt.tls", "telemetry.mqtt.password_file")),
)
