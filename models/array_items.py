"""One item of array training: a scene at simulated microphones, and what the project's own beam makes of it.

The chain is the live one (edge.pipeline) up to the mask, steered and gated by a shipped network for one microphone. The
weights of every hop are applied to the talker's early sound at the microphones as well: that is the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import ArrayConfig, BeamformerConfig, Config, HealthConfig
from edge.geometry import ArrayGeometry, apart_deg
from edge.mask.network import NetworkMask
from edge.pipeline import Pipeline
from edge.profiles import PROFILES
from models.array_rooms import FIELDS, NOISES, PLACES, ArrayRoom
from models.data import RATE_HZ, Corpus
from models.mixing import active_rms
from models.rooms import random_equaliser
from models.sounds import NoiseMaker, unit
from models.talkers import Talkers

F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]

PROFILE = PROFILES["assistant"]
HOP = PROFILE.hop_samples
FRAMES = 500
"""kept of each item: 4 s"""
LEAD_S = 2.0
"""most that the beam has heard before"""


@dataclass(frozen=True)
class Scene:
    """What the microphones of an array hear, float32 (samples, mics), and the talker's early sound in it."""

    mixture: F32
    early: F32
    lead_hops: int
    """not to be kept"""
    moving: bool
    snr_db: float | None
    """of the active speech at the first microphone; None without speech"""


@dataclass(frozen=True)
class Heard:
    """What the mask hears and should let through, per frame kept."""

    beam: C64
    """(frames, bins) of the mixture"""
    target: C64
    """(frames, bins): the same weights on the talker's early sound"""
    cue_power: F32
    """(frames, 2, bins) rows as in edge/mask/base.py"""
    talker_gain_db: float
    """target against the early sound at the microphones: far below 0 where a beam that looks elsewhere shuts him out"""
    azimuth_deg: float
    """where the beam looked in the end"""


