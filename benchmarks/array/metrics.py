"""What a beamformer's output is worth in a scene whose parts are known. Everything is taken after the lead-in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.array.angles import azimuth_error_deg
from benchmarks.array.scenes import Scene
from edge.quality import metrics

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NAMES = ("snr_db", "pesq_wb", "estoi", "si_sdr_early_db", "si_sdr_direct_db")
"""keys of `score`, in the order of the tables"""


@dataclass(frozen=True)
class Beamformed:
    """Output of one system and what of it is speech and noise, each (samples,), aligned with the scene.

    speech and noise come from shadow filtering: the weights found from the mixture, applied to each part alone
    (edge/quality/shadow.py says more).
    """

    output: F32
    speech: F32
    noise: F32


def score(scene: Scene, made: Beamformed) -> dict[str, float]:
    """The NAMES: true output SNR, PESQ-WB and ESTOI against the early image, SI-SDR against that and the direct path.

    NaN where a metric is not defined (a silent output).
    """
    spoken = slice(scene.lead_samples, None)
    output, early, direct = made.output[spoken], scene.early[spoken], scene.direct[spoken]
    return {
        "snr_db": float(metrics.power_ratio_db(made.speech[spoken], made.noise[spoken])),
        "pesq_wb": float(metrics.pesq_wb(early, output)),
        "estoi": float(metrics.estoi(early, output)),
        "si_sdr_early_db": float(metrics.si_sdr_db(early, output)),
        "si_sdr_direct_db": float(metrics.si_sdr_db(direct, output)),
    }


def speaking(scene: Scene, hop_samples: int, hops: int) -> NDArray[np.bool_]:
    """(hops,) whether the direct sound in that hop is within 25 dB of its loudest: a look at the truth."""
    power = np.zeros(hops)
    whole = min(hops, scene.direct.size // hop_samples)
    power[:whole] = np.mean(
        scene.direct[: whole * hop_samples].astype(np.float64).reshape(whole, hop_samples) ** 2, axis=1
    )
    return power > power.max() * 10.0**-2.5


def direction_scores(scene: Scene, azimuth_deg: F64, hop_samples: int) -> dict[str, float]:
    """Errors of a direction track azimuth_deg (hops,), NaN where unknown, after the first second of speech.

    median and p90 of the absolute error in degrees while the talker speaks, share of that time with an estimate.
    """
    hops = azimuth_deg.size
    spoken = speaking(scene, hop_samples, hops)
    rate_hz = scene.lead_samples / scene.spec.lead_s
    begun = np.cumsum(spoken) * hop_samples >= rate_hz
    chosen = spoken & begun
    known = chosen & np.isfinite(azimuth_deg)
    true = np.array([scene.direction_at((i + 1) * hop_samples - 1)[0] for i in range(hops)])
    if not known.any():
        return {"median_deg": float("nan"), "p90_deg": float("nan"), "known": 0.0}
    error = azimuth_error_deg(scene.geometry, true[known], azimuth_deg[known], scene.elevation_deg)
    return {
        "median_deg": float(np.median(error)),
        "p90_deg": float(np.percentile(error, 90)),
        "known": float(known.sum() / max(int(chosen.sum()), 1)),
    }
