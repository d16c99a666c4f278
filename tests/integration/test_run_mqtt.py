"""`edge run` beside a real broker: commands take effect, an outage leaves audio alone, the end is announced."""

import json
import signal
import sys
import time

import pytest
from live_parts import write_recording, write_toml
from mqtt_parts import MOSQUITTO, Observer, started, telemetry_toml
from telemetry_samples import wait_until

from edge.runtime.controller import EXPENSIVE_EVERY_S

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


@pytest.fixture
def daemon(tmp_path, broker):
    write_recording(tmp_path / "in.wav", 32000)
    path = write_toml(tmp_path, more=telemetry_toml(broker.port))
    command = [sys.executable, "-m", "edge", "run", "--config", str(path), "--json"]
    command += ["--telemetry-file", str(tmp_path / "telemetry.jsonl")]
    with started(command) as process:
        yield process


def written(folder):
    """Telemetry that the daemon wrote to its file."""
    path = folder / "telemetry.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line["type"] == "telemetry"]


def test_a_life_with_commands_an_outage_and_an_end(tmp_path, broker, daemon):
    observer = Observer(broker.port)
    observer.wait_for("edge/array/telemetry", lambda p: p["hops"] > 0, timeout_s=30)
    assert observer.on("edge/array/status")[-1]["state"] == "online"

    publish = observer.client.publish
    publish("edge/array/command/look", '{"azimuth_deg": 60, "id": 1}', qos=1)
    publish("edge/array/command/mask", '{"kind": "bypass"}', qos=1)
    publish("edge/array/command/gain_floor", '{"gain_floor_db": 4}', qos=1)
    steered = observer.wait_for("edge/array/telemetry", lambda p: p["azimuth_deg"] == 60 and p["mask"] == "bypass")
    assert steered["gain_floor_db"] == -24.0
    replies = {p["command"]: p for _, p, _, _ in observer.messages if "command" in p and "ok" in p}
    assert replies["look"]["ok"] is True
    assert replies["look"]["result"]["azimuth_deg"] == 60
    assert replies["gain_floor"]["ok"] is False
    assert "-120 to 0" in replies["gain_floor"]["error"]

    # the file still has the direction and the mask of the start
    time.sleep(EXPENSIVE_EVERY_S + 0.1)  # since the mask
    publish("edge/array/command/reload", "{}", qos=1)
    event = observer.wait_for("edge/array/event", lambda p: p["kind"] == "reload")
    assert event["details"]["ok"] is True
    assert "beamformer.azimuth_deg" in event["details"]["changed"]
    observer.wait_for("edge/array/telemetry", lambda p: p["azimuth_deg"] == 0.0 and p["sequence"] > steered["sequence"])

    broker.kill()
    before = len(written(tmp_path))
    wait_until(lambda: len(written(tmp_path)) >= before + 4, 30, "telemetry going on in the file")
    assert daemon.poll() is None
    during = written(tmp_path)[before:]
    assert all(line["hops"] > 0 for line in during), "audio flows without a broker"
    assert during[-1]["overruns"] == 0

    broker.start()
    back = Observer(broker.port)
    back.wait_for("edge/array/telemetry", lambda p: p["sequence"] > during[-1]["sequence"], timeout_s=40)

    daemon.send_signal(signal.SIGTERM)
    out, err = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, err
    assert [line for line in err.splitlines() if line.endswith("(by MQTT)")] == [
        "edge: look direction azimuth 60 degrees, elevation 0 degrees (by MQTT)",
        "edge: mask bypass (by MQTT)",
        "edge: configuration reloaded: beamformer.steering, beamformer.azimuth_deg, mask.kind changed (by MQTT)",
    ]
    assert json.loads(out)["reason"] == "SIGTERM"
    back.wait_for("edge/array/status", lambda p: p["state"] == "offline")
    late = Observer(broker.port)
    wait_until(lambda: late.retained("edge/array/status"), what="the retained status")
    assert late.retained("edge/array/status")[-1]["state"] == "offline"
    for each in (observer, back, late):
        each.close()
