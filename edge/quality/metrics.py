"""Speech quality and intelligibility numbers; every one is a Score, NaN with a reason where it is not defined.

The intrusive metrics want both signals aligned: see edge.quality.alignment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATE_HZ = 16000
"""the only rate of the wide-band metrics"""

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A metric's value, or NaN and why there is none."""

    value: float
    reason: str = ""

    def __float__(self) -> float:
        return self.value

    @property
    def ok(self) -> bool:
        return math.isfinite(self.value)

    def as_json(self) -> float | None:
        """The value for JSON, which knows no NaN."""
        return round(self.value, 4) if self.ok else None


def _undefined(reason: str) -> Score:
    return Score(math.nan, reason)


SILENT_ESTIMATE = "the estimate is silent"
"""why metrics that ignore the level have no value"""


def pair(
    reference: ArrayLike, estimate: ArrayLike, min_samples: int, silence_counts: bool = False
) -> tuple[Signal, Signal, str]:
    """Both as float64 (samples,) and the reason why no intrusive metric can be taken of them, or ''.

    silence_counts: the metric has a value where the estimate is digital silence.
    """
    r = np.asarray(reference, dtype=np.float64)
    e = np.asarray(estimate, dtype=np.float64)
    if r.ndim != 1 or r.shape != e.shape:
        raise ValueError(f"reference and estimate must be (samples,) of equal length, got {r.shape} and {e.shape}")
    if r.size < min_samples:
        return r, e, f"too short: {r.size} samples, at least {min_samples} needed"
    if not (np.isfinite(r).all() and np.isfinite(e).all()):
        return r, e, "NaN or infinite samples"
    if not r.any():
        return r, e, "the reference is silent"
    if not e.any() and not silence_counts:
        return r, e, SILENT_ESTIMATE
    return r, e, ""


def _ratio_db(signal_power: float, noise_power: float) -> Score:
    if noise_power <= 0.0:
        return Score(math.inf, "the estimate equals the reference")
    return Score(10.0 * math.log10(signal_power / noise_power)) if signal_power > 0.0 else Score(-math.inf)


def snr_db(reference: ArrayLike, estimate: ArrayLike) -> Score:
    """Signal to error ratio in dB, 10 log10(|s|^2 / |s - e|^2), of two (samples,) of any one level.

    Not scale-invariant: a wrong gain counts as error, and silence in place of speech has 0 dB.
    """
    r, e, reason = pair(reference, estimate, 1, silence_counts=True)
    return _undefined(reason) if reason else _ratio_db(float(np.sum(r**2)), float(np.sum((r - e) ** 2)))


def power_ratio_db(speech: ArrayLike, noise: ArrayLike, active: ArrayLike | None = None) -> Score:
    """Speech to noise power ratio in dB of two separately known components.

    `active` (bool, samples): where speech is present; both powers are then taken there only, so that pauses do not
    count as low SNR.
    """
    s = np.asarray(speech, dtype=np.float64)
    n = np.asarray(noise, dtype=np.float64)
    if active is not None:
        chosen = np.asarray(active, dtype=bool)
        s, n = s[chosen], n[chosen]
    if s.size == 0 or n.size == 0 or not s.any():
        return _undefined("no speech")
    return _ratio_db(float(np.mean(s**2)), float(np.mean(n**2)))


