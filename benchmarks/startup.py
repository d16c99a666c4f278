"""Time from starting `edge run` to its first processed block, and its resident memory: the real daemon, warm caches.

The daemon says READY=1 once audio flows, to this program in the place of systemd. It reads a looped sound file at the
pace of a device, writes nowhere, and keeps trying to reach an MQTT broker that is not there.

Usage: python -m benchmarks.startup [--board NAME] [--starts 5] [--seconds 20]
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.record import record
from edge.boards import load_board

CONFIG = """
[array]
board = "{board}"
[input]
kind = "file"
path = "in.wav"
loop = true
[output]
kind = "null"
[telemetry.mqtt]
enabled = true
port = 9
"""
START_TIMEOUT_S = 120.0


def resident_mib(pid: int) -> dict[str, float]:
    """Resident memory now and at its highest, and the part of now that belongs to the process alone."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith("kB"):
            fields[name] = int(value.split()[0]) / 1024
    return {"rss": fields["VmRSS"], "peak": fields["VmHWM"], "anonymous": fields["RssAnon"]}


def one_start(folder: Path, seconds: float) -> dict[str, float]:
    """Start the daemon, wait until it is ready, let it run, stop it. Times in seconds, memory in MiB."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.settimeout(START_TIMEOUT_S)
        started = time.perf_counter()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "--config", str(folder / "edge.toml")],
            env={**os.environ, "NOTIFY_SOCKET": str(address), "ORT_DISABLE_TELEMETRY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            while b"READY=1" not in receiver.recv(4096).split(b"\n"):
                pass
            ready_s = time.perf_counter() - started
            time.sleep(seconds)
            memory = resident_mib(daemon.pid)
        finally:
            daemon.send_signal(signal.SIGTERM)
            _, errors = daemon.communicate(timeout=30)
    if daemon.returncode != 0:
        raise RuntimeError(f"the daemon ended with {daemon.returncode}: {errors.decode()}")
    return {"ready_s": ready_s, **memory}


def measure(board: str, starts: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "edge.toml").write_text(CONFIG.format(board=board))
        noise = 0.01 * np.random.default_rng(1).standard_normal((160000, len(load_board(board).roles)))
        soundfile.write(folder / "in.wav", noise.astype(np.float32), 16000, subtype="PCM_16")
        one_start(folder, 0.0)  # fills the caches: compiled kernels, files in memory
        quick = [one_start(folder, 0.0)["ready_s"] for _ in range(starts)]
        memory = one_start(folder, seconds)
    return {
        "board": board,
        "ready_s": {"median": statistics.median(quick), "max": max(quick), "starts": starts},
        "resident_mib": {name: memory[name] for name in ("rss", "peak", "anonymous")},
        "measured_after_s": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default="respeaker_4mic_square")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to run before memory is read")
    args = parser.parse_args()
    result = measure(args.board, args.starts, args.seconds)
    ready, memory = result["ready_s"], result["resident_mib"]
    print(f"start to first processed block: median {ready['median']:.2f} s, max {ready['max']:.2f} s")
    print(f"resident: {memory['rss']:.0f} MiB after {args.seconds:g} s, {memory['peak']:.0f} MiB at its highest")
    print(f"wrote {record('startup', result)}")


if __name__ == "__main__":
    main()
