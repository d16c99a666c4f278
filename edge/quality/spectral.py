"""Distance between spectra in dB."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from edge.quality.metrics import RATE_HZ, Score, pair

FRAME_S = 0.032
RANGE_DB = 50.0
"""below the loudest point of the reference nothing is compared: nobody hears it, and its logarithm is arbitrary"""


def spectral_distortion_db(reference: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Log-spectral distance: rms over frequency of the difference of both log spectra, mean over frames, in dB.

    Hann frames of 32 ms, half overlapped; both limited to RANGE_DB below the loudest point of the reference. A wrong
    gain counts, as in the SNR. Gray and Markel, "Distance measures for speech processing", IEEE TASSP 24(5), 1976;
    limited as in Cohen, "Noise spectrum estimation in adverse environments", IEEE TSAP 11(5), 2003.
    """
    frame = 2 * round(FRAME_S * rate_hz / 2)
    r, e, reason = pair(reference, estimate, frame, silence_counts=True)
    if reason:
        return Score(math.nan, reason)
    window = np.hanning(frame + 1)[:-1]
    powers = []
    for signal in (r, e):
        frames = np.lib.stride_tricks.sliding_window_view(signal, frame)[:: frame // 2]
        powers.append(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2)
    least = powers[0].max() * 10.0 ** (-RANGE_DB / 10.0)
    first, second = (10.0 * np.log10(np.maximum(power, least)) for power in powers)
    return Score(float(np.mean(np.sqrt(np.mean((first - second) ** 2, axis=1)))))
