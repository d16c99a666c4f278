"""Recordings and streams through the very same Pipeline as live audio, aligned to the sample.

The output has the input's length and rate; nothing depends on how the input is cut into chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.aligned import AlignedStream
from edge.config import config_from_dict
from edge.config.schema import Config
from edge.errors import ConfigError
from edge.geometry import geometry_from_config, wrapped_deg
from edge.mask.base import MaskEstimator
from edge.mask.choice import profile_of
from edge.mask.factory import configured_estimator
from edge.meters import peak_dbfs, rms_dbfs
from edge.pipeline import Pipeline
from edge.profiles import PROFILES
from edge.runtime.timing import RunStatistics
from edge.steps import HopStep

F32 = NDArray[np.float32]


class Enhancer(AlignedStream):
    """Streaming enhancement: push chunks of any length, get float32 back that lines up with them sample for sample.

        enhancer = Enhancer.mono(rate_hz=48000)                        # or Enhancer.array("respeaker_4mic_square")
        for enhanced in enhancer.stream(chunks): ...                   # all of it: as many frames out as in
        enhanced = enhancer.push(chunk); ...; rest = enhancer.flush()  # the same by hand

    Whatever the chunks, the result is that of `enhance_array` on the whole recording, bit by bit, on any thread; one
    thread at a time. push() gives what is finished, possibly nothing, at most `lag_frames` behind what went in. State
    and memory do not grow with the stream. `reset()` begins anew, at any time.

    config: its array, beamformer, mask (any network with a manifest), post and output.channels count; `load_config`
    reads a file, `mono` and `array` make one. rate_hz: of input and output; another rate than the profile's is
    converted both ways, by soxr or, with `low_latency`, as live devices are: at 48 kHz that adds 6 ms instead of 84,
    with a stop-band of 80 dB. flat: a single output comes as (frames,) instead of (frames, 1). estimator: a ready one
    in place of the mask that config names.
    Raises ConfigError or ModelError.
    """

    def __init__(
        self,
        config: Config,
        rate_hz: int,
        *,
        low_latency: bool = False,
        flat: bool = False,
        estimator: MaskEstimator | None = None,
    ) -> None:
        if flat and len(config.output.channels) != 1:
            raise ConfigError(f"flat is for one output, output.channels has {len(config.output.channels)}")
        self.config = config
        self.estimator = estimator or configured_estimator(config)
        profile, outputs = PROFILES[config.profile], len(config.output.channels)
        super().__init__(rate_hz, profile.rate_hz, len(config.array.roles), outputs, low_latency, flat)

    @classmethod
    def mono(
        cls,
        rate_hz: int = 16000,
        mask: str = "network",
        model: str | Path | None = None,
        *,
        low_latency: bool = False,
        **mask_options: Any,
    ) -> Enhancer:
        """For one microphone: chunks (frames,) or (frames, 1) in, (frames',) out. No configuration needed.

        mask: what estimates the gains (edge.kinds.MASK_KINDS). model: a shipped network by name, or the path of a
        manifest; without one, what runs on this machine by default. mask_options: other keys of [mask], such as
        floor_db=-18.0 or precision="float". Raises ConfigError or ModelError.
        """
        return cls._of({}, ("listen",), rate_hz, mask, model, low_latency, mask_options)

    @classmethod
    def array(
        cls,
        array: str | Sequence[Sequence[float]],
        rate_hz: int = 16000,
        mask: str = "network",
        model: str | Path | None = None,
        *,
        outputs: Sequence[str] = ("listen",),
        low_latency: bool = False,
        **mask_options: Any,
    ) -> Enhancer:
        """For a microphone array: chunks (frames, channels) in, (frames',) out, or (frames', outputs) of several.

        array: a board preset by name or file, or the positions of the microphones, one (x, y, z) in m for each; the
        beam follows the talker. outputs: "listen" (beam and mask), "asr" (beam only). The rest as in `mono`.
        """
        named = {"board": array} if isinstance(array, str) else {"positions_m": _plain(array)}
        return cls._of({"array": named}, outputs, rate_hz, mask, model, low_latency, mask_options)

    @classmethod
    def _of(
        cls,
        table: dict[str, Any],
        outputs: Sequence[str],
        rate_hz: int,
        mask: str,
        model: str | Path | None,
        low_latency: bool,
        mask_options: dict[str, Any],
    ) -> Enhancer:
        if model is not None and mask != "network":
            raise ConfigError(f"model {str(model)!r} is a network, but mask is {mask!r}; give one of them")
        named = None if model is None else str(model)
        overrides = {
            "profile": profile_of(named) if named else None,
            "mask": {"kind": mask, "model": named, **mask_options},
            "output": {"kind": "null", "channels": list(outputs)},
        }
        config = config_from_dict(table, overrides, source="Enhancer")
        return cls(config, rate_hz, low_latency=low_latency, flat=len(outputs) == 1)

    def _chain(self) -> HopStep:
        self.pipeline = Pipeline(self.config, geometry_from_config(self.config.array), self.estimator)
        self._hops = HopStep(self.pipeline)
        return self._hops

    def reset(self) -> None:
        """Begin anew: what follows comes out as from a new Enhancer. What was not yet given out is forgotten, and what
        was changed on `pipeline` is again as configured.
        """
        self.estimator.reset()
        super().reset()

    @property
    def _held_frames(self) -> int:
        return self.pipeline.latency_samples + self.pipeline.hop_samples - 1

    @property
    def statistics(self) -> RunStatistics:
        """Time per hop so far."""
        self._hops.statistics.drain()
        return self._hops.statistics

    @property
    def findings(self) -> tuple[str, ...]:
        """What a user should know so far, one sentence each: microphones that were left out, channels that have moved,
        a fixed beam that looks where the talker is not.
        """
        sentences, pipeline = self._hops.health.sentences, self.pipeline
        if pipeline.beamformer_kind != "none" and not pipeline.spatial.tracking:
            looked_deg = wrapped_deg(pipeline.azimuth_deg)
            heard_deg = self._hops.heard.elsewhere_deg(looked_deg, pipeline.elevation_deg)
            if heard_deg is not None:
                where = f"the talker was heard at {heard_deg:.0f} degrees, the beam looked at {looked_deg:.0f}"
                return (*sentences, f'{where}; leave out --azimuth (steering = "track") to follow')
        return tuple(sentences)

    def report(self) -> dict[str, Any]:
        """Levels in dBFS, SNR estimates (median over time), where the beam looks, where the talker was heard (None
        where that is not clear), state of the microphones and cost so far, as plain values.
        """
        hops, pipeline = self._hops, self.pipeline
        meters = pipeline.meters
        hop, stages = self.statistics.costs()
        audio_ns = hops.clock.hops * hops.clock.deadline_ns
        # the last hop is filled up with silence that is not of the recording
        frames = min(meters.frames, math.ceil(self._taken * pipeline.profile.rate_hz / self.rate_hz))
        return {
            "snr_in_db": hops.snr_in_db.value,
            "snr_out_db": hops.snr_out_db.value,
            "steering": "track" if pipeline.spatial.tracking else "fixed",
            "azimuth_deg": pipeline.azimuth_deg,
            "elevation_deg": pipeline.elevation_deg,
            "heard_azimuth_deg": hops.heard.azimuth_deg,
            "microphones_out": hops.health.microphones_out,
            "channel_order": hops.health.channel_order,
            "level_in_dbfs": rms_dbfs(meters.energy, frames),
            "peak_in_dbfs": peak_dbfs(meters.peak),
            "level_out_dbfs": rms_dbfs(meters.out_energy, frames),
            "peak_out_dbfs": peak_dbfs(meters.out_peak),
            "clipped_samples": meters.clipped.tolist(),
            "nonfinite_samples": meters.nonfinite + self._replaced,
            "hops": hops.clock.hops,
            "real_time_factor": self.statistics.hop.sum_ns / audio_ns if audio_ns else None,
            "deadline_ms": pipeline.profile.hop_ms,
            "hop_ms": vars(hop),
            "stage_ms": {name: vars(cost) for name, cost in stages.items()},
        }


def _plain(positions: Any) -> Any:
    """Positions as the configuration takes them; what is none goes to it as it is, to be refused there."""
    try:
        return [list(map(float, position)) for position in positions]
    except (TypeError, ValueError):
        return positions


def enhance_array(samples: NDArray[Any], rate_hz: int, config: Config) -> F32:
    """Enhance a recording. samples (frames,) or (frames, channels), floats of full scale 1.0 or int16 or int32 as
    recorded; returns float32 (frames, outputs), aligned, of full scale 1.0.

    Raises ConfigError, ModelError, or AudioFileError on a wrong number of channels or samples of another kind.
    """
    enhancer = Enhancer(config, rate_hz)
    return np.concatenate([enhancer.push(samples), enhancer.flush()])