class SceneMaker:
    """Draws scenes; everything random comes from the generator that is handed in."""

    def __init__(self, speech: Corpus, noise: Corpus) -> None:
        self.samples = FRAMES * HOP + int(LEAD_S * RATE_HZ)
        self._talkers = Talkers(speech, self.samples)
        self._noises = NoiseMaker(noise, speech, self.samples)

    def draw(self, rng: np.random.Generator, room: ArrayRoom) -> Scene:
        """One talker, up to two directional noises, diffuse noise and that of the microphones, SNR -8 to 25 dB, mixture
        at -48 to -5 dBFS; 3 % without a talker, 3 % nearly without noise."""
        import scipy.fft

        lead_hops = 0 if rng.random() < 0.25 else int(rng.integers(0, int(LEAD_S * RATE_HZ) // HOP + 1))
        samples = (lead_hops + FRAMES) * HOP
        length = scipy.fft.next_fast_len(samples + room.responses.shape[2], real=True)
        responses = scipy.fft.rfft(room.responses, length)
        moving = bool(rng.random() < 0.2)

        dry = unit(self._talkers.draw(rng)[-samples:])
        spectra = self._walk(rng, dry, moving, length) * random_equaliser(rng, length // 2 + 1, 5.0)
        early = scipy.fft.rfft(room.early(), length)
        wet_at, early_at = (
            scipy.fft.irfft(np.einsum("pf,pmf->mf", spectra, h[:PLACES]), length)[:, :samples]
            for h in (responses, early)
        )
        noise_at = scipy.fft.irfft(self._noise(rng, responses, samples, length), length)[:, :samples]

        kind, snr_db = rng.random(), float(np.clip(rng.normal(6.0, 8.0), -8.0, 25.0))
        first = int(room.alive.argmax())
        loud = active_rms(wet_at[first])
        silent = bool(kind < 0.03 or loud < 1e-6)
        speech_gain = 0.0 if silent else 1.0 / loud
        noise_db = -rng.uniform(35.0, 60.0) if kind > 0.97 else -snr_db
        noise_gain = 10.0 ** (noise_db / 20.0) / max(float(np.sqrt(np.mean(np.square(noise_at[first])))), 1e-9)
        hiss = rng.standard_normal(wet_at.shape, np.float32) * np.float32(10.0 ** (-rng.uniform(30.0, 65.0) / 20.0))
        mixture = wet_at * np.float32(speech_gain) + noise_at * np.float32(noise_gain) + hiss
        level = 10.0 ** (rng.uniform(-48.0, -5.0) / 20.0)
        peak = float(np.abs(mixture).max())
        scale = min(level / max(float(np.sqrt(np.mean(np.square(mixture[first])))), 1e-9), 0.99 / max(peak, 1e-9))
        if rng.random() < 0.03:  # too loud for the converter
            limit = np.float32(peak * rng.uniform(0.2, 0.8))
            mixture = np.clip(mixture, -limit, limit)
        return Scene(
            np.ascontiguousarray((mixture * np.float32(scale)).T),
            np.ascontiguousarray((early_at * np.float32(speech_gain * scale)).T),
            lead_hops,
            moving,
            None if silent else -float(noise_db),
        )

    def _walk(self, rng: np.random.Generator, dry: F32, moving: bool, length: int) -> C64:
        """Spectra (PLACES, bins) of what is said at either place; a moving talker goes there and back."""
        import scipy.fft

        said = np.zeros((PLACES, dry.size), np.float32)
        said[0] = dry
        if moving:
            stops_s = np.cumsum(rng.uniform(0.4, 2.0, 8))
            share = np.interp(np.arange(dry.size) / RATE_HZ, stops_s, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
            said[1] = dry * share
            said[0] -= said[1]
        return scipy.fft.rfft(said, length)

    def _noise(self, rng: np.random.Generator, responses: C64, samples: int, length: int) -> C64:
        """Spectra (mics, bins) of all directional and diffuse noise together."""
        import scipy.fft

        present = rng.random(3) < [0.75, 0.3, 0.7]
        if not present.any():
            present[int(rng.choice([0, 2]))] = True
        total = np.zeros(responses.shape[1:], np.complex64)
        for number in np.flatnonzero(present):
            audio = self._noises.draw(rng)
            gain = 10.0 ** (rng.uniform(-10.0, 0.0) / 20.0)
            equaliser = random_equaliser(rng, length // 2 + 1, 6.0) * np.float32(gain)
            if number < NOISES:
                spectrum = scipy.fft.rfft(audio[:samples], length)
                total += (spectrum * equaliser) * responses[PLACES + number]
                continue
            # the same kind of sound from everywhere, but never the same moment of it
            rolled = [np.roll(audio, int(rng.integers(audio.size)))[:samples] for _ in range(FIELDS)]
            spectra = scipy.fft.rfft(np.stack(rolled), length) * equaliser
            total += np.einsum("kf,kmf->mf", spectra, responses[PLACES + NOISES :])
        return total


# ---- what the beam makes of it ----


class _Recorder:
    """In the place of the mask: a network for one microphone, and what an array network would hear is taken down."""

    latency_samples = 0

    def __init__(self, network: NetworkMask) -> None:
        self._network = network
        self.presence = network.presence
        self.cue_power = np.zeros((2, PROFILE.bins), np.float32)
        self.beams: list[C64] = []
        self.cues: list[F32] = []

    def listener(self) -> NetworkMask:
        return self._network.twin()

    def step(self, spectrum: C64, gain: F32) -> None:
        self.beams.append(spectrum.copy())
        self.cues.append(self.cue_power.copy())
        self._network.step(spectrum, gain)

    def reset(self) -> None:
        self._network.reset()


def beam_config(rng: np.random.Generator, room: ArrayRoom) -> Config:
    """Mostly mvdr told nothing; in 30 % it is told the direction of the talker, wrong by up to 15 degrees."""
    kind = str(rng.choice(["mvdr", "superdirective", "delay_sum"], p=[0.86, 0.07, 0.07]))
    told, error_deg = bool(rng.random() < 0.3), float(rng.uniform(-15.0, 15.0))
    beam = BeamformerConfig(kind=kind, steering="track")
    if told:
        beam = BeamformerConfig(kind=kind, steering="fixed", azimuth_deg=float(room.azimuth_deg[0]) + error_deg)
    positions = tuple((float(x), float(y), float(z)) for x, y, z in room.positions_m)
    return Config(
        array=ArrayConfig(positions_m=positions, roles="M" * room.mics),
        beamformer=beam,
        health=HealthConfig(channel_order="ignore"),
    )


def hear(config: Config, network: NetworkMask, scene: Scene) -> Heard:
    """Run the live chain over a scene, as far as the mask. `network` is for one microphone; it is used up to a twin."""
    recorder = _Recorder(network.twin())
    pipeline = Pipeline(config, ArrayGeometry(config.array.positions_m), recorder)
    stages = [stage for name, stage in pipeline.stages if name not in ("post", "synthesize")]
    hops = len(scene.mixture) // HOP
    weights = np.zeros((hops, scene.mixture.shape[1], PROFILE.bins), np.complex64)
    spatial = pipeline.spatial
    for i in range(hops):
        pipeline.load(scene.mixture[i * HOP : (i + 1) * HOP])
        for stage in stages:
            stage()
        weights[i].real, weights[i].imag = spatial.weights_re, spatial.weights_im
    kept = slice(scene.lead_hops, None)
    early = spectra(scene.early, pipeline.front.stft.analysis_window)[kept]
    target = np.einsum("tmf,tmf->tf", weights[kept].conj(), early)
    alive = early.any(axis=(0, 2))
    at_mics = float(np.mean(np.abs(early[:, alive]) ** 2)) if alive.any() else 0.0
    gain_db = 10.0 * float(np.log10((np.mean(np.abs(target) ** 2) + 1e-20) / (at_mics + 1e-20)))
    return Heard(np.array(recorder.beams)[kept], target, np.array(recorder.cues)[kept], gain_db, pipeline.azimuth_deg)


def spectra(x: F32, window: F32) -> C64:
    """Short-time spectra complex64 (hops, mics, bins) of x (samples, mics), as the live path's transform sees them."""
    import scipy.fft

    padded = np.pad(x, ((PROFILE.window_samples - HOP, 0), (0, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, PROFILE.window_samples, axis=0)[::HOP]
    return scipy.fft.rfft(frames * window)


def make_item(
    rng: np.random.Generator, maker: SceneMaker, room: ArrayRoom, network: NetworkMask
) -> tuple[Heard, dict[str, Any]]:
    """An item and what is worth knowing about it."""
    scene = maker.draw(rng, room)
    config = beam_config(rng, room)
    heard = hear(config, network, scene)
    return heard, {
        "mics": room.mics,
        "dead": int(room.mics - room.alive.sum()),
        "rt60_s": round(room.rt60_s, 3),
        "snr_db": None if scene.snr_db is None else round(scene.snr_db, 1),
        "moving": scene.moving,
        "lead_hops": scene.lead_hops,
        "beamformer": config.beamformer.kind,
        "told": config.beamformer.steering == "fixed",
        "talker_gain_db": round(heard.talker_gain_db, 1),
        "azimuth_error_deg": round(apart_deg(heard.azimuth_deg, float(room.azimuth_deg[0])), 1),
    }
