"""The state of the microphones in words and plain values, made off the audio thread."""

from __future__ import annotations

from typing import Any

from edge.health.monitor import HealthMonitor
from edge.health.reasons import REASONS


def left_out(monitor: HealthMonitor, mic_channels: Any) -> tuple[dict[str, Any], ...]:
    """One entry per microphone that is not used: its number, captured channel, the reason and what was measured."""
    return tuple(
        {
            "microphone": m,
            "channel": int(mic_channels[m]),
            "reason": REASONS[int(monitor.reason[m])],
            "value": float(monitor.value[m]),
        }
        for m in range(len(monitor.active))
        if not monitor.active[m]
    )
