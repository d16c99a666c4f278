"""The signal path, pure: one block of microphones in, one block of outputs out. No device, no clock, no log.

Way of a sample: block -> front end (roles, calibration, echo, STFT, health) -> spatial filter (wind, direction, beam)
-> mask -> floor, level, limiter -> out. What gates the learning of the beam is the larger of what the listener hears in
this hop and, the one backward edge, what the mask heard in the hop before; neither adds delay.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import Beamformer
from edge.config.schema import Config
from edge.cues import Cues
from edge.errors import ConfigError
from edge.frontend import FrontEnd
from edge.geometry import ArrayGeometry, geometry_from_config
from edge.kernels import gains
from edge.listener import Listener, StrictPresence, make_listener
from edge.mask.base import MaskEstimator
from edge.mask.factory import configured_estimator
from edge.meters import Meters
from edge.post import GainFloor, LevelControl, Limiter
from edge.profiles import PROFILES
from edge.snr import SnrEstimator
from edge.spatial import Spatial

F32 = NDArray[np.float32]

OUTPUT_NAMES = ("listen", "asr")


class Pipeline:
    """Multichannel block in, enhanced block out, `hop_samples` at a time; see the module's own text for the stages.

    config: a checked Config. geometry: the microphones named by the roles in config.array.
    estimator: a ready gain estimator, or None to make the one that config.mask names.
    Raises ConfigError or ModelError when the parts do not fit together; `process` raises nothing on bad samples.

    latency_samples: delay between input and output stream (one hop). A block must be complete before it is processed,
    which is one hop more: the algorithmic latency is 2 hops.
    """

    def __init__(self, config: Config, geometry: ArrayGeometry, estimator: MaskEstimator | None = None) -> None:
        self.profile = PROFILES[config.profile]
        self.rate_hz = self.profile.rate_hz
        self.hop_samples = self.profile.hop_samples
        self.outputs = tuple(config.output.channels)
        self.channels = len(config.array.roles)
        self._output_order = np.array([OUTPUT_NAMES.index(name) for name in self.outputs], np.int64)

        self.meters = Meters(self.channels, len(self.outputs))
        self.front = FrontEnd(config, geometry, self.profile, self.meters)
        self._stft = self.front.stft
        self.spatial = Spatial(config.beamformer, geometry, self._stft)
        self._cues = Cues(geometry.mics, self.profile.bins)
        self.estimator = estimator or configured_estimator(config)
        self.listener: Listener | None = None
        """only where there is a beam to be steered by a network"""
        self._make_listener()
        self._level = LevelControl(config.post, self.profile, self._stft.power_scale)
        self._limiter = Limiter(config.post, self.profile, len(self.outputs))
        self.snr = SnrEstimator(self.profile)
        self.latency_samples = self._stft.latency_samples + self.estimator.latency_samples

        # state
        self.mask_kind = config.mask.kind
        self.snr.trusted = self.mask_kind == "network"
        self._unit, self._heard = np.float32(1.0), 0
        """the first microphone in use"""
        self._heard_presence = self._gate = self.estimator.presence
        """(bins,) presence that the talker is sought by, and that decides what the beamformer learns"""
        # scratch
        bins = self.profile.bins
        self._out: F32 = np.zeros((self.hop_samples, len(self.outputs)), np.float32)
        self._masked: NDArray[np.complex64] = np.zeros(bins, np.complex64)
        self._gain: F32 = np.ones(bins, np.float32)
        self._strict = StrictPresence(bins)
        self._floor = GainFloor(self.profile, config.mask.floor_db, self.mask_kind, self.spatial.mics_in_beam)

    # ---- the signal path ----

    def process(self, block: F32, out: F32) -> None:
        """One hop: block float32 (hop_samples, channels) in, out float32 (hop_samples, outputs) written."""
        self.load(block)
        self.front.condition()
        self.front.cancel_echo()
        self.front.analyze()
        self._health()
        self._wind()
        self._listen()
        self._localize()
        self._beamform()
        self._mask()
        self._post()
        self._synthesize()
        self.store(out)

    @property
    def stages(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """(name, call) of every stage in order, for callers that time them: `load`, every call, `store`.

        Made at each asking: a pipeline that held its own bound methods would be a cycle, and the live daemon runs
        without the collector that frees cycles.
        """
        echo = () if self.front.canceller is None else (("echo", self.front.cancel_echo),)
        return (
            ("condition", self.front.condition),
            *echo,
            ("analyze", self.front.analyze),
            ("health", self._health),
            ("wind", self._wind),
            ("listen", self._listen),
            ("localize", self._localize),
            ("beamform", self._beamform),
            ("mask", self._mask),
            ("post", self._post),
            ("synthesize", self._synthesize),
        )

    def load(self, block: F32) -> None:
        """Take in a block; for callers that run `stages` themselves to time them."""
        expected = self.front.block
        if block.shape != expected.shape:
            raise ValueError(f"block has shape {block.shape}, expected {expected.shape} (hop_samples, channels)")
        np.copyto(expected, block)

    def store(self, out: F32) -> None:
        """Give out the finished block."""
        if out.shape != self._out.shape:
            raise ValueError(f"out has shape {out.shape}, expected {self._out.shape} (hop_samples, outputs)")
        np.copyto(out, self._out)

    def _wind(self) -> None:
        front = self.front
        self.spatial.wind.update(front.spectrum_re, front.spectrum_im, front.active)

    def _listen(self) -> None:
        listener, counts, presence = self.listener, self.mask_kind == "network", self.estimator.presence
        self._heard_presence = self._gate = self._strict.of(presence) if counts else presence
        if listener is not None and (counts or listener.awaited) and self.spatial.beamformer.kind != "none":
            own = listener.hear(self.front.spectrum_re[self._heard], self.front.spectrum_im[self._heard])
            if counts:
                self._heard_presence, self._gate = own, listener.either(presence)

    def _localize(self) -> None:
        self.spatial.localize(self._heard_presence, self.front.active)

    def _health(self) -> None:
        front = self.front
        front.watch()
        if front.order.changed or front.health.changed:
            self._use(front.active)
        if front.order.changed:
            self.spatial.reset()

    def _use(self, active: NDArray[np.bool_]) -> None:
        self.spatial.set_active(active)
        heard = int(active.argmax())
        if heard != self._heard and self.listener is not None:
            self.listener.reset()
        self._heard = heard

    def _beamform(self) -> None:
        front = self.front
        self.spatial.form(front.spectrum_re, front.spectrum_im, self._gate)

    def _mask(self) -> None:
        front, spatial = self.front, self.spatial
        self._cues.fill(self.estimator, front.spectrum_re, front.spectrum_im, front.active, spatial.in_force)
        self.estimator.step(spatial.beam, self._gain)

    def _post(self) -> None:
        # a bypassed mask has unit gain everywhere, so its tracked presence stands in for the share of speech
        ratio = self.estimator.presence if self.mask_kind == "bypass" else self._gain
        floor = self._unit if self.bypass else self._floor.update()
        front, beam, snr = self.front, self.spatial.beam, self.snr
        snr.update(front.spectrum_re[self._heard], front.spectrum_im[self._heard], beam, ratio, floor)
        level = self._unit if self.bypass else self._level.update(snr.frame_power, snr.frame_speech_power)
        gains.apply_gain(beam, self._gain, floor, level, self._masked)

    def _synthesize(self) -> None:
        self._stft.synthesize(self._masked, self.spatial.beam)
        self._limiter.apply(self._stft.signals, self._output_order, self._out, self.meters)

    # ---- what may change between two hops ----

    @property
    def beamformer(self) -> Beamformer:
        """The beamformer in use."""
        return self.spatial.beamformer

    @property
    def beamformer_kind(self) -> str:
        return self.spatial.beamformer.kind

    @property
    def azimuth_deg(self) -> float:
        return self.spatial.azimuth_deg

    @property
    def elevation_deg(self) -> float:
        return self.spatial.elevation_deg

    @property
    def bypass(self) -> bool:
        return self.spatial.bypass

    @property
    def gain_floor_db(self) -> float:
        return self._floor.db

    @property
    def weights(self) -> NDArray[np.complex64]:
        """Copy of the beamformer weights in use, complex64 (mics, bins); the output is w^H x."""
        return (self.spatial.weights_re + 1j * self.spatial.weights_im).astype(np.complex64)

    @property
    def applied_gain(self) -> F32:
        """Gain of the listen output in the last hop, float32 (bins,): mask, floor and level, the limiter not."""
        if self.bypass:
            return np.ones_like(self._gain)
        return np.fmax(self._gain, self._floor.gain) * self._level.gain

    @property
    def presence(self) -> F32:
        """Speech presence after the last hop, float32 (bins,) in [0, 1]; overwritten by the next hop."""
        return self.estimator.presence

    @property
    def frequencies_hz(self) -> NDArray[np.float64]:
        return self._stft.frequencies_hz

    def set_look(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Steer there and stay; the weights glide there within about 0.1 s."""
        self.spatial.set_look(azimuth_deg, elevation_deg)

    def set_tracking(self, enabled: bool) -> None:
        """Follow the talker from now on, or stay where the beam is."""
        self.spatial.set_tracking(enabled)

    def set_gain_floor_db(self, floor_db: float | str) -> None:
        """Least gain of the listen output in dB; "auto": what suits mask and beam, also the next ones. Glides there."""
        self._floor.wanted = floor_db
        self._floor.suit(self.mask_kind, self.spatial.mics_in_beam)

    def set_bypass(self, enabled: bool) -> None:
        """Both outputs become the first microphone, echo and all, at the same latency; everything goes on learning."""
        self.spatial.bypass = self.front.keep_echo = enabled

    def set_mask(self, estimator: MaskEstimator, kind: str, listener: Listener | None = None) -> None:
        """Put in another estimator of the same latency, made and warmed elsewhere, and its listener if there is one."""
        if estimator.latency_samples != self.estimator.latency_samples:
            raise ConfigError(f"mask {kind!r} has another latency than the one in use; restart to change it")
        self.estimator, self.mask_kind = estimator, kind
        self._floor.suit(kind, self.spatial.mics_in_beam)
        self.snr.trusted = kind == "network"
        self.listener = listener or self.listener
        if listener is None:
            self._make_listener()

    def _make_listener(self) -> None:
        """One for the network in force, where there is a beam to steer."""
        if self.spatial.localizer is None:
            return
        if self.listener is not None and self.listener.behind is self.estimator:
            self.listener.reset()  # the overload ladder puts the same network in again, on the audio thread
            return
        self.listener = make_listener(self.estimator, self.profile.bins) or self.listener

    def set_beamformer(self, beamformer: str | Beamformer) -> None:
        """Change the beamformer, by kind or one from `make_beamformer`; the weights glide over to it."""
        if isinstance(beamformer, str):
            beamformer = self.make_beamformer(beamformer)
        self.spatial.set_beamformer(beamformer)
        self._floor.suit(self.mask_kind, self.spatial.mics_in_beam)

    def reset(self) -> None:
        """Forget all signal state; settings and counters since start stay."""
        self.front.reset()
        self._use(self.front.active)
        self.spatial.reset()
        self.estimator.reset()
        if self.listener is not None:
            self.listener.reset()
        self._level.reset()
        self._limiter.reset()
        self.snr.reset()

    def make_beamformer(self, kind: str) -> Beamformer:
        """Beamformer of `kind` for this array, nothing learnt yet; touches no state, so any thread may make one."""
        return self.spatial.make(kind)


def build_pipeline(config: Config) -> Pipeline:
    """The pipeline of a checked configuration. Raises ConfigError or ModelError."""
    return Pipeline(config, geometry_from_config(config.array))
