"""Run the pipeline on real array recordings: SNR estimates and DNSMOS before and after.

Nothing is known of the truth here, so the numbers are the pipeline's own SNR estimate and DNSMOS P.835, a network's
guess at what listeners would say. DNSMOS depends on level: before and after are both brought to -26 dBFS for it.

- ami: eight microphones on a 20 cm circle on a meeting table. The pipeline has to find the talker by itself.
- hearing aids: four microphones on a dummy head, which is no free field: steering delays would be wrong, so no
  beamformer, the first microphone alone, in both profiles.

Usage: python -m benchmarks.real_arrays [--data FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.mixtures import add_data_argument, skip_without
from edge.config.load import config_from_dict
from edge.kinds import BEAMFORMER_KINDS
from edge.offline import Enhancer
from edge.quality import metrics

F32 = NDArray[np.float32]

AMI = "ami_wsj20_array1_T10c0201_8ch.flac"
HEAD = "openmha_localizer_4ch.flac"


def circle_m(mics: int, radius_m: float) -> NDArray[np.float64]:
    """Positions (mics, 3) counter-clockwise on a circle; the first microphone is forward."""
    angle = 2.0 * np.pi * np.arange(mics) / mics
    return np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle), np.zeros(mics)], axis=1)


def _dnsmos(signal: NDArray[np.floating], rate_hz: int) -> dict[str, float | None]:
    level = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
    scores = metrics.dnsmos(signal * (10 ** (-26 / 20) / max(level, 1e-9)), rate_hz)
    return {name: getattr(scores, name).as_json() for name in ("sig", "bak", "ovrl")}


def _run(signals: F32, rate_hz: int, table: dict[str, Any]) -> dict[str, Any]:
    """One pass: estimates of the pipeline and DNSMOS of both outputs."""
    base = {"input": {"kind": "file", "path": "recording.wav"}, "output": {"kind": "null"}}
    enhancer = Enhancer(config_from_dict(base | table), rate_hz)
    out = np.concatenate([enhancer.push(signals), enhancer.flush()])
    report = enhancer.report()
    return {
        "snr_in_db": report["snr_in_db"],
        "snr_out_db": report["snr_out_db"],
        "azimuth_deg": report.get("azimuth_deg"),
        "listen": _dnsmos(out[:, 0], rate_hz),
        "asr": _dnsmos(out[:, 1], rate_hz),
    }


def meeting_room(path: Path) -> dict[str, Any]:
    """The 8-channel circle with every beamformer, told nothing."""
    signals, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    array = {"positions_m": circle_m(signals.shape[1], 0.1).round(5).tolist()}
    return {
        "recording": path.name,
        "seconds": round(len(signals) / rate_hz, 1),
        "direction": "found by the pipeline",
        "before": _dnsmos(signals[:, 0], rate_hz),
        "runs": {
            kind: _run(signals, rate_hz, {"array": array, "beamformer": {"kind": kind}}) for kind in BEAMFORMER_KINDS
        },
    }


def hearing_aids(path: Path) -> dict[str, Any]:
    """The 4-channel dummy head: first microphone and mask, both profiles."""
    signals, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    array = {"positions_m": [[0.0, 0.0, 0.0]], "roles": "M" + "X" * (signals.shape[1] - 1)}
    runs = {
        f"none, {profile}": _run(signals, rate_hz, {"profile": profile, "array": array})
        for profile in ("assistant", "hearing")
    }
    return {
        "recording": path.name,
        "seconds": round(len(signals) / rate_hz, 1),
        "direction": "none: a head between the microphones is no free field, steering delays would be wrong",
        "before": _dnsmos(signals[:, 0], rate_hz),
        "runs": runs,
    }


def _tell(result: dict[str, Any]) -> None:
    print(f"\n{result['recording']}, {result['seconds']} s")
    print(f"({result['direction']})")
    print(f"{'':<36}{'SNR estimate':>15}{'DNSMOS':>24}")
    print(f"{'':<36}{'in':>7}{'out':>8}{'speech':>10}{'backgr.':>9}{'overall':>9}")
    print(f"{'microphone 1':<36}{'':>15}" + _scores(result["before"]))
    for name, run in result["runs"].items():
        estimates = "".join("-".rjust(w) if v is None else f"{v:{w}.1f}" for v, w in _widths(run))
        print(f"{name + ' + network (listen)':<36}" + estimates + _scores(run["listen"]))
        if not name.startswith("none"):
            print(f"{name + ' alone (asr)':<36}{'':>15}" + _scores(run["asr"]))


def _widths(run: dict[str, Any]) -> list[tuple[float | None, int]]:
    return [(run["snr_in_db"], 7), (run["snr_out_db"], 8)]


def _scores(scores: dict[str, float | None]) -> str:
    return "".join(
        "-".rjust(w) if v is None else f"{v:{w}.2f}" for v, w in zip(scores.values(), (10, 9, 9), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    folder = args.data / "real_arrays"
    skip_without(folder, parts=())
    results = {}
    for name, file, measure in (("ami", AMI, meeting_room), ("hearing_aids", HEAD, hearing_aids)):
        if (folder / file).is_file():
            results[name] = measure(folder / file)
            _tell(results[name])
        else:
            print(f"{file} is not in {folder}: left out")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(f"\nwrote {args.json}")


if __name__ == "__main__":
    main()
