"""Wiener filters and spectral subtraction, streaming and offline, beside those that anybody can install.

60 mixtures of held-out speech and noise on one microphone at 0, 5 and 10 dB, half a second of noise before the speech
(benchmarks.quality.corpus): PESQ-WB, ESTOI, SI-SDR, and the artifact score (edge.quality.artifacts). Peers: `logmmse`
(learns the noise from the first six frames, then by a detector of speech) and pyroomacoustics' spectral subtraction and
iterative Wiener filter, each with its own defaults; what they return is aligned. The iterative Wiener filter tells
speech by a fixed level, so it gets each mixture at full scale as well.

Usage: python -m benchmarks.classical [--limit N] [--only SYSTEM...] [--tuning FOLDER]
pip install logmmse pyroomacoustics brings the peers; those that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.mixtures import add_data_argument, skip_without
from benchmarks.quality.cache import ScoreCache, default_cache, digest
from benchmarks.quality.corpus import RATE_HZ, SPEECH_DBFS, active_level, mixtures
from edge.enhancers import make_enhancer
from edge.quality import metrics
from edge.quality.alignment import align
from edge.quality.artifacts import artifact_score

F32 = NDArray[np.float32]
Row = dict[str, Any]

SNRS_DB = (0.0, 5.0, 10.0)
LEAD_S = 0.5
MAX_LAG_SAMPLES = 1024
METRICS = ("pesq_wb", "estoi", "si_sdr_db", "artifacts")
COMPARED = METRICS[:3]
DIGITS = {"pesq_wb": 3, "estoi": 3, "si_sdr_db": 2, "artifacts": 2}
TRACKED = ("wiener", "spectral_subtraction", "wiener_offline", "spectral_subtraction_offline")
TOLD = tuple(f"{name}, told {LEAD_S:g} s" for name in TRACKED)
REVISION = "1"
"""of how peers are run and scored"""


def logmmse_(noisy: F32) -> F32:
    """Ephraim and Malah 1985, as in the package; it wants 16 bits."""
    import logmmse

    pcm = np.clip(np.rint(noisy * 32768.0), -32768, 32767).astype(np.int16)
    # its import makes numpy raise at every underflow, for everybody
    with np.errstate(all="ignore"):
        return np.asarray(logmmse.logmmse(pcm, RATE_HZ), np.float32) / np.float32(32768.0)


def room_subtraction(noisy: F32) -> F32:
    from pyroomacoustics.denoise import apply_spectral_sub

    with np.errstate(all="ignore"):
        return np.nan_to_num(np.asarray(apply_spectral_sub(noisy), np.float32))


def room_wiener(noisy: F32) -> F32:
    from pyroomacoustics.denoise import apply_iterative_wiener

    with np.errstate(all="ignore"):
        return np.nan_to_num(np.asarray(apply_iterative_wiener(noisy.astype(np.float64)), np.float32))


def room_wiener_loud(noisy: F32) -> F32:
    peak = np.float32(np.abs(noisy).max())
    return room_wiener(noisy / peak) * peak


PEERS: dict[str, tuple[str, Callable[[F32], F32]]] = {
    "logmmse": ("logmmse", logmmse_),
    "pyroomacoustics subtraction": ("pyroomacoustics", room_subtraction),
    "pyroomacoustics Wiener": ("pyroomacoustics", room_wiener),
    "pyroomacoustics Wiener, full scale": ("pyroomacoustics", room_wiener_loud),
}
"""name -> package, and what runs it on float32 (n,)"""


def held_out_mixtures(folder: Path, cache: Path, limit: int, seed: int = 3) -> Iterator[tuple[float, F32, F32]]:
    """(SNR in dB, speech, noisy) of the held-out part of training data: constants are chosen on these, never on the
    others. Clean talkers, one clip each, in noise that lasts.
    """
    from models.data import load_corpus

    speech, noise = (load_corpus(folder, kind, cache).split(True, 0.15, 8) for kind in ("speech", "noise"))

    def lasts(sound: F32) -> bool:
        power = np.mean(sound[: sound.size // 1600 * 1600].reshape(-1, 1600).astype(np.float64) ** 2, axis=1)
        return bool(np.percentile(power, 10) > 0.1 * power.mean() > 0.0)

    rng = np.random.default_rng(seed)
    talkers = {c.group: c for c in speech.clips if 1.5 <= c.samples / RATE_HZ <= 9.0 and not c.snr_db < 25.0}
    noises = [n for n in (noise.audio(c) for c in noise.clips if c.samples >= 3 * RATE_HZ) if lasts(n)]
    rng.shuffle(noises)
    for i, clip in enumerate(list(talkers.values())[:limit]):
        clean = np.concatenate([np.zeros(int(LEAD_S * RATE_HZ), np.float32), speech.audio(clip)])
        clean *= np.float32(10.0 ** (SPEECH_DBFS / 20.0) / active_level(clean))
        sound = noises[i % len(noises)]
        piece = np.take(sound, np.arange(clean.size) + int(rng.integers(sound.size)), mode="wrap")
        snr_db = SNRS_DB[i % len(SNRS_DB)]
        scale = active_level(clean) / np.sqrt(np.mean(piece.astype(np.float64) ** 2)) * 10.0 ** (-snr_db / 20.0)
        yield snr_db, clean, clean + piece * np.float32(scale)


def scored(reference: F32, noisy: F32, estimate: F32) -> dict[str, float | None]:
    """Everything in METRICS of an aligned estimate."""
    found = {
        "pesq_wb": metrics.pesq_wb(reference, estimate),
        "estoi": metrics.estoi(reference, estimate),
        "si_sdr_db": metrics.si_sdr_db(reference, estimate),
        "artifacts": artifact_score(reference, noisy, estimate),
    }
    return {name: score.as_json() for name, score in found.items()}


def score_peer(name: str, reference: F32, noisy: F32, cache: ScoreCache) -> dict[str, float | None]:
    package, run = PEERS[name]
    key = digest("classical", REVISION, name, importlib.metadata.version(package), reference, noisy)
    known = cache.load(key)
    if not known:
        # in terms of the noisy signal, which it is most like
        heard, made, found = align(noisy, run(noisy), MAX_LAG_SAMPLES)
        lead = -min(0, found.lag_samples)
        known = scored(reference[lead : lead + made.size], heard.astype(np.float32), made.astype(np.float32))
        cache.add(key, known)
    return known


def score_ours(made: F32, reference: F32, noisy: F32, cache: ScoreCache) -> dict[str, float | None]:
    key = digest("classical output", REVISION, reference, noisy, made)
    known = cache.load(key)
    if not known:
        known = scored(reference, noisy, made)
        cache.add(key, known)
    return known


def ours(system: str, noisy: F32) -> F32:
    """What one of this project's own makes of a mixture, by the name in the table."""
    name, _, told = system.partition(",")
    return make_enhancer(name, noise_from_s=(0.0, LEAD_S) if told else None).enhance(noisy, RATE_HZ)


