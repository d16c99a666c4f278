"""Offline beamformers to compare with: what one microphone, textbook beamformers and the oracles reach in a scene.

All but `microphone` are told something: the true direction at every moment, and which microphones are alive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.metrics import Beamformed
from benchmarks.array.scenes import Scene
from benchmarks.mixtures import RATE_HZ
from edge.geometry import ArrayGeometry

C128 = NDArray[np.complex128]
F64 = NDArray[np.float64]

FRAME, HOP = 512, 128
BINS = FRAME // 2 + 1
FREQUENCIES_HZ: F64 = np.fft.rfftfreq(FRAME, 1.0 / RATE_HZ).astype(np.float64)
SUPERDIRECTIVE_LOADING = 1e-2
"""-20 dB of the diffuse field's power: a white-noise gain that real microphones bear"""
LEAD_IN_LOADING = 1e-2
"""with it the `peers` scenes give what is published for such rooms (7 dB of output SNR, ESTOI 0.58)"""
SHARPER_LOADING = 1e-3
"""-30 dB: 1 dB more of SNR and no more ESTOI, the stronger baseline"""
ORACLE_LOADING = 1e-4
SPEECH_MEMORY_FRAMES = 62
"""about half a second to either side: over which the oracle sees a walking talker"""

_WINDOW = np.sqrt(np.hanning(FRAME + 1)[:-1])


def analyze(signals: NDArray[np.floating]) -> C128:
    """STFT of (samples, mics): (frames, bins, mics), square-root Hann."""
    padded = np.pad(signals.astype(np.float64), ((FRAME - HOP, FRAME), (0, 0)))
    frames = (len(padded) - FRAME) // HOP + 1
    index = HOP * np.arange(frames)[:, None] + np.arange(FRAME)
    return np.fft.rfft(padded[index] * _WINDOW[:, None], axis=1)


def synthesize(spectrum: C128, samples: int) -> NDArray[np.float32]:
    """Signal (samples,) of an STFT (frames, bins), aligned with what was analysed."""
    pieces = np.fft.irfft(spectrum, FRAME, axis=1) * (_WINDOW * (2.0 * HOP / FRAME))
    out = np.zeros(len(pieces) * HOP + FRAME)
    for i, piece in enumerate(pieces):
        out[i * HOP : i * HOP + FRAME] += piece
    return out[FRAME - HOP : FRAME - HOP + samples].astype(np.float32)


def steering(geometry: ArrayGeometry, azimuth_deg: float, elevation_deg: float) -> C128:
    """Far-field steering vectors (bins, mics) relative to microphone 0, whose early speech is the reference."""
    delays_s = geometry.steering_delays_s(azimuth_deg, elevation_deg)
    delays_s = delays_s - delays_s[0]
    return np.exp(-2j * np.pi * FREQUENCIES_HZ[:, None] * delays_s)


def mvdr(covariance: C128, steer: C128, loading: float) -> C128:
    """w = R^-1 d / (d^H R^-1 d) with R loaded by `loading` of its mean diagonal: (..., mics, mics), (..., mics)."""
    mics = covariance.shape[-1]
    power = np.trace(covariance, axis1=-2, axis2=-1).real / mics
    loaded = covariance + (loading * power + 1e-15)[..., None, None] * np.eye(mics)
    solved = np.linalg.solve(loaded, steer[..., None])[..., 0]
    return solved / np.sum(steer.conj() * solved, axis=-1, keepdims=True)


def covariance(spectra: C128) -> C128:
    """Mean of x x^H over frames: (frames, bins, mics) to (bins, mics, mics)."""
    return np.einsum("tbi,tbj->bij", spectra, spectra.conj()) / max(len(spectra), 1)


def relative_transfer_functions(speech_covariance: C128, reference: int) -> C128:
    """Principal eigenvector of (..., mics, mics), 1 at microphone `reference`: (..., mics)."""
    vector = np.linalg.eigh(speech_covariance)[1][..., -1]
    at = vector[..., reference : reference + 1]
    return vector * at.conj() / np.maximum(np.abs(at) ** 2, 1e-12)


def diffuse_covariance(geometry: ArrayGeometry) -> C128:
    """Coherence of a spherically isotropic field: (bins, mics, mics)."""
    return np.moveaxis(geometry.diffuse_coherence(FREQUENCIES_HZ), -1, 0).astype(np.complex128)


