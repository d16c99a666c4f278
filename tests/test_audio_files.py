"""Sound files as source and sink: every way a file can be wrong, pacing, resampling, kills and full disks."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from alsa_pcm import BYTES, VirtualClock

from edge.audio.null_sink import NullSink
from edge.audio.riff import promised_bytes
from edge.audio.wav_sink import WavSink
from edge.audio.wav_source import WavSource
from edge.errors import AudioFileError

RATE, HOP = 16000, 128


def noise(frames: int = 4000, channels: int = 4, seed: int = 0) -> np.ndarray:
    """Values that 16 bits hold exactly."""
    return (np.random.default_rng(seed).integers(-20000, 20000, (frames, channels)) / 32768.0).astype(np.float32)


def read_all(source: WavSource, hop: int = HOP) -> np.ndarray:
    parts = []
    block = np.full((hop, source.channels), 9.0, np.float32)
    while got := source.read(block):
        assert not block[got:].any()
        parts.append(block[:got].copy())
    return np.concatenate(parts) if parts else np.zeros((0, source.channels), np.float32)


def opened(path: Path, **options) -> WavSource:
    source = WavSource(path, **{"channels": 4, **options})
    source.open()
    return source


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("hop", [32, 128, 5000])
def test_reads_what_is_there(tmp_path, suffix, hop):
    path = tmp_path / f"in{suffix}"
    soundfile.write(path, noise(), RATE)
    source = opened(path)
    assert (source.channels, source.frames) == (4, 4000)
    np.testing.assert_array_equal(read_all(source, hop), noise())
    assert source.read(np.zeros((hop, 4), np.float32)) == 0
    assert source.warning == ""
    source.close()
    source.close()


def test_ogg_and_any_channel_count(tmp_path):
    soundfile.write(tmp_path / "in.ogg", 0.1 * noise(20000, 2), RATE)
    source = opened(tmp_path / "in.ogg", channels=0)
    assert source.channels == 2
    assert len(read_all(source)) == 20000


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is a text about sound, not sound\n" * 40)
    soundfile.write(folder / "no_sound.wav", np.zeros((0, 4)), RATE)
    soundfile.write(folder / "stereo.wav", noise(100, 2), RATE)
    soundfile.write(folder / "mono.wav", noise(100, 1), RATE)
    soundfile.write(folder / "slow.wav", noise(100), 50)
    return {
        "missing": (folder / "missing.wav", "there is no such file"),
        "folder": (folder, "is not a file"),
        "empty": (folder / "empty.wav", "is empty"),
        "not audio": (folder / "text.wav", "no sound file"),
        "no sound": (folder / "no_sound.wav", "no sound"),
        "channels": (folder / "stereo.wav", "has 2 channels, expected 4"),
        "channel": (folder / "mono.wav", "has 1 channel, expected 4"),
        "rate": (folder / "slow.wav", "50 Hz, expected 4000 to 768000"),
    }


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "not audio", "no sound", "channels", "channel", "rate"])
def test_wrong_files_are_one_sentence(tmp_path, what):
    path, words = bad_files(tmp_path)[what]
    with pytest.raises(AudioFileError, match=words) as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6


def test_unreadable_file(tmp_path):
    path = tmp_path / "locked.wav"
    soundfile.write(path, noise(), RATE)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(AudioFileError, match=r"cannot be read|no sound file that can be read"):
        opened(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_truncated_file_gives_what_is_there_and_says_so(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    soundfile.write(path, noise(RATE), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source = opened(path)
    got = read_all(source)
    assert 0.4 * RATE < len(got) < 0.7 * RATE
    np.testing.assert_array_equal(got[: len(got) - 8], noise(RATE)[: len(got) - 8])
    assert "truncated" in source.warning or "cannot be read beyond" in source.warning
    assert "\n" not in source.warning


def test_header_of_a_pipe_is_no_truncation(tmp_path):
    path = tmp_path / "pipe.wav"
    soundfile.write(path, noise(), RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    assert promised_bytes(path) is None
    source = opened(path)
    assert len(read_all(source)) == 4000
    assert source.warning == ""


def test_bad_samples_pass(tmp_path):
    data = noise()
    data[100, 2], data[200, 0] = np.nan, np.inf
    soundfile.write(tmp_path / "nan.wav", data, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_all(opened(tmp_path / "nan.wav")), data)


@pytest.mark.parametrize("file_rate", [8000, 44100, 48000])
def test_other_rates_are_resampled_without_delay(tmp_path, file_rate):
    t = np.arange(file_rate) / file_rate
    soundfile.write(tmp_path / "in.wav", 0.5 * np.sin(2 * np.pi * 440 * t), file_rate, subtype="FLOAT")
    source = opened(tmp_path / "in.wav", channels=1)
    assert source.frames == RATE
    got = read_all(source)
    assert len(got) == RATE
    want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(got[500:-500, 0] - want[500:-500]).max() < 1e-3
    assert source.file_rate_hz == file_rate


def test_loop_has_no_seam(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(1000), RATE)
    source = opened(tmp_path / "in.wav", loop=True)
    out = np.zeros((3500, 4), np.float32)
    assert source.read(out) == 3500
    np.testing.assert_array_equal(out, np.tile(noise(1000), (4, 1))[:3500])


def test_pacing_is_an_absolute_schedule(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(RATE), RATE)
    clock = VirtualClock()
    source = opened(tmp_path / "in.wav", realtime=True, clock=clock)
    start_ns = clock.ns
    block = np.zeros((HOP, 4), np.float32)
    for n in range(1, RATE // HOP + 1):
        clock.pass_s(0.030 if n == 40 else 0.001)  # processing; once it is late and catches up
        source.read(block)
        due_ns = start_ns + 1_000_000 + n * HOP * 1_000_000_000 // RATE
        assert source.capture_time_ns == due_ns
        if not 40 <= n < 45:
            assert clock.ns == due_ns


FORMATS = {
    "S16_LE": ("PCM_16", 2**-15),
    "S24_3LE": ("PCM_24", 2**-23),
    "S32_LE": ("PCM_32", 2**-31),
    "FLOAT_LE": ("FLOAT", 0),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("format", FORMATS)
def test_wav_is_what_libsndfile_reads(tmp_path, format, channels):
    data = np.random.default_rng(1).uniform(-1, 1, (1000, channels)).astype(np.float32)
    sink = WavSink(tmp_path / "out.wav", RATE, channels, format)
    sink.open()
    for first in range(0, 1000, HOP):
        sink.write(data[first : first + HOP])
    sink.close()
    sink.close()
    got, rate = soundfile.read(tmp_path / "out.wav", dtype="float64", always_2d=True)
    info = soundfile.info(tmp_path / "out.wav")
    subtype, step = FORMATS[format]
    assert (rate, info.channels, info.frames, info.subtype) == (RATE, channels, 1000, subtype)
    assert np.abs(got - data).max() <= step
    promised, there = promised_bytes(tmp_path / "out.wav")
    assert promised == 1000 * channels * BYTES[format]
    assert there == promised + promised % 2


@pytest.mark.parametrize("format", ["S16_LE", "S24_3LE"])
def test_flac(tmp_path, format):
    data = noise(1000, 2)
    sink = WavSink(tmp_path / "out.flac", RATE, 2, format)
    sink.open()
    sink.write(data)
    sink.close()
    got, _rate = soundfile.read(tmp_path / "out.flac", dtype="float32")
    np.testing.assert_array_equal(got, data)
    assert soundfile.info(tmp_path / "out.flac").subtype == FORMATS[format][0]


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("out.mp3", "S16_LE", "ends in .wav or .flac"),
        ("nowhere/out.wav", "S16_LE", "does not exist"),
        ("out.flac", "FLOAT_LE", "FLAC holds S16_LE and S24_3LE"),
        ("folder.wav", "S16_LE", "cannot be written"),
    ],
)
def test_files_that_cannot_be_written(tmp_path, name, format, words):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioFileError, match=words) as caught:
        WavSink(tmp_path / name, RATE, 2, format).open()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["out.wav", "out.flac"])
def test_a_second_writer_is_refused_before_anything_is_lost(tmp_path, name):
    first, second = (WavSink(tmp_path / name, RATE, 2) for _ in range(2))
    first.open()
    first.write(noise(500, 2))
    with pytest.raises(AudioFileError, match=f"{name} is being written by another edge"):
        second.open()
    first.close()
    assert soundfile.info(tmp_path / name).frames == 500
    second.open()
    second.write(noise(100, 2))
    second.close()
    assert soundfile.info(tmp_path / name).frames == 100


def test_no_room_at_all(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with pytest.raises(AudioFileError, match="No space left"):
        WavSink(tmp_path / "full.wav", RATE, 2).open()


def test_disk_that_fills_up_costs_sound_but_never_the_run(tmp_path):
    data = noise(1000, 3)
    sink = WavSink(tmp_path / "out.wav", RATE, 3)
    sink.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3001, hard))  # as a full disk: in the middle of a frame
    try:
        for first in range(0, 1000, 100):
            sink.write(data[first : first + 100])
        assert sink.dropped_frames == 600
        assert "could not be written" in sink.warning
        with pytest.raises(AudioFileError, match=r"0\.04 s of sound could not be written .*make room"):
            sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    got, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    np.testing.assert_array_equal(got, data[:400])
    sink.close()


def test_killed_writer_leaves_a_sound_file(tmp_path):
    script = (
        "import os, signal, numpy as np\n"
        "from edge.audio.wav_sink import WavSink\n"
        "sink = WavSink('out.wav', 16000, 2)\n"
        "sink.open()\n"
        "for n in range(400): sink.write(np.full((128, 2), 0.25, np.float32))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL
    got, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == RATE
    assert len(got) >= 3 * RATE, "all but what came after the last second"
    assert np.all(got == 0.25)


def test_null_sink_counts():
    sink = NullSink(RATE, 2)
    sink.open()
    sink.write(np.zeros((HOP, 2), np.float32))
    sink.close()
    assert sink.frames == HOP
