"""Every number there is about an enhanced signal, in one call: a value each, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.quality import metrics
from edge.quality.alignment import MIN_CORRELATION, Alignment, align, find_lag
from edge.quality.artifacts import artifact_score
from edge.quality.metrics import RATE_HZ, Score
from edge.quality.signal import clipping_percent, dynamic_range_db
from edge.quality.spectral import spectral_distortion_db
from edge.quality.srmr import srmr

F64 = NDArray[np.float64]

PAIRED: dict[str, Callable[[F64, F64], Score]] = {
    "snr_db": metrics.snr_db,
    "segmental_snr_db": metrics.segmental_snr_db,
    "si_sdr_db": metrics.si_sdr_db,
    "pesq_wb": metrics.pesq_wb,
    "stoi": metrics.stoi,
    "estoi": metrics.estoi,
    "spectral_distortion_db": spectral_distortion_db,
}
"""of an aligned reference and estimate"""

ALONE: dict[str, Callable[[F64], Score]] = {
    "srmr": srmr,
    "dynamic_range_db": dynamic_range_db,
}
"""of the estimate alone"""

DNSMOS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
METRICS: tuple[str, ...] = (*PAIRED, "artifacts", *DNSMOS, *ALONE, "clipping_percent")

MAX_LAG_S = 0.5
"""by which an estimate may be late or early, and how much of the reference it may lack"""
FAR_CORRELATION, FAR_BETTER = 0.3, 1.5
"""a lag beyond that is told from chance where the correlation there is so high, and so much higher than any within"""


def evaluate(
    reference: ArrayLike | None,
    estimate: ArrayLike,
    rate_hz: int = RATE_HZ,
    noisy: ArrayLike | None = None,
    wanted: Sequence[str] = METRICS,
    max_lag_s: float = MAX_LAG_S,
) -> dict[str, Score]:
    """The metrics `wanted` of an estimate, by name, in their order.

    reference: clean speech, or None for what needs none. noisy: what the estimate was made of, for the artifact score.
    All float, full scale 1.0, (samples,) or (samples, channels), at rate_hz. Channels are mixed down and another rate
    is resampled to 16 kHz, clipping is counted before that. The estimate is aligned with the reference first (it may
    be late or early by max_lag_s, lack as much of the reference, and be longer), the noisy signal too. A metric that
    cannot be taken is NaN with the reason and never raises; anything else than sound does: ValueError for an unknown
    metric or a wrong shape.
    """
    unknown = [name for name in wanted if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; expected some of {', '.join(METRICS)}")
    raw = np.asarray(estimate, np.float64)
    clipping = clipping_percent(raw.ravel())
    e = _prepared(raw, rate_hz, "estimate")
    r = None if reference is None else _prepared(np.asarray(reference, np.float64), rate_hz, "reference")
    n = None if noisy is None else _prepared(np.asarray(noisy, np.float64), rate_hz, "noisy")
    found: dict[str, Score] = {}
    pair, why_not = (None, "there is no reference") if r is None else _aligned(r, e, max_lag_s)
    mos = metrics.dnsmos(e) if set(DNSMOS) & set(wanted) else None
    for name in wanted:
        if name in PAIRED:
            found[name] = _none(why_not) if pair is None else _taken(PAIRED[name], *pair)
        elif name == "artifacts":
            found[name] = _artifacts(r, n, e, max_lag_s) if r is None or pair is not None else _none(why_not)
        elif name in ALONE:
            found[name] = _taken(ALONE[name], e)
        elif name == "clipping_percent":
            found[name] = clipping
        else:
            assert mos is not None
            found[name] = {"dnsmos_sig": mos.sig, "dnsmos_bak": mos.bak, "dnsmos_ovr": mos.ovrl}[name]
    return found


def _none(reason: str) -> Score:
    return Score(math.nan, reason)


def _taken(metric: Callable[..., Score], *signals: F64) -> Score:
    """A metric's score; what a library raises on strange sound is a reason."""
    try:
        score = metric(*signals)
    except Exception as error:
        return _none(f"{type(error).__name__}: {error}")
    return score if score.ok or score.reason else _none(f"it is {score.value}")


def _prepared(signal: F64, rate_hz: int, name: str) -> F64:
    """(samples,) at 16 kHz."""
    if signal.ndim == 2:
        signal = signal.mean(axis=1) if signal.shape[1] else signal[:, :0].ravel()
    if signal.ndim != 1:
        raise ValueError(f"{name} must be (samples,) or (samples, channels), got {signal.shape}")
    if rate_hz == RATE_HZ or not signal.size or not np.isfinite(signal).all():
        return signal
    import soxr

    resampled: F64 = soxr.resample(signal, rate_hz, RATE_HZ)
    return resampled


def _aligned(reference: F64, estimate: F64, max_lag_s: float) -> tuple[tuple[F64, F64] | None, str]:
    """Both over what they share once the lag is out; or None, and why what they share says nothing of the whole."""
    shared = min(reference.size, estimate.size)
    if not (shared and np.isfinite(reference).all() and np.isfinite(estimate).all()):
        return (reference[:shared], estimate[:shared]), ""
    most = round(max_lag_s * RATE_HZ)
    r, e, found = align(reference, estimate, most)
    if why := _misplaced(reference, estimate, found, max_lag_s):
        return None, why
    if reference.size - r.size > most:
        return None, (
            f"the estimate has {r.size / RATE_HZ:.2f} s of the {reference.size / RATE_HZ:.2f} s of the reference, it "
            f"may lack {max_lag_s:g} s"
        )
    return (r, e), ""


def _misplaced(reference: F64, estimate: F64, found: Alignment, max_lag_s: float) -> str:
    """That the estimate is there, but later or earlier than may be taken out: every number would be of two signals
    that have nothing to do with each other.
    """
    if found.correlation > 1.0 / FAR_BETTER:
        return ""
    far = find_lag(reference, estimate, max(reference.size, estimate.size))
    if far.correlation < max(FAR_CORRELATION, FAR_BETTER * found.correlation):
        return ""
    side = "late" if far.lag_samples > 0 else "early"
    return f"the estimate is {abs(far.lag_samples) / RATE_HZ:.2f} s {side}, at most {max_lag_s:g} s are taken out"


def _artifacts(reference: F64 | None, noisy: F64 | None, estimate: F64, max_lag_s: float) -> Score:
    """The artifact score over what the three have in common once both lags are taken out."""
    if reference is None or noisy is None:
        return _none("the artifact score needs the clean and the noisy signal")
    signals = [(reference, 0)]
    for signal in (noisy, estimate):
        if not (signal.size and np.isfinite(signal).all() and np.isfinite(reference).all()):
            return _none("too short: 0 samples" if not signal.size else "NaN or infinite samples")
        found = find_lag(reference, signal, round(max_lag_s * RATE_HZ))
        if why := _misplaced(reference, signal, found, max_lag_s):
            return _none(why if signal is estimate else why.replace("the estimate", "the noisy signal"))
        signals.append((signal, found.lag_samples if found.correlation >= MIN_CORRELATION else 0))
    first = max(0, *(-lag for _, lag in signals))
    last = max(first, min(signal.size - lag for signal, lag in signals))
    return _taken(artifact_score, *(signal[first + lag : last + lag] for signal, lag in signals))
