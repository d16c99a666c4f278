"""The live meter: a process of its own that knows only what arrives over MQTT, records it, and draws it.

Being a separate process it shares no interpreter with the audio thread. Ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import json
import math
import queue
import sys
import threading
from pathlib import Path
from typing import Any

QUIETEST_DBFS = -70.0
ARROWS = "↑↖←↙↓↘→↗"
"""forward, then counter-clockwise in steps of 45 degrees, as azimuth counts"""
BAR_CELLS = 26
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """`share` of a bar of so many character cells, to an eighth of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def level_share(level_dbfs: float | None) -> float:
    """0 at QUIETEST_DBFS or silence (null), 1 at full scale."""
    return 0.0 if level_dbfs is None else 1.0 - level_dbfs / QUIETEST_DBFS


def _certainty(confidence: float | None) -> str:
    return "nobody heard yet" if confidence is None else f"talker there: {100.0 * confidence:.0f} %"


def arrow(azimuth_deg: float) -> str:
    """Direction seen from above, forward up."""
    return ARROWS[round(azimuth_deg / 45.0) % 8]


def _decibels(value: float | None, unit: str) -> str:
    return f"{value:6.1f} {unit}" if value is not None else f"     - {unit}"


def _level_colour(peak_dbfs: float | None) -> str:
    if peak_dbfs is None:
        return "bright_black"
    return "red" if peak_dbfs > -1.0 else "yellow" if peak_dbfs > -6.0 else "green"


def channel_names(roles: str) -> list[str]:
    """What captured channels are called, one per letter of array.roles: microphones and references count from 1."""
    kinds = {"M": "mic", "R": "ref", "X": "unused"}
    return [
        kinds[role] if role == "X" else f"{kinds[role]} {roles[: at + 1].count(role)}" for at, role in enumerate(roles)
    ]


def view(telemetry: dict[str, Any] | None, roles: str, where: str, duration_s: float | None, messages: int) -> Any:
    """One picture of the meter as a rich renderable; `telemetry` is the payload of the latest message, if any."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    if telemetry is None:
        grid.add_row("waiting", Text(f"for telemetry on {where}", style="bright_black"), "")
        return Panel(grid, title="[bold]mic-edge demo", border_style="cyan", expand=False)
    t = telemetry
    for prefix, names in (
        ("in", channel_names(roles)),
        ("out", ["listen", "asr"][: len(t["level_out_dbfs"])]),
    ):
        for name, level, peak in zip(names, t[f"level_{prefix}_dbfs"], t[f"peak_{prefix}_dbfs"], strict=True):
            grid.add_row(name, Text(bar(level_share(level)), style=_level_colour(peak)), _decibels(level, "dBFS"))
        grid.add_row("", "", "")
    snr_in, snr_out = t["snr_in_db"], t["snr_out_db"]
    gain = f"  ({snr_out - snr_in:+.1f})" if snr_in is not None and snr_out is not None else ""
    for name, value, extra, colour in (("SNR in", snr_in, "", "blue"), ("SNR out", snr_out, gain, "bright_blue")):
        share = (value + 10.0) / 40.0 if value is not None else 0.0
        grid.add_row(name, Text(bar(share), style=colour), _decibels(value, "dB") + extra)
    hop, deadline_ms = t["hop_ms"], t["deadline_ms"]
    # a logarithmic scale from a thousandth of the deadline to the deadline
    share = 1.0 + math.log10(max(hop["p99"], 1e-6) / deadline_ms) / 3.0
    colour = "red" if hop["max"] > deadline_ms else "green"
    grid.add_row(
        "hop p99", Text(bar(share), style=colour), f"{hop['p99']:6.2f} of {deadline_ms:g} ms (p50 {hop['p50']:.2f})"
    )
    look = f"{arrow(t['azimuth_deg'])} azimuth {t['azimuth_deg']:.0f}°, {_certainty(t['doa_confidence'])}"
    grid.add_row("direction", look, f"{t['beamformer']}, {t['mask']}")
    latency = t["latency_ms"]
    grid.add_row("latency", f"{latency['total']:.1f} ms in all", f"{latency['algorithmic']:g} ms algorithmic")
    fine = not (t["overruns"] or t["underruns"] or t["deadline_misses"])
    lost = f"{t['overruns']} overruns, {t['underruns']} underruns"
    grid.add_row(
        "trouble", Text(lost, style="green" if fine else "red"), f"{t['deadline_misses']} late hops, {t['mode']}"
    )
    of = f" of {duration_s:.0f}" if duration_s else ""
    return Panel(
        grid,
        title=f"[bold]mic-edge demo[/]  {t['uptime_s']:.0f}{of} s",
        subtitle=f"[bright_black]{messages} messages, {where}",
        border_style="cyan",
        expand=False,
    )


def follow(
    host: str, port: int, prefix: str, device: str, roles: str, log: Path, draw: bool, duration_s: float | None
) -> None:
    """Record telemetry and events of a device as JSON lines in `log`, and draw the latest, until stdin closes."""
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    arrived: queue.Queue[tuple[str, bytes]] = queue.Queue(maxsize=1000)
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"{device}-meter")

    def on_connect(client: Client, *_: Any) -> None:
        client.subscribe([(f"{prefix}/{device}/{name}", 1) for name in ("telemetry", "event", "status")])

    def on_message(client: Client, userdata: Any, message: MQTTMessage) -> None:
        if not arrived.full():
            arrived.put_nowait((message.topic.rpartition("/")[2], bytes(message.payload)))

    client.on_connect, client.on_message = on_connect, on_message
    client.connect_async(host, port)
    client.loop_start()
    done = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        done.set()

    threading.Thread(target=wait_for_end, daemon=True).start()

    where = f"mqtt://{host}:{port}/{prefix}/{device}/telemetry"
    screen = _Screen() if draw else None
    latest, messages = None, 0
    with log.open("w", encoding="utf-8") as file:
        if screen:
            screen.show(view(None, roles, where, duration_s, 0))
        while not (done.is_set() and arrived.empty()):
            try:
                kind, payload = arrived.get(timeout=0.1)
                content = json.loads(payload)
            except (queue.Empty, ValueError):
                continue
            file.write(json.dumps({"type": kind, **content}) + "\n")
            file.flush()
            if kind == "telemetry":
                messages += 1
                if latest is None or content["hops"]:  # the last one covers no time, and would leave an empty picture
                    latest = content
                if screen:
                    screen.show(view(latest, roles, where, duration_s, messages))
    if screen:
        screen.close()
    client.disconnect()


class _Screen:
    """The terminal, redrawn in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False, transient=False)
        self._live.start()

    def show(self, renderable: Any) -> None:
        self._live.update(renderable, refresh=True)

    def close(self) -> None:
        self._live.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--roles", required=True, help="array.roles of the device")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--duration", type=float)
    a = parser.parse_args()
    follow(a.host, a.port, a.prefix, a.device, a.roles, a.log, a.draw, a.duration)


if __name__ == "__main__":
    main()
