"""The duplex example as a user starts it, on a real sound server: what the microphone hears goes to the headphones.

Function is asserted, never pace: on a busy machine there may be underruns, and the example has to say so.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from alsa_pcm import run_alsa
from pulse_server import running_server

pytestmark = pytest.mark.integration
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "duplex.py"
COUNTS = re.compile(r"([\d.]+) s, (\d+) overruns, (\d+) underruns, slowest block [\d.]+ of ([\d.]+) ms")


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("sounddevice", exc_type=OSError, reason="PortAudio is not installed (Debian: libportaudio2)")
    with running_server(tmp_path) as running:
        yield running


# A player fills the sink that is the microphone, a recorder keeps what the headphones get, and between them runs the
# example in a process of its own, until a second of the tone has come through; then a stall, and Ctrl-C.
TONE_THROUGH = """
import json, signal, subprocess, sys, threading, time, numpy as np
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
player = AlsaSink("mic8_out", 16000, 8, period_frames=800, periods=8, paces=True)
recorder = AlsaSource("out2_in", 16000, 2, period_frames=160, periods=64)
block = 0.2 * np.sin(2 * np.pi * 500 * np.arange(800) / 16000)  # 25 whole periods
block = np.repeat(block[:, None], 8, 1).astype(np.float32)
player.open()
recorder.open()
done = threading.Event()

def play():
    while not done.is_set():
        player.write(block)

threading.Thread(target=play, daemon=True).start()
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
example = subprocess.Popen([sys.executable, EXAMPLE, *ARGUMENTS], **pipes)
clear = 0
t = np.arange(800) / 16000
basis = np.stack([np.sin(2 * np.pi * 500 * t), np.cos(2 * np.pi * 500 * t)], 1)
start = time.monotonic()
while clear < 20 and time.monotonic() - start < 60:
    part = np.zeros((800, 2), np.float32)
    recorder.read(part)
    fit = basis @ np.linalg.lstsq(basis, part, rcond=None)[0]
    clear += bool(0.138 < np.sqrt(np.mean(fit**2)) < 0.145 and np.sqrt(np.mean((part - fit) ** 2)) < 1e-3)
example.send_signal(signal.SIGSTOP)  # longer than its buffers last
time.sleep(1.5)
example.send_signal(signal.SIGCONT)
time.sleep(1.5)
example.send_signal(signal.SIGINT)
out, err = example.communicate(timeout=30)
done.set()
print(json.dumps([clear, example.returncode, out, err]))
"""


def test_a_tone_comes_through_and_a_stall_is_survived_until_ctrl_c(server, tmp_path):
    # PortAudio only sees what has a hint
    asoundrc = server.asoundrc().replace(" }\n", ' hint { show on description "null sink" } }\n')
    arguments = ["--input", "mic8_in", "--output", "out2", "--mask", "bypass", "--latency-ms", "250"]
    script = f"EXAMPLE, ARGUMENTS = {str(EXAMPLE)!r}, {arguments!r}\n{TONE_THROUGH}"
    done = run_alsa(script, asoundrc, tmp_path, timeout_s=150)
    assert done.returncode == 0, done.stderr
    clear, code, out, err = json.loads(done.stdout.splitlines()[-1])
    assert (code, "Traceback" in err) == (0, False), err
    assert clear == 20, f"a second of the tone at its level, nothing beside it\n{out}"
    assert "ms from microphone to headphones" in out
    # whether the stall is an overrun, an underrun or neither is the sound server's affair; that it goes on is not
    seconds, _overruns, _underruns, hop_ms = COUNTS.findall(out)[-1]
    assert float(seconds) > 0.5
    assert hop_ms == "8.0"


def example(folder, server, *arguments):
    config = folder / "asound.conf"
    base = "</usr/share/alsa/alsa.conf>\n" if Path("/usr/share/alsa/alsa.conf").exists() else ""
    config.write_text(base + server.asoundrc().replace(" }\n", ' hint { show on description "null sink" } }\n'))
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(config), "PYTHONPATH": str(EXAMPLE.parents[2])}
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_network_at_another_rate_stops_by_itself(server, tmp_path):
    how = [
        "--input",
        "mic48_in",
        "--output",
        "mic48_out",
        "--rate-hz",
        "48000",
        "--latency-ms",
        "250",
        "--seconds",
        "1",
    ]
    done = example(tmp_path, server, *how)
    assert done.returncode == 0, done.stderr
    assert float(COUNTS.findall(done.stdout)[-1][0]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "nothing like it"], "No input device matching 'nothing like it'"),
        (["--mask", "magic"], "mask.kind"),
        (["--model", "/none/mine.json"], "does not exist"),
    ],
)
def test_what_is_wrong_is_one_sentence(server, tmp_path, arguments, words):
    done = example(tmp_path, server, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert words in done.stderr
    assert done.stderr.splitlines()[-1].startswith("duplex: ")


def test_the_block_that_is_played_is_what_was_heard_so_much_before():
    """Without any device: as many frames out as in, late by what the enhancer says and not a frame more."""
    import importlib.util

    pytest.importorskip("sounddevice", exc_type=OSError)
    from edge import Enhancer

    spec = importlib.util.spec_from_file_location("duplex", EXAMPLE)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for rate_hz, frames in ((16000, 128), (48000, 384)):
        enhancer = Enhancer.mono(rate_hz, mask="bypass", low_latency=True)
        samples = (0.1 * np.random.default_rng(0).standard_normal(frames * 200)).astype(np.float32)
        whole = np.concatenate(list(enhancer.stream([samples])))
        enhancer.reset()
        duplex = module.Duplex(enhancer)
        blocks = [duplex.block(samples[i : i + frames, None]) for i in range(0, len(samples), frames)]
        assert {block.shape for block in blocks} == {(frames, 1)}
        late = enhancer.lag_frames
        np.testing.assert_array_equal(np.concatenate(blocks)[late:, 0], whole[:-late])
        assert duplex.blocks == 200
