"""What the demo achieved, measured after the live run from its own output file."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.config.schema import Config
from edge.demo.bundled import Scene
from edge.demo.session import LiveResult
from edge.pipeline import build_pipeline
from edge.quality import metrics
from edge.quality.alignment import find_lag
from edge.quality.metrics import Score
from edge.quality.shadow import ShadowResult, run_with_components

F32 = NDArray[np.float32]

METRICS = ("snr_db", "pesq_wb", "estoi", "si_sdr_db", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl")
SIGNALS = ("noisy", "listen", "asr")
_SIGNAL_NAMES = {"noisy": "the noisy microphone", "listen": "listen", "asr": "asr"}
_NAMES = {
    "snr_db": "SNR, dB (true)",
    "pesq_wb": "PESQ-WB",
    "estoi": "ESTOI",
    "si_sdr_db": "SI-SDR, dB",
    "dnsmos_sig": "DNSMOS speech",
    "dnsmos_bak": "DNSMOS background",
    "dnsmos_ovrl": "DNSMOS overall",
}


@dataclass(frozen=True)
class Report:
    """Everything that the picture, the table and summary.json are made from."""

    summary: dict[str, Any]
    noisy: F32
    listen: F32
    asr: F32
    """float32 (samples,), compensated for the stream delay, over at most one pass of the scene"""
    weights: NDArray[np.complex64]
    """beamformer weights in use at the end, complex64 (mics, bins)"""


def make_report(
    scene: Scene, config: Config, live: LiveResult, out_wav: Path, tell: Callable[[str], None] = lambda step: None
) -> Report:
    """Measure out.wav against the scene, at most over its first pass, and follow speech and noise through the chain.

    The live run is repeated offline by shadow filtering (edge.quality.shadow): that gives the true SNR of the outputs,
    and whether the live output was what the pipeline gives offline. `tell` hears of each step as it begins.
    """
    out = soundfile.read(out_wav, dtype="float32", always_2d=True)[0]
    pipeline = build_pipeline(config)
    delay = pipeline.latency_samples
    n = max(min(round(live.summary.seconds * scene.rate_hz), scene.samples, len(out) - delay), 0)
    parts = {"speech": scene.speech[:n], "noise": scene.noise[:n]}
    tell("measuring what came out, about 20 s for the whole scene: the true SNR")
    shadow = run_with_components(pipeline, parts)
    live_out = out[delay : delay + n]
    noisy = (parts["speech"] + parts["noise"])[:, 0]
    signals = {"noisy": noisy, "listen": live_out[:, 0], "asr": live_out[:, 1]}
    reference = scene.reference[:n]
    scores = {}
    for name in SIGNALS:
        tell(f"measuring PESQ, ESTOI, SI-SDR and DNSMOS of {_SIGNAL_NAMES[name]}")
        scores[name] = _scores(name, scene, reference, signals[name], shadow, parts)
    difference = float(np.max(np.abs(live_out - shadow.output), initial=0.0))
    summary = {
        "seconds": round(live.summary.seconds, 2),
        "ended": live.summary.reason,
        "measured_s": round(n / scene.rate_hz, 2),
        "profile": config.profile,
        "beamformer": config.beamformer.kind,
        "mask": config.mask.kind,
        "board": config.array.board,
        "microphones": len(config.array.positions_m),
        "scores": {name: {metric: score.as_json() for metric, score in row.items()} for name, row in scores.items()},
        "gain": {
            metric: _difference(scores["listen"][metric], scores["noisy"][metric])
            for metric in ("snr_db", "pesq_wb", "estoi", "si_sdr_db", "dnsmos_ovrl")
        },
        "why_missing": _reasons(scores),
        "snr_method": (
            "speech and noise of the scene filtered apart by the weights and gains that the mixture produced "
            "(shadow filtering), power ratio over the sentences, limiter left out"
        ),
        "reference": scene.facts["reference"],
        "snr_estimate_db": {"in": live.summary.snr_in_db, "out": live.summary.snr_out_db},
        "latency_ms": _latency_ms(scene, live, out, n),
        "live_equals_offline": difference <= 1.0 / 32768,
        "live_offline_difference": difference,
        "telemetry_messages": len(live.telemetry),
        "broker": live.broker,
        "runtime": live.summary.as_dict(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }
    return Report(summary, noisy, signals["listen"], signals["asr"], pipeline.weights)


def _scores(
    name: str, scene: Scene, reference: F32, signal: F32, shadow: ShadowResult, parts: dict[str, F32]
) -> dict[str, Score]:
    active = scene.active[: len(signal)]
    speech, noise = {
        "noisy": (parts["speech"][:, 0], parts["noise"][:, 0]),
        "listen": (shadow.listen["speech"], shadow.listen["noise"]),
        "asr": (shadow.asr["speech"], shadow.asr["noise"]),
    }[name]
    mos = metrics.dnsmos(signal)
    return {
        "snr_db": metrics.power_ratio_db(speech, noise, active),
        "pesq_wb": metrics.pesq_wb(reference, signal),
        "estoi": metrics.estoi(reference, signal),
        "si_sdr_db": metrics.si_sdr_db(reference, signal),
        "dnsmos_sig": mos.sig,
        "dnsmos_bak": mos.bak,
        "dnsmos_ovrl": mos.ovrl,
    }


def _difference(after: Score, before: Score) -> float | None:
    return round(after.value - before.value, 4) if after.ok and before.ok else None


def _reasons(scores: dict[str, dict[str, Score]]) -> dict[str, str]:
    return {
        f"{name}.{metric}": score.reason
        for name, row in scores.items()
        for metric, score in row.items()
        if not score.ok
    }


def _latency_ms(scene: Scene, live: LiveResult, out: F32, n: int) -> dict[str, float | None]:
    """The budget of the runtime, and the delay found between the speech in the scene and in the file."""
    found = find_lag(scene.reference[:n], out[: n + 1024, 1], 1024) if n else None
    hop_ms = live.summary.deadline_ms
    stream_ms = 1000.0 * found.lag_samples / scene.rate_hz if found and found.correlation > 0.1 else None
    return {
        "algorithmic": 2.0 * hop_ms,
        "measured": None if stream_ms is None else round(stream_ms + hop_ms, 3),
        "processing_p99": live.summary.hop_ms.p99,
        "budget_total": live.summary.latency_ms.get("total"),
    }


def as_text(summary: dict[str, Any]) -> str:
    """The summary table for people."""
    scores, latency, run = summary["scores"], summary["latency_ms"], summary["runtime"]
    lines = [
        f"{summary['seconds']:.1f} s on {summary['microphones']} microphones: {summary['profile']} profile, "
        f"{summary['beamformer']}, {summary['mask']} ({summary['ended']})",
        "",
        f"{'':<20}{'noisy mic':>11}{'listen':>11}{'asr':>11}{'gain (listen)':>15}",
    ]
    for metric in METRICS:
        cells = "".join(_cell(scores[name][metric], 11) for name in SIGNALS)
        noisy, listen = scores["noisy"][metric], scores["listen"][metric]
        gain = f"{listen - noisy:+15.2f}" if noisy is not None and listen is not None else ""
        lines.append(f"{_NAMES[metric]:<20}{cells}{gain}")
    lines += ["", *(f"  - {what}: {why}" for what, why in _grouped(summary["why_missing"]).items())]
    hop = run["hop_ms"]
    estimate = summary["snr_estimate_db"]
    lines += [
        f"latency             algorithmic {latency['algorithmic']:g} ms, measured in the sound "
        f"{_plain(latency['measured'])} ms, budget {_plain(latency['budget_total'])} ms",
        f"time per hop        p50 {hop['p50']:.3f}, p99 {hop['p99']:.3f}, max {hop['max']:.3f} ms of "
        f"{run['deadline_ms']:g} ms; {run['deadline_misses']} of {run['hops']} late",
        f"overruns            {run['overruns']}, underruns {run['underruns']}, mode {run['mode']}",
        f"SNR in telemetry    {_plain(estimate['in'])} dB in, {_plain(estimate['out'])} dB out (estimates at the end)",
        f"MQTT                {summary['telemetry_messages']} telemetry messages received, broker {summary['broker']}",
        f"live = offline      {'yes, to the last bit of 16' if summary['live_equals_offline'] else 'no'}",
    ]
    return "\n".join(line for i, line in enumerate(lines) if line or i == 0 or lines[i - 1])


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _grouped(reasons: dict[str, str]) -> dict[str, str]:
    """The same reason for several metrics on one line."""
    grouped: dict[str, list[str]] = {}
    for what, why in reasons.items():
        grouped.setdefault(why, []).append(what)
    return {", ".join(names): why for why, names in grouped.items()}
