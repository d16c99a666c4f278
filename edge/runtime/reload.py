"""What of a changed configuration takes effect in a running daemon, and what waits for a restart."""

from __future__ import annotations

import dataclasses
from typing import Any

from edge.config.rules import problems_between_keys
from edge.config.schema import Config
from edge.decoding import keys, value_at
from edge.errors import ConfigError

_LIVE_SECTIONS = ("array", "beamformer", "echo", "health", "mask", "post")
"""everything that only the pipeline reads; devices, profile, runtime and telemetry are set up once"""


def live_part(running: Config, wanted: Config) -> Config:
    """`running` with all of `wanted` that can change while audio flows. Raises ConfigError if that does not fit."""
    sections: dict[str, Any] = {name: getattr(wanted, name) for name in _live_sections(running, wanted)}
    merged = dataclasses.replace(running, **sections)
    problems = problems_between_keys(merged, given=(), bad=())
    if problems:
        raise ConfigError(problems, "what can change without a restart, with what cannot")
    return merged


def needs_restart(running: Config, wanted: Config) -> list[str]:
    """Dotted keys that differ but cannot change while audio flows."""
    live = _live_sections(running, wanted)
    return [path for path in changed_keys(running, wanted) if path.split(".")[0] not in live]


def changed_keys(before: Config, after: Config) -> list[str]:
    """Dotted keys whose values differ."""
    return [key.path for key in keys(Config) if value_at(before, key.path) != value_at(after, key.path)]


def _live_sections(running: Config, wanted: Config) -> tuple[str, ...]:
    # the device is open with so many channels; a beam is chosen for its array
    if len(running.array.roles) != len(wanted.array.roles):
        return tuple(name for name in _LIVE_SECTIONS if name not in ("array", "beamformer"))
    return _LIVE_SECTIONS
