"""The configuration as frozen dataclasses: every key, its unit, its default. Loading and checking are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArrayConfig:
    """Where the microphones are and what each captured channel carries."""

    board: str = ""
    """name of a preset in firmware_config/boards, or empty"""
    positions_m: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)
    """one [x, y, z] per microphone in metres: x forward, y left, z up; filled from the preset when `board` is given"""
    roles: str = "M"
    """one letter per captured channel: M microphone (in the order of positions_m), R playback reference, X unused"""
    gains_db: tuple[float, ...] = ()
    """calibration gain per microphone; empty means 0 dB each"""


@dataclass(frozen=True)
class InputConfig:
    kind: str = "alsa"
    """alsa | portaudio | file"""
    device: str = "default"
    """ALSA name such as hw:CARD=seeed4micvoicec, or part of a PortAudio device name"""
    path: str = ""
    """sound file, for kind = file"""
    rate_hz: int = 16000
    format: str = "S16_LE"
    """S16_LE | S24_3LE | S32_LE | FLOAT_LE"""
    period_frames: int = 0
    """device period in frames at rate_hz; 0 means one hop"""
    periods: int = 4
    """periods in the device buffer"""
    realtime: bool = True
    """pace a file like a device"""
    loop: bool = False
    """start a file again at its end"""


@dataclass(frozen=True)
class OutputConfig:
    kind: str = "loopback"
    """loopback | alsa | portaudio | file | null"""
    device: str = "hw:CARD=Loopback,DEV=0"
    path: str = ""
    rate_hz: int = 16000
    format: str = "S16_LE"
    periods: int = 4
    channels: tuple[str, ...] = ("listen", "asr")
    """what each output channel carries: listen (beam and mask) or asr (beam only)"""
    clock: str = "auto"
    """how output and capture clocks are held together: auto | shared | resample"""


@dataclass(frozen=True)
class BeamformerConfig:
    kind: str = "mvdr"
    """mvdr | delay_sum | none (first microphone)"""
    azimuth_deg: float = 0.0
    """counter-clockwise from x (forward), seen from above"""
    elevation_deg: float = 0.0
    """upward from the x-y plane"""
    noise_time_constant_s: float = 0.5
    """forgetting of the noise covariance"""
    loading_db: float = -20.0
    """diagonal loading relative to the mean microphone power"""
    white_noise_gain_min_db: float = -6.0
    """weights that would amplify microphone self-noise beyond this fall back towards delay-and-sum"""


@dataclass(frozen=True)
class MaskConfig:
    kind: str = "network"
    """network | wiener | spectral_subtraction | bypass"""
    model: str = "auto"
    """name of a shipped model, path of a manifest (.json), or auto: the shipped one for the profile"""
    precision: str = "int8"
    """int8 | float"""
    floor_db: float = -24.0
    """least gain of the listen output"""


@dataclass(frozen=True)
class PostConfig:
    limiter_dbfs: float = -1.0
    """no output sample exceeds this"""
    agc: bool = False
    """slow gain towards agc_target_dbfs on speech, listen output only"""
    agc_target_dbfs: float = -23.0
    agc_max_gain_db: float = 24.0


@dataclass(frozen=True)
class RuntimeConfig:
    realtime_priority: int = 70
    """SCHED_FIFO priority of the audio thread; 0 leaves it ordinary"""
    lock_memory: bool = True
    cpu: int = -1
    """core to pin the audio thread to; -1 for any"""


@dataclass(frozen=True)
class MqttConfig:
    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 1883
    protocol: str = "3.1.1"
    """3.1.1 | 5"""
    topic_prefix: str = "edge"
    tls: bool = False
    ca_file: str = ""
    username: str = ""
    password_file: str = ""
    """file whose first line is the password; the environment variable EDGE_MQTT_PASSWORD goes before it"""
    commands: bool = True
    """accept commands on <prefix>/<device>/command/..."""


@dataclass(frozen=True)
class TelemetryConfig:
    device_name: str = "auto"
    """name in MQTT topics; auto is the host name"""
    interval_s: float = 1.0
    mqtt: MqttConfig = field(default_factory=MqttConfig)


@dataclass(frozen=True)
class Config:
    profile: str = "assistant"
    """assistant | hearing"""
    array: ArrayConfig = field(default_factory=ArrayConfig)
    input: InputConfig = field(default_factory=InputConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    beamformer: BeamformerConfig = field(default_factory=BeamformerConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    post: PostConfig = field(default_factory=PostConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
