"""Streams of any chunks at any rate, aligned to the sample: what all streaming enhancers have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import AudioFileError, ConfigError
from edge.runtime.denormals import without_denormals
from edge.sane import SANE_MAX
from edge.steps import Step, as_float, conversion, lag_frames

F32 = NDArray[np.float32]

RATES_HZ = (4000, 768000)


def is_rate(rate_hz: Any) -> bool:
    """Whether this is a number, of any kind, that a sound can have as its rate in Hz."""
    number = isinstance(rate_hz, int | float | np.integer | np.floating)
    return number and bool(RATES_HZ[0] <= rate_hz <= RATES_HZ[1])


class AlignedStream:
    """push, flush, reset and stream over a step that `_chain` makes; see edge.offline.Enhancer for what holds.

    rate_hz: of input and output; chain_hz: of the step; channels: in; outputs: out. low_latency: of the conversions.
    flat: a single output comes as (frames,). Raises ConfigError for a rate that is none.
    """

    def __init__(
        self, rate_hz: int, chain_hz: int, channels: int, outputs: int, low_latency: bool = False, flat: bool = False
    ) -> None:
        if not is_rate(rate_hz):
            raise ConfigError(f"rate_hz is {rate_hz!r}, expected from {RATES_HZ[0]} to {RATES_HZ[1]}")
        self.rate_hz = int(rate_hz)
        self.channels = channels
        """that a chunk must have"""
        self._chain_hz, self._outputs = chain_hz, outputs
        self._low_latency, self._flat = low_latency, flat
        self._begun = 0
        self._begin()

    def _chain(self) -> Step:
        """The step at `chain_hz`, as new."""
        raise NotImplementedError

    @property
    def _held_frames(self) -> int:
        """Most frames at `chain_hz` that the step holds back."""
        raise NotImplementedError

    def _begin(self) -> None:
        self._begun += 1
        chain = self._chain()
        self._steps: list[Step] = [chain]
        if self.rate_hz != self._chain_hz:
            before = conversion(self._low_latency, self.rate_hz, self._chain_hz, self.channels)
            after = conversion(self._low_latency, self._chain_hz, self.rate_hz, self._outputs)
            self._steps = [before, chain, after]
        self._taken = self._given = self._replaced = 0
        self._ended = False

    @property
    def lag_frames(self) -> int:
        """Most frames at `rate_hz` by which what has come out can be behind what went in; never negative."""
        return lag_frames(self._low_latency, self.rate_hz, self._chain_hz, self._held_frames)

    def push(self, samples: NDArray[Any]) -> F32:
        """Enhance some more: floats (frames, channels) of full scale 1.0, or int16 or int32 as recorded; (frames,) of
        one channel. Returns what is finished, float32 (frames', outputs), or (frames',) where it is flat; possibly
        nothing. The chunk may be written over afterwards.

        Raises AudioFileError on a wrong number of channels or samples of another kind, which changes nothing, and
        RuntimeError after flush().
        """
        if self._ended:
            raise RuntimeError("flush() has ended this stream; reset() begins another")
        samples = as_float(np.asarray(samples))
        if samples.ndim == 1:
            samples = samples[:, np.newaxis]
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise AudioFileError(
                f"the samples have shape {samples.shape}, expected (frames, {self.channels})"
                + (": one column per letter of array.roles" if self.channels > 1 else "")
            )
        self._taken += len(samples)
        if len(self._steps) > 1:
            # a bad sample would smear over the length of the filter before the step could replace it
            bad = ~(np.abs(samples) < SANE_MAX)
            self._replaced += int(np.count_nonzero(bad))
            samples = np.where(bad, np.float32(0.0), samples)
        with without_denormals():
            for step in self._steps:
                samples = step.push(samples)
        return self._give(samples)

    def flush(self) -> F32:
        """The rest, so that as many frames have come out as went in; the stream has ended then. Again: nothing."""
        if self._ended:
            return self._give(np.zeros((0, self._outputs), np.float32))
        self._ended = True
        rest: F32 = np.zeros((0, self.channels), np.float32)
        with without_denormals():
            for step in self._steps:
                rest = np.concatenate([step.push(rest), step.flush()])
        # both roundings of the length may be a frame short
        short = max(0, self._taken - self._given - len(rest))
        return self._give(np.concatenate([rest, np.zeros((short, self._outputs), np.float32)]))

    def reset(self) -> None:
        """Begin anew: what follows comes out as from a new one. What was not yet given out is forgotten."""
        self._begin()

    def stream(self, chunks: Iterable[NDArray[Any]]) -> Iterator[F32]:
        """Enhance a whole stream, from its beginning (as after reset()) to the end of `chunks`, which may never come.

        Yields whatever is finished as soon as it is, never an empty array, at the end the rest: as many frames as
        there were in `chunks`. Raises what push() does, and RuntimeError when a reset() or another stream gets in
        between: two streams at once take two enhancers.
        """
        self.reset()
        begun = self._begun
        for chunk in chunks:
            self._go_on(begun)
            made = self.push(chunk)
            if len(made):
                yield made
        self._go_on(begun)
        rest = self.flush()
        if len(rest):
            yield rest

    def _go_on(self, begun: int) -> None:
        if self._begun != begun:
            raise RuntimeError("this stream was ended by a reset() or by another stream; use an enhancer for each")

    def _give(self, samples: F32) -> F32:
        samples = samples[: self._taken - self._given]
        self._given += len(samples)
        return samples[:, 0] if self._flat else samples
