"""At the pace of a real sound server, headless: PulseAudio null sinks through alsa-lib's pulse plugin.

Function and pace are asserted, never latency: delivery is in bursts and its delay is the server's.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from alsa_pcm import run_alsa
from pulse_server import Server, numbered, piece_of, running_server

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


# A player fills the null sink with numbered frames; the source records its monitor.
PLAY_AND_CAPTURE = """
import json, threading, time, numpy as np
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
channels, seconds = 8, 4
data = np.load("data.npy")
player = AlsaSink("mic8_out", 16000, channels, period_frames=800, periods=8, paces=True)
source = AlsaSource("mic8_in", 16000, channels, period_frames=160, periods=64)
source.open()
player.open()
def play():
    for first in range(0, len(data), 800):
        player.write(data[first : first + 800])
thread = threading.Thread(target=play, daemon=True)
thread.start()
heard = np.zeros((seconds * 16000 // 128 * 128, channels), np.float32)
source.read(heard[:128])
start = time.monotonic()
for first in range(128, len(heard), 128):
    assert source.read(heard[first : first + 128]) == 128
spent = time.monotonic() - start
np.save("heard.npy", heard)
print(json.dumps([source.overruns, source.gap_frames, source.reopens, (len(heard) - 128) / spent]))
source.close()
thread.join()
player.close()
"""


def test_eight_channels_come_through_bit_exact_at_true_pace(server, tmp_path):
    data = numbered(5 * 16000, 8)
    np.save(tmp_path / "data.npy", data)
    done = run_alsa(PLAY_AND_CAPTURE, server.asoundrc(), tmp_path, timeout_s=90)
    assert done.returncode == 0, done.stderr
    overruns, gap, reopens, pace = json.loads(done.stdout.splitlines()[-1])
    got = piece_of(np.load(tmp_path / "heard.npy"), data)
    assert len(got) > 16000
    assert (overruns, reopens) == (0, 0)
    assert gap < 3 * 16000, "silence only until the server has started"
    assert 12000 < pace < 20000, "the pace of the server, not of an unpaced file"


# What the live loop does, without a pipeline: 48 kHz in, clock-locked 16 kHz out, a tone from one to the other.
LIVE = """
import json, threading, numpy as np
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
from edge.audio.factory import make_sink, make_source
from edge.config.schema import ArrayConfig, BeamformerConfig, Config, InputConfig, OutputConfig

config = Config(
    array=ArrayConfig(positions_m=((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)), roles="MM"),
    input=InputConfig(device="mic48_in", rate_hz=48000, period_frames=480, periods=64),
    output=OutputConfig(kind="alsa", device="out2", periods=64),
)
player = AlsaSink("mic48_out", 48000, 2, period_frames=2400, periods=8, paces=True)
recorder = AlsaSource("out2_in", 16000, 2, period_frames=160, periods=64)
source, sink = make_source(config), make_sink(config)
tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(6 * 48000) / 48000)
tone = np.repeat(tone[:, None], 2, 1).astype(np.float32)
heard = np.zeros((5 * 16000, 2), np.float32)
player.open()
recorder.open()
source.open()
sink.open()

def play():
    for first in range(0, len(tone), 2400):
        player.write(tone[first : first + 2400])

def record():
    recorder.read(heard)

threads = [threading.Thread(target=f, daemon=True) for f in (play, record)]
for thread in threads:
    thread.start()
block = np.zeros((128, 2), np.float32)
while threads[1].is_alive():
    source.read(block)
    sink.write(block)
np.save("heard.npy", heard)
print(json.dumps([source.rate_hz, source.overruns, source.gap_frames, sink.underruns, sink.dropped_frames]))
"""


def test_capture_at_48_khz_to_clock_locked_playback_at_16_khz(server, tmp_path):
    done = run_alsa(LIVE, server.asoundrc(), tmp_path, timeout_s=90)
    assert done.returncode == 0, done.stderr
    rate, overruns, *counts = json.loads(done.stdout.splitlines()[-1])
    assert (rate, overruns) == (16000, 0)
    heard = np.load(tmp_path / "heard.npy").astype(np.float64)
    clean = 0
    for first in range(0, len(heard) - 800, 800):
        part = heard[first : first + 800]
        t = np.arange(800) / 16000
        basis = np.stack([np.sin(2 * np.pi * 440 * t), np.cos(2 * np.pi * 440 * t)], 1)
        fit = basis @ np.linalg.lstsq(basis, part, rcond=None)[0]
        level, rest = np.sqrt(np.mean(fit**2)), np.sqrt(np.mean((part - fit) ** 2))
        # the resampled tone, at its level, with no more beside it than 16 bits and the correction of the clock
        clean += bool(0.17 < level < 0.18 and rest < 0.03 * level)
    assert clean >= 20, f"a second of the tone without any disturbance (counts: {counts})"


OUTLIVE = """
import json, os, signal, sys, time, numpy as np
from edge.audio.alsa_source import AlsaSource
source = AlsaSource("mic8_in", 16000, 8, period_frames=160, periods=16)
source.open()
block = np.zeros((128, 8), np.float32)
paces = []
begin = time.monotonic()
told = False
while time.monotonic() - begin < 60 and not (source.reopens and len(paces) > 100):
    start = time.monotonic()
    assert source.read(block) == 128
    paces.append(time.monotonic() - start)
    if time.monotonic() - begin > 1 and not told:
        told = True
        print("kill", flush=True)
gap = source.gap_frames
for n in range(50):
    source.read(block)
print(json.dumps([source.reopens, gap, max(paces), source.last_error]), flush=True)
"""


def test_outlives_a_restart_of_the_sound_server(server, tmp_path):
    """The server goes away under the running capture: silence, then sound again from its successor."""
    import threading

    successor: list[Server] = []

    def restart() -> None:
        time.sleep(4.0)
        server.stop()
        time.sleep(1.0)
        successor.append(Server(tmp_path))

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        done = run_alsa(OUTLIVE, server.asoundrc(), tmp_path, timeout_s=90)
    finally:
        thread.join()
        for one in successor:
            one.stop()
    assert done.returncode == 0, done.stderr
    reopens, gap, _slowest_s, why = json.loads(done.stdout.splitlines()[-1])
    assert reopens >= 1
    assert gap > 0
    assert why


# The same as a laptop does it: PortAudio's blocking streams, here over its ALSA back end.
PORTAUDIO = """
import json, threading, time, numpy as np
from edge.audio.portaudio import PortAudioSink, PortAudioSource
from edge.errors import DeviceError
data = np.load("data.npy")
player = PortAudioSink("mic8_out", 16000, 8, period_frames=800, periods=8, paces=True)
source = PortAudioSource("mic8_in", 16000, 8, period_frames=320, periods=16)
source.open()
player.open()
def play():
    for first in range(0, len(data), 800):
        player.write(data[first : first + 800])
thread = threading.Thread(target=play, daemon=True)
thread.start()
heard = np.zeros((4 * 16000 // 128 * 128, 8), np.float32)
start = time.monotonic()
for first in range(0, len(heard), 128):
    assert source.read(heard[first : first + 128]) == 128
spent = time.monotonic() - start
np.save("heard.npy", heard)
problems = []
for make in (
    lambda: PortAudioSource("nothing like it", 16000, 8),
    lambda: PortAudioSource("mic", 16000, 8),
    lambda: PortAudioSource("mic8_in", 16000, 90),
):
    try:
        make().open()
        problems.append("opened")
    except DeviceError as error:
        problems.append(str(error))
print(json.dumps([source.reopens, len(heard) / spent, problems]))
source.close()
thread.join()
player.close()
"""


def test_portaudio_blocking_streams(server, tmp_path):
    pytest.importorskip("sounddevice", exc_type=OSError, reason="PortAudio is not installed (Debian: libportaudio2)")
    data = numbered(5 * 16000, 8)
    np.save(tmp_path / "data.npy", data)
    # PortAudio only sees what has a hint
    asoundrc = server.asoundrc().replace(" }\n", ' hint { show on description "null sink" } }\n')
    done = run_alsa(PORTAUDIO, asoundrc, tmp_path, timeout_s=90)
    assert done.returncode == 0, done.stderr
    reopens, pace, problems = json.loads(done.stdout.splitlines()[-1])
    got = piece_of(np.load(tmp_path / "heard.npy"), data)
    assert len(got) > 8000
    assert reopens == 0
    assert 12000 < pace < 20000
    missing, several, channels = problems
    assert '"nothing like it" fits no PortAudio input device' in missing
    assert '"mic" fits more than one' in several
    assert "90 channels" in channels