def _alive(scene: Scene, frames: int) -> list[tuple[slice, list[int]]]:
    """Stretches of frames and the microphones that live in them."""
    everyone = list(range(scene.geometry.mics))
    if scene.dead_mic is None:
        return [(slice(0, frames), everyone)]
    last = round(scene.spec.dead_from_s * RATE_HZ) // HOP
    rest = [m for m in everyone if m != scene.dead_mic]
    return [(slice(0, last), everyone), (slice(last, frames), rest)] if last else [(slice(0, frames), rest)]


def apply(scene: Scene, weights: C128) -> Beamformed:
    """Weights (frames or 1, bins, mics) on mixture, speech and noise."""
    samples = len(scene.speech)
    speech, noise = (
        synthesize(np.sum(weights.conj() * analyze(part), axis=2), samples) for part in (scene.speech, scene.noise)
    )
    return Beamformed(speech + noise, speech, noise)


def _told(scene: Scene, design: Callable[[list[int], C128], C128]) -> C128:
    """Weights of a beamformer told where the talker is: design(mics alive, steering (frames or 1, bins, those))."""
    frames = len(analyze(scene.speech[:, :1]))
    if scene.spec.walking:
        steer = np.stack([steering(scene.geometry, *scene.direction_at(max(t - 1, 0) * HOP)) for t in range(frames)])
    else:
        steer = steering(scene.geometry, scene.azimuth_deg, scene.elevation_deg)[None]
    stretches = _alive(scene, frames)
    if len(stretches) == 1 and len(stretches[0][1]) == scene.geometry.mics:
        return design(stretches[0][1], steer)
    weights = np.zeros((frames, BINS, scene.geometry.mics), np.complex128)
    for when, alive in stretches:
        weights[when][:, :, alive] = design(alive, (steer[when] if len(steer) > 1 else steer)[..., alive])
    return weights


def microphone(scene: Scene, index: int = 0) -> Beamformed:
    return Beamformed(scene.mix[:, index], scene.speech[:, index], scene.noise[:, index])


def delay_sum(scene: Scene) -> Beamformed:
    return apply(scene, _told(scene, lambda alive, d: d / len(alive)))


def superdirective(scene: Scene, loading: float = SUPERDIRECTIVE_LOADING) -> Beamformed:
    """MVDR for a diffuse field (Cox, Zeskind and Kooij 1986)."""
    field = diffuse_covariance(scene.geometry)
    return apply(scene, _told(scene, lambda alive, d: mvdr(field[:, alive][:, :, alive], d, loading)))


def lead_in_mvdr(scene: Scene, loading: float = LEAD_IN_LOADING) -> Beamformed:
    """MVDR with the noise covariance of the noise-only lead-in."""
    # a frame ends FRAME - HOP samples after the first sample of its number of hops
    heard = covariance(analyze(scene.mix[: scene.lead_samples])[FRAME // HOP : -FRAME // HOP])
    return apply(scene, _told(scene, lambda alive, d: mvdr(heard[:, alive][:, :, alive], d, loading)))


def oracle_mvdr(scene: Scene) -> Beamformed:
    """MVDR with the true noise covariance and the relative transfer functions of the true speech image."""
    speech, noise = analyze(scene.speech), analyze(scene.noise)
    frames = len(speech)
    spoken = scene.lead_samples // HOP
    weights = np.zeros((frames, BINS, scene.geometry.mics), np.complex128)
    for when, alive in _alive(scene, frames):
        heard = covariance(noise[max(when.start, spoken) : when.stop][:, :, alive])
        s = speech[when][:, :, alive]
        seen = _running_covariance(s) if scene.spec.walking else covariance(s)[None]
        weights[when][:, :, alive] = mvdr(heard, relative_transfer_functions(seen, 0), ORACLE_LOADING)
    return apply(scene, weights)


def _running_covariance(spectra: C128) -> C128:
    """Covariance over SPEECH_MEMORY_FRAMES to either side of each frame: (frames, bins, mics, mics)."""
    total = np.cumsum(np.einsum("tbi,tbj->tbij", spectra, spectra.conj()), axis=0)
    t = np.arange(len(spectra))
    last = np.minimum(t + SPEECH_MEMORY_FRAMES, len(spectra) - 1)
    first = t - SPEECH_MEMORY_FRAMES - 1
    return total[last] - np.where((first >= 0)[:, None, None, None], total[np.maximum(first, 0)], 0.0)


REFERENCES: dict[str, Callable[[Scene], Beamformed]] = {
    "mic 0": microphone,
    "delay-and-sum, told": delay_sum,
    "superdirective, told": superdirective,
    "lead-in MVDR, told": lead_in_mvdr,
    "lead-in MVDR, told, loading -30 dB": functools.partial(lead_in_mvdr, loading=SHARPER_LOADING),
    "oracle MVDR": oracle_mvdr,
}
