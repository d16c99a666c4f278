"""What was found out about microphones and channels over a whole recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.health.monitor import HealthMonitor
from edge.health.order import ChannelOrder
from edge.health.report import left_out, lost_sentence, order_sentence, order_state


class HealthLog:
    """Remembers microphones that were left out, however shortly, and findings about the order of the channels.

    `sentences`: one for each, as `edge run` says them, a microphone again only for another reason.
    """

    def __init__(self, monitor: HealthMonitor, order: ChannelOrder, hop_s: float) -> None:
        self._monitor = monitor
        self._order = order
        self._hop_s = hop_s
        self._findings = 0
        self._out: dict[int, dict[str, Any]] = {}
        self._hops_out: NDArray[np.int64] = np.zeros(len(monitor.active), np.int64)
        self.sentences: list[str] = []

    def note(self) -> None:
        """Look at what the hop just done has found."""
        monitor, order = self._monitor, self._order
        self._hops_out += ~monitor.active
        if monitor.changed:
            now_out = left_out(monitor, order)
            for entry in now_out:
                if self._out.get(entry["microphone"], {}).get("reason") != entry["reason"]:
                    self.sentences.append(lost_sentence(entry, len(monitor.active) - len(now_out)))
                self._out[entry["microphone"]] = entry
        if order.findings > self._findings:
            self._findings = order.findings
            self.sentences.append(order_sentence(order))

    @property
    def microphones_out(self) -> list[dict[str, Any]]:
        """One entry per microphone that was left out: number, channel, last reason, value then, and for how long."""
        return [
            {**entry, "seconds": round(float(self._hops_out[m]) * self._hop_s, 2)}
            for m, entry in sorted(self._out.items())
        ]

    @property
    def channel_order(self) -> str:
        """As in telemetry: "as configured", or what is else."""
        return order_state(self._order)
