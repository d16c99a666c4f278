"""Whole recordings through the very same Pipeline as live audio, aligned to the sample.

The output has the input's length and rate; nothing depends on how the input is cut into chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import Config
from edge.errors import AudioFileError
from edge.frontend import SANE_MAX
from edge.geometry import geometry_from_config, wrapped_deg
from edge.health.log import HealthLog
from edge.heard import HeardDirections
from edge.mask.base import MaskEstimator
from edge.mask.factory import configured_estimator
from edge.meters import peak_dbfs, rms_dbfs
from edge.pipeline import Pipeline
from edge.profiles import PROFILES
from edge.runtime.timing import HopClock, RunStatistics

F32 = NDArray[np.float32]

RESAMPLE_CHUNK_FRAMES = 4096
NOTE_EVERY_S = 0.5
"""between two looks at SNR and direction"""


class Enhancer:
    """Push recorded samples in, get enhanced ones out; flush() gives the rest.

    config: its array, beamformer, mask, post and output.channels count. rate_hz: of input and output; another rate
    than the profile's is resampled both ways (soxr, its delay removed). estimator: a ready one, in place of the one
    that the configuration names.
    push() takes floats (frames, channels) of full scale 1.0, or int16 or int32 as recorded, and returns float32
    (frames', outputs). Raises ConfigError or ModelError when made, AudioFileError on a wrong number of channels or
    samples of another kind.
    """

    def __init__(self, config: Config, rate_hz: int, estimator: MaskEstimator | None = None) -> None:
        profile = PROFILES[config.profile]
        self.rate_hz = rate_hz
        self.estimator = estimator or configured_estimator(config)
        self.pipeline = Pipeline(config, geometry_from_config(config.array), self.estimator)
        self.channels = self.pipeline.channels
        self._chain = _HopStream(self.pipeline)
        self._steps: list[_Step] = [self._chain]
        self._resamplers: list[_Resampler] = []
        if rate_hz != profile.rate_hz:
            before = _Resampler(rate_hz, profile.rate_hz, self.channels)
            after = _Resampler(profile.rate_hz, rate_hz, len(self.pipeline.outputs))
            self._resamplers = [before, after]
            self._steps = [before, self._chain, after]
        self._taken = self._given = 0

    @property
    def statistics(self) -> RunStatistics:
        """Time per hop so far."""
        return self._chain.statistics

    def push(self, samples: NDArray[Any]) -> F32:
        """Enhance some more. Returns what is finished, possibly nothing."""
        samples = _as_float(np.asarray(samples))
        if samples.ndim == 1:
            samples = samples[:, np.newaxis]
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise AudioFileError(
                f"the samples have shape {samples.shape}, expected (frames, {self.channels}): one column per letter "
                "of array.roles"
            )
        self._taken += len(samples)
        for step in self._steps:
            samples = step.push(samples)
        return self._give(samples)

    def flush(self) -> F32:
        """The rest, so that as many frames have come out as went in. The enhancer is used up then."""
        rest: F32 = np.zeros((0, self.channels), np.float32)
        for step in self._steps:
            rest = np.concatenate([step.push(rest), step.flush()])
        # both roundings of the length may be a frame short
        short = max(0, self._taken - self._given - len(rest))
        return self._give(np.concatenate([rest, np.zeros((short, rest.shape[1]), np.float32)]))

    def _give(self, samples: F32) -> F32:
        samples = samples[: self._taken - self._given]
        self._given += len(samples)
        return samples

    @property
    def findings(self) -> tuple[str, ...]:
        """What a user should know so far, one sentence each: microphones that were left out, channels that have moved,
        a fixed beam that looks where the talker is not.
        """
        sentences, pipeline = self._chain.health.sentences, self.pipeline
        if pipeline.beamformer_kind != "none" and not pipeline.spatial.tracking:
            looked_deg = wrapped_deg(pipeline.azimuth_deg)
            heard_deg = self._chain.heard.elsewhere_deg(looked_deg, pipeline.elevation_deg)
            if heard_deg is not None:
                where = f"the talker was heard at {heard_deg:.0f} degrees, the beam looked at {looked_deg:.0f}"
                return (*sentences, f'{where}; leave out --azimuth (steering = "track") to follow')
        return tuple(sentences)

    def report(self) -> dict[str, Any]:
        """Levels in dBFS, SNR estimates (median over time), where the beam looks, where the talker was heard (None
        where that is not clear), state of the microphones and cost so far, as plain values.
        """
        chain, pipeline = self._chain, self.pipeline
        meters = pipeline.meters
        hop, stages = self.statistics.costs()
        audio_ns = chain.clock.hops * chain.clock.deadline_ns
        return {
            "snr_in_db": _median(chain.snr_in_db),
            "snr_out_db": _median(chain.snr_out_db),
            "steering": "track" if pipeline.spatial.tracking else "fixed",
            "azimuth_deg": pipeline.azimuth_deg,
            "elevation_deg": pipeline.elevation_deg,
            "heard_azimuth_deg": chain.heard.azimuth_deg,
            "microphones_out": chain.health.microphones_out,
            "channel_order": chain.health.channel_order,
            "level_in_dbfs": rms_dbfs(meters.energy, meters.frames),
            "peak_in_dbfs": peak_dbfs(meters.peak),
            "level_out_dbfs": rms_dbfs(meters.out_energy, meters.frames),
            "peak_out_dbfs": peak_dbfs(meters.out_peak),
            "clipped_samples": meters.clipped.tolist(),
            "nonfinite_samples": meters.nonfinite + sum(r.replaced for r in self._resamplers),
            "hops": chain.clock.hops,
            "real_time_factor": self.statistics.hop.sum_ns / audio_ns if audio_ns else None,
            "deadline_ms": pipeline.profile.hop_ms,
            "hop_ms": vars(hop),
            "stage_ms": {name: vars(cost) for name, cost in stages.items()},
        }


def enhance_array(samples: NDArray[Any], rate_hz: int, config: Config) -> F32:
    """Enhance a recording. samples (frames,) or (frames, channels), floats of full scale 1.0 or int16 or int32 as
    recorded; returns float32 (frames, outputs), aligned, of full scale 1.0.

    Raises ConfigError, ModelError, or AudioFileError on a wrong number of channels or samples of another kind.
    """
    enhancer = Enhancer(config, rate_hz)
    return np.concatenate([enhancer.push(samples), enhancer.flush()])


def _as_float(samples: NDArray[Any]) -> F32:
    """Samples as float32 of full scale 1.0. Raises AudioFileError for a dtype whose full scale nobody can know."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype in (np.int16, np.int32):
        return np.multiply(samples, 2.0 ** (1 - 8 * samples.itemsize), dtype=np.float64).astype(np.float32)
    raise AudioFileError(
        f"the samples are {samples.dtype}, expected floats of full scale 1.0, int16 or int32; convert them first"
    )


class _Step(Protocol):
    def push(self, samples: F32) -> F32: ...
    def flush(self) -> F32: ...


class _Cutter:
    """Cuts a stream into pieces of one length, so that what follows cannot depend on how it arrived."""

    def __init__(self, frames: int, channels: int) -> None:
        self._frames = frames
        self.rest: F32 = np.zeros((0, channels), np.float32)

    def pieces(self, samples: F32) -> Iterator[F32]:
        stream = np.concatenate([self.rest, samples])
        whole = len(stream) - len(stream) % self._frames
        self.rest = stream[whole:]
        for first in range(0, whole, self._frames):
            yield stream[first : first + self._frames]


class _Resampler:
    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        import soxr

        self._stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
        self._cutter = _Cutter(RESAMPLE_CHUNK_FRAMES, channels)
        self._nothing: F32 = np.zeros((0, channels), np.float32)
        self.replaced = 0

    def push(self, samples: F32) -> F32:
        # a bad sample would smear over the length of the filter before the pipeline could replace it
        bad = ~(np.abs(samples) < SANE_MAX)
        self.replaced += int(np.count_nonzero(bad))
        made = [self._resample(piece) for piece in self._cutter.pieces(np.where(bad, np.float32(0.0), samples))]
        return np.concatenate([self._nothing, *made])

    def flush(self) -> F32:
        return self._resample(self._cutter.rest, last=True)

    def _resample(self, piece: F32, last: bool = False) -> F32:
        made: F32 = self._stream.resample_chunk(np.ascontiguousarray(piece), last=last)
        return made.reshape(-1, self._nothing.shape[1])


class _HopStream:
    """A pipeline fed with a stream of any chunks, its delay taken out."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.clock = HopClock([name for name, _ in pipeline.stages], round(pipeline.profile.hop_ms * 1e6))
        self.statistics = RunStatistics(self.clock)
        self.health = HealthLog(pipeline.front.health, pipeline.front.order, pipeline.profile.hop_ms / 1000.0)
        self.heard = HeardDirections()
        self.snr_in_db: list[float] = []
        self.snr_out_db: list[float] = []
        self._stages = tuple(stage for _, stage in pipeline.stages)
        self._cutter = _Cutter(pipeline.hop_samples, pipeline.channels)
        self._skip = pipeline.latency_samples
        """frames of delay still to be left out"""
        self._owed = 0
        """frames taken in and not yet given out"""
        self._note_every_hops = max(1, round(1000.0 * NOTE_EVERY_S / pipeline.profile.hop_ms))

    def push(self, samples: F32) -> F32:
        self._owed += len(samples)
        return self._process(samples)

    def flush(self) -> F32:
        hop, owed = self._pipeline.hop_samples, self._owed
        whole = -(-(self._skip + owed) // hop) * hop
        silence = np.zeros((whole - len(self._cutter.rest), self._pipeline.channels), np.float32)
        return self._process(silence)[:owed]

    def _process(self, samples: F32) -> F32:
        pipeline, clock = self._pipeline, self.clock
        made = np.zeros((len(samples) + pipeline.hop_samples, len(pipeline.outputs)), np.float32)
        filled = 0
        for piece in self._cutter.pieces(samples):
            out = made[filled : filled + len(piece)]
            clock.run_hop(pipeline.load, self._stages, pipeline.store, piece, out)
            filled += len(piece)
            self.health.note()
            if clock.hops % self._note_every_hops == 0:
                self._note_snr()
                if pipeline.spatial.localizer is not None:
                    self.heard.note(pipeline.spatial.localizer)
            if clock.hops % (clock.ring_hops // 2) == 0:
                self.statistics.drain()
        self.statistics.drain()
        skipped = min(self._skip, filled)
        self._skip -= skipped
        self._owed -= filled - skipped
        return made[skipped:filled]

    def _note_snr(self) -> None:
        snr_in_db, snr_out_db = self._pipeline.snr.input_db, self._pipeline.snr.output_db
        if snr_in_db is not None and snr_out_db is not None:
            self.snr_in_db.append(snr_in_db)
            self.snr_out_db.append(snr_out_db)


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None
