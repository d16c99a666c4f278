"""Check the live SNR estimate against known mixtures from -5 to 20 dB.

For every mixture the truth is known at every moment: at the input from the components themselves, at the output
from the components filtered by the very weights and gains of the run (edge.quality.shadow). The reading that
telemetry would give each second is compared with the truth over the same memory of a few seconds ("live"), and the
median reading of a run with the mixture's SNR as a whole ("whole").

Usage: python -m benchmarks.snr_estimate [--mixtures 13] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.mixtures import Mixture, add_data_argument, mono_mixtures, room_mixtures, skip_without
from edge.boards import load_board
from edge.config.load import config_from_dict
from edge.errors import EdgeError
from edge.geometry import ArrayGeometry
from edge.pipeline import build_pipeline
from edge.quality.shadow import run_with_components
from edge.snr import TIME_CONSTANT_S

BOARD = "respeaker_4mic_square"
SNRS_DB = (-5, 0, 5, 10, 15, 20)
SETTLE_S = 3.0
"""readings before this are left out: the estimate has no memory yet"""
TRUTH_LIMITS_DB = (-15.0, 40.0)
"""live truth outside is taken at the limit: in a long pause it goes to minus infinity"""


@dataclass
class Errors:
    """Estimate minus truth, in dB."""

    live: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    missing: int = 0

    def summary(self) -> dict[str, Any]:
        def three(values: list[float]) -> dict[str, float | None]:
            if not values:
                return {"mean_abs_db": None, "bias_db": None, "p90_abs_db": None}
            e = np.asarray(values)
            return {
                "mean_abs_db": round(float(np.mean(np.abs(e))), 2),
                "bias_db": round(float(np.mean(e)), 2),
                "p90_abs_db": round(float(np.percentile(np.abs(e), 90)), 2),
            }

        return {
            "readings": len(self.live),
            "missing": self.missing,
            "live": three(self.live),
            "whole": three(self.whole),
        }


def _power_memory(signal: NDArray[np.floating], hop: int, keep: float) -> NDArray[np.float64]:
    """Power of each hop, averaged with exponential memory; (hops,)."""
    from scipy.signal import lfilter

    hops = signal.size // hop
    power = np.mean(signal[: hops * hop].astype(np.float64).reshape(hops, hop) ** 2, axis=1)
    return lfilter([1.0 - keep], [1.0, -keep], power)


def _ratio_db(speech: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(10.0 * np.log10((speech + 1e-15) / (noise + 1e-15)), *TRUTH_LIMITS_DB)


def measure(mixture: Mixture, snr_db: float, mask: str) -> dict[str, Errors]:
    """Errors of one run, for 'input' and 'output'."""
    speech, noise = mixture.at_snr(snr_db)
    mics = speech.shape[1]
    table: dict[str, Any] = {
        "mask": {"kind": mask},
        "input": {"kind": "file", "path": "mixture.wav"},
        "output": {"kind": "null"},
        "beamformer": {
            "steering": "fixed",
            "azimuth_deg": mixture.azimuth_deg,
            "elevation_deg": mixture.elevation_deg,
        },
    }
    if mics > 1:
        table["array"] = {"board": BOARD}
    config = config_from_dict(table)
    pipeline = build_pipeline(config)
    hop = pipeline.hop_samples
    hops_per_s = pipeline.rate_hz / hop
    readings: list[tuple[int, float | None, float | None]] = []

    def read(i: int) -> None:
        if (i + 1) % round(hops_per_s) == 0 and (i + 1) / hops_per_s > SETTLE_S:
            readings.append((i, pipeline.snr.input_db, pipeline.snr.output_db))

    result = run_with_components(pipeline, {"speech": speech, "noise": noise}, read)
    keep = math.exp(-1.0 / (hops_per_s * TIME_CONSTANT_S))
    components = {
        "input": (speech[:, 0], noise[:, 0]),
        "output": (result.listen["speech"], result.listen["noise"]),
    }
    errors = {}
    for column, (side, (s, n)) in enumerate(components.items(), start=1):
        truth = _ratio_db(_power_memory(s, hop, keep), _power_memory(n, hop, keep))
        whole = 10.0 * math.log10(float(np.mean(s.astype(np.float64) ** 2) / np.mean(n.astype(np.float64) ** 2)))
        found = [(r[0], r[column]) for r in readings if r[0] < truth.size]
        known = [(i, value) for i, value in found if value is not None]
        errors[side] = Errors(
            live=[value - truth[i] for i, value in known],
            whole=[float(np.median([value for _, value in known])) - whole] if known else [],
            missing=len(found) - len(known),
        )
    return errors


def scenes(data: Path, count: int, duration_s: float, seed: int) -> Iterator[tuple[str, list[Mixture]]]:
    yield "mono", list(mono_mixtures(data, count, duration_s, seed))
    try:
        import pyroomacoustics  # noqa: F401
    except ImportError:
        print("4 microphones left out: pyroomacoustics is not installed (pip install 'mic-edge[development]')")
        return
    geometry = ArrayGeometry(load_board(BOARD).positions_m)
    yield "4 microphones, MVDR", list(room_mixtures(data, geometry, count, duration_s, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--mask", nargs="+", default=["network"], help="estimators to check")
    parser.add_argument("--mixtures", type=int, default=13, help="talker and noise pairs (default: %(default)s)")
    parser.add_argument("--duration", type=float, default=12.0, help="seconds per mixture (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    skip_without(args.data)

    report: dict[str, Any] = {
        "what": "estimated minus true SNR in dB, evaluation talkers and noises",
        "memory_s": TIME_CONSTANT_S,
        "mixtures": args.mixtures,
        "duration_s": args.duration,
        "results": {},
    }
    for scene, mixtures in scenes(args.data, args.mixtures, args.duration, args.seed):
        for mask in args.mask:
            by_snr: dict[int, dict[str, Errors]] = {}
            try:
                with tqdm(
                    total=len(SNRS_DB) * len(mixtures), desc=f"{scene}, {mask}", leave=False, disable=None
                ) as bar:
                    for snr_db in SNRS_DB:
                        pooled = by_snr[snr_db] = {"input": Errors(), "output": Errors()}
                        for mixture in mixtures:
                            for side, errors in measure(mixture, snr_db, mask).items():
                                pooled[side].live += errors.live
                                pooled[side].whole += errors.whole
                                pooled[side].missing += errors.missing
                            bar.update()
            except EdgeError as error:
                print(f"{scene}, {mask}: left out, {error}")
                continue
            report["results"][f"{scene}, {mask}"] = _tell(f"{scene}, {mask}", by_snr)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {args.json}")


def _tell(title: str, by_snr: dict[int, dict[str, Errors]]) -> dict[str, Any]:
    """Print one table and give it back for JSON."""
    table: dict[str, Any] = {}
    print(f"\n{title}\n        input: mean |error|, bias        output: mean |error|, bias     (dB)")
    print("   SNR     live            whole           live            whole")
    for snr_db, sides in by_snr.items():
        row = {side: errors.summary() for side, errors in sides.items()}
        cells = [row[side][kind] for side in ("input", "output") for kind in ("live", "whole")]
        text = "   ".join(f"{_number(c['mean_abs_db'])} {_number(c['bias_db'])}" for c in cells)
        missing = sum(errors.missing for errors in sides.values())
        print(f"{snr_db:6d}  {text}" + (f"   ({missing} readings missing)" if missing else ""))
        table[str(snr_db)] = row
    for side in ("input", "output"):
        pooled = Errors(
            live=[e for sides in by_snr.values() for e in sides[side].live],
            whole=[e for sides in by_snr.values() for e in sides[side].whole],
            missing=sum(sides[side].missing for sides in by_snr.values()),
        )
        table[f"all_{side}"] = pooled.summary()
        print(
            f"   all {side}: mean |error| live {pooled.summary()['live']['mean_abs_db']} dB, "
            f"whole {pooled.summary()['whole']['mean_abs_db']} dB"
        )
    return table


def _number(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.2f}"


if __name__ == "__main__":
    main()
