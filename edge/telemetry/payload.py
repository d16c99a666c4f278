"""Snapshot, events and status as JSON: null for what is not known, rounded to what can be meant, units in the names."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from edge.telemetry.events import Event
from edge.telemetry.snapshot import Percentiles, Snapshot

_DECIMALS = {
    "_s": 3,
    "_ms": 4,
    "_db": 2,
    "_dbfs": 1,
    "_deg": 2,
    "_c": 1,
    "_mib": 1,
    "_ppm": 1,
    "_confidence": 2,
    "default": 4,
}
"""decimals by the unit at the end of a key: a tenth of a microsecond of hop time, a tenth of a dB of level"""


def telemetry_payload(snapshot: Snapshot, device: str = "", dropped_messages: int = 0) -> dict[str, Any]:
    """JSON-ready dict of one snapshot, as schema/telemetry.schema.json describes it.

    `dropped_messages` counts messages of this transport that were given up since start because the broker did not
    take them. Infinite and not-a-number values become None.
    """
    payload: dict[str, Any] = {"device": device, "dropped_messages": dropped_messages}
    for field in dataclasses.fields(snapshot):
        payload[field.name] = json_ready(getattr(snapshot, field.name), decimals(field.name))
    return payload


def event_payload(event: Event, device: str = "") -> dict[str, Any]:
    """JSON-ready dict of one event, as schema/event.schema.json describes it."""
    return {
        "device": device,
        "time_unix_s": round(event.time_unix_s, 3),
        "kind": event.kind,
        "message": event.message,
        "details": json_ready(event.details),
    }


def status_payload(state: str, reason: str, device: str, version: str, *, timed: bool = True) -> dict[str, Any]:
    """JSON-ready dict for the retained status, as schema/status.schema.json describes it.

    `timed` is False for the last will, which is written at connection time and published at an unknown later one.
    """
    return {
        "device": device,
        "state": state,
        "reason": reason,
        "time_unix_s": round(time.time(), 3) if timed else None,
        "version": version,
    }


def encode(payload: dict[str, Any]) -> bytes:
    """Compact JSON in ASCII. Raises ValueError on NaN or infinity, which JSON does not have."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode("ascii")


def load_schema(name: str) -> dict[str, Any]:
    """One of the published JSON Schemas (draft 2020-12): telemetry, status, event or reply."""
    path = Path(__file__).parent / "schema" / f"{name}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def decimals(key: str) -> int:
    """Decimals that a value of this key is rounded to, by the unit its name ends with."""
    _, _, unit = key.rpartition("_")
    return _DECIMALS.get(f"_{unit}", _DECIMALS["default"])


def json_ready(value: Any, digits: int = _DECIMALS["default"]) -> Any:
    """`value` as what JSON has: NaN and infinity become None, numpy scalars numbers, floats rounded to `digits`."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return round(number, digits) if math.isfinite(number) else None
    if isinstance(value, Percentiles):
        return {name: json_ready(getattr(value, name), digits) for name in ("p50", "p95", "p99", "max")}
    if isinstance(value, dict):
        return {str(key): json_ready(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item, digits) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy here
        return json_ready(value.tolist(), digits)
    return str(value)
