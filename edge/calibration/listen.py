"""Recording for a calibration, live, while a test signal may be played."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.audio.base import Sink, Source
from edge.errors import DeviceError

SETTLE_S = 0.5
"""thrown away first: devices click and settle"""


def record(
    source: Source,
    seconds: float,
    played: tuple[Sink, NDArray[np.float32]] | None,
    progress: Callable[[float], None],
    settle: bool = True,
) -> NDArray[np.float32]:
    """Record (frames, channels) at the rate of `source`, or to the end of a file. played: a sink and what to play on
    it meanwhile, (frames,). progress: told seconds done. settle: throw the first moment away. Raises DeviceError when
    sound was lost.
    """
    skip = int(SETTLE_S * source.rate_hz) if settle else 0
    player = None
    source.open()
    try:
        if played:
            player = _Player(*played)
            player.start()
        block = np.zeros((max(1, source.rate_hz // 10), source.channels), np.float32)
        taken: list[NDArray[np.float32]] = []
        wanted, done = skip + int(seconds * source.rate_hz), 0
        while done < wanted:
            got = source.read(block)
            taken.append(block[:got].copy())
            done += got
            progress(min(done / source.rate_hz, seconds))
            if got < len(block):
                break
    finally:
        if player:
            player.stop()
        source.close()
    if source.gap_frames:
        raise DeviceError(
            f"{1000.0 * source.gap_frames / source.rate_hz:.0f} ms of sound were lost while recording; close what else "
            "runs, or look at the cable, and try again"
        )
    if player and player.error:
        raise player.error
    return np.concatenate(taken)[skip:wanted]


class _Player:
    """Plays a signal once, the same on every channel, on a thread of its own."""

    def __init__(self, sink: Sink, signal: NDArray[np.float32]) -> None:
        self._sink, self._signal = sink, signal
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="test-signal", daemon=True)
        self.error: DeviceError | None = None

    def start(self) -> None:
        """Raises DeviceError when the device cannot be opened."""
        self._sink.open()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _play(self) -> None:
        frames = max(1, self._sink.rate_hz // 20)
        try:
            for start in range(0, len(self._signal), frames):
                if self._stop.is_set():
                    break
                piece = self._signal[start : start + frames]
                self._sink.write(np.ascontiguousarray(np.tile(piece[:, None], (1, self._sink.channels))))
            if self._sink.dropped_frames or self._sink.underruns:
                self.error = DeviceError("the output device lost parts of the test signal; close what else runs")
        finally:
            self._sink.close()
