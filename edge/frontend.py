"""Front end of the signal path: one block of captured channels in, the spectra of the microphones out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import Config
from edge.echo.canceller import EchoCanceller
from edge.errors import ConfigError
from edge.geometry import ArrayGeometry
from edge.health.monitor import HealthMonitor
from edge.health.order import ChannelOrder
from edge.kernels import levels, phase
from edge.meters import Meters
from edge.profiles import Profile
from edge.sane import SANE_MAX
from edge.stft import Stft

F32 = NDArray[np.float32]

_SANE_MAX = np.float32(SANE_MAX)


class FrontEnd:
    """Roles, calibration, bad samples, transform.

    Results: `spectrum_re`, `spectrum_im` float32 (mics, bins) and `active` bool (mics,), the microphones to be used.
    Raises ConfigError when roles and positions do not fit together.
    """

    def __init__(self, config: Config, geometry: ArrayGeometry, profile: Profile, meters: Meters) -> None:
        microphones = [c for c, role in enumerate(config.array.roles) if role == "M"]
        if len(microphones) != geometry.mics:
            raise ConfigError(
                f"array.roles {config.array.roles!r} names {len(microphones)} microphones but positions_m has "
                f"{geometry.mics}; write one M per position"
            )
        self.mic_channels = np.array(microphones, np.int64)
        """channel of each microphone"""
        gains_db = np.asarray(config.array.gains_db or [0.0] * geometry.mics)
        self.calibration: F32 = (10.0 ** (gains_db / 20.0)).astype(np.float32)
        """gain applied to each microphone"""
        self._turn = delay_turn(config.array.delays_us, profile)
        self.stft = Stft(profile, geometry.mics)
        self.spectrum_re, self.spectrum_im = self.stft.spectrum_re, self.stft.spectrum_im
        self._meters = meters
        self.block: F32 = np.zeros((profile.hop_samples, len(config.array.roles)), np.float32)
        """what was captured in this hop, float32 (hop_samples, channels), written by the caller"""
        self.health = HealthMonitor(
            config.health, geometry, profile, len(config.array.roles), self.stft.power_scale, _SANE_MAX
        )
        self.active: NDArray[np.bool_] = self.health.active
        self.order = ChannelOrder(
            config.health.channel_order, config.array.roles, geometry, profile, gains_db, self.health
        )
        self.reference_channels = np.array([c for c, role in enumerate(config.array.roles) if role == "R"], np.int64)
        """channel of each playback reference; the canceller reads this very array"""
        references = self.reference_channels
        self.canceller = EchoCanceller(config.echo, profile, references, geometry.mics) if len(references) else None
        """None where no channel carries playback"""
        self.keep_echo = False
        """leave the microphones as they are while the canceller goes on learning"""

    def condition(self) -> None:
        """Meter every channel and push the microphones into the history of the transform."""
        meters = self._meters
        meters.nonfinite += levels.condition(
            self.block,
            self.mic_channels,
            self.calibration,
            self.stft.history,
            meters.energy,
            meters.peak,
            meters.clipped,
            _SANE_MAX,
        )
        meters.frames += len(self.block)

    def cancel_echo(self) -> None:
        """Take the playback off the newest hop of the microphones."""
        if self.canceller is not None:
            self.canceller.process(self.block, self.stft.history, _SANE_MAX, not self.keep_echo)

    def analyze(self) -> None:
        """Spectra of the microphones, their calibration delays applied."""
        self.stft.analyze()
        if self._turn is not None:
            phase.rotate(*self._turn, self.spectrum_re, self.spectrum_im)

    def watch(self) -> None:
        """Find microphones that fail and channels that have changed places.

        `health.changed` and `order.changed` tell whether `active` and `mic_channels` are others than in the hop before.
        """
        self.health.update(self.block, self.mic_channels, self.spectrum_re, self.spectrum_im)
        self.order.update(self.block)
        if self.order.changed:
            # what was found out about a microphone was found out about another one
            self.mic_channels[:] = self.order.channels
            self.reference_channels[:] = self.order.references
            self.health.reset()
            self.order.reset()
            if self.canceller is not None:
                self.canceller.reset()

    def take(self, other: FrontEnd) -> None:
        """Go on with the order of channels that `other` has found."""
        self.order.take(other.order)
        self.mic_channels[:] = self.order.channels
        self.reference_channels[:] = self.order.references

    @property
    def newest(self) -> F32:
        """What the transform took in with the last hop, the echo taken off, float32 (mics, hop_samples)."""
        return self.stft.history[:, -len(self.block) :]

    @property
    def calibration_turn(self) -> NDArray[np.complex64]:
        """Factor on each spectrum that stands for the calibration delay, complex64 (mics, bins)."""
        if self._turn is None:
            return np.ones(self.spectrum_re.shape, np.complex64)
        return (self._turn[0] + 1j * self._turn[1]).astype(np.complex64)

    def reset(self) -> None:
        """Forget all signal state."""
        self.stft.reset()
        self.health.reset()
        self.order.reset()
        if self.canceller is not None:
            self.canceller.reset()


def delay_turn(delays_us: tuple[float, ...], profile: Profile) -> tuple[F32, F32] | None:
    """exp(-2 pi i f delay) as real and imaginary part, float32 (mics, bins) each; None when there is no delay.

    Calibration delays are a few samples at most, of hundreds in an analysis window, so turning the phase of a frame is
    as good as delaying the signal.
    """
    if not any(delays_us):
        return None
    frequencies_hz = np.arange(profile.bins) * (profile.rate_hz / profile.window_samples)
    turn = np.exp(-2j * np.pi * frequencies_hz * np.asarray(delays_us)[:, None] * 1e-6)
    return turn.real.astype(np.float32), turn.imag.astype(np.float32)
