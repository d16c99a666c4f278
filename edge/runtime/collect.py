"""Snapshots of a running loop, made off the audio thread from copies and single counters."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edge.audio.base import Sink, Source
from edge.health.report import left_out, order_state
from edge.mask.base import model_name
from edge.meters import MeterReading, peak_dbfs, rms_dbfs
from edge.runtime.loop import AudioLoop
from edge.runtime.timing import percentiles_ms
from edge.telemetry.host import HostSensors
from edge.telemetry.snapshot import Snapshot

ROTATION_WAIT_S = 0.25
"""how long to wait for the audio thread to close the interval; longer than any hop, for a device that stands still"""


class SnapshotMaker:
    """Makes one Snapshot per call; the interval is the time since the call before. For one caller at a time."""

    def __init__(
        self,
        loop: AudioLoop,
        sensors: HostSensors | None = None,
    ) -> None:
        self._loop = loop
        self._sensors = sensors or HostSensors()
        self._versions = self._sensors.versions()
        self._start_s = self._last_s = time.monotonic()
        self._sequence = 0
        self._last_hops = 0

    def make(self) -> Snapshot:
        """The state now. Waits for the audio thread for a hop or two, never the other way round."""
        loop = self._loop
        reading = self._close_interval()
        # in a very long interval only the latest hops are still there to be looked at
        durations, hops = loop.clock.since(self._last_hops)
        now_s = time.monotonic()
        interval_s, interval_hops = now_s - self._last_s, hops - self._last_hops
        self._last_s, self._last_hops = now_s, hops
        sequence, self._sequence = self._sequence, self._sequence + 1

        chain, source, sink, clock = loop.chain, loop.source, loop.sink, loop.clock
        pipeline = chain.pipeline
        talker, echo = pipeline.spatial.localizer, pipeline.front.canceller
        hop_ms = percentiles_ms(durations.sum(axis=1))
        stages = {name: percentiles_ms(durations[:, i]) for i, name in enumerate(clock.stage_names)}
        ms_per_frame = 1000.0 / pipeline.rate_hz
        return Snapshot(
            time_unix_s=time.time(),
            uptime_s=now_s - self._start_s,
            sequence=sequence,
            interval_s=interval_s,
            hops=interval_hops,
            deadline_ms=clock.deadline_ns / 1e6,
            deadline_misses=clock.misses,
            hop_ms=hop_ms,
            stage_ms=stages,
            latency_ms=self._latency_ms(hop_ms.p99),
            snr_in_db=pipeline.snr.input_db,
            snr_out_db=pipeline.snr.output_db,
            level_in_dbfs=rms_dbfs(reading.energy, reading.frames),
            peak_in_dbfs=peak_dbfs(reading.peak),
            level_out_dbfs=rms_dbfs(reading.out_energy, reading.frames),
            peak_out_dbfs=peak_dbfs(reading.out_peak),
            clipped_samples=tuple(reading.clipped.tolist()),
            nonfinite_samples=reading.nonfinite,
            overruns=source.overruns,
            underruns=sink.underruns,
            gap_ms=source.gap_frames * ms_per_frame,
            dropped_ms=sink.dropped_frames * ms_per_frame,
            reopens=source.reopens,
            azimuth_deg=pipeline.azimuth_deg,
            elevation_deg=pipeline.elevation_deg,
            steering="track" if pipeline.spatial.tracking else "fixed",
            doa_azimuth_deg=talker.azimuth_deg if talker else None,
            doa_confidence=talker.confidence if talker else None,
            doa_age_s=talker.age_s if talker else None,
            beamformer=pipeline.beamformer_kind,
            mask=pipeline.mask_kind,
            model=model_name(chain.estimator),
            gain_floor_db=pipeline.gain_floor_db,
            bypass=pipeline.bypass,
            mode=chain.mode,
            echo_enabled=echo.enabled if echo else None,
            echo_active=echo.active if echo else None,
            echo_erle_db=echo.erle_db if echo else None,
            echo_delay_ms=echo.delay_ms if echo else None,
            network_resets=chain.network_resets,
            microphones_out=left_out(pipeline.front.health, pipeline.front.order),
            channel_order=order_state(pipeline.front.order),
            wind_dbfs=pipeline.spatial.wind.level_dbfs,
            clock_drift_ppm=getattr(sink, "drift_ppm", None),
            temperature_c=self._sensors.temperature_c(),
            throttled=self._sensors.throttled(),
            rss_mib=self._sensors.rss_mib(),
            versions=self._versions,
        )

    def _close_interval(self) -> MeterReading:
        """Have the audio thread close the interval of the meters. Levels are empty if it stands still."""
        loop = self._loop
        before = loop.rotations
        if loop.ended.is_set():
            loop.rotate_meters()
        else:
            loop.ask_rotation()
            give_up_s = time.monotonic() + ROTATION_WAIT_S
            while loop.rotations == before and time.monotonic() < give_up_s and not loop.ended.is_set():
                time.sleep(0.002)
        reading = loop.reading
        if loop.rotations == before:
            silent = np.zeros_like(reading.peak), np.zeros_like(reading.out_peak)
            reading = dataclasses.replace(reading, frames=0, peak=silent[0], out_peak=silent[1])
        return reading

    def _latency_ms(self, processing_ms: float) -> dict[str, float]:
        """From microphone to output by line of the budget, as measured; what devices do not tell is their buffering."""
        loop = self._loop
        profile = loop.chain.pipeline.profile
        source_resampling_ms, sink_resampling_ms = _resampling_ms(loop.source), _resampling_ms(loop.sink)
        source, sink = _device(loop.source), _device(loop.sink)
        if loop.capture_age_ns is None:
            capture_ms = 1000.0 * source.latency_frames / source.rate_hz
        else:
            # the age of what the pipeline gets, which went through the resampler
            capture_ms = max(loop.capture_age_ns / 1e6 - source_resampling_ms, 0.0)
        queue_frames = sink.latency_frames if loop.queue_frames is None else loop.queue_frames
        lines = {
            "capture": capture_ms,
            "resampling": source_resampling_ms + sink_resampling_ms,
            "algorithmic": 2 * profile.hop_ms,
            "processing": processing_ms,
            "playback": 1000.0 * queue_frames / sink.rate_hz,
        }
        return lines | {"total": sum(lines.values())}


def _device(side: Source | Sink) -> Source | Sink:
    """What stands behind a converter of rates."""
    inner: Source | Sink = getattr(side, "inner", side)
    return inner


def _resampling_ms(side: Source | Sink) -> float:
    """Delay of the converter alone: its latency_frames include those of the device."""
    device = _device(side)
    return 1000.0 * (side.latency_frames / side.rate_hz - device.latency_frames / device.rate_hz)
