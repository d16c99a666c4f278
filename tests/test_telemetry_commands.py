"""Commands: what is wrong with one is said in its reply, never raised."""

import json

import jsonschema
import pytest
from telemetry_samples import RecordingController

from edge.config.schema import MqttConfig, TelemetryConfig
from edge.runtime.controller import _ARGUMENTS
from edge.telemetry.commands import MAX_PAYLOAD_BYTES, MAX_PER_SECOND, CommandHandler
from edge.telemetry.payload import encode, load_schema
from edge.telemetry.topics import Topics, topic_name


def ask(name, payload, controller=None):
    reply = json.loads(encode(CommandHandler(controller or RecordingController()).handle(name, payload)))
    jsonschema.Draft202012Validator(load_schema("reply")).validate(reply)
    return reply


@pytest.mark.parametrize("identity", ["a7", 7, 1.5])
def test_command_is_carried_out_and_its_id_comes_back(identity):
    controller = RecordingController()
    reply = ask("look", json.dumps({"azimuth_deg": 30, "id": identity}).encode(), controller)
    assert controller.commands == [("look", {"azimuth_deg": 30})]
    assert reply["ok"] is True
    assert reply["id"] == identity
    assert reply["result"] == {"azimuth_deg": 30, "elevation_deg": 0.0}


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("look", b"{azimuth: 3}", "not valid JSON"),
        ("look", b"\xff\xfe", "not valid JSON"),
        ("look", b"[" * 4000, "not valid JSON"),
        ("look", b'{"azimuth_deg": NaN}', "NaN is not JSON"),
        ("look", b'{"azimuth_deg": 1e999}', "1e999 is too large"),
        ("look", b"[30]", "the command is a list, expected a JSON object"),
        ("look", b"30", "the command is a number, expected a JSON object"),
        ("look", b"null", "the command is null, expected a JSON object"),
        ("look", b'{"azimuth_deg": 900}', "azimuth_deg: got 900, expected a number from -360 to 360"),
        ("look", b'{"id": [1]}', "id is carried back"),
        ("look", b'{"id": "' + b"x" * 300 + b'"}', "id has 300 characters"),
        ("dance", b"{}", "unknown command 'dance'"),
        ("bypass", b"{}", "command 'bypass' failed inside the daemon (KeyError: 'enabled')"),
        ("look", b" " * (MAX_PAYLOAD_BYTES + 1), "expected at most 4096"),
    ],
)
def test_wrong_commands_are_answered_with_one_sentence(name, payload, said):
    reply = ask(name, payload)
    assert reply["ok"] is False
    assert said in reply["error"]
    assert "\n" not in reply["error"]
    assert "result" not in reply


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("look", '{"azimuth_deg": 30}'),
        ("gain_floor", '{"gain_floor_db": -20}'),
        ("bypass", '{"enabled": true}'),
        ("mask", '{"kind": "wiener"}'),
        ("beamformer", '{"kind": "mvdr"}'),
        ("reset", "{}"),
        ("reload", "{}"),
    ],
)
def test_the_example_is_one_of_the_command(name, example):
    for payload in (b"{", b"[]"):
        assert ask(name, payload)["error"].endswith(f"object such as {example}")
    assert all(argument in _ARGUMENTS[name] for argument in json.loads(example))


def test_error_reply_carries_the_id_too():
    assert ask("look", b'{"azimuth_deg": "north", "id": "n1"}')["id"] == "n1"


@pytest.mark.parametrize("payload", [b"", b" \n"])
def test_empty_payload_is_no_command(payload):
    """It is how a retained message is cleared, and the broker passes that on."""
    controller = RecordingController()
    assert "send {} for a command without arguments" in ask("reset", payload, controller)["error"]
    assert controller.commands == []


def test_retained_command_is_refused():
    controller = RecordingController()
    reply = CommandHandler(controller).handle("look", b'{"azimuth_deg": 30}', retained=True)
    assert reply["ok"] is False
    assert "without the retain flag" in reply["error"]
    assert controller.commands == []


def test_a_flood_of_commands_is_refused_and_does_not_reach_the_controller():
    now_s = [100.0]
    controller = RecordingController()
    handler = CommandHandler(controller, clock=lambda: now_s[0])
    replies = [handler.handle("look", b'{"azimuth_deg": 1}') for _ in range(MAX_PER_SECOND + 5)]
    assert [reply["ok"] for reply in replies] == [True] * MAX_PER_SECOND + [False] * 5
    assert "within a second" in replies[-1]["error"]
    assert len(controller.commands) == MAX_PER_SECOND
    now_s[0] += 1.0
    assert handler.handle("look", b'{"azimuth_deg": 1}')["ok"] is True


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("kitchen", "kitchen"),
        ("living room/+left#", "living-room-left"),
        ("  Küche\x00\n", "Küche"),
        ("+/#", "device"),
        ("", "device"),
    ],
)
def test_device_name_becomes_one_topic_level(name, level):
    assert topic_name(name) == level


def test_topics_of_a_device():
    topics = Topics.of(TelemetryConfig(device_name="a/b", mqtt=MqttConfig(topic_prefix="home/edge")))
    assert topics.status == "home/edge/a-b/status"
    assert topics.telemetry == "home/edge/a-b/telemetry"
    assert topics.event == "home/edge/a-b/event"
    assert topics.commands == "home/edge/a-b/command/+"
    assert topics.reply("look") == "home/edge/a-b/reply/look"


def test_host_name_is_the_automatic_device_name():
    import socket

    assert Topics.of(TelemetryConfig()).device == topic_name(socket.gethostname())


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("edge/kitchen/reply/app", True),
        ("edge/kitchen/reply/app/17", True),
        ("edge/kitchen/reply/", False),
        ("edge/kitchen/reply/a/", False),
        ("edge/kitchen/reply/+", False),
        ("edge/kitchen/reply/" + 1024 * "a", False),
        ("app/replies/17", False),
        ("zigbee2mqtt/door/set", False),
        ("edge/kitchen/replying", False),
        ("edge", False),
        ("edge/bedroom/reply/look", False),
        ("edge/bedroom/command/reset", False),
        ("edge/kitchen/status", False),
        ("app/+", False),
        ("$SYS/x", False),
        ("", False),
    ],
)
def test_a_response_topic_is_below_our_own_replies(topic, allowed):
    assert Topics("edge", "kitchen").allows_response_on(topic) is allowed
