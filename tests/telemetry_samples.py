"""A snapshot to send, a controller to command, a way to wait: shared by the telemetry tests."""

import dataclasses
import time

from edge.errors import UsageError
from edge.telemetry.snapshot import Percentiles, Snapshot


def make_snapshot(**changes):
    snapshot = Snapshot(
        time_unix_s=1_790_000_000.123456,
        uptime_s=12.5,
        sequence=12,
        interval_s=1.0,
        hops=125,
        deadline_ms=8.0,
        deadline_misses=0,
        hop_ms=Percentiles(0.1234567, 0.2, 0.3, 0.9),
        stage_ms={name: Percentiles(0.01, 0.02, 0.03, 0.04) for name in ("analyze", "beam", "mask", "synthesize")},
        latency_ms={"capture": 8.0, "algorithmic": 16.0, "processing": 0.3, "playback": 16.0, "total": 40.3},
        snr_in_db=4.987654,
        snr_out_db=16.2,
        level_in_dbfs=(-31.25, float("-inf"), -30.0, -32.0),
        peak_in_dbfs=(-12.0, float("-inf"), -11.0, -12.5),
        level_out_dbfs=(-28.0, -30.0),
        peak_out_dbfs=(-9.0, -10.0),
        clipped_samples=(0, 0, 3, 0),
        nonfinite_samples=0,
        overruns=0,
        underruns=0,
        gap_ms=0.0,
        dropped_ms=0.0,
        reopens=0,
        azimuth_deg=30.0,
        elevation_deg=0.0,
        steering="track",
        doa_azimuth_deg=31.26,
        doa_confidence=0.93,
        doa_age_s=0.2,
        beamformer="mvdr",
        mask="network",
        model="lstm-s-int8",
        gain_floor_db=-24.0,
        bypass=False,
        mode="normal",
        temperature_c=51.3,
        throttled=False,
        rss_mib=141.7,
        versions={"mic-edge": "0.1.0", "python": "3.11.7"},
    )
    return dataclasses.replace(snapshot, **changes)


class RecordingController:
    """Remembers commands; knows look and bypass, refuses an azimuth out of range."""

    def __init__(self):
        self.commands = []

    def command(self, name, payload):
        self.commands.append((name, payload))
        if name == "look":
            azimuth_deg = payload.get("azimuth_deg")
            if not isinstance(azimuth_deg, (int, float)) or not -360 <= azimuth_deg <= 360:
                raise UsageError(f"azimuth_deg: got {azimuth_deg}, expected a number from -360 to 360")
            return {"azimuth_deg": azimuth_deg, "elevation_deg": 0.0}
        if name == "bypass":
            return {"enabled": payload["enabled"]}
        raise UsageError(f"unknown command '{name}', expected one of look, bypass")


def wait_until(condition, timeout_s=10.0, what="the condition"):
    """Wait for something another thread or process does. Bounded, and says what did not happen."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout_s} s: {what}")
