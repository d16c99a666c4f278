"""Candidates for the online beamformer, slow and plain, all driven by the same speech presence.

Each is causal, keeps one covariance or filter per bin, forgets alike and sees the presence of the hop before, which
comes from one run of the pipeline (its network on its beam). What is compared is what they do with it:

souden    rank-one MVDR without steering (Souden, Benesty and Affes 2010), speech and noise covariance
rtf       MVDR steered by the relative transfer function from covariance whitening (Markovich-Golan and Gannot 2015)
mpdr      minimum power distortionless response towards the told direction, loaded (Cox, Zeskind and Owen 1987)
gsc       delay-and-sum towards the told direction, blocking matrix, adaptive canceller held while speech is present
          (Griffiths and Jim 1982)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.array import references
from benchmarks.array.metrics import Beamformed
from benchmarks.array.references import BINS, HOP, diffuse_covariance, mvdr, steering
from benchmarks.array.scenes import Scene
from benchmarks.mixtures import RATE_HZ

C128 = NDArray[np.complex128]
F64 = NDArray[np.float64]

NOISE_S, SPEECH_S, MIXTURE_S = 1.0, 0.5, 1.0
"""memories of the covariances"""
LOADING = 1e-2
MPDR_LOADING = 1e-1
"""-10 dB: a covariance with the talker in it cancels the talker unless it is loaded that much"""
GSC_STEP = 0.1
STEER_S = 0.25
"""how often the told ones are told again"""
WARM_FRAMES = 4.0
"""frames' worth of speech in a bin before a relative transfer function is believed"""
RENEW_FRAMES = 4
"""everybody learns every frame and renews the weights every 32 ms, for the sake of the run time"""


def _rate(memory_s: float) -> float:
    return 1.0 - float(np.exp(-HOP / RATE_HZ / memory_s))


class Candidate(Protocol):
    """Spectra (bins, mics), presence (bins,) and steering (bins, mics) in, weights (bins, mics) out."""

    def learn(self, x: C128, presence: F64, steer: C128) -> None:
        """Take in one frame."""

    def weights(self, steer: C128) -> C128:
        """The weights of what was learnt."""


def _outer(x: C128) -> C128:
    return x[:, :, None] * x[:, None, :].conj()


class _Noise:
    """Noise covariance that starts as a diffuse field at the level of the first frame."""

    def __init__(self, scene: Scene) -> None:
        self._field = diffuse_covariance(scene.geometry)
        self.covariance: C128 = 1e-12 * self._field
        self._frames = np.zeros(BINS)

    def learn(self, x: C128, presence: F64 | float) -> None:
        now = _outer(x)
        fresh = self._frames == 0.0
        power = np.trace(now, axis1=1, axis2=2).real / x.shape[1]
        self.covariance[fresh] = self._field[fresh] * power[fresh, None, None]
        absent = np.broadcast_to((1.0 - presence) ** 2, fresh.shape)
        self._frames += np.where(fresh, 8.0, absent)
        rate = np.maximum(_rate(NOISE_S), 1.0 / self._frames) * absent
        self.covariance += rate[:, None, None] * (now - self.covariance)

    def loaded(self) -> C128:
        mics = self.covariance.shape[1]
        power = np.trace(self.covariance, axis1=1, axis2=2).real / mics
        return self.covariance + (LOADING * power + 1e-15)[:, None, None] * np.eye(mics)


class _SpeechAndNoise:
    """Both covariances; that of speech is of all that is heard while speech is present."""

    def __init__(self, scene: Scene) -> None:
        mics = scene.geometry.mics
        self.noise = _Noise(scene)
        self.speech: C128 = np.zeros((BINS, mics, mics), np.complex128)
        self._frames = np.zeros(BINS)

    def learn(self, x: C128, presence: F64, steer: C128) -> None:
        self.noise.learn(x, presence)
        weight = presence**2
        self._frames += weight
        rate = np.maximum(_rate(SPEECH_S), 1.0 / np.maximum(self._frames, 1.0)) * weight
        self.speech += rate[:, None, None] * (_outer(x) - self.speech)

    @property
    def heard(self) -> NDArray[np.bool_]:
        """(bins,) enough speech to go by; delay-and-sum until then."""
        return self._frames > WARM_FRAMES


