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
WARM_FRAMES = 40
"""frames of speech before a relative transfer function is believed; delay-and-sum until then"""


def _rate(memory_s: float) -> float:
    return 1.0 - float(np.exp(-HOP / RATE_HZ / memory_s))


class Candidate(Protocol):
    """Frame by frame: spectra (bins, mics), presence (bins,) and steering (bins, mics) in, weights (bins, mics) out."""

    def step(self, x: C128, presence: F64, steer: C128) -> C128: ...


class _Noise:
    """Noise covariance that starts as a diffuse field at the level of the first frames."""

    def __init__(self, scene: Scene) -> None:
        self._field = diffuse_covariance(scene.geometry)
        self.covariance: C128 = 1e-12 * self._field
        self._frames = np.zeros(BINS)

    def step(self, x: C128, presence: F64) -> None:
        now = np.einsum("bi,bj->bij", x, x.conj())
        fresh = self._frames == 0.0
        power = np.trace(now, axis1=1, axis2=2).real / x.shape[1]
        self.covariance[fresh] = self._field[fresh] * power[fresh, None, None]
        absent = (1.0 - presence) ** 2
        self._frames += np.where(fresh, 8.0, absent)
        rate = np.maximum(_rate(NOISE_S), 1.0 / self._frames) * absent
        self.covariance += rate[:, None, None] * (now - self.covariance)


class _Speech:
    """Covariance of what is heard while speech is present, and how many such frames there were."""

    def __init__(self, mics: int) -> None:
        self.covariance: C128 = np.zeros((BINS, mics, mics), np.complex128)
        self.frames = np.zeros(BINS)

    def step(self, x: C128, presence: F64) -> None:
        now = np.einsum("bi,bj->bij", x, x.conj())
        weight = presence**2
        self.frames += weight
        rate = np.maximum(_rate(SPEECH_S), 1.0 / np.maximum(self.frames, 1.0)) * weight
        self.covariance += rate[:, None, None] * (now - self.covariance)


class Souden:
    def __init__(self, scene: Scene) -> None:
        self._noise, self._speech = _Noise(scene), _Speech(scene.geometry.mics)

    def step(self, x: C128, presence: F64, steer: C128) -> C128:
        self._noise.step(x, presence)
        self._speech.step(x, presence)
        mics = x.shape[1]
        noise = self._noise.covariance
        power = np.trace(noise, axis1=1, axis2=2).real / mics
        loaded = noise + (LOADING * power + 1e-15)[:, None, None] * np.eye(mics)
        ratio = np.linalg.solve(loaded, self._speech.covariance - noise)
        trace = np.trace(ratio, axis1=1, axis2=2)
        # speech below noise: nothing to go by
        known = (self._speech.frames > WARM_FRAMES * 0.1) & (trace.real > 0.1)
        souden = ratio[:, :, 0] / np.where(known, trace, 1.0)[:, None]
        return np.where(known[:, None], souden, steer / mics)


class RtfMvdr:
    def __init__(self, scene: Scene) -> None:
        self._noise, self._speech = _Noise(scene), _Speech(scene.geometry.mics)

    def step(self, x: C128, presence: F64, steer: C128) -> C128:
        self._noise.step(x, presence)
        self._speech.step(x, presence)
        mics = x.shape[1]
        noise = self._noise.covariance
        power = np.trace(noise, axis1=1, axis2=2).real / mics
        loaded = noise + (LOADING * power + 1e-15)[:, None, None] * np.eye(mics)
        root = np.linalg.cholesky(loaded)
        inverse = np.linalg.inv(root)
        white = inverse @ self._speech.covariance @ inverse.conj().transpose(0, 2, 1)
        values, vectors = np.linalg.eigh(white)
        transfer = (root @ vectors[:, :, -1:])[:, :, 0]
        known = (self._speech.frames > WARM_FRAMES * 0.1) & (values[:, -1] > 1.5)
        at = np.where(known, transfer[:, 0], 1.0)
        known &= np.abs(at) > 0.2 * np.linalg.norm(transfer, axis=1) / np.sqrt(mics)
        transfer = np.where(known[:, None], transfer / np.where(known, at, 1.0)[:, None], steer)
        return mvdr(noise, transfer, LOADING)


class Mpdr:
    def __init__(self, scene: Scene) -> None:
        self._all = _Noise(scene)

    def step(self, x: C128, presence: F64, steer: C128) -> C128:
        self._all.step(x, np.zeros(BINS))
        return mvdr(self._all.covariance, steer, MPDR_LOADING)


class Gsc:
    def __init__(self, scene: Scene) -> None:
        mics = scene.geometry.mics
        self._adaptive: C128 = np.zeros((BINS, mics - 1), np.complex128)
        self._power = np.zeros(BINS)

    def step(self, x: C128, presence: F64, steer: C128) -> C128:
        mics = x.shape[1]
        aligned = x * steer.conj()
        blocked = aligned[:, 1:] - aligned[:, :-1]
        fixed = steer / mics
        # differences of neighbours block what is aligned: their weights on the microphones
        side = np.zeros((BINS, mics), np.complex128)
        side[:, 1:] += self._adaptive * steer[:, 1:]
        side[:, :-1] -= self._adaptive * steer[:, :-1]
        weights = fixed - side
        out = np.sum(weights.conj() * x, axis=1)
        power = np.sum(np.abs(blocked) ** 2, axis=1)
        self._power += 0.05 * (power - self._power)
        step = GSC_STEP * (1.0 - presence) ** 2 / (np.maximum(self._power, power) + 1e-12)
        self._adaptive += step[:, None] * blocked * out.conj()[:, None]
        return weights


CANDIDATES: dict[str, Callable[[Scene], Candidate]] = {"souden": Souden, "rtf": RtfMvdr, "mpdr": Mpdr, "gsc": Gsc}


def run(scene: Scene, candidate: Candidate, presence: NDArray[np.floating]) -> Beamformed:
    """The scene through a candidate; presence (hops, bins) after each hop of HOP samples."""
    spectra = references.analyze(scene.mix)
    weights = np.zeros_like(spectra)
    before = np.zeros(BINS)
    steer = steering(scene.geometry, scene.azimuth_deg, scene.elevation_deg)
    every = round(STEER_S * RATE_HZ / HOP)
    for t, x in enumerate(spectra):
        if scene.spec.walking and t % every == 0:
            steer = steering(scene.geometry, *scene.direction_at(t * HOP))
        weights[t] = candidate.step(x, before, steer)
        before = presence[min(t, len(presence) - 1)].astype(np.float64)
    return references.apply(scene, weights)


def oracle_presence(scene: Scene) -> F64:
    """(frames, bins): share of speech power at microphone 0; what a perfect network would say."""
    speech, noise = (np.abs(references.analyze(part[:, :1])[:, :, 0]) ** 2 for part in (scene.speech, scene.noise))
    return speech / (speech + noise + 1e-15)
