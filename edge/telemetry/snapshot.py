"""What the live loop tells the outside, once an interval. Made off the audio thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Percentiles:
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Snapshot:
    """One interval of live operation. None means not known on this machine, never a made-up number."""

    time_unix_s: float
    uptime_s: float
    sequence: int
    interval_s: float
    hops: int
    deadline_ms: float
    """length of one hop: what processing has to stay below"""
    deadline_misses: int
    """since start"""
    hop_ms: Percentiles
    """processing time of one hop"""
    stage_ms: dict[str, Percentiles]
    """the same for every stage of the pipeline"""
    latency_ms: dict[str, float]
    """by line (capture, resampling, algorithmic, processing, playback), measured, and their sum under 'total'"""
    snr_in_db: float | None
    """speech to noise at the first microphone, recent seconds; None while there was no speech"""
    snr_out_db: float | None
    level_in_dbfs: tuple[float, ...]
    """RMS per captured channel over the interval; -inf is sent as null"""
    peak_in_dbfs: tuple[float, ...]
    level_out_dbfs: tuple[float, ...]
    peak_out_dbfs: tuple[float, ...]
    clipped_samples: tuple[int, ...]
    """per captured channel, since start"""
    nonfinite_samples: int
    """NaN and infinite samples replaced by silence, since start"""
    overruns: int
    underruns: int
    gap_ms: float
    """captured time lost and replaced by silence, since start"""
    dropped_ms: float
    """output time that no device took, since start"""
    reopens: int
    azimuth_deg: float
    elevation_deg: float
    beamformer: str
    mask: str
    model: str
    gain_floor_db: float
    bypass: bool
    mode: str
    """'normal', or what the runtime fell back to and why"""
    steering: str = "fixed"
    """'track' while the beam follows the talker, 'fixed' while it stays at azimuth_deg"""
    doa_azimuth_deg: float | None = None
    """where the talker was heard last; None before the first time, and where the array cannot tell azimuths apart"""
    doa_confidence: float | None = None
    """probability that the talker is within 12.5 degrees of that"""
    doa_age_s: float | None = None
    """time since speech was last heard well enough to tell its direction"""
    echo_enabled: bool | None = None
    """whether playback is taken off the microphones; None where no channel carries it"""
    echo_active: bool | None = None
    """whether that is on and the reference has played within the last second"""
    echo_erle_db: float | None = None
    """power of the microphones over what is left of it, last second of playback; None while nothing plays"""
    echo_delay_ms: float | None = None
    """how long after the reference the echo is taken to begin, in whole hops"""
    network_resets: int = 0
    """times since start that the network gave numbers that are not finite and was cleared"""
    microphones_out: tuple[dict[str, Any], ...] = ()
    """microphones left out now: microphone, channel, reason, value (what was measured)"""
    channel_order: str = "as configured"
    """of the captured channels: 'as configured', or what was found and whether it is corrected"""
    wind_dbfs: float | None = None
    """RMS of wind, knocks and rubbing at a microphone in the bins they fill, recent second; None without"""
    clock_drift_ppm: float | None = None
    """how much faster the playback clock runs than the capture clock; None without a clock lock or not known yet"""
    temperature_c: float | None = None
    throttled: bool | None = None
    rss_mib: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
