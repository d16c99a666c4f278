"""From a configuration to the source and sink it means, with the conversions between their rates and clocks."""

from __future__ import annotations

from pathlib import Path

from edge.audio.alsa_pcm import PROC_ASOUND, card_of
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
from edge.audio.base import Sink, Source
from edge.audio.capture import DeviceSource
from edge.audio.clock_lock import ClockLock
from edge.audio.loopback import timer_card
from edge.audio.resample import ResampledSink, ResampledSource
from edge.config.schema import Config
from edge.profiles import PROFILES

_DEVICE_KINDS = ("alsa", "loopback", "portaudio")


def make_source(config: Config) -> Source:
    """The source that `config.input` describes, at the rate of the profile, one channel per role. Not opened yet."""
    profile, given = PROFILES[config.profile], config.input
    channels = len(config.array.roles)
    if given.kind == "file":
        from edge.audio.wav_source import WavSource  # brings libsndfile, which live capture does not need

        return WavSource(given.path, channels, profile.rate_hz, realtime=given.realtime, loop=given.loop)
    period = given.period_frames or _hop_at(config, given.rate_hz)
    source: DeviceSource
    if given.kind == "portaudio":
        from edge.audio.portaudio import PortAudioSource

        source = PortAudioSource(given.device, given.rate_hz, channels, period, given.periods)
    else:
        source = AlsaSource(given.device, given.rate_hz, channels, given.format, period, given.periods)
    return source if given.rate_hz == profile.rate_hz else ResampledSource(source, profile.rate_hz)


def make_sink(config: Config) -> Sink:
    """The sink that `config.output` describes; it takes blocks at the rate of the profile. Not opened yet."""
    profile, given = PROFILES[config.profile], config.output
    channels = len(given.channels)
    if given.kind == "null":
        from edge.audio.null_sink import NullSink

        return NullSink(profile.rate_hz, channels)
    period = _hop_at(config, given.rate_hz)
    paces = config.input.kind == "file" and not config.input.realtime
    sink: Sink
    lock = None
    if given.kind == "file":
        from edge.audio.wav_sink import WavSink

        reads = config.input.path if config.input.kind == "file" else ""
        sink = WavSink(given.path, given.rate_hz, channels, given.format, reads)
        if not paces:
            from edge.audio.queued_sink import QueuedSink

            sink = QueuedSink(sink)
    else:
        if given.kind == "portaudio":
            from edge.audio.portaudio import PortAudioSink

            # the schema's default is the name of an ALSA loopback
            device = "default" if given.device.startswith("hw:") else given.device
            sink = PortAudioSink(device, given.rate_hz, channels, period, given.periods, paces)
        else:
            sink = AlsaSink(given.device, given.rate_hz, channels, given.format, period, given.periods, paces)
        if not clocks_shared(config):
            lock = ClockLock(profile.rate_hz, given.rate_hz, period * given.periods // 2, period)
    if lock is None and given.rate_hz == profile.rate_hz:
        return sink
    return ResampledSink(sink, profile.rate_hz, lock)


def clocks_shared(config: Config, proc: Path = PROC_ASOUND) -> bool:
    """Whether output needs no clock lock: it has no clock of its own, or certainly the one of the input."""
    given, source = config.output, config.input
    if given.kind not in _DEVICE_KINDS or given.clock == "shared":
        return True
    if source.kind == "file" and not source.realtime:
        return True  # the output device sets the pace of everything
    if given.clock == "resample":
        return False
    if source.kind != "alsa" or given.kind == "portaudio":
        return False
    capture, playback = card_of(source.device), card_of(given.device)
    return bool(capture) and capture in (playback, timer_card(playback, proc))


def _hop_at(config: Config, rate_hz: int) -> int:
    """One hop of the profile in frames at a device's rate."""
    profile = PROFILES[config.profile]
    return max(1, round(profile.hop_samples * rate_hz / profile.rate_hz))
