"""The configuration as frozen dataclasses: every key, its unit, its default, its range.

Rules between keys are in rules.py. The strings under the keys are what docs/configuration.md is made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from edge.boards import SampleFormat
from edge.decoding import Choice, Range
from edge.kinds import BEAMFORMER_KINDS, MASK_KINDS, PRECISION_CHOICES
from edge.profiles import PROFILES

GAIN_LIMIT_DB = 60.0
DELAY_LIMIT_US = 250.0
"""largest calibration of one microphone"""


@dataclass(frozen=True)
class ArrayConfig:
    """Where the microphones are and what each captured channel carries."""

    board: str = ""
    """name of a preset (`edge check --boards`), path of a .toml of your own laid out like one, or empty"""
    positions_m: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)
    """one [x, y, z] per microphone: x forward, y left, z up; comes from the preset when `board` is given"""
    roles: str = "M"
    """one letter per captured channel: M microphone (in the order of positions_m), R playback reference, X unused;
    the default is that of the board, or one M per position"""
    calibration: str = ""
    """file of `edge calibrate` with gains and delays per microphone, in place of gains_db and delays_us"""
    gains_db: Annotated[tuple[float, ...], Range(-GAIN_LIMIT_DB, GAIN_LIMIT_DB)] = ()
    """calibration gain per microphone; empty means 0 dB each"""
    delays_us: Annotated[tuple[float, ...], Range(-DELAY_LIMIT_US, DELAY_LIMIT_US)] = ()
    """calibration delay put on each microphone, negative for one that is late; empty means none"""


@dataclass(frozen=True)
class InputConfig:
    """Where the sound comes from. With a board preset, device, rate_hz, format and period_frames default to those of
    the board.
    """

    kind: Annotated[str, Choice("alsa", "portaudio", "file")] = "alsa"
    """where the sound comes from"""
    device: str = "default"
    """ALSA name such as hw:CARD=seeed4micvoicec, or part of a PortAudio device name"""
    path: str = ""
    """sound file, for kind = file"""
    rate_hz: Annotated[int, Range(16000, 192000)] = 16000
    """rate of the device; other than the rate of the profile means resampling"""
    format: Annotated[str, SampleFormat] = "S16_LE"
    """sample format of the ALSA device; PortAudio and files are read as they are"""
    period_frames: Annotated[int, Range(0, 16384)] = 0
    """device period in frames at rate_hz; 0 means one hop"""
    periods: Annotated[int, Range(2, 64)] = 4
    """periods in the device buffer: how long processing may stall before captured sound is lost"""
    realtime: bool = True
    """pace a file like a device"""
    loop: bool = False
    """start a file again at its end"""


@dataclass(frozen=True)
class OutputConfig:
    """Where the result goes."""

    kind: Annotated[str, Choice("loopback", "alsa", "portaudio", "file", "null")] = "loopback"
    """where the result goes"""
    device: str = "hw:CARD=Loopback,DEV=0"
    """as for input; for alsa and portaudio the default is the system's default device"""
    path: str = ""
    """.wav or .flac to write, for kind = file"""
    rate_hz: Annotated[int, Range(8000, 192000)] = 16000
    """rate of the device or file, one of the usual ones; other than the rate of the profile means resampling"""
    format: Annotated[str, SampleFormat] = "S16_LE"
    """sample format of the ALSA device or the file"""
    periods: Annotated[int, Range(2, 64)] = 4
    """periods of one hop in the device buffer"""
    channels: Annotated[tuple[str, ...], Choice("listen", "asr")] = ("listen", "asr")
    """what each output channel carries: listen (beam and mask) or asr (beam only)"""
    clock: Annotated[str, Choice("auto", "shared", "resample")] = "auto"
    """how output and capture clocks are held together: shared (the loopback runs on the clock of the microphones),
    resample (follow the drift), auto (shared where it can be)"""


