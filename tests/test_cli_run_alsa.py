"""`edge run` through the real alsa-lib: what comes out of the output device, and an audio thread that really hangs."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from alsa_pcm import run_alsa
from live_parts import SQUARE, live_config, recording

from edge.offline import enhance_array

ROOT = Path(__file__).resolve().parent.parent

CONFIG = f"""
[array]
positions_m = {SQUARE}
[input]
device = "mic"
[output]
kind = "alsa"
device = "out"
clock = "shared"
[mask]
kind = "wiener"
[runtime]
realtime_priority = 0
lock_memory = false
"""

PCMS = """
pcm.mic { type file slave.pcm null file "/dev/null" infile "mic.raw" format "raw" }
pcm.out { type file slave.pcm null file "out.wav" format "wav" }
"""

RUN = """
from edge.cli.main import main
from edge.runtime import live
live.DRAIN_TIMEOUT_S = 0.5
raise SystemExit(main(["run", "--config", "edge.toml", *{options}]))
"""


def pcm16(samples):
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")


def test_device_to_device_equals_offline(tmp_path):
    samples = pcm16(recording(4000)) / np.float32(32768.0)
    (tmp_path / "mic.raw").write_bytes(pcm16(samples).tobytes())
    (tmp_path / "edge.toml").write_text(CONFIG)
    done = run_alsa(RUN.format(options=["--duration", "0.24"]), PCMS, tmp_path)
    assert done.returncode == 0, done.stderr
    out, rate_hz = soundfile.read(tmp_path / "out.wav", dtype="int16")
    expected = pcm16(enhance_array(samples[: 30 * 128], 16000, live_config()))
    assert rate_hz == 16000
    # ahead of it lie the silence that the queue is primed with and one hop of delay
    ahead = len(out) - len(expected)
    assert ahead % 128 == 0
    assert not out[: ahead - 128].any()
    np.testing.assert_allclose(out[ahead:].astype(int), expected, atol=1)


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30.0)
        yield listener


def receive_all(listener):
    """Until the socket's own timeout."""
    while True:
        listener.recv(4096)


def test_a_hanging_audio_thread_gets_no_watchdog_ping_and_does_not_block_the_end(tmp_path, manager):
    """A pipe that nobody feeds any more holds alsa-lib inside read() for ever."""
    if not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("alsa-lib's alsa.conf is not installed (Debian: libasound2-data)")
    os.mkfifo(tmp_path / "mic.raw")
    (tmp_path / "edge.toml").write_text(CONFIG)
    (tmp_path / "asound.conf").write_text(f"</usr/share/alsa/alsa.conf>\n{PCMS}\n")
    hang, end = threading.Event(), threading.Event()

    def feed():
        block = pcm16(recording(128)).tobytes()
        with open(tmp_path / "mic.raw", "wb", buffering=0) as pipe:
            while not hang.is_set():
                pipe.write(block)
                time.sleep(0.008)
            end.wait(60.0)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(options=[])],
        env={
            **os.environ,
            "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"),
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "100000",
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while b"WATCHDOG=1" not in manager.recv(4096):
            pass
        hang.set()
        # pings go on for as long as there is something in the pipe, then stop
        manager.settimeout(2.0)
        with pytest.raises(TimeoutError):
            receive_all(manager)
        process.terminate()
        _, err = process.communicate(timeout=30)
    finally:
        end.set()
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, err
    assert "did not answer while draining" in err
