"""Home Assistant discovery: messages that name real topics, real fields and commands that the daemon takes."""

import dataclasses
import json
import re

import pytest

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.telemetry.commands import parse_arguments
from edge.telemetry.home_assistant import discovery_messages
from edge.telemetry.payload import load_schema
from edge.telemetry.snapshot import Snapshot
from edge.telemetry.topics import Topics

CONFIG = TelemetryConfig(device_name="Küche 1", mqtt=MqttConfig(home_assistant=True))
TOPICS = Topics.of(CONFIG)


def entities(config=CONFIG):
    return {m.topic: json.loads(m.payload) for m in discovery_messages(Topics.of(config), config)}


def test_messages_are_retained_and_unique():
    messages = discovery_messages(TOPICS, CONFIG)
    assert all(message.retain and message.qos == 1 for message in messages)
    payloads = entities()
    assert len(payloads) == len(messages)
    assert len({payload["unique_id"] for payload in payloads.values()}) == len(messages)


def test_topics_have_the_form_that_home_assistant_reads():
    for topic in entities():
        assert re.fullmatch(r"homeassistant/(sensor|number|switch|select|text)/[A-Za-z0-9_-]+/[a-z0-9_]+/config", topic)


def test_values_come_from_fields_of_the_telemetry():
    fields = {field.name for field in dataclasses.fields(Snapshot)}
    for payload in entities().values():
        assert payload["state_topic"] == TOPICS.telemetry
        (used,) = re.findall(r"value_json\.(\w+)", payload["value_template"])
        assert used in fields


def test_availability_follows_the_status():
    for payload in entities().values():
        assert payload["availability"] == [{"topic": TOPICS.status, "value_template": "{{ value_json.state }}"}]
    assert load_schema("status")["properties"]["state"]["enum"] == ["online", "offline"]


@pytest.mark.parametrize(
    ("key", "value", "command", "arguments"),
    [
        ("azimuth", "42.0", "look", {"azimuth_deg": 42.0}),
        ("gain_floor", "-12", "gain_floor", {"gain_floor_db": -12}),
        ("mask", "wiener", "mask", {"kind": "wiener"}),
        ("network", "mono-assistant", "model", {"model": "mono-assistant"}),
    ],
)
def test_controls_render_commands_that_parse(key, value, command, arguments):
    (payload,) = [p for p in entities().values() if p["unique_id"].endswith(f"_{key}")]
    assert payload["command_topic"] == TOPICS.command(command)
    assert parse_arguments(payload["command_template"].replace("{{ value }}", value).encode()) == arguments


def test_bypass_switch_sends_booleans():
    (payload,) = [p for p in entities().values() if p["unique_id"].endswith("_bypass")]
    assert payload["command_topic"] == TOPICS.command("bypass")
    assert parse_arguments(payload["payload_on"].encode()) == {"enabled": True}
    assert parse_arguments(payload["payload_off"].encode()) == {"enabled": False}


def test_mask_options_are_those_of_the_telemetry():
    (payload,) = [p for p in entities().values() if p["unique_id"].endswith("_mask")]
    assert payload["options"] == load_schema("telemetry")["properties"]["mask"]["enum"]


def test_no_controls_where_commands_are_off():
    config = dataclasses.replace(CONFIG, mqtt=MqttConfig(home_assistant=True, commands=False))
    assert {topic.split("/")[1] for topic in entities(config)} == {"sensor"}
