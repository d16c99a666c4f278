"""How musical the noise is that an enhancer leaves: 0 for none, towards 1 for isolated tones that come and go.

Musical noise shows as kurtosis: a filter that leaves single peaks of the noise's spectrum standing makes its power
spectrum spikier than it was (Uemura et al., "Automatic optimization scheme of spectral subtraction based on musical
noise assessment via higher-order statistics", IWAENC 2008), and the logarithm of the ratio of both kurtoses agrees
with listeners. Yu and Fingscheidt ("A weighted log kurtosis ratio measure for instrumental musical tones assessment in
wideband speech", ITG 2012; correlation with listeners 0.95) weight it, and take it where speech is absent, from the
signals alone; Torcoli ("An improved measure of musical noise based on spectral kurtosis", WASPAA 2019) counts only what
can be heard.

Here the kurtosis is taken in neighbourhoods of 0.16 s by 280 Hz, each against its own mean, so that noise which is
itself unsteady, or a gain that slowly follows it, is not taken for tones; only where the clean speech is far below
the noise and what is left is more than that speech; and it is weighted by the amplitude that is left.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.quality.metrics import RATE_HZ, SILENT_ESTIMATE, Score

F64 = NDArray[np.float64]

FRAME, HOP = 512, 256
LOWEST_BIN = 4
"""125 Hz: below that is what microphones do, not what an enhancer does"""
FRAMES, BINS = 9, 9
"""of a neighbourhood"""
SPEECH_BELOW_NOISE = 10.0 ** (-10.0 / 10.0)
NOISE_ABOVE_SPEECH = 10.0 ** (6.0 / 10.0)
INAUDIBLE = 10.0 ** (-60.0 / 10.0)
"""power of what is left against that of the noise"""
LEAST_SHARE = 0.01
"""of the points of the spectrogram in which there must be noise alone"""
STEEPNESS = 3.0
"""of the score, 1 - exp(-STEEPNESS * mean log kurtosis ratio): puts 0.3 between a decision-directed Wiener filter that
smooths as much as Ephraim and Malah advise, which is known for few tones, and spectral subtraction, known for many"""


def artifact_score(reference: ArrayLike, noisy: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Musical noise in `estimate`, made of `noisy`, whose clean speech is `reference`; all (samples,), aligned.

    0 where nothing is left of the noise or where it sounds as before, below 1. Independent of level. Undefined
    where there is no noise alone to judge by, and where nothing is left of the talker either.
    """
    signals = [np.asarray(each, np.float64) for each in (reference, noisy, estimate)]
    if any(each.ndim != 1 or each.shape != signals[0].shape for each in signals):
        shapes = ", ".join(str(each.shape) for each in signals)
        raise ValueError(f"reference, noisy and estimate must be (samples,) of equal length, got {shapes}")
    if rate_hz != RATE_HZ:
        return Score(math.nan, f"the artifact score is defined at {RATE_HZ} Hz, not at {rate_hz} Hz")
    least = FRAME + (FRAMES - 1) * HOP
    if signals[0].size < least:
        return Score(math.nan, f"too short: {signals[0].size} samples, at least {least} needed")
    if not all(np.isfinite(each).all() for each in signals):
        return Score(math.nan, "NaN or infinite samples")
    if not signals[2].any():
        return Score(math.nan, SILENT_ESTIMATE)
    # at one level, so that squares of the power of any recording stay far from the smallest numbers
    level = float(np.sqrt(np.mean(signals[1] ** 2))) or 1.0
    ratio = log_kurtosis_ratio(*(each / level for each in signals))
    if math.isnan(ratio):
        return Score(math.nan, "nowhere is the noise alone: the noisy signal is clean, or speech is everywhere")
    return Score(1.0 - math.exp(-STEEPNESS * max(0.0, ratio)))


def log_kurtosis_ratio(reference: F64, noisy: F64, estimate: F64) -> float:
    """Mean over all points that are noise alone of ln(kurtosis after / before) times the amplitude that is left.

    Kurtosis is E[p^2] / E[p]^2 of the power p in a neighbourhood, 2 for Gaussian noise. NaN without such points.
    """
    speech, before, after = (_power(each) for each in (reference, noisy, estimate))
    noise_alone = _around(speech) < SPEECH_BELOW_NOISE * _around(before)
    share = _around(noise_alone.astype(np.float64))
    judged = noise_alone & (share > 0.5)
    if np.mean(judged) < LEAST_SHARE:
        return math.nan
    level_before, level_after, level_speech = (_around(p * noise_alone) / share for p in (before, after, speech))
    left = level_after / level_before
    heard = judged & (left > INAUDIBLE) & (level_after > NOISE_ABOVE_SPEECH * level_speech)
    spikes_before = _around(before**2 * noise_alone)[heard] / (share * level_before**2)[heard]
    spikes_after = _around(after**2 * noise_alone)[heard] / (share * level_after**2)[heard]
    # amplification is a gain and no artifact: what is left counts for no more than all of it
    weight = np.minimum(1.0, np.sqrt(left[heard]))
    return float(np.sum(weight * np.log(spikes_after / spikes_before)) / np.count_nonzero(judged))


def _power(signal: F64) -> F64:
    """(frames, bins) of Hann-windowed frames."""
    window = np.hanning(FRAME + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * window, axis=1)[:, LOWEST_BIN:]
    power: F64 = spectrum.real**2 + spectrum.imag**2
    return power


def _around(values: F64) -> F64:
    """Mean over the neighbourhood of each point, the edges repeated; never exactly zero, for quotients."""
    from scipy.ndimage import uniform_filter

    mean: F64 = np.maximum(uniform_filter(values, (FRAMES, BINS), mode="nearest"), 1e-30)
    return mean
