"""What is sent is JSON, complete, and as the published schemas say."""

import dataclasses
import json
from pathlib import Path
from typing import get_args

import jsonschema
import numpy as np
import pytest
from telemetry_samples import make_snapshot

import edge
from edge.telemetry.events import Event, EventKind, events_between
from edge.telemetry.payload import (
    decimals,
    encode,
    event_payload,
    json_ready,
    load_schema,
    status_payload,
    telemetry_payload,
)
from edge.telemetry.snapshot import Percentiles, Snapshot

SCHEMAS = sorted((Path(edge.__file__).parent / "telemetry" / "schema").glob("*.json"))
EVENT_KINDS = get_args(EventKind)


def validate(payload, name):
    jsonschema.Draft202012Validator(load_schema(name)).validate(payload)


@pytest.mark.parametrize("name", [path.name.partition(".")[0] for path in SCHEMAS])
def test_schemas_are_valid_and_describe_every_property(name):
    schema = load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for key, described in schema["properties"].items():
        assert described.get("description"), key


def test_telemetry_schema_lists_every_snapshot_field_and_nothing_else():
    fields = {field.name for field in dataclasses.fields(Snapshot)}
    schema = load_schema("telemetry")
    assert set(schema["properties"]) == fields | {"device", "dropped_messages"}
    assert set(schema["required"]) == set(schema["properties"])


def test_event_schema_lists_every_kind():
    assert load_schema("event")["properties"]["kind"]["enum"] == list(EVENT_KINDS)


def test_full_snapshot_validates_after_encoding_and_decoding():
    payload = json.loads(encode(telemetry_payload(make_snapshot(), "kitchen", 3)))
    validate(payload, "telemetry")
    assert payload["device"] == "kitchen"
    assert payload["dropped_messages"] == 3
    assert payload["level_in_dbfs"] == [-31.2, None, -30.0, -32.0]
    assert payload["hop_ms"]["p50"] == 0.1235
    assert payload["snr_in_db"] == 4.99
    assert payload["time_unix_s"] == 1_790_000_000.123
    assert payload["bypass"] is False


def test_unknown_values_are_null_and_validate():
    nothing = Percentiles(float("nan"), float("nan"), float("nan"), float("nan"))
    snapshot = make_snapshot(
        snr_in_db=None,
        snr_out_db=float("nan"),
        hop_ms=nothing,
        stage_ms={"beam": nothing},
        latency_ms={"total": float("inf")},
        level_in_dbfs=(float("-inf"),),
        temperature_c=None,
        throttled=None,
        rss_mib=None,
        versions={},
    )
    payload = json.loads(encode(telemetry_payload(snapshot)))
    validate(payload, "telemetry")
    assert payload["snr_in_db"] is None
    assert payload["snr_out_db"] is None
    assert payload["hop_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}
    assert payload["latency_ms"] == {"total": None}
    assert payload["level_in_dbfs"] == [None]


def test_numpy_values_become_plain_json():
    snapshot = make_snapshot(
        overruns=np.int64(2),
        gain_floor_db=np.float32(-24),
        bypass=np.bool_(True),
        level_out_dbfs=np.array([-20.04, -np.inf], dtype=np.float32),
    )
    payload = json.loads(encode(telemetry_payload(snapshot)))
    validate(payload, "telemetry")
    assert payload["overruns"] == 2
    assert payload["gain_floor_db"] == -24.0
    assert payload["bypass"] is True
    assert payload["level_out_dbfs"] == [-20.0, None]


@pytest.mark.parametrize(
    "change",
    [{"overruns": -1}, {"mode": None}, {"beamformer": "magic"}, {"level_in_dbfs": ("loud",)}, {"latency_ms": {}}],
)
def test_schema_refuses_wrong_payloads(change):
    with pytest.raises(jsonschema.ValidationError):
        validate(telemetry_payload(make_snapshot(**change)), "telemetry")


def test_every_float_of_a_snapshot_has_a_unit_in_its_name():
    for field in dataclasses.fields(Snapshot):
        if "float" in str(field.type):
            assert decimals(field.name) != decimals("no_such_unit") or field.name.endswith("_ms"), field.name


def test_status_and_events_validate():
    validate(status_payload("online", "connected", "kitchen", "0.1.0"), "status")
    will = status_payload("offline", "connection lost", "kitchen", "0.1.0", timed=False)
    validate(will, "status")
    assert will["time_unix_s"] is None
    for kind in EVENT_KINDS:
        event = Event(kind, "Something happened.", {"level_dbfs": float("-inf"), "count": np.int32(1)})
        payload = json.loads(encode(event_payload(event, "kitchen")))
        validate(payload, "event")
        assert payload["details"] == {"level_dbfs": None, "count": 1}


def test_encode_is_ascii_and_refuses_what_json_has_not():
    assert encode({"name": "Küche \ud800"}) == b'{"name":"K\\u00fcche \\ud800"}'
    with pytest.raises(ValueError, match="JSON"):
        encode({"x": float("nan")})
    assert json_ready({"x": {1: (float("inf"), object)}})["x"]["1"][0] is None


def test_events_follow_from_two_snapshots():
    before = make_snapshot()
    assert list(events_between(before, make_snapshot(sequence=13))) == []
    now = make_snapshot(overruns=2, gap_ms=16.0, underruns=1, mode="mask off: too slow")
    overrun, underrun, fallback = events_between(before, now)
    assert overrun.kind == "overrun"
    assert overrun.details == {"count": 2, "gap_ms": 16.0}
    assert overrun.message == "2 overruns: 16 ms of captured audio lost and replaced by silence"
    assert underrun.message == "1 underrun: the output device ran out of audio"
    assert fallback.details == {"from": "normal", "to": "mask off: too slow"}
    assert next(events_between(now, before)).kind == "fallback"  # counters of a restart are no negative overruns


def test_wind_is_an_event_when_it_begins_and_when_it_ends():
    calm, windy, stronger = make_snapshot(), make_snapshot(wind_dbfs=-31.4), make_snapshot(wind_dbfs=-20.0)
    (begins,), (ends,) = events_between(calm, windy), events_between(stronger, calm)
    assert begins.kind == ends.kind == "wind"
    assert begins.message == "wind at the microphones, -31 dBFS"
    assert begins.details == {"begins": True, "wind_dbfs": -31.4}
    assert ends.details == {"begins": False, "wind_dbfs": None}
    assert list(events_between(windy, stronger)) == []


def test_the_documentation_names_every_field_kind_and_default_topic():
    text = (Path(__file__).parent.parent / "docs" / "telemetry.md").read_text(encoding="utf-8")
    for name in [*load_schema("telemetry")["properties"], *EVENT_KINDS]:
        assert f"`{name}`" in text, name
    for topic in ("status", "telemetry", "event"):
        assert f"`edge/<device>/{topic}`" in text
