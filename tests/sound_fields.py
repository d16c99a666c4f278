"""Sound fields for the calibration tests: plane waves from many directions at microphones that are not alike."""

from __future__ import annotations

import numpy as np

from edge.geometry import SPEED_OF_SOUND_M_S


def sphere(directions: int) -> np.ndarray:
    """Unit vectors spread evenly over the sphere, (directions, 3)."""
    index = np.arange(directions) + 0.5
    z = 1.0 - 2.0 * index / directions
    angle = np.pi * (1.0 + 5.0**0.5) * index
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


CELL_HZ = 10.0
"""the field is made anew for every so many hertz"""


def noise_field(positions_m, directions, seconds, rng, late_us, loud_db, own_noise_db=-30.0, rate_hz=16000):
    """Independent pink noise from every one of `directions`, (frames, mics), at microphones that are late and loud by
    so much and have noise of their own at so many dB below the sound."""
    frames = int(seconds * rate_hz)
    frequencies_hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    positions = np.asarray(positions_m, dtype=float)
    cells_hz = np.arange(0.0, rate_hz / 2 + CELL_HZ, CELL_HZ)
    ahead_s = positions @ np.atleast_2d(directions).T / SPEED_OF_SOUND_M_S
    waves = np.exp(2j * np.pi * cells_hz[:, None, None] * ahead_s)
    covariance = waves @ np.conj(np.swapaxes(waves, 1, 2)) / waves.shape[2]
    mixing = np.linalg.cholesky(covariance + 1e-7 * np.eye(len(positions)))
    noise = rng.standard_normal((len(frequencies_hz), len(positions), 2)) @ np.array([1.0, 1j])
    noise /= np.sqrt(np.maximum(frequencies_hz, 50.0))[:, None]
    spectra = np.einsum("fij,fj->fi", mixing[np.round(frequencies_hz / CELL_HZ).astype(int)], noise)
    spectra *= np.exp(-2j * np.pi * frequencies_hz[:, None] * np.asarray(late_us) * 1e-6)
    x = np.fft.irfft(spectra, frames, axis=0)
    x *= 0.02 / x.std()
    x *= 10.0 ** (np.asarray(loud_db) / 20.0)
    return x + 0.02 * 10.0 ** (own_noise_db / 20.0) * rng.standard_normal(x.shape)