@dataclass(frozen=True)
class EchoConfig:
    """Echo cancellation: what the loudspeaker plays is taken off the microphones. Needs a channel with role R."""

    enabled: bool = True
    """cancel the echo where array.roles has an R; without one there is nothing to cancel"""
    tail_ms: Annotated[float, Range(16, 500)] = 200.0
    """length of the echo in the room that is taken off; costs in proportion"""
    max_delay_ms: Annotated[float, Range(0, 1000)] = 250.0
    """most that the echo may come later than the reference; found while running, costs only memory"""


@dataclass(frozen=True)
class BeamformerConfig:
    """How the microphones become one signal, and where it listens."""

    kind: Annotated[str, Choice(*BEAMFORMER_KINDS)] = "mvdr"
    """none takes the first microphone; with a single microphone the default is none"""
    steering: Annotated[str, Choice("track", "fixed")] = "track"
    """track: the beam finds the talker and follows; fixed: it looks to azimuth_deg"""
    azimuth_deg: Annotated[float, Range(-360, 360)] = 0.0
    """counter-clockwise from x (forward), seen from above; with steering = "track" where the beam starts, and the side
    on which an array that cannot tell front from back looks for the talker"""
    sector_deg: Annotated[float, Range(5, 180)] = 180.0
    """with steering = "track" the beam goes only to talkers within this of azimuth_deg; 180 is everywhere"""
    elevation_deg: Annotated[float, Range(-90, 90)] = 0.0
    """upward from the x-y plane"""
    noise_time_constant_s: Annotated[float, Range(0.01, 60)] = 2.0
    """forgetting of the noise covariance"""
    loading_db: Annotated[float, Range(-80, 20)] = -30.0
    """least diagonal loading of mvdr relative to the mean noise power; more is added while little is known"""
    white_noise_gain_min_db: Annotated[float, Range(-40, 20)] = -20.0
    """weights that would amplify microphone self-noise beyond this are drawn towards the matched filter"""


@dataclass(frozen=True)
class HealthConfig:
    """Microphones that fail are found while running, left out, and taken back once they recover."""

    enabled: bool = True
    """watch the microphones; matters from two microphones on"""
    quiet_db: Annotated[float, Range(6, 60)] = 20.0
    """a microphone so much quieter than the others (0.7 to 4 kHz) is dead"""
    loud_db: Annotated[float, Range(6, 60)] = 12.0
    """one whose noise is so much louder than all others is noisy; so is one that has nothing in common with them"""
    clipped_share: Annotated[float, Range(0.001, 1)] = 0.05
    """share of samples at full scale from which a microphone is clipped, while the others are not"""
    readmit_s: Annotated[float, Range(0.5, 60)] = 2.0
    """heard well for so long, a microphone is taken back; doubles each time that it fails again, up to a minute"""
    channel_order: Annotated[str, Choice("correct", "alarm", "ignore")] = "correct"
    """what to do when the captured channels have changed places: correct where that is certain and else alarm, alarm
    only, or not look"""


NETWORK_FLOOR_DB, ARRAY_FLOOR_DB, CLASSICAL_FLOOR_DB = -60.0, -30.0, -24.0
"""What mask.floor_db = "auto" means: for a network at one microphone, for one behind a beam, for the other kinds. A
classical mask leaves musical noise, which a floor of the noise itself hides; a network leaves none, and the noise that
a floor leaves costs quality and intelligibility. Measured on held-out training mixtures, models/EXPERIMENTS.md."""


@dataclass(frozen=True)
class MaskConfig:
    """What removes the noise that is left, frequency by frequency. Only the listen output is masked."""

    kind: Annotated[str, Choice(*MASK_KINDS)] = "network"
    """what estimates the gain per frequency of the listen output; bypass leaves it at 1"""
    model: str = "auto"
    """name of a shipped model, path of a manifest (.json), or auto: the shipped one for profile and array, or what
    `edge bench --pick-model` chose on this machine"""
    precision: Annotated[str, Choice(*PRECISION_CHOICES)] = "auto"
    """weights of the network: int8 is smaller, and faster on cores with dot-product instructions; auto: int8, or what
    `edge bench --pick-model` found to be quicker on this machine"""
    floor_db: Annotated[float | str, Range(-120, 0), Choice("auto")] = "auto"
    """least gain of the listen output; auto: -60 for a network at one microphone, -30 for one behind
    a beam, -24 for the other kinds"""
    over_subtraction: Annotated[float, Range(1, 20)] = 3.0
    """how many times spectral_subtraction takes off the noise where speech is weak"""


