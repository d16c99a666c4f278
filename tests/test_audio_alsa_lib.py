"""The real pyalsaaudio and alsa-lib, without a sound card: file PCMs, and named pipes that stall like a device."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from alsa_pcm import BYTES, run_alsa

from edge.audio.sample_format import Encoder

RATE, HOP = 16000, 128


def run_json(script: str, asoundrc: str, folder, timeout_s: float = 60):
    done = run_alsa(script, asoundrc, folder, timeout_s)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def raw_noise(format: str, channels: int, frames: int, seed: int = 11) -> tuple[np.ndarray, bytes]:
    """Values that 16 bits hold, as floats and as bytes of the device."""
    data = (np.random.default_rng(seed).integers(-32768, 32768, (frames, channels)) / 32768.0).astype(np.float32)
    return data, bytes(Encoder(format, channels, frames)(data))


SHAPES = [(1, 128), (4, 64), (6, 100), (8, 256), (16, 128)]

CAPTURE = """
import numpy as np
from edge.audio.alsa_source import AlsaSource
for format in {formats}:
    for channels, period in {shapes}:
        name = f"{{format}}_{{channels}}"
        source = AlsaSource(f"mic_{{name}}", 16000, channels, format, period_frames=period)
        source.open()
        parts = []
        for n in range(15):
            block = np.zeros((128, channels), np.float32)
            assert source.read(block) == 128
            parts.append(block)
        assert (source.overruns, source.gap_frames, source.reopens) == (0, 0, 0)
        np.save(f"heard_{{name}}.npy", np.concatenate(parts))
        source.close()
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """Folder in which one process has captured from a file PCM of every format and channel count."""
    folder = tmp_path_factory.mktemp("file_pcm")
    asoundrc = ""
    for format in BYTES:
        for channels, _ in SHAPES:
            name = f"{format}_{channels}"
            (folder / f"{name}.raw").write_bytes(raw_noise(format, channels, 2000)[1])
            asoundrc += (
                f'pcm.mic_{name} {{ type file slave.pcm null file "/dev/null" infile "{name}.raw" format "raw" }}\n'
            )
    done = run_alsa(CAPTURE.format(formats=list(BYTES), shapes=SHAPES), asoundrc, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("format", BYTES)
@pytest.mark.parametrize("channels", [c for c, _ in SHAPES])
def test_file_pcm_capture_is_bit_exact(captured, format, channels):
    heard = np.load(captured / f"heard_{format}_{channels}.npy")
    np.testing.assert_array_equal(heard, raw_noise(format, channels, 2000)[0][: 15 * 128])


PLAYBACK = """
import numpy as np
from edge.audio.alsa_sink import AlsaSink
data = np.load("data.npy")
for format in {formats}:
    sink = AlsaSink(f"out_{{format}}", 16000, data.shape[1], format)
    sink.open()
    for first in range(0, len(data), 128):
        sink.write(data[first : first + 128])
    sink.close()
    assert (sink.underruns, sink.dropped_frames, sink.latency_frames) == (0, 0, 256)
"""


def test_file_pcm_playback_is_bit_exact(tmp_path):
    data = raw_noise("S16_LE", 2, 1280)[0]
    np.save(tmp_path / "data.npy", data)
    asoundrc = "".join(f'pcm.out_{f} {{ type file slave.pcm null file "{f}.raw" format "raw" }}\n' for f in BYTES)
    done = run_alsa(PLAYBACK.format(formats=list(BYTES)), asoundrc, tmp_path)
    assert done.returncode == 0, done.stderr
    for format in BYTES:
        got = (tmp_path / f"{format}.raw").read_bytes()
        prefill_bytes = 256 * 2 * BYTES[format]
        assert not any(got[:prefill_bytes])
        assert got[prefill_bytes:] == raw_noise(format, 2, 1280)[1]


FIFO = """
import json, os, threading, time, numpy as np
from edge.audio.alsa_source import AlsaSource

raw = open("in.raw", "rb").read()
rng = np.random.default_rng(5)
PERIOD_BYTES = 128 * 16  # alsa-lib takes less than a period from a pipe for the whole period

def feed():
    with open("mic.fifo", "wb", buffering=0) as pipe:
        for at in range(0, len(raw), PERIOD_BYTES):
            pipe.write(raw[at : at + PERIOD_BYTES])
            time.sleep(0.05 if rng.random() < 0.1 else rng.uniform(0.0, 0.004))
        done.wait()

done = threading.Event()
feeder = threading.Thread(target=feed, daemon=True)
feeder.start()
source = AlsaSource("mic", 16000, 8, period_frames=128)
source.open()
heard = np.zeros((60 * 128, 8), np.float32)
start = time.monotonic()
for n in range(60):
    assert source.read(heard[n * 128 : (n + 1) * 128]) == 128
spent = time.monotonic() - start
done.set()
np.save("heard.npy", heard)
print(json.dumps([source.overruns, source.gap_frames, source.reopens, spent]))
source.close()
"""


def test_fifo_pcm_with_stalls_and_jitter_loses_nothing(tmp_path):
    """Capture that blocks at the pace of a feeder, which hurries and stalls."""
    data, raw = raw_noise("S16_LE", 8, 9000)
    (tmp_path / "in.raw").write_bytes(raw)
    os.mkfifo(tmp_path / "mic.fifo")
    asoundrc = 'pcm.mic { type file slave.pcm null file "/dev/null" infile "mic.fifo" format "raw" }'
    overruns, gap, reopens, spent_s = run_json(FIFO, asoundrc, tmp_path)
    heard = np.load(tmp_path / "heard.npy")
    np.testing.assert_array_equal(heard, data[: len(heard)])
    assert (overruns, gap, reopens) == (0, 0, 0)
    assert spent_s > 0.05, "reading waited for the feeder"


OPEN = """
import json
from edge.errors import EdgeError
from edge.audio.alsa_source import AlsaSource
said = []
for asked in {cases}:
    try:
        AlsaSource(**{{"rate_hz": 16000, "format": "S16_LE", **asked}}).open()
        said.append("opened")
    except EdgeError as error:
        assert error.exit_code == 4
        said.append(str(error))
print(json.dumps(said))
"""

FOUR_CHANNELS = """
pcm.four {
    type multi
    slaves.a { pcm null channels 4 }
    bindings.0 { slave a channel 0 }
    bindings.1 { slave a channel 1 }
    bindings.2 { slave a channel 2 }
    bindings.3 { slave a channel 3 }
}
pcm.wide { type linear slave { pcm null format S32_LE } }
pcm.broken { type no_such_plugin }
"""


CASES = [
    ({"device": "four", "channels": 4}, ["opened"]),
    ({"device": "four", "channels": 6}, ['"four" offers 4 channels, not 6', "array.roles", "plughw:"]),
    ({"device": "nobody", "channels": 2}, ['no ALSA device "nobody"', "edge devices"]),
    ({"device": "hw:CARD=Nobody", "channels": 2}, ['no ALSA device "hw:CARD=Nobody"', "edge devices"]),
    ({"device": "broken", "channels": 2}, ['"broken"']),
    ({"device": "wide", "channels": 2, "format": "FLOAT_LE"}, ['"wide" offers the sample formats', "not FLOAT_LE"]),
]


def test_what_real_devices_refuse_is_one_sentence(tmp_path):
    said = run_json(OPEN.format(cases=[asked for asked, _ in CASES]), FOUR_CHANNELS, tmp_path)
    for (asked, words), sentence in zip(CASES, said, strict=True):
        assert all(w in sentence for w in words), (asked, sentence)
        assert "\n" not in sentence
