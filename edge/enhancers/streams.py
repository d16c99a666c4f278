"""Recordings through an enhancer piece by piece, so that memory need not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edge.enhancers.base import OfflineEnhancer, one_channel
from edge.steps import SoxrStep

F32 = NDArray[np.float32]


class RecordingStream(Protocol):
    """One recording through an enhancer: what push and finish give, put together, is what `enhance` gives."""

    def push(self, samples: F32) -> F32:
        """Some more samples, float32 (n,) or (n, channels). Returns what is finished, float32 (m,), maybe nothing."""

    def finish(self) -> Iterator[F32]:
        """The rest, in pieces of float32 (m,). Raises what `enhance` raises."""


class AtRate:
    """What works at one rate, on recordings of any rate: conversions around it, aligned, as many samples out as in.

    inner: a stream of one channel at own_rate_hz; name: of the enhancer, for errors. See RecordingStream.
    """

    def __init__(self, inner: RecordingStream, name: str, rate_hz: int, own_rate_hz: int) -> None:
        self._inner, self._name = inner, name
        self._conversions: tuple[SoxrStep, SoxrStep] | None = None
        if rate_hz != own_rate_hz:
            self._conversions = SoxrStep(rate_hz, own_rate_hz, 1), SoxrStep(own_rate_hz, rate_hz, 1)
        self._owed = 0
        """samples taken and not given yet"""

    def push(self, samples: F32) -> F32:
        samples = one_channel(samples, self._name)
        self._owed += samples.size
        if self._conversions is None:
            return self._give(self._inner.push(samples))
        before, after = self._conversions
        return self._give(after.push(self._inner.push(before.push(samples[:, np.newaxis])[:, 0])[:, np.newaxis])[:, 0])

    def finish(self) -> Iterator[F32]:
        if self._conversions is None:
            yield from map(self._give, self._inner.finish())
            return
        before, after = self._conversions
        rest = self._inner.push(before.flush()[:, 0])
        yield self._give(after.push(rest[:, np.newaxis])[:, 0])
        for made in self._inner.finish():
            yield self._give(after.push(made[:, np.newaxis])[:, 0])
        yield self._give(after.flush()[:, 0])
        # both roundings of the length may be a sample short
        yield self._give(np.zeros(self._owed, np.float32))

    def _give(self, made: F32) -> F32:
        made = made[: self._owed]
        self._owed -= made.size
        return made


class Collected:
    """An enhancer that has to hear the whole recording before it says anything. See RecordingStream."""

    def __init__(self, enhancer: OfflineEnhancer, rate_hz: int) -> None:
        self._enhancer, self._rate_hz = enhancer, rate_hz
        self._heard: list[F32] = []

    def push(self, samples: F32) -> F32:
        self._heard.append(np.array(samples))
        return np.zeros(0, np.float32)

    def finish(self) -> Iterator[F32]:
        if self._heard:
            yield self._enhancer.enhance(np.concatenate(self._heard), self._rate_hz)


def open_stream(enhancer: OfflineEnhancer, rate_hz: int) -> RecordingStream:
    """A stream for one recording at rate_hz, piece by piece where the enhancer can do that; one at a time."""
    opened = getattr(enhancer, "stream", None)
    return Collected(enhancer, rate_hz) if opened is None else cast(RecordingStream, opened(rate_hz))


def through(stream: RecordingStream, samples: NDArray[Any]) -> F32:
    """A whole recording through a stream of its own, float32 (n,)."""
    return np.concatenate([stream.push(samples), *stream.finish()])
