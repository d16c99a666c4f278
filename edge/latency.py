"""What delays a sample from the microphone to the output, line by line. Upper bounds from the configuration alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from edge.config.schema import Config
from edge.profiles import PROFILES, Profile

RESAMPLER_ZERO_CROSSINGS = 32
"""as in edge.audio.resample, which would load the kernels"""

_DEVICES = ("alsa", "portaudio", "loopback")


@dataclass(frozen=True)
class LatencyLine:
    name: str
    ms: float
    why: str


def latency_lines(config: Config, profile: Profile | None = None) -> list[LatencyLine]:
    """The budget as (name, milliseconds, reason), in the order of the way of a sample; the sum is not among them."""
    profile = profile or PROFILES[config.profile]
    hop = profile.hop_ms
    return [
        _capture(config, profile),
        _resampling(config, profile),
        LatencyLine("algorithmic", 2 * hop, f"one hop to fill, one hop of overlap-add: 2 x {hop:g} ms"),
        LatencyLine("processing", hop, f"deadline of one hop of {hop:g} ms; usually far less"),
        _playback(config, profile),
    ]


def latency_budget_ms(config: Config, profile: Profile | None = None) -> dict[str, float]:
    """The same as {line: milliseconds} with the sum under 'total'."""
    budget = {line.name: line.ms for line in latency_lines(config, profile)}
    return budget | {"total": sum(budget.values())}


def capture_period_frames(config: Config, profile: Profile) -> int:
    """Period of the capture device in frames at its own rate; period_frames = 0 means one hop."""
    return config.input.period_frames or max(1, round(profile.hop_samples * config.input.rate_hz / profile.rate_hz))


def _capture(config: Config, profile: Profile) -> LatencyLine:
    if config.input.kind not in _DEVICES:
        return LatencyLine("capture", 0.0, "a file has no device buffer")
    frames = capture_period_frames(config, profile)
    period = Fraction(frames, config.input.rate_hz)
    hop = Fraction(profile.hop_samples, profile.rate_hz)
    # Cutting periods into hops keeps a sample for at most period + hop - gcd; the hop is counted as algorithmic.
    scale = period.denominator * hop.denominator
    gcd = Fraction(math.gcd(int(period * scale), int(hop * scale)), scale)
    why = f"period of {frames} frames at {config.input.rate_hz} Hz ({float(period) * 1000:.2f} ms) beside the hop"
    if period == gcd:
        why = f"period of {frames} frames at {config.input.rate_hz} Hz divides the hop: nothing beyond it"
    return LatencyLine("capture", float(period - gcd) * 1000, why)


def _resampling(config: Config, profile: Profile) -> LatencyLine:
    """Both sides together. The clock lock counts unless the configuration rules it out: it is decided at the start."""
    reasons = []
    ms = 0.0
    source, sink = config.input, config.output
    if source.kind in _DEVICES and source.rate_hz != profile.rate_hz:
        ms += resampler_delay_ms(source.rate_hz, profile.rate_hz)
        reasons.append(f"input from {source.rate_hz} Hz")
    locked = sink.clock != "shared" and (source.kind in _DEVICES or source.realtime)
    if sink.kind in _DEVICES and (locked or sink.rate_hz != profile.rate_hz):
        ms += resampler_delay_ms(profile.rate_hz, sink.rate_hz)
        reasons.append(
            f"output to {sink.rate_hz} Hz"
            if sink.rate_hz != profile.rate_hz
            else "output held to the capture clock; none if the clocks turn out to be one"
        )
    return LatencyLine("resampling", ms, ", ".join(reasons) or "rates and clocks are the same")


def resampler_delay_ms(in_rate_hz: int, out_rate_hz: int) -> float:
    """Look-ahead of edge.audio.resample.SincResampler."""
    lookahead_frames = math.ceil(RESAMPLER_ZERO_CROSSINGS * max(1.0, in_rate_hz / out_rate_hz))
    return 1000.0 * lookahead_frames / in_rate_hz


def _playback(config: Config, profile: Profile) -> LatencyLine:
    if config.output.kind not in _DEVICES:
        return LatencyLine("playback", 0.0, "no device buffer")
    hops = max(config.output.periods / 2, 1.0)
    why = f"half of a buffer of {config.output.periods} periods of one hop is kept filled"
    return LatencyLine("playback", hops * profile.hop_ms, why)
