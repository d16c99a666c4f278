"""Home Assistant MQTT discovery: one retained message per sensor or control.

Format: home-assistant.io/integrations/mqtt, section MQTT discovery (homeassistant/<component>/<node>/<object>/config).
"""

from __future__ import annotations

import re
from typing import Any

import edge
from edge.config.schema import TelemetryConfig
from edge.kinds import MASK_KINDS
from edge.telemetry.outbox import Message
from edge.telemetry.payload import encode
from edge.telemetry.topics import Topics

DISCOVERY_PREFIX = "homeassistant"

_SENSORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "snr_in": ("SNR in", "{{ value_json.snr_in_db }}", {"unit_of_measurement": "dB"}),
    "snr_out": ("SNR out", "{{ value_json.snr_out_db }}", {"unit_of_measurement": "dB"}),
    "talker": ("Talker direction", "{{ value_json.doa_azimuth_deg }}", {"unit_of_measurement": "°"}),
    "talker_confidence": (
        "Talker direction confidence",
        "{{ value_json.doa_confidence }}",
        {"suggested_display_precision": 2, "entity_category": "diagnostic"},
    ),
    "microphones_out": (
        "Microphones left out",
        "{{ value_json.microphones_out | count }}",
        {"entity_category": "diagnostic"},
    ),
    "model": (
        "Network",
        "{{ value_json.model }}",
        {"state_class": None, "entity_category": "diagnostic", "icon": "mdi:brain"},
    ),
    "hop_p99": (
        "Hop time p99",
        "{{ value_json.hop_ms.p99 }}",
        {"unit_of_measurement": "ms", "device_class": "duration", "entity_category": "diagnostic"},
    ),
    "temperature": (
        "Temperature",
        "{{ value_json.temperature_c }}",
        {"unit_of_measurement": "°C", "device_class": "temperature", "entity_category": "diagnostic"},
    ),
    "overruns": (
        "Overruns",
        "{{ value_json.overruns }}",
        {"state_class": "total_increasing", "entity_category": "diagnostic"},
    ),
}

_CONTROLS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "azimuth": (
        "number",
        "Look direction",
        "look",
        {
            "value_template": "{{ value_json.azimuth_deg }}",
            "command_template": '{"azimuth_deg": {{ value }}}',
            "min": -360,
            "max": 360,
            "step": 1,
            "mode": "box",
            "unit_of_measurement": "°",
        },
    ),
    "tracking": (
        "switch",
        "Follow the talker",
        "look",
        {
            "value_template": "{{ 'ON' if value_json.steering == 'track' else 'OFF' }}",
            "state_on": "ON",
            "state_off": "OFF",
            "payload_on": '{"track": true}',
            "payload_off": '{"track": false}',
        },
    ),
    "gain_floor": (
        "number",
        "Gain floor",
        "gain_floor",
        {
            "value_template": "{{ value_json.gain_floor_db }}",
            "command_template": '{"gain_floor_db": {{ value }}}',
            "min": -60,
            "max": 0,
            "step": 1,
            "unit_of_measurement": "dB",
        },
    ),
    "bypass": (
        "switch",
        "Bypass",
        "bypass",
        {
            "value_template": "{{ 'ON' if value_json.bypass else 'OFF' }}",
            "state_on": "ON",
            "state_off": "OFF",
            "payload_on": '{"enabled": true}',
            "payload_off": '{"enabled": false}',
        },
    ),
    "mask": (
        "select",
        "Mask",
        "mask",
        {
            "value_template": "{{ value_json.mask }}",
            "command_template": '{"kind": "{{ value }}"}',
            "options": list(MASK_KINDS),
        },
    ),
    "network": (
        "text",
        "Network to run",
        "model",
        {
            # the name without the precision
            "value_template": "{{ value_json.model.rpartition(' ')[0] }}",
            "command_template": '{"model": "{{ value }}"}',
            "entity_category": "config",
        },
    ),
}


def discovery_messages(topics: Topics, config: TelemetryConfig) -> list[Message]:
    """Retained discovery messages of this device: sensors, and controls where commands are accepted."""
    node = "edge_" + re.sub(r"[^A-Za-z0-9_-]", "_", topics.device)
    common: dict[str, Any] = {
        "state_topic": topics.telemetry,
        "availability": [{"topic": topics.status, "value_template": "{{ value_json.state }}"}],
        "device": {
            "identifiers": [node],
            "name": topics.device,
            "manufacturer": "mic-edge",
            "model": "microphone array",
            "sw_version": edge.__version__,
        },
        "origin": {"name": "mic-edge", "sw_version": edge.__version__},
    }
    entities: list[tuple[str, str, dict[str, Any]]] = []
    for key, (name, template, extra) in _SENSORS.items():
        sensor = {"name": name, "value_template": template, "state_class": "measurement", **extra}
        sensor = {field: value for field, value in sensor.items() if value is not None}  # text is not measured
        sensor["expire_after"] = max(30, round(10 * config.interval_s))
        entities.append(("sensor", key, sensor))
    if config.mqtt.commands:
        for key, (component, name, command, extra) in _CONTROLS.items():
            entities.append((component, key, {"name": name, "command_topic": topics.command(command), **extra}))
    return [
        Message(
            f"{DISCOVERY_PREFIX}/{component}/{node}/{key}/config",
            encode({**common, **entity, "unique_id": f"{node}_{key}"}),
            qos=1,
            retain=True,
        )
        for component, key, entity in entities
    ]
