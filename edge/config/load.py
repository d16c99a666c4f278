"""From a TOML file to a checked Config.

Precedence, strongest first: overrides (command line), the file, the board preset named in it, the defaults.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.boards import load_board
from edge.config.calibration import is_calibration, read_calibration
from edge.config.rules import problems_between_keys, same_file_problems
from edge.config.schema import Config
from edge.decoding import Decoder, one_line, read_toml, value_at
from edge.errors import ConfigError

_MQTT = "telemetry.mqtt"
_PATHS = ("input.path", "output.path", "mask.model", f"{_MQTT}.ca_file", f"{_MQTT}.password_file")
_NAME_UNLESS_ENDING = {"array.board": ".toml", "mask.model": ".json"}


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read, decode and check a configuration file.

    Relative paths in the file are relative to the folder of the file; those in `overrides` stay as they are.
    `overrides` is as in config_from_dict. Raises ConfigError with every problem found.
    """
    path = Path(path)
    table = read_toml(path, "configuration file")
    if is_calibration(table):
        raise ConfigError(
            "this is a calibration, not a configuration; name it in the configuration of its array, "
            f'[array] calibration = "{path.name}", and give that one instead',
            str(path),
        )
    return _build(table, overrides or {}, str(path), path.parent)


def default_config_for_board(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Configuration with nothing but a board preset given. Raises ConfigError for an unknown board."""
    return config_from_dict({"array": {"board": name}}, overrides, source=f"board {name}")


def config_from_dict(
    table: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, source: str = "configuration"
) -> Config:
    """Decode and check a table laid out like the file. Relative paths stay as they are.

    `overrides` go before the table: nested sections, or dotted keys such as "beamformer.azimuth_deg"; None means
    not given. Raises ConfigError with every problem found.
    """
    return _build(table, overrides or {}, source, None)


def _build(table: Mapping[str, Any], overrides: Mapping[str, Any], source: str, folder: Path | None) -> Config:
    overrides = _merge({}, overrides)
    decoder = Decoder()
    config = decoder.decode(Config, _merge(dict(table), overrides))
    problems, bad = decoder.problems, decoder.bad
    from_file = decoder.given - set(_dotted(overrides))
    if folder is not None:
        config = _anchor(config, "array.board", from_file, folder)
        config = _anchor(config, "array.calibration", from_file, folder)
    config = _with_board(config, decoder)
    config = _with_calibration(config, decoder)
    config = _with_defaults_that_depend(config, decoder.given, bad)
    problems += map(one_line, problems_between_keys(config, _meant(decoder.given, from_file, overrides), bad))
    if problems:
        raise ConfigError(problems, source)
    if folder is not None:
        for key in _PATHS:
            config = _anchor(config, key, from_file, folder)
    if same := [one_line(text) for text in same_file_problems(config)]:
        raise ConfigError(same, source)
    return config


def _meant(given: set[str], from_file: set[str], overrides: Mapping[str, Any]) -> set[str]:
    """`given` without what the file says of a device or file in whose place an override puts one of another kind."""
    replaced = {f"{side}." for side in ("input", "output") if f"{side}.kind" in set(_dotted(overrides))}
    return {key for key in given if not (key in from_file and key.startswith(tuple(replaced)))}


def _with_board(config: Config, decoder: Decoder) -> Config:
    """Fill in from the preset what neither file nor overrides give."""
    if not config.array.board or "array.board" in decoder.bad:
        return config
    try:
        board = load_board(config.array.board)
    except ConfigError as error:
        decoder.problems += [one_line(f"array.board: {text}") for text in error.problems]
        decoder.bad.add("array.board")
        return config
    preset: dict[str, Any] = {"array.positions_m": board.positions_m, "array.roles": board.roles}
    if config.input.kind in ("alsa", "portaudio"):
        preset["input.rate_hz"] = board.rate_hz
    if config.input.kind == "alsa":
        preset |= {
            "input.device": board.device,
            "input.format": board.format,
            "input.period_frames": board.period_frames,
        }
    for key, value in preset.items():
        if key not in decoder.given:
            config = _replace(config, key, value)
    return config


def _with_calibration(config: Config, decoder: Decoder) -> Config:
    """Fill in gains and delays from the calibration file, unless the array itself is wrong."""
    array = config.array
    if not array.calibration or {"array.calibration", "array.positions_m", "array.board"} & decoder.bad:
        return config
    try:
        found = read_calibration(Path(array.calibration), len(array.positions_m))
    except ConfigError as error:
        decoder.problems += [one_line(f"array.calibration: {error.source}: {text}") for text in error.problems]
        decoder.bad.add("array.calibration")
        return config
    return dataclasses.replace(
        config, array=dataclasses.replace(array, gains_db=found.gains_db, delays_us=found.delays_us)
    )


def _with_defaults_that_depend(config: Config, given: set[str], bad: set[str]) -> Config:
    """Defaults that follow from other keys: no beam for one microphone, roles of a bare list of positions, ..."""
    mics = len(config.array.positions_m)
    if "array.roles" not in given and not config.array.board and "array.positions_m" not in bad:
        config = _replace(config, "array.roles", "M" * mics)
    if "beamformer.kind" not in given and mics == 1 and "array.board" not in bad:
        config = _replace(config, "beamformer.kind", "none")
    if "output.device" not in given and config.output.kind in ("alsa", "portaudio"):
        config = _replace(config, "output.device", "default")
    return config


def _anchor(config: Config, key: str, from_file: set[str], folder: Path) -> Config:
    """Make a relative path of a file relative to the file's folder: a service starts in /, a user anywhere."""
    value = value_at(config, key)
    if key not in from_file or not value or not value.endswith(_NAME_UNLESS_ENDING.get(key, "")):
        return config
    return _replace(config, key, os.path.join(folder, os.path.expanduser(value)))


def _replace(config: Any, key: str, value: Any) -> Any:
    """`config` with the value of one key such as "input.rate_hz" replaced."""
    head, _, rest = key.partition(".")
    return dataclasses.replace(config, **{head: _replace(getattr(config, head), rest, value) if rest else value})


def _merge(table: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with nested or dotted `overrides` put over it, sections merged, None left out."""
    for name, value in overrides.items():
        head, _, rest = name.partition(".")
        if rest:
            value = {rest: value}
        if value is None:
            continue
        if isinstance(value, Mapping):
            below = table.get(head, {})
            table[head] = _merge(dict(below), value) if isinstance(below, Mapping) else below
        else:
            table[head] = value
    return table


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield prefix + name
