"""What commands over MQTT leave in the journal."""

import pytest

from edge.runtime.command_log import BURST_LINES, REFILL_S, CommandLog

IN_FORCE = {
    "steering": "fixed",
    "azimuth_deg": 30.0,
    "elevation_deg": -5.5,
    "beamformer": "mvdr",
    "mask": "wiener",
    "gain_floor_db": -18.0,
    "bypass": True,
}


@pytest.mark.parametrize(
    ("name", "more", "line"),
    [
        ("look", {}, "look direction azimuth 30 degrees, elevation -5.5 degrees (by MQTT)"),
        ("look", {"steering": "track"}, "look direction follows the talker (by MQTT)"),
        ("gain_floor", {}, "gain floor -18 dB (by MQTT)"),
        ("bypass", {}, "bypass on (by MQTT)"),
        ("bypass", {"bypass": False}, "bypass off (by MQTT)"),
        ("mask", {}, "mask wiener (by MQTT)"),
        ("beamformer", {}, "beamformer mvdr (by MQTT)"),
        ("reset", {}, "adaptive state reset (by MQTT)"),
        ("reload", {"changed": [], "restart_needed": []}, "configuration reloaded: nothing changed (by MQTT)"),
        (
            "reload",
            {"changed": ["mask.kind", "post.limiter"], "restart_needed": ["profile"]},
            "configuration reloaded: mask.kind, post.limiter changed; restart for profile (by MQTT)",
        ),
    ],
)
def test_every_command_is_one_line(name, more, line):
    lines = []
    CommandLog(lines.append).done(name, IN_FORCE | more)
    assert lines == [line]


def test_a_flood_is_few_lines_and_what_was_left_out_is_counted():
    now_s, lines = [0.0], []
    log = CommandLog(lines.append, clock=lambda: now_s[0])
    for _ in range(200):
        log.done("bypass", IN_FORCE)
    assert lines == ["bypass on (by MQTT)"] * BURST_LINES
    now_s[0] += REFILL_S
    log.done("bypass", IN_FORCE)
    log.done("bypass", IN_FORCE)
    assert lines[BURST_LINES:] == [f"bypass on (by MQTT; {200 - BURST_LINES} before it are not shown)"]
    now_s[0] += 100 * REFILL_S
    for _ in range(20):
        log.done("reset", IN_FORCE)
    assert len(lines) == 2 * BURST_LINES + 1


def test_a_slider_keeps_no_reload_and_no_refusal_out():
    lines = []
    log = CommandLog(lines.append, clock=lambda: 0.0)
    for _ in range(50):
        log.done("gain_floor", IN_FORCE)
    log.done("reload", {"changed": [], "restart_needed": []})
    log.failed("model", "no such network")
    assert lines[BURST_LINES:] == [
        "configuration reloaded: nothing changed (by MQTT)",
        "model refused, what was in use goes on: no such network (by MQTT)",
    ]


def test_standard_error_that_is_gone_does_no_harm():
    said = []

    def say(sentence):
        said.append(sentence)
        raise BrokenPipeError

    CommandLog(say).done("reset", IN_FORCE)
    assert said == ["adaptive state reset (by MQTT)"]
