"""A file written by a thread of its own: nothing lost while it keeps up, nothing waited for when it does not."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio import queued_sink
from edge.audio.queued_sink import QueuedSink
from edge.audio.wav_sink import WavSink
from edge.errors import AudioFileError

RATE, HOP = 16000, 128


def sound(frames: int, channels: int = 2) -> np.ndarray:
    n = np.arange(frames) % 30000 + 1
    return (np.stack([n + c for c in range(channels)], 1) / 32768.0).astype(np.float32)


def saved(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


class GatedFile(WavSink):
    """A disk that stands still until told; notes which thread writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RATE, 2)
        self.entered, self.gate = threading.Event(), threading.Event()
        self.writers: set[threading.Thread] = set()
        self.fail: Exception | None = None

    def write(self, block: np.ndarray) -> None:
        self.writers.add(threading.current_thread())
        self.entered.set()
        assert self.gate.wait(20)
        if self.fail:
            raise self.fail
        super().write(block)


def test_everything_is_in_the_file_after_close(tmp_path):
    data = sound(20 * 700)
    sink = QueuedSink(WavSink(tmp_path / "out.wav", RATE, 2), queue_s=1.0)
    sink.open()
    for first in range(0, len(data), 700):
        sink.write(data[first : first + 700])
    sink.close()
    sink.close()
    np.testing.assert_array_equal(saved(tmp_path / "out.wav"), data)
    assert (sink.dropped_frames, sink.warning) == (0, "")


def test_the_ring_wraps_inside_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(queued_sink, "LOOK_EVERY_S", 0.001)
    data = sound(5000)
    sink = QueuedSink(WavSink(tmp_path / "out.wav", RATE, 2), queue_s=300 / RATE)
    sink.open()
    give_up_s = time.monotonic() + 20
    for first in range(0, len(data), 250):  # the second never fits beside the first
        while sink._put != sink._taken and time.monotonic() < give_up_s:
            time.sleep(0.001)
        sink.write(data[first : first + 250])
    sink.close()
    np.testing.assert_array_equal(saved(tmp_path / "out.wav"), data)


def test_a_disk_that_stands_still_costs_whole_blocks_and_no_waiting(tmp_path):
    file = GatedFile(tmp_path / "out.wav")
    sink = QueuedSink(file, queue_s=10 * HOP / RATE)
    sink.open()
    data = sound(25 * HOP)
    for first in range(0, len(data), HOP):
        sink.write(data[first : first + HOP])  # would never come back if it waited for the disk
    assert file.entered.wait(20)
    assert sink.dropped_frames == 15 * HOP
    file.gate.set()
    with pytest.raises(AudioFileError, match=r"out\.wav: 0\.12 s of sound could not be written .*too slow"):
        sink.close()
    np.testing.assert_array_equal(saved(tmp_path / "out.wav"), data[: 10 * HOP])
    assert threading.current_thread() not in file.writers
    sink.open()
    assert (sink.dropped_frames, sink.warning) == (0, "")
    sink.write(data[:HOP])
    sink.close()
    np.testing.assert_array_equal(saved(tmp_path / "out.wav"), data[:HOP])


def test_a_disk_that_fills_up_is_told_at_the_end(tmp_path):
    sink = QueuedSink(WavSink(tmp_path / "out.wav", RATE, 2))
    sink.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))  # as a full disk
    try:
        sink.write(sound(1000))
        with pytest.raises(AudioFileError, match=r"0\.06 s of sound could not be written .*make room"):
            sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sink.dropped_frames == 1000
    assert "make room" in sink.warning


def test_what_breaks_the_thread_is_not_lost(tmp_path):
    file = GatedFile(tmp_path / "out.wav")
    file.fail = ZeroDivisionError("broken")
    file.gate.set()
    sink = QueuedSink(file)
    sink.open()
    sink.write(sound(HOP))
    with pytest.raises(ZeroDivisionError):
        sink.close()


def test_a_file_that_cannot_be_made_leaves_no_thread(tmp_path):
    before = threading.active_count()
    with pytest.raises(AudioFileError, match="does not exist"):
        QueuedSink(WavSink(tmp_path / "none" / "out.wav", RATE, 2)).open()
    assert threading.active_count() == before