def means(rows: Sequence[Row]) -> list[Row]:
    """Per SNR and over all, per system; undefined values are left out and counted."""
    out = []
    for group in [*sorted({row["snr_db"] for row in rows}), "all"]:
        for system in dict.fromkeys(row["system"] for row in rows):
            members = [r for r in rows if r["system"] == system and group in (r["snr_db"], "all")]
            entry: Row = {"snr_db": group, "system": system, "items": len(members)}
            for name in METRICS:
                values = [row[name] for row in members if row[name] is not None]
                entry[name] = float(np.mean(values)) if values else None
                if len(values) < len(members):
                    entry[f"{name}_missing"] = len(members) - len(values)
            out.append(entry)
    return out


def verdicts(summary: Sequence[Row]) -> list[str]:
    """One sentence per system of ours and peer: at least its figures, or where not."""
    whole = {row["system"]: row for row in summary if row["snr_db"] == "all"}
    lines = []
    for system in TRACKED:
        for peer in (p for p in PEERS if p in whole and system in whole):
            short = [
                f"{name} {whole[system][name]:.{DIGITS[name]}f} against {whole[peer][name]:.{DIGITS[name]}f}"
                for name in COMPARED
                if not whole[system][name] >= whole[peer][name]
            ]
            lines.append(f"- {system} against {peer}: " + (f"missed, {'; '.join(short)}" if short else "met"))
    return lines


def table(summary: Sequence[Row]) -> str:
    lines = ["| SNR dB | system | PESQ-WB | ESTOI | SI-SDR dB | artifacts |", "|---|---|---|---|---|---|"]
    for row in summary:
        cells = ["-" if row[name] is None else f"{row[name]:.{DIGITS[name]}f}" for name in METRICS]
        lines.append(f"| {row['snr_db']} | {row['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="mixtures (default 60)")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="these systems alone; nothing is kept")
    parser.add_argument(
        "--tuning", type=Path, metavar="FOLDER", help="held-out part of training data instead; nothing is kept"
    )
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER", help="of scores")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    args = parser.parse_args(argv)
    if args.tuning:
        items = list(held_out_mixtures(args.tuning, args.cache, args.limit))
    else:
        skip_without(args.data)
        items = [(m.snr_db, m.speech, m.noisy) for m in mixtures(args.data, SNRS_DB, args.limit)]
    cache = ScoreCache(args.cache)
    systems = [name for name in (*TRACKED, *TOLD, "network", *PEERS) if not args.only or name in args.only]
    for name in [name for name in systems if name in PEERS]:
        try:
            importlib.metadata.version(PEERS[name][0])
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is left out: pip install {PEERS[name][0]}", file=sys.stderr)
            systems.remove(name)
    rows: list[Row] = []
    for snr_db, speech, noisy in tqdm(items, unit="mixture", disable=None):
        found = {"noisy": score_ours(noisy, speech, noisy, cache), "clean": score_ours(speech, speech, noisy, cache)}
        for name in systems:
            found[name] = (
                score_peer(name, speech, noisy, cache)
                if name in PEERS
                else score_ours(ours(name, noisy), speech, noisy, cache)
            )
        rows += [{"snr_db": snr_db, "system": name, **values} for name, values in found.items()]
    summary = means(rows)
    page = (
        table(summary) + "\n\nAt least the figures of the peers, over all mixtures:\n\n" + "\n".join(verdicts(summary))
    )
    print(page)
    if not args.only and not args.tuning:
        (args.out / "classical.md").write_text(
            f"# Wiener filters and spectral subtraction\n\n{len(items)} mixtures.\n\n{page}\n"
        )
        (args.out / "classical.json").write_text(json.dumps({"summary": summary, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
