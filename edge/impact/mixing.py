"""Clean speech and noise to a noisy recording at an SNR, and the SNR of recordings that are noisy already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

RATE_HZ = 16000
SPEECH_DBFS = -28.0
SHORTEST_S = 0.5
_FRAME = 320


class UnmeasurableError(Exception):
    """A file without a value, and why: one sentence. Never leaves this package."""


def load(path: Path, what: str, channels: int) -> F32:
    """Samples float32 (n, channels) at 16 kHz; of a file with more channels than one is asked for, the first.

    Raises UnmeasurableError.
    """
    import soundfile

    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise UnmeasurableError(f"{what} cannot be read: {reason.rstrip('.')}") from None
    if channels == 1:
        samples = samples[:, :1]
    if samples.shape[1] != channels:
        raise UnmeasurableError(f"{what} has {samples.shape[1]} channels, the array has {channels}")
    if samples.shape[0] and rate_hz != RATE_HZ:
        import soxr

        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    if not np.isfinite(samples).all():
        raise UnmeasurableError(f"{what} has samples that are not finite")
    if not samples[:, 0].any():
        raise UnmeasurableError(f"{what} is silent" if samples.size else f"{what} is empty")
    return np.ascontiguousarray(samples, np.float32)


def load_clean(path: Path, channels: int) -> F32:
    """Speech that is long enough. Raises UnmeasurableError."""
    speech = load(path, "the clean speech", channels)
    if len(speech) < SHORTEST_S * RATE_HZ:
        raise UnmeasurableError(
            f"the clean speech is too short: {len(speech) / RATE_HZ:.2f} s, at least {SHORTEST_S:g} s"
        )
    return speech


def active_power(samples: F32) -> float:
    """Mean power of the 20 ms frames within 30 dB of the loudest; samples (n,)."""
    frames = samples[: max(1, samples.size // _FRAME) * _FRAME].astype(np.float64)
    power = np.mean(frames.reshape(-1, min(_FRAME, frames.size)) ** 2, axis=1)
    return float(power[power >= power.max() * 1e-3].mean())


def mix(speech: F32, noise: F32, snr_db: float, lead_s: float, seed: int, from_start: bool) -> tuple[F32, F32]:
    """(speech alone, with noise), both float32 (lead + n, channels), with lead_s of noise alone first.

    speech (n, channels) and noise (m, channels) as the microphones hear them. SNR: active speech against all of the
    noise, at the first channel. The noise begins at a random place and is repeated, or at its start. The speech is
    brought to -28 dBFS.
    """
    lead = round(lead_s * RATE_HZ)
    clean = np.concatenate([np.zeros((lead, speech.shape[1]), np.float32), speech])
    clean *= np.float32(10.0 ** (SPEECH_DBFS / 20.0) / np.sqrt(active_power(speech[:, 0])))
    first = 0 if from_start else int(np.random.default_rng(seed).integers(len(noise)))
    piece = np.take(noise, first + np.arange(len(clean)), axis=0, mode="wrap")
    power = float(np.mean(piece[:, 0].astype(np.float64) ** 2))
    if power == 0.0:
        raise UnmeasurableError("the noise is silent where it would be heard")
    scale = 10.0 ** ((SPEECH_DBFS - snr_db) / 20.0) / np.sqrt(power)
    return clean, clean + piece * np.float32(scale)


def measured_snr_db(clean: F32, noisy: F32) -> float:
    """SNR of a recording against its clean speech, both (n,) and aligned: active speech against what is left when the
    speech is taken off at the gain that leaves least. Reverberation counts as noise where the clean speech has none.
    """
    c, n = clean.astype(np.float64), noisy.astype(np.float64)
    gain = float(np.dot(c, n) / np.dot(c, c))
    rest = float(np.mean((n - gain * c) ** 2))
    return 10.0 * float(np.log10(max(gain**2 * active_power(clean), 1e-30) / max(rest, 1e-30)))
