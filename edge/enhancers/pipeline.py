"""Recordings through the pipeline of the live path: its own masks, and its beam in front of everything else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.config import Config
from edge.enhancers.base import OfflineEnhancer, digest, one_channel
from edge.enhancers.noise import NoiseProfile, mean_power
from edge.enhancers.streams import RecordingStream, open_stream, through
from edge.errors import UsageError
from edge.mask.base import MaskEstimator
from edge.mask.choice import choose, mics_in_beam
from edge.mask.classical import SpectralSubtractionMask, WienerMask
from edge.offline import Enhancer
from edge.profiles import PROFILES
from edge.stft import Stft

F32 = NDArray[np.float32]


_LIVE_ONLY = ("input", "output", "runtime", "telemetry")
"""sections of the configuration that a recording does not meet, but for output.channels"""


class PipelineEnhancer:
    """A mask of the pipeline, with what stands before and behind it: sample for sample what a live run gives.

    noise: for the classical masks, see `make_enhancer`; a noise profile is of one microphone.
    output: listen, or asr for the beam alone.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        model: str | None = None,
        noise: NoiseProfile | None = None,
        output: str = "listen",
    ) -> None:
        self.name = name
        mask = dataclasses.replace(config.mask, kind=name, model=config.mask.model if model is None else model)
        self._config = dataclasses.replace(
            config, mask=mask, output=dataclasses.replace(config.output, channels=(output,))
        )
        self._noise = noise or NoiseProfile()
        if self._noise.given and len(config.array.roles) > 1:
            raise UsageError(
                f"{name} takes a noise profile with one microphone only, since a beam changes the noise; "
                f"take {name}_offline, which measures it behind the beam"
            )

    @property
    def identity(self) -> str:
        files: dict[str, object] = {}
        profile = PROFILES[self._config.profile]
        if self._config.mask.kind == "network":
            chosen = choose(self._config.mask, profile, mics_in_beam(self._config))
            manifest = chosen.open(profile)
            files = {"manifest": chosen.manifest.read_bytes(), "network": manifest.files[chosen.precision][1]}
        return digest(
            self.name,
            __version__,
            config={key: value for key, value in dataclasses.asdict(self._config).items() if key not in _LIVE_ONLY},
            outputs=self._config.output.channels,
            files=files,
            noise=self._noise.about(),
        )

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        if len(self._config.array.roles) == 1:
            samples = one_channel(samples, self.name)
        enhancer = self.opened(rate_hz, self._estimator(samples, rate_hz))
        return np.concatenate([enhancer.push(samples), enhancer.flush()])[:, 0]

    def opened(self, rate_hz: int, estimator: MaskEstimator | None = None) -> Enhancer:
        """The pipeline as a stream; estimator: in place of the mask that the configuration names."""
        return Enhancer(self._config, rate_hz, estimator=estimator)

    def _estimator(self, samples: F32, rate_hz: int) -> MaskEstimator | None:
        """A classical mask that was told the noise, or None: the one that the configuration names."""
        if not self._noise.given:
            return None
        profile = PROFILES[self._config.profile]
        sound = self._noise.sound(samples, rate_hz)
        if rate_hz != profile.rate_hz:
            import soxr

            sound = soxr.resample(sound, rate_hz, profile.rate_hz)
        stft = Stft(profile, 1)

        def power_of(frame: F32) -> NDArray[np.float64]:
            stft.history[0] = frame
            stft.analyze()
            return stft.spectrum_re[0].astype(np.float64) ** 2 + stft.spectrum_im[0].astype(np.float64) ** 2

        power = mean_power(sound, profile.window_samples, profile.hop_samples, power_of)
        if self.name == "wiener":
            return WienerMask(profile, noise_power=power)
        return SpectralSubtractionMask(profile, self._config.mask.over_subtraction, power)


class BehindBeam:
    """An enhancer of one channel that hears the beam of an array: the pipeline's asr output."""

    def __init__(self, inner: OfflineEnhancer, config: Config) -> None:
        self.name = inner.name
        self.precision: str | None = getattr(inner, "precision", None)
        self._inner = inner
        # the mask that the configuration names tells the beam who speaks when
        self._beam = PipelineEnhancer(config.mask.kind, config, output="asr")

    @property
    def identity(self) -> str:
        return digest(self.name, __version__, beam=self._beam.identity, inner=self._inner.identity)

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        return through(self.stream(rate_hz), samples)

    def stream(self, rate_hz: int) -> RecordingStream:
        """See edge.enhancers.streams.open_stream."""
        return _BehindBeamStream(self._beam.opened(rate_hz), open_stream(self._inner, rate_hz))


class _BehindBeamStream:
    def __init__(self, beam: Enhancer, inner: RecordingStream) -> None:
        self._beam, self._inner = beam, inner

    def push(self, samples: F32) -> F32:
        return self._inner.push(self._beam.push(samples)[:, 0])

    def finish(self) -> Iterator[F32]:
        yield self._inner.push(self._beam.flush()[:, 0])
        yield from self._inner.finish()