class Souden(_SpeechAndNoise):
    def weights(self, steer: C128) -> C128:
        ratio = np.linalg.solve(self.noise.loaded(), self.speech - self.noise.covariance)
        trace = np.trace(ratio, axis1=1, axis2=2)
        known = self.heard & (trace.real > 0.1)
        souden = ratio[:, :, 0] / np.where(known, trace, 1.0)[:, None]
        return np.where(known[:, None], souden, steer / steer.shape[1])


class RtfMvdr(_SpeechAndNoise):
    def weights(self, steer: C128) -> C128:
        root = np.linalg.cholesky(self.noise.loaded())
        inverse = np.linalg.inv(root)
        values, vectors = np.linalg.eigh(inverse @ self.speech @ inverse.conj().transpose(0, 2, 1))
        transfer = (root @ vectors[:, :, -1:])[:, :, 0]
        known = self.heard & (values[:, -1] > 1.5)
        # microphone 0 in a null of the source's field is no reference
        known &= np.abs(transfer[:, 0]) > 0.2 * np.linalg.norm(transfer, axis=1) / np.sqrt(steer.shape[1])
        relative = transfer / np.where(known, transfer[:, 0], 1.0)[:, None]
        return mvdr(self.noise.covariance, np.where(known[:, None], relative, steer), LOADING)


class Mpdr:
    def __init__(self, scene: Scene) -> None:
        self._all = _Noise(scene)

    def learn(self, x: C128, presence: F64, steer: C128) -> None:
        self._all.learn(x, 0.0)

    def weights(self, steer: C128) -> C128:
        return mvdr(self._all.covariance, steer, MPDR_LOADING)


class Gsc:
    def __init__(self, scene: Scene) -> None:
        self._adaptive: C128 = np.zeros((BINS, scene.geometry.mics - 1), np.complex128)
        self._power = np.zeros(BINS)

    def learn(self, x: C128, presence: F64, steer: C128) -> None:
        aligned = x * steer.conj()
        # differences of neighbours block what is aligned
        blocked = aligned[:, 1:] - aligned[:, :-1]
        out = np.mean(aligned, axis=1) - np.sum(self._adaptive.conj() * blocked, axis=1)
        power = np.sum(np.abs(blocked) ** 2, axis=1)
        self._power += 0.05 * (power - self._power)
        step = GSC_STEP * (1.0 - presence) ** 2 / (np.maximum(self._power, power) + 1e-12)
        self._adaptive += step[:, None] * blocked * out.conj()[:, None]

    def weights(self, steer: C128) -> C128:
        side = np.zeros_like(steer)
        side[:, 1:] += self._adaptive
        side[:, :-1] -= self._adaptive
        return steer * (1.0 / steer.shape[1] - side)


CANDIDATES: dict[str, Callable[[Scene], Candidate]] = {"souden": Souden, "rtf": RtfMvdr, "mpdr": Mpdr, "gsc": Gsc}


def run(scene: Scene, candidate: Candidate, presence: NDArray[np.floating]) -> Beamformed:
    """The scene through a candidate; presence (hops, bins) after each hop of HOP samples."""
    spectra = references.analyze(scene.mix)
    weights = np.zeros_like(spectra)
    before = np.zeros(BINS)
    current: C128 = np.zeros_like(spectra[0])
    steer = steering(scene.geometry, scene.azimuth_deg, scene.elevation_deg)
    every = round(STEER_S * RATE_HZ / HOP)
    for t, x in enumerate(spectra):
        if scene.spec.walking and t % every == 0:
            steer = steering(scene.geometry, *scene.direction_at(t * HOP))
        candidate.learn(x, before, steer)
        if t % RENEW_FRAMES == 0:
            current = candidate.weights(steer)
        weights[t] = current
        before = presence[min(t, len(presence) - 1)].astype(np.float64)
    return references.apply(scene, weights)


def oracle_presence(scene: Scene) -> F64:
    """(frames, bins): share of speech power at microphone 0; what a perfect network would say."""
    speech, noise = (np.abs(references.analyze(part[:, :1])[:, :, 0]) ** 2 for part in (scene.speech, scene.noise))
    return speech / (speech + noise + 1e-15)
