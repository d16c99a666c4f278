"""The state of microphones and channels in words and plain values, made off the audio thread."""

from __future__ import annotations

from typing import Any

from edge.health.monitor import HealthMonitor
from edge.health.order import MISFIT, NONE, SHIFT, SHIFT_SUSPECTED, SWAP, ChannelOrder, pair_of
from edge.health.reasons import REASONS, explain


def left_out(monitor: HealthMonitor, order: ChannelOrder) -> tuple[dict[str, Any], ...]:
    """One entry per microphone that is not used: its number, captured channel, the reason and what was measured."""
    return tuple(
        {
            "microphone": m,
            "channel": int(order.channels[m]),
            "reason": REASONS[int(monitor.reason[m])],
            "value": round(float(monitor.value[m]), 4),
        }
        for m in range(len(monitor.active))
        if not monitor.active[m]
    )


def lost_sentence(entry: dict[str, Any], left: int) -> str:
    """What happened to a microphone, from its entry; left: how many are still used."""
    return (
        f"microphone {entry['microphone']} (channel {entry['channel']}) is {entry['reason']}: "
        f"{explain(entry['reason'], entry['value'])}; going on with {left}"
    )


def order_state(order: ChannelOrder) -> str:
    """The order of the channels in a word or three, for telemetry."""
    if order.finding == NONE:
        return "as configured"
    words = {SHIFT: "rotated", SHIFT_SUSPECTED: "rotated, not certain", SWAP: "exchanged", MISFIT: "unfit"}
    word = words[order.finding]
    return f"{word}, corrected" if order.corrected else word


def order_details(order: ChannelOrder) -> dict[str, Any]:
    """The last finding about the channels, for programs."""
    details: dict[str, Any] = {
        "finding": order_state(order),
        "corrected": order.corrected,
        "channels": [int(c) for c in order.channels],
    }
    if order.finding in (SHIFT, SHIFT_SUSPECTED):
        details["moved_on"] = order.detail
    elif order.finding == SWAP:
        details["microphones"] = sorted(pair_of(order.detail))
    return details


def order_sentence(order: ChannelOrder) -> str:
    """The last finding about the channels, for people."""
    if order.finding == NONE:
        return "the order of the captured channels is as configured again"
    if order.finding in (SHIFT, SHIFT_SUSPECTED):
        moved = f"the captured channels have moved on by {order.detail}"
        if order.corrected:
            return f"{moved}; corrected"
        if order.finding == SHIFT:
            return f"{moved}; directions are wrong until the device is opened again"
        return f"it seems that {moved}, which is not certain; nothing was changed, directions may be wrong"
    if order.finding == SWAP:
        i, j = sorted(pair_of(order.detail))
        pair = f"microphones {i} and {j}"
        if order.corrected:
            return f"{pair} were exchanged, as the delays between them show; corrected, put array.positions_m in order"
        return f"the delays between the microphones do not fit array.positions_m; exchanging {pair} would explain them"
    return "the delays between the microphones do not fit array.positions_m; check positions and the order of channels"
