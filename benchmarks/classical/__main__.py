"""Wiener filters and spectral subtraction, streaming and offline, beside those that anybody can install and networks.

60 mixtures of held-out speech and noise on one microphone at 0, 5 and 10 dB, half a second of noise before the speech
(benchmarks.quality.corpus): PESQ-WB, ESTOI, SI-SDR, and the artifact score (edge.quality.artifacts). Peers: `logmmse`
(learns the noise from the first six frames, then by a detector of speech) and pyroomacoustics' spectral subtraction and
iterative Wiener filter, each with its own defaults; what they return is aligned. The iterative Wiener filter tells
speech by a fixed level, so it gets each mixture at full scale as well. Scores are kept by content (--cache), so that a
run that was cut off goes on, and a second one takes only the time of the enhancers themselves.

Usage: python -m benchmarks.classical [--limit N] [--only SYSTEM...] [--tuning FOLDER]
pip install logmmse pyroomacoustics brings the peers; those that are not installed are left out.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.classical import picture, report
from benchmarks.classical.peers import PEERS
from benchmarks.classical.tuning import held_out_mixtures
from benchmarks.mixtures import add_data_argument, skip_without
from benchmarks.quality.cache import ScoreCache, default_cache, digest
from benchmarks.quality.corpus import RATE_HZ, mixtures
from edge.enhancers import OfflineEnhancer, make_enhancer
from edge.errors import AudioFileError, ModelError
from edge.quality import metrics
from edge.quality.alignment import align
from edge.quality.artifacts import artifact_score
from edge.store import file_digest

F32 = NDArray[np.float32]
Row = dict[str, Any]

SNRS_DB = (0.0, 5.0, 10.0)
LEAD_S = 0.5
MAX_LAG_SAMPLES = 1024
TOLD = tuple(f"{name}, told {LEAD_S:g} s" for name in report.TRACKED)
REVISION = "2"
"""of how peers are run"""


@functools.cache
def scored_by() -> str:
    """Digest of what makes scores of sounds: this project's metrics, and the packages below them."""
    sources = sorted(Path(metrics.__file__).parent.glob("*.py"))
    packages = (f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pesq", "pystoi", "scipy"))
    return digest(*(file_digest(path) for path in sources), *packages)


def scored(reference: F32, noisy: F32, estimate: F32) -> dict[str, float | None]:
    """Every metric of the tables, of an aligned estimate."""
    found = {
        "pesq_wb": metrics.pesq_wb(reference, estimate),
        "estoi": metrics.estoi(reference, estimate),
        "si_sdr_db": metrics.si_sdr_db(reference, estimate),
        "artifacts": artifact_score(reference, noisy, estimate),
    }
    return {name: score.as_json() for name, score in found.items()}


def score_peer(name: str, reference: F32, noisy: F32, cache: ScoreCache) -> dict[str, float | None]:
    package, run = PEERS[name]
    key = digest("classical", REVISION, scored_by(), name, importlib.metadata.version(package), reference, noisy)
    known = cache.load(key)
    if not known:
        # in terms of the noisy signal, which it is most like
        heard, made, found = align(noisy, run(noisy), MAX_LAG_SAMPLES)
        lead = -min(0, found.lag_samples)
        known = scored(reference[lead : lead + made.size], heard.astype(np.float32), made.astype(np.float32))
        cache.add(key, known)
    return known


def score_ours(made: F32, reference: F32, noisy: F32, cache: ScoreCache) -> dict[str, float | None]:
    key = digest("classical output", scored_by(), reference, noisy, made)
    known = cache.load(key)
    if not known:
        known = scored(reference, noisy, made)
        cache.add(key, known)
    return known


def ours(system: str) -> OfflineEnhancer:
    """One of this project's own by the name in the table."""
    name, _, told = system.partition(",")
    return make_enhancer(name, noise_from_s=(0.0, LEAD_S) if told else None)


def installed(systems: Sequence[str]) -> list[str]:
    """Those of `systems` that can run here; of each that cannot one line on standard error."""
    found = []
    for name in systems:
        try:
            if name in PEERS:
                importlib.metadata.version(PEERS[name][0])
            elif name in report.NETWORKS:
                make_enhancer(name)
            found.append(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is left out: pip install {PEERS[name][0]}", file=sys.stderr)
        except ModelError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def measured(items: Sequence[tuple[float, F32, F32]], systems: Sequence[str], cache: ScoreCache) -> list[Row]:
    """One row per mixture (SNR in dB, speech, noisy) and system, the noisy and the clean signal among them."""
    enhancers = {name: ours(name) for name in systems if name not in PEERS}
    rows: list[Row] = []
    for snr_db, speech, noisy in tqdm(items, unit="mixture", disable=None):
        found = {"noisy": score_ours(noisy, speech, noisy, cache), "clean": score_ours(speech, speech, noisy, cache)}
        for name in systems:
            try:
                found[name] = (
                    score_peer(name, speech, noisy, cache)
                    if name in PEERS
                    else score_ours(enhancers[name].enhance(noisy, RATE_HZ), speech, noisy, cache)
                )
            except AudioFileError:  # told a stretch that is digital silence
                found[name] = dict.fromkeys(found["noisy"])
        rows += [{"snr_db": snr_db, "system": name, **values} for name, values in found.items()]
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="mixtures (default 60)")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="these systems alone; nothing is kept")
    parser.add_argument(
        "--tuning", type=Path, metavar="FOLDER", help="held-out part of training data instead; nothing is kept"
    )
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER", help="of scores")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="of decoded training data (default: as --cache)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results", metavar="FOLDER")
    args = parser.parse_args(argv)
    known = (*report.TRACKED, *TOLD, *report.NETWORKS, *PEERS)
    if unknown := [name for name in args.only or () if name not in known]:
        parser.error(f"--only {unknown[0]!r} is not known; expected of {', '.join(map(repr, known))}")
    if args.tuning:
        items = list(held_out_mixtures(args.tuning, args.corpus or args.cache, args.limit))
    else:
        skip_without(args.data)
        items = [(m.snr_db, m.speech, m.noisy) for m in mixtures(args.data, SNRS_DB, args.limit)]
    systems = installed([name for name in known if not args.only or name in args.only])
    rows = measured(items, systems, ScoreCache(args.cache))
    page = report.page(rows)
    print(page)
    if not args.only and not args.tuning:
        title = f"# Wiener filters, spectral subtraction and networks\n\n{len(items)} mixtures of evaluation data."
        drawn = picture.draw(args.out / "classical.png", report.means(rows))
        shown = "\n\n![PESQ, ESTOI, SI-SDR and artifact score per system](classical.png)" if drawn else ""
        (args.out / "classical.md").write_text(f"{title}{shown}\n\n{page}\n")
        document = {"summary": report.means(rows), "rows": rows}
        (args.out / "classical.json").write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
