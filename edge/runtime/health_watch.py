"""Notices microphones that were left out or taken back, and channels that changed places, once in a while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.health.report import left_out, lost_sentence, order_details, order_sentence
from edge.runtime.loop import AudioLoop
from edge.telemetry.events import Event


class HealthWatch:
    """Compares the microphones of the running pipeline with how they were at the look before."""

    def __init__(self, loop: AudioLoop) -> None:
        self._loop = loop
        self._pipeline = loop.chain.pipeline
        self._out: dict[int, dict[str, Any]] = {}
        self._findings = 0
        self._resets = self._pipeline.front.health.resets
        self._silent = False

    def look(self) -> Iterator[Event]:
        """What has happened since the last look."""
        pipeline = self._loop.chain.pipeline
        if pipeline is not self._pipeline:
            # after a reload another one watches, and finds within a second what is still wrong
            self._pipeline, self._out, self._findings = pipeline, {}, 0
            self._resets = pipeline.front.health.resets
        monitor, order = pipeline.front.health, pipeline.front.order
        out = {entry["microphone"]: entry for entry in left_out(monitor, order)}
        if monitor.resets != self._resets:
            # all microphones are in use again without anything known: no regain, and what is still wrong is found again
            self._resets, self._out = monitor.resets, {}
        left = len(monitor.active) - len(out)
        for m, entry in out.items():
            if self._out.get(m, {}).get("reason") != entry["reason"]:
                yield Event("microphone_lost", lost_sentence(entry, left), {**entry, "left": left})
        for m, entry in self._out.items():
            if m not in out:
                sentence = f"microphone {m} (channel {entry['channel']}) works again; going on with {left}"
                yield Event("microphone_regained", sentence, {**entry, "left": left})
        self._out = out
        if order.findings > self._findings:
            yield Event("channel_order", order_sentence(order), order_details(order))
        self._findings = order.findings
        # a device that is away is told by the watch of the devices
        silent = monitor.silent and getattr(self._loop.source, "connected", True)
        if silent and not self._silent:
            sentence = "all channels give digital silence; all microphones are kept"
            yield Event("microphones_silent", sentence, {"microphones": len(monitor.active)})
        self._silent = silent