def segmental_snr_db(reference: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Mean over frames of the SNR of two (samples,), clamped to [-10, 35] dB; 30 ms Hann frames at a quarter of that.

    Frames in which the reference is digital silence have no SNR and are left out.

    Hansen and Pellom, "An effective quality evaluation protocol for speech enhancement algorithms", ICSLP 1998.
    """
    frame = int(0.03 * rate_hz)
    r, e, reason = pair(reference, estimate, frame, silence_counts=True)
    if reason:
        return _undefined(reason)
    power = np.hanning(frame + 2)[1:-1] ** 2
    # windows of the squares are views, so that an hour needs no more than its samples
    signal, error = (np.lib.stride_tricks.sliding_window_view(x**2, frame)[:: frame // 4] @ power for x in (r, r - e))
    spoken = signal > 0.0
    with np.errstate(divide="ignore"):  # a frame without error has the upper limit
        ratio_db = 10.0 * np.log10(signal[spoken] / error[spoken])
    return Score(float(np.mean(np.clip(ratio_db, -10.0, 35.0))))


def si_sdr_db(reference: ArrayLike, estimate: ArrayLike) -> Score:
    """Scale-invariant signal-to-distortion ratio in dB of two (samples,), means removed.

    Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019.
    """
    r, e, reason = pair(reference, estimate, 2)
    if reason:
        return _undefined(reason)
    r, e = r - r.mean(), e - e.mean()
    energy = float(np.dot(r, r))
    if energy == 0.0:
        return _undefined("the reference is constant")
    target = (float(np.dot(e, r)) / energy) * r
    found = _ratio_db(float(np.sum(target**2)), float(np.sum((e - target) ** 2)))
    return Score(found.value, f"{found.reason} up to a gain") if found.reason else found


def pesq_wb(reference: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """PESQ MOS-LQO of two (samples,), wide band (ITU-T P.862.2), 1.04 to 4.64. Needs `pesq` (extra: quality)."""
    if rate_hz != RATE_HZ:
        return _undefined(f"wide-band PESQ is defined at 16 kHz, not at {rate_hz} Hz")
    r, e, reason = pair(reference, estimate, rate_hz // 4)
    if reason:
        return _undefined(reason)
    try:
        import pesq
    except ImportError:
        return _undefined("pesq is not installed (pip install 'mic-edge[quality]')")
    try:
        return Score(float(pesq.pesq(rate_hz, r, e, "wb")))
    except pesq.PesqError as error:
        text = error.args[0] if error.args else error
        return _undefined(f"PESQ: {text.decode() if isinstance(text, bytes) else text}")


def _pystoi(reference: ArrayLike, estimate: ArrayLike, rate_hz: int, extended: bool) -> Score:
    # 30 frames of 128 samples at 10 kHz is the least that one intermediate measure needs
    r, e, reason = pair(reference, estimate, math.ceil(0.4 * rate_hz))
    if reason:
        return _undefined(reason)
    try:
        from pystoi import stoi as measure
    except ImportError:
        return _undefined("pystoi is not installed (pip install 'mic-edge[quality]')")
    import warnings

    # the package adds a constant to what it divides by, which very quiet signals would not be above
    r, e = r / np.abs(r).max(), e / np.abs(e).max()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = float(measure(r, e, rate_hz, extended=extended))
    if any("Not enough STFT frames" in str(w.message) for w in caught):
        return _undefined("less than 0.4 s of speech once silent frames are removed")
    return Score(value)


def stoi(reference: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Short-time objective intelligibility of two (samples,), about 0 to 1. Needs `pystoi` (extra: quality).

    Taal, Hendriks, Heusdens and Jensen, IEEE TASLP 19(7), 2011.
    """
    return _pystoi(reference, estimate, rate_hz, extended=False)


def estoi(reference: ArrayLike, estimate: ArrayLike, rate_hz: int = RATE_HZ) -> Score:
    """Extended STOI of two (samples,), for fluctuating noise, about 0 to 1. Jensen and Taal, IEEE/ACM TASLP 24(11),
    2016. Needs `pystoi`.
    """
    return _pystoi(reference, estimate, rate_hz, extended=True)


@dataclass(frozen=True)
class DnsmosScores:
    """P.835 on a 1 to 5 scale: the speech alone, the background alone, the whole."""

    sig: Score
    bak: Score
    ovrl: Score


def dnsmos(signal: ArrayLike, rate_hz: int = RATE_HZ) -> DnsmosScores:
    """DNSMOS P.835 of (samples,), no reference needed; mean over windows of 9.01 s at a pace of 1 s (what is shorter is
    repeated).

    Reddy, Gopal and Cutler, "DNSMOS P.835", ICASSP 2022. The network comes with the optional package `speechmos`
    (extra: quality) and is run here directly, because that package's own code needs librosa.
    Full scale is 1.0; samples beyond it are clipped, as they would be in a file.
    """
    x = np.asarray(signal, dtype=np.float64)
    if rate_hz != RATE_HZ:
        reason = f"DNSMOS is defined at 16 kHz, not at {rate_hz} Hz"
    elif x.ndim != 1 or x.size < RATE_HZ:
        reason = f"too short: {x.size} samples, at least {RATE_HZ} needed"
    elif not np.isfinite(x).all():
        reason = "NaN or infinite samples"
    elif not x.any():
        reason = "the signal is silent"
    else:
        session, reason = _dnsmos_session()
        if session is not None:
            return _dnsmos_windows(session, np.clip(x, -1.0, 1.0).astype(np.float32))
    return DnsmosScores(_undefined(reason), _undefined(reason), _undefined(reason))


_sessions: dict[str, object] = {}


def _dnsmos_session() -> tuple[object | None, str]:
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("speechmos")
    if spec is None or not spec.submodule_search_locations:
        return None, "speechmos is not installed (pip install 'mic-edge[quality]')"
    path = Path(spec.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    if not path.is_file():
        return None, f"this version of speechmos has no {path.name}"
    if str(path) not in _sessions:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        _sessions[str(path)] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return _sessions[str(path)], ""


# From raw network outputs to MOS: the polynomials published with the DNS Challenge's scoring script.
_DNSMOS_FIT = {
    "sig": np.poly1d([-0.08397278, 1.22083953, 0.0052439]),
    "bak": np.poly1d([-0.13166888, 1.60915514, -0.39604546]),
    "ovrl": np.poly1d([-0.06766283, 1.11546468, 0.04602535]),
}


def _dnsmos_windows(session: object, x: NDArray[np.float32]) -> DnsmosScores:
    window = int(9.01 * RATE_HZ)
    while x.size < window:
        x = np.concatenate([x, x])
    # the published script's count of windows, which is one less than would fit for some lengths
    starts = range(0, max(1, x.size // RATE_HZ - 9) * RATE_HZ, RATE_HZ)
    raw = np.array([session.run(None, {"input_1": x[None, s : s + window]})[0][0] for s in starts])  # type: ignore[attr-defined]
    sig, bak, ovrl = (Score(float(np.mean(fit(raw[:, column])))) for column, fit in enumerate(_DNSMOS_FIT.values()))
    return DnsmosScores(sig, bak, ovrl)
