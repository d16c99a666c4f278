"""`edge run` is given other networks over a real broker: a good one, and bad ones that change nothing."""

import json
import signal
import sys
import time

import pytest
from live_parts import write_recording, write_toml
from mqtt_parts import MOSQUITTO, Observer, started, telemetry_toml
from network_files import copy_network, network_bytes

from edge.runtime.controller import EXPENSIVE_EVERY_S

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


@pytest.fixture
def daemon(tmp_path, broker):
    write_recording(tmp_path / "in.wav", 32000)
    mqtt = 'model = "nets/first.json"\nprecision = "int8"\n' + telemetry_toml(broker.port)
    copy_network(tmp_path / "nets", "first")
    path = write_toml(tmp_path, more=mqtt, mask="network")
    command = [sys.executable, "-m", "edge", "run", "--config", str(path), "--json"]
    with started(command) as process:
        yield process


def test_networks_come_and_go(tmp_path, broker, daemon):
    second = copy_network(tmp_path / "nets", "second")
    broken = copy_network(tmp_path / "nets", "broken")
    (tmp_path / "nets" / "broken.int8.onnx").write_bytes(network_bytes(broken)[:1000])
    observer = Observer(broker.port)
    running = observer.wait_for("edge/array/telemetry", lambda p: p["hops"] > 0, timeout_s=60)
    assert running["model"] == "first int8"

    def ask(identity, **payload):
        observer.client.publish("edge/array/command/model", json.dumps(payload | {"id": identity}), qos=1)
        reply = observer.wait_for("edge/array/reply/model", lambda p: p["id"] == identity)
        time.sleep(EXPENSIVE_EVERY_S + 0.1)
        return reply

    reply = ask(1, model="second")
    assert reply["ok"] is True
    assert reply["result"]["model"] == "second int8"
    observer.wait_for("edge/array/telemetry", lambda p: p["model"] == "second int8")

    reply = ask(2, model=str(broken))
    assert reply["ok"] is False
    assert "is damaged" in reply["error"]
    event = observer.wait_for("edge/array/event", lambda p: p["kind"] == "warning" and "damaged" in p["message"])
    assert event["message"].startswith("model refused, what was in use goes on: ")
    assert ask(3, model="mono-hearing")["ok"] is False
    assert ask(4, model="/etc/hostname")["ok"] is False

    reply = ask(5, model="mono-assistant", precision="float")
    assert reply["ok"] is True
    last = observer.wait_for("edge/array/telemetry", lambda p: p["model"] == "mono-assistant float")
    assert last["mode"] == "normal"
    second.unlink()

    # the file names the network of the start
    daemon.send_signal(signal.SIGHUP)
    event = observer.wait_for("edge/array/event", lambda p: p["kind"] == "reload")
    assert event["details"]["changed"] == ["mask.model", "mask.precision"]
    observer.wait_for("edge/array/telemetry", lambda p: p["model"] == "first int8" and p["sequence"] > last["sequence"])

    daemon.send_signal(signal.SIGTERM)
    out, err = daemon.communicate(timeout=60)
    assert daemon.returncode == 0, err
    said = err.splitlines()
    assert "edge: network first, int8: named in the configuration" in said
    assert "edge: network second int8 (by MQTT)" in said
    assert sum("model refused" in line for line in said) == 3
    summary = json.loads(out)
    assert summary["overruns"] == 0
    observer.close()
