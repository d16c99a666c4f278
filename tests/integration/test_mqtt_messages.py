"""Status, telemetry, events and commands through a real mosquitto, in both versions of the protocol."""

import pytest
from mqtt_parts import both_protocols, online, validate
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from telemetry_samples import make_snapshot, wait_until

from edge.telemetry.events import Event

pytestmark = pytest.mark.integration


@both_protocols
def test_status_telemetry_events_commands_and_the_end(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    telemetry = run.telemetry(broker.config(protocol=protocol))
    validate(observer.wait_for("edge/test/status", online), "status")

    telemetry.publish(make_snapshot(sequence=41))
    telemetry.publish(make_snapshot(sequence=42))
    payload = observer.wait_for("edge/test/telemetry", lambda p: p["sequence"] == 42)
    validate(payload, "telemetry")
    assert payload["device"] == "test"
    assert payload["dropped_messages"] == 0

    telemetry.event(Event("reload", "configuration read again", {"changed": ["mask"]}))
    event = observer.wait_for("edge/test/event")
    validate(event, "event")
    assert event["details"] == {"changed": ["mask"]}

    observer.send("edge/test/command/look", b'{"azimuth_deg": -45, "id": "q1"}')
    reply = observer.wait_for("edge/test/reply/look")
    validate(reply, "reply")
    assert (reply["ok"], reply["id"], reply["result"]["azimuth_deg"]) == (True, "q1", -45)
    assert telemetry.controller.commands == [("look", {"azimuth_deg": -45})]

    telemetry.event(Event("warning", "the last words"))
    telemetry.close()
    offline = observer.wait_for("edge/test/status", lambda p: p["state"] == "offline")
    validate(offline, "status")
    assert offline["reason"] == "stopped"
    assert observer.on("edge/test/event")[-1]["message"] == "the last words"
    assert telemetry.warnings == []

    late = run.observer(broker.port, protocol)
    wait_until(lambda: late.retained("edge/test/status"), what="the retained status")
    assert late.retained("edge/test/status") == [offline]


@both_protocols
@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("look", b"{", "not valid JSON"),
        ("look", b'{"azimuth_deg": 1000}', "azimuth_deg: got 1000, expected a number from -360 to 360"),
        ("dance", b"{}", "unknown command 'dance'"),
    ],
)
def test_wrong_commands_are_answered(run, protocol, name, payload, said):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    run.telemetry(broker.config(protocol=protocol))
    observer.wait_for("edge/test/status", online)
    observer.send(f"edge/test/command/{name}", payload)
    reply = observer.wait_for(f"edge/test/reply/{name}")
    validate(reply, "reply")
    assert reply["ok"] is False
    assert said in reply["error"]


def test_mqtt_5_reply_goes_where_the_sender_asked_with_its_correlation_data(run):
    broker = run.broker()
    observer = run.observer(broker.port, "5")
    run.telemetry(broker.config(protocol="5"))
    observer.wait_for("edge/test/status", online)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "edge/test/reply/look/panel-7"
    properties.CorrelationData = b"\x00\x17"
    observer.send("edge/test/command/look", b'{"azimuth_deg": 5}', properties=properties)
    reply = observer.wait_for("edge/test/reply/look/panel-7")
    validate(reply, "reply")
    topic = "edge/test/reply/look/panel-7"
    (correlation,) = [got.CorrelationData for name, _, _, got in observer.messages if name == topic]
    assert correlation == b"\x00\x17"
    assert observer.on("edge/test/reply/look") == []


@pytest.mark.parametrize("topic", ["edge/other/command/reset", "edge/test/status", "home/door/set"])
def test_mqtt_5_response_topic_reaches_nothing_but_our_replies(run, topic):
    broker = run.broker()
    observer = run.observer(broker.port, "5")
    run.telemetry(broker.config(protocol="5"))
    observer.wait_for("edge/test/status", online)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = topic
    observer.send("edge/test/command/look", b'{"azimuth_deg": 5}', properties=properties)
    observer.wait_for("edge/test/reply/look")
    assert [payload for payload in observer.on(topic) if "command" in payload] == []


@both_protocols
def test_retained_commands_are_ignored(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 90}', retain=True)
    telemetry = run.telemetry(broker.config(protocol=protocol))
    wait_until(lambda: telemetry.warnings, what="the warning")
    assert telemetry.warnings == [
        "a retained command on edge/test/command/look is ignored; publish commands without the retain flag"
    ]
    observer.send("edge/test/command/look", b'{"azimuth_deg": 10}')
    observer.wait_for("edge/test/reply/look", lambda reply: reply["ok"])
    assert telemetry.controller.commands == [("look", {"azimuth_deg": 10})]


def test_mqtt_5_refuses_a_retained_command_while_connected_too(run):
    broker = run.broker()
    observer = run.observer(broker.port, "5")
    telemetry = run.telemetry(broker.config(protocol="5"))
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 90}', retain=True)
    assert "retained" in observer.wait_for("edge/test/reply/look")["error"]
    assert telemetry.controller.commands == []
    (warning,) = telemetry.warnings
    assert warning.startswith("a retained command on edge/test/command/look is ignored")


def test_mqtt_311_carries_a_retained_command_out_while_connected_and_ignores_it_later(run):
    """As documented: such a broker hands it over without the flag."""
    broker = run.broker()
    observer = run.observer(broker.port)
    telemetry = run.telemetry(broker.config())
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 90}', retain=True)
    assert observer.wait_for("edge/test/reply/look")["ok"] is True
    assert telemetry.controller.commands == [("look", {"azimuth_deg": 90})]
    telemetry.close()
    again = run.telemetry(broker.config())
    wait_until(lambda: again.warnings, what="the warning")
    assert again.controller.commands == []


@both_protocols
def test_clearing_a_retained_command_is_no_command(run, protocol):
    broker = run.broker()
    observer = run.observer(broker.port, protocol)
    telemetry = run.telemetry(broker.config(protocol=protocol))
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/bypass", b"", retain=True)
    assert "the command is empty" in observer.wait_for("edge/test/reply/bypass")["error"]
    assert telemetry.controller.commands == []
    assert telemetry.warnings == []


def test_commands_can_be_switched_off(run):
    broker = run.broker()
    observer = run.observer(broker.port)
    telemetry = run.telemetry(broker.config(commands=False))
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 10}')
    telemetry.publish(make_snapshot())
    observer.wait_for("edge/test/telemetry")
    assert telemetry.controller.commands == []


def test_home_assistant_finds_the_device(run):
    broker = run.broker()
    run.telemetry(broker.config(home_assistant=True))
    observer = run.observer(broker.port, topic="homeassistant/#")
    topic = "homeassistant/number/edge_test/azimuth/config"
    entities = 15
    wait_until(lambda: len(observer.messages) == entities, what="all entities")
    assert observer.on(topic)[0]["command_topic"] == "edge/test/command/look"
    late = run.observer(broker.port, topic="homeassistant/#")
    wait_until(lambda: len(late.messages) == entities, what="all entities, retained")
    assert late.retained(topic) == observer.on(topic)
