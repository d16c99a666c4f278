"""What of a changed configuration takes effect in a running daemon, and what waits for a restart."""

from __future__ import annotations

import dataclasses
from typing import Any

from edge.config.schema import Config
from edge.decoding import keys, value_at

_LIVE_SECTIONS = ("array", "beamformer", "mask", "post")
"""everything that only the pipeline reads; devices, profile, runtime and telemetry are set up once"""


def live_part(running: Config, wanted: Config) -> Config:
    """`running` with all of `wanted` that can change while audio flows."""
    sections: dict[str, Any] = {name: getattr(wanted, name) for name in _live_sections(running, wanted)}
    return dataclasses.replace(running, **sections)


def needs_restart(running: Config, wanted: Config) -> list[str]:
    """Dotted keys that differ but cannot change while audio flows."""
    live = _live_sections(running, wanted)
    return [path for path in changed_keys(running, wanted) if path.split(".")[0] not in live]


def changed_keys(before: Config, after: Config) -> list[str]:
    """Dotted keys whose values differ."""
    return [key.path for key in keys(Config) if value_at(before, key.path) != value_at(after, key.path)]


def _live_sections(running: Config, wanted: Config) -> tuple[str, ...]:
    # the device is open with so many channels
    if len(running.array.roles) != len(wanted.array.roles):
        return tuple(name for name in _LIVE_SECTIONS if name != "array")
    return _LIVE_SECTIONS
