"""Where a classical enhancer's noise profile comes from: a recording of noise, a stretch of the file, or nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.aligned import RATES_HZ, is_rate
from edge.enhancers.base import one_channel
from edge.errors import AudioFileError, UsageError
from edge.sane import SANE_MAX

F32 = NDArray[np.float32]

SHORTEST_S = 0.1
"""of noise, for a mean power that is worth anything"""
_HEARD = "expected noise as it is heard while nobody speaks; name another, or leave it out so that it is tracked"


@dataclass(frozen=True)
class NoiseProfile:
    """A recording of the noise alone, float32 (samples,) at rate_hz, or from and to which second of each recording is
    noise alone; with neither of them the noise is tracked.

    Raises UsageError for both, for a stretch of nothing and for what is none of these, AudioFileError for silence.
    """

    recording: F32 | None = None
    rate_hz: int = 16000
    from_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.recording is not None and self.from_s is not None:
            raise UsageError("the noise is given twice, as a recording and as a stretch of the file; leave out one")
        if self.from_s is not None:
            _check_stretch(self.from_s)
        if self.recording is not None:
            _check_recording(self.recording)
            if not is_rate(self.rate_hz):
                raise UsageError(
                    f"the rate of the noise is {self.rate_hz!r}, expected from {RATES_HZ[0]} to {RATES_HZ[1]} Hz"
                )

    @property
    def given(self) -> bool:
        """Whether there is a profile; without one the noise is to be tracked."""
        return self.recording is not None or self.from_s is not None

    def about(self) -> dict[str, object]:
        """What decides the profile, for the identity of an enhancer."""
        recording = np.zeros(0, np.float32) if self.recording is None else np.asarray(self.recording, np.float32)
        return {"recording": recording, "rate_hz": self.rate_hz, "from_s": list(self.from_s or ())}

    def sound(self, samples: F32, rate_hz: int) -> F32:
        """The noise alone, float32 (n,) at rate_hz; `samples` (n,) is the recording that is being enhanced.

        Raises AudioFileError where it is too short or silent, or the stretch is not within the recording.
        """
        if self.recording is not None:
            found = one_channel(self.recording, "a noise profile")
            if self.rate_hz != rate_hz and found.size:
                import soxr

                found = soxr.resample(found, self.rate_hz, rate_hz)
            where = "the noise recording"
        else:
            assert self.from_s is not None, "nothing is given"
            start_s, stop_s = self.from_s
            where = f"the stretch from {start_s:g} to {stop_s:g} s"
            if round(stop_s * rate_hz) > samples.size:
                raise AudioFileError(
                    f"noise is expected from {start_s:g} to {stop_s:g} s, but the recording has only "
                    f"{samples.size / rate_hz:.2f} s; name a stretch of it in which nobody speaks"
                )
            found = samples[round(start_s * rate_hz) : round(stop_s * rate_hz)]
        if found.size < SHORTEST_S * rate_hz:
            raise AudioFileError(
                f"{where} has {found.size / rate_hz:.3f} s of noise, expected at least {SHORTEST_S:g} s"
            )
        if not np.any(found):
            raise AudioFileError(f"{where} is silence; {_HEARD}")
        return found


def _check_stretch(from_s: Any) -> None:
    """Raises UsageError for what is no pair of times."""
    if not isinstance(from_s, tuple | list) or len(from_s) != 2 or not all(isinstance(at, Real) for at in from_s):
        raise UsageError(f"the noise is from {from_s!r}, expected two times in seconds such as (0.0, 0.5)")
    start_s, stop_s = from_s
    if not 0.0 <= start_s < stop_s < math.inf:
        raise UsageError(f"noise from {start_s:g} to {stop_s:g} s: expected two times, the first one less")


def _check_recording(recording: Any) -> None:
    """Raises UsageError for what is no sound of one channel, AudioFileError for one in which there is none."""
    found = recording if isinstance(recording, np.ndarray) else None
    if found is None or found.dtype.kind != "f" or found.ndim not in (1, 2) or found.shape[1:] not in ((), (1,)):
        what = f"of type {type(recording).__name__}" if found is None else f"{found.dtype} of shape {found.shape}"
        raise UsageError(f"the noise is {what}, expected floats of full scale 1.0 in an array (samples,), one channel")
    if found.size and not np.any(np.isfinite(found)):
        raise AudioFileError(f"the noise recording has no sample that is a number; {_HEARD}")
    if found.size and not np.any(one_channel(found, "a noise profile")):
        raise AudioFileError(f"the noise recording is silence, or beyond +-{SANE_MAX:.0f}; {_HEARD}")


def mean_power(
    sound: F32, window_samples: int, hop_samples: int, power_of: Callable[[F32], NDArray[np.float64]]
) -> F32:
    """Mean over frames of power_of(frame (window_samples,)) -> (bins,), of a sound padded to one frame at least."""
    padded = np.pad(sound, (0, max(0, window_samples - sound.size)))
    starts = range(0, padded.size - window_samples + 1, hop_samples)
    total = sum(power_of(padded[at : at + window_samples]) for at in starts)
    return np.asarray(total / len(starts), np.float32)