def gain_floor_db(floor_db: float | str, kind: str, microphones: int) -> float:
    """The least gain in dB that a mask.floor_db means for a kind of mask and a number of microphones in the beam."""
    if not isinstance(floor_db, str):
        return floor_db
    if kind != "network":
        return CLASSICAL_FLOOR_DB
    return NETWORK_FLOOR_DB if microphones == 1 else ARRAY_FLOOR_DB


@dataclass(frozen=True)
class PostConfig:
    """Levels after everything else."""

    limiter_dbfs: Annotated[float, Range(-60, 0)] = -1.0
    """no output sample exceeds this level"""
    agc: bool = False
    """slow gain towards agc_target_dbfs on speech, listen output only"""
    agc_target_dbfs: Annotated[float, Range(-60, 0)] = -23.0
    """level of speech that agc goes for"""
    agc_max_gain_db: Annotated[float, Range(0, 60)] = 24.0
    """most that agc amplifies"""


@dataclass(frozen=True)
class RuntimeConfig:
    """What the live process asks of the operating system; refused wishes are one warning each."""

    realtime_priority: Annotated[int, Range(0, 99)] = 70
    """SCHED_FIFO priority of the audio thread; 0 leaves it ordinary"""
    lock_memory: bool = True
    """keep the process in memory, so that nothing is paged out under the audio thread"""
    cpu: Annotated[int, Range(-1, 1023)] = -1
    """core to pin the audio thread to; -1 for any"""


@dataclass(frozen=True)
class MqttConfig:
    """The broker that telemetry goes to. A broker that is away, slow or stalled never touches the sound."""

    enabled: bool = False
    """publish over MQTT"""
    host: str = "127.0.0.1"
    """name or address of the broker"""
    port: Annotated[int, Range(1, 65535)] = 1883
    """usually 8883 with tls"""
    protocol: Annotated[str, Choice("3.1.1", "5")] = "3.1.1"
    """version of MQTT"""
    topic_prefix: str = "edge"
    """first part of every topic: <prefix>/<device>/status and so on"""
    tls: bool = False
    """encrypt, and check the broker's certificate"""
    ca_file: str = ""
    """certificate authority in PEM for tls; empty means those of the system"""
    username: str = ""
    """empty means none is sent"""
    password_file: str = ""
    """file whose first line is the password; the environment variable EDGE_MQTT_PASSWORD goes before it"""
    commands: bool = True
    """accept commands on <prefix>/<device>/command/..."""
    home_assistant: bool = False
    """announce sensors and controls to Home Assistant (MQTT discovery)"""


@dataclass(frozen=True)
class TelemetryConfig:
    """What the outside is told."""

    device_name: str = "auto"
    """name in MQTT topics; auto is the host name"""
    interval_s: Annotated[float, Range(0.1, 3600)] = 1.0
    """seconds between two telemetry messages"""
    mqtt: MqttConfig = field(default_factory=MqttConfig)


@dataclass(frozen=True)
class Config:
    profile: Annotated[str, Choice(*PROFILES)] = "assistant"
    """window and hop, so latency: assistant 16 ms, hearing 4 ms"""
    array: ArrayConfig = field(default_factory=ArrayConfig)
    input: InputConfig = field(default_factory=InputConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    echo: EchoConfig = field(default_factory=EchoConfig)
    beamformer: BeamformerConfig = field(default_factory=BeamformerConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    post: PostConfig = field(default_factory=PostConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)

    @property
    def gain_floor_db(self) -> float:
        """The least gain in dB that mask.floor_db means here."""
        in_beam = 1 if self.beamformer.kind == "none" else self.array.roles.count("M")
        return gain_floor_db(self.mask.floor_db, self.mask.kind, in_beam)
