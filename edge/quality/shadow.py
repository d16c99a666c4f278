"""Shadow filtering: what the pipeline does to speech and to noise, each by itself.

The beamformer weights and mask gains of every hop are found from the mixture, as live; the very same weights and
gains are then applied to the separately known speech and noise. Their filtered sum is the output, so the ratio of
their powers is the true SNR of the output, which no metric of input and output signals alone can give.
(The idea is old; e.g. Gustafsson, Martin and Vary, "On the optimization of speech enhancement systems using
instrumental measures", 1996.) The limiter is left out: it is one gain for both and leaves the ratio alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.pipeline import Pipeline
from edge.stft import Stft

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class ShadowResult:
    """All arrays are compensated for latency: sample n belongs to input sample n."""

    output: F32
    """float32 (samples, outputs): what the pipeline gave"""
    listen: dict[str, F32]
    """component -> float32 (samples,) in the listen output"""
    asr: dict[str, F32]
    """component -> float32 (samples,) in the asr output (beam only)"""


class _Shadow:
    """One component's way through the weights and gains of another signal."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._mic_channels = pipeline.front.mic_channels
        self._calibration = pipeline.front.calibration[:, None]
        self._turn = pipeline.front.calibration_turn
        self._stft = Stft(pipeline.profile, len(self._mic_channels))
        self._hop = pipeline.hop_samples

    def step(self, block: F32, taken: F32, weights: NDArray[np.complex64], gain: F32) -> F32:
        """Block (hop, channels), echo taken off it (mics, hop) -> float32 (2, hop): listen and asr."""
        stft = self._stft
        stft.history[:, : -self._hop] = stft.history[:, self._hop :].copy()
        stft.history[:, -self._hop :] = block[:, self._mic_channels].T * self._calibration - taken
        stft.analyze()
        spectrum = (stft.spectrum_re + 1j * stft.spectrum_im) * self._turn
        beam = np.sum(np.conj(weights) * spectrum, axis=0).astype(np.complex64)
        stft.synthesize((beam * gain).astype(np.complex64), beam)
        return stft.signals


def run_with_components(
    pipeline: Pipeline,
    components: Mapping[str, NDArray[np.floating]],
    on_hop: Callable[[int], None] | None = None,
) -> ShadowResult:
    """Run the sum of `components` (each (samples, channels), equal shapes) and follow each of them to the outputs.

    on_hop(i) is called after hop i, for what the caller wants to log. What the echo canceller takes off the microphones
    belongs to the component that has something in the reference channels; ValueError if more than one has.
    """
    parts = {name: np.asarray(part, dtype=np.float32) for name, part in components.items()}
    shapes = {part.shape for part in parts.values()}
    if len(shapes) != 1 or next(iter(shapes))[1:] != (pipeline.channels,):
        raise ValueError(f"components need one shape (samples, {pipeline.channels}), got {sorted(shapes)}")
    echo = pipeline.front.canceller
    playing = [name for name, part in parts.items() if echo is not None and part[:, echo.references].any()]
    if len(playing) > 1:
        raise ValueError(f"only one component may play on the reference channels, got {', '.join(playing)}")
    samples = next(iter(shapes))[0]
    hop, delay = pipeline.hop_samples, pipeline.latency_samples
    hops = -(-(samples + delay) // hop)
    parts = {name: np.pad(part, ((0, hops * hop - samples), (0, 0))) for name, part in parts.items()}
    mixture = np.zeros((hops * hop, pipeline.channels), np.float32)
    for part in parts.values():
        mixture += part
    output = np.zeros((hops * hop, len(pipeline.outputs)), np.float32)
    followed = {name: np.zeros((2, hops * hop), np.float32) for name in parts}
    shadows = {name: _Shadow(pipeline) for name in parts}
    calibration, nothing = (
        pipeline.front.calibration[:, None],
        np.zeros((len(pipeline.front.mic_channels), hop), np.float32),
    )
    for i in range(hops):
        now = slice(i * hop, (i + 1) * hop)
        pipeline.process(mixture[now], output[now])
        weights, gain = pipeline.weights, pipeline.applied_gain
        taken = nothing
        if playing:
            taken = mixture[now][:, pipeline.front.mic_channels].T * calibration - pipeline.front.newest
        for name, shadow in shadows.items():
            followed[name][:, now] = shadow.step(parts[name][now], taken if name in playing else nothing, weights, gain)
        if on_hop is not None:
            on_hop(i)
    there = slice(delay, delay + samples)
    return ShadowResult(
        output=output[there],
        listen={name: both[0, there] for name, both in followed.items()},
        asr={name: both[1, there] for name, both in followed.items()},
    )
