"""Snapshots of a running loop, made off the audio thread from copies and single counters."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.config.schema import Config
from edge.latency import latency_budget_ms
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
        config: Callable[[], Config],
        loop: AudioLoop,
        sensors: HostSensors | None = None,
    ) -> None:
        self._config = config
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
            beamformer=pipeline.beamformer_kind,
            mask=pipeline.mask_kind,
            model=_model_name(chain.estimator),
            gain_floor_db=pipeline.gain_floor_db,
            bypass=pipeline.bypass,
            mode=chain.mode,
            temperature_c=self._sensors.temperature_c(),
            throttled=self._sensors.throttled(),
            rss_mib=self._sensors.rss_mib(),
            versions=self._versions,
        )

    def _close_interval(self) -> MeterReading:
        """Have the audio thread close the interval of the meters, and return what it published."""
        loop = self._loop
        before = loop.rotations
        if loop.ended.is_set():
            loop.rotate_meters()
        else:
            loop.at_next_hop(loop.rotate_meters)
            give_up_s = time.monotonic() + ROTATION_WAIT_S
            while loop.rotations == before and time.monotonic() < give_up_s and not loop.ended.is_set():
                time.sleep(0.002)
        return loop.chain.pipeline.meters.published

    def _latency_ms(self, processing_ms: float) -> dict[str, float]:
        """The budget of the configuration with what is measured put in: processing (p99) and the output queue."""
        loop = self._loop
        budget = latency_budget_ms(self._config())
        del budget["total"]
        budget["processing"] = processing_ms
        budget["playback"] = 1000.0 * loop.sink.latency_frames / loop.sink.rate_hz
        return budget | {"total": sum(budget.values())}


def _model_name(estimator: object) -> str:
    """Name and precision of the network in use, empty where none is."""
    manifest = getattr(estimator, "manifest", None)
    return f"{manifest.name} {getattr(estimator, 'precision', '')}".strip() if manifest else ""
