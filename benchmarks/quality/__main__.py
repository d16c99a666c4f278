"""Noisy, Wiener, network and installed peers on held-out mixtures: quality, cost per hop, JSON, table, picture."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.quality import cost, peers, words
from benchmarks.quality.corpus import F32, RATE_HZ, Mixture, mixtures
from edge.config.schema import BeamformerConfig, Config, MaskConfig, OutputConfig
from edge.geometry import geometry_from_config
from edge.pipeline import Pipeline
from edge.quality import metrics

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data" / "eval"
METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
OWN = ("noisy", "wiener", "network-float", "network-int8")
COST_S = 20.0


def make_pipeline(kind: str, profile: str, model: str, precision: str, floor_db: float) -> Pipeline:
    """One microphone, no beamformer, the estimator of `kind`."""
    config = Config(
        profile=profile,
        output=OutputConfig(kind="null", channels=("listen",)),
        beamformer=BeamformerConfig(kind="none"),
        mask=MaskConfig(kind=kind, model=model, precision=precision, floor_db=floor_db),
    )
    return Pipeline(config, geometry_from_config(config.array))


def enhance(pipeline: Pipeline, audio: F32) -> F32:
    """Output aligned with `audio` (samples,): the chain's delay is dropped from its beginning."""
    hop, delay = pipeline.hop_samples, pipeline.latency_samples
    pipeline.reset()
    hops = -(-(audio.size + delay) // hop)
    padded = np.zeros((hops * hop, 1), np.float32)
    padded[: audio.size, 0] = audio
    out = np.zeros((hops * hop, 1), np.float32)
    for at in range(0, hops * hop, hop):
        pipeline.process(padded[at : at + hop], out[at : at + hop])
    return out[delay : delay + audio.size, 0]


def costs(pipelines: dict[str, Pipeline], others: dict[str, peers.Peer], audio: F32) -> dict[str, dict[str, float]]:
    """Cost per hop of every system on the same sound (samples,) at 16 kHz; for true numbers on a quiet machine."""
    import soxr

    table = {}
    for name, pipeline in pipelines.items():
        hop, out = pipeline.hop_samples, np.zeros((pipeline.hop_samples, 1), np.float32)
        took = cost.per_hop_us(lambda b, p=pipeline, o=out: p.process(b[:, None], o), audio, hop)  # type: ignore[misc]
        hop_ms = hop / pipeline.rate_hz * 1e3
        latency_ms = pipeline.latency_samples / pipeline.rate_hz * 1e3 + hop_ms
        table[name] = cost.summary(took, hop_ms, latency_ms)
    for name, peer in others.items():
        given = audio if peer.rate_hz == RATE_HZ else soxr.resample(audio, RATE_HZ, peer.rate_hz)
        took = cost.per_hop_us(peer.process, given, peer.hop_samples)
        table[name] = cost.summary(took, peer.hop_samples / peer.rate_hz * 1e3, peer.latency_ms)
    return table


def recogniser(wanted: bool) -> words.Recogniser | None:
    if wanted:
        try:
            return words.Recogniser()
        except ImportError:
            print("words are not counted: no recogniser (see benchmarks/quality/words.txt)", file=sys.stderr)
    return None


def score(
    reference: F32, estimate: F32, ears: words.Recogniser | None = None, said: list[str] | None = None
) -> dict[str, float]:
    """All metrics of one output; word errors and words where `said` names any and there is a recogniser."""
    row = {
        "pesq_wb": metrics.pesq_wb(reference, estimate).value,
        "stoi": metrics.stoi(reference, estimate).value,
        "estoi": metrics.estoi(reference, estimate).value,
        "si_sdr_db": metrics.si_sdr_db(reference, estimate).value,
    }
    if ears is not None and said:
        row |= {"word_errors": float(words.word_errors(said, ears.words(estimate))), "words": float(len(said))}
    mos = metrics.dnsmos(estimate)
    return {**row, "dnsmos_sig": mos.sig.value, "dnsmos_bak": mos.bak.value, "dnsmos_ovr": mos.ovrl.value}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean per system and SNR (and over all), with how many values each mean has: NaN are left out and counted."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[(f"{row['snr_db']:g}", row["system"])].append(row)
        groups[("all", row["system"])].append(row)
    out = []
    # by SNR, all of them last; the systems in the order they were asked for
    for (snr, system), members in sorted(
        groups.items(), key=lambda g: float("inf") if g[0][0] == "all" else float(g[0][0])
    ):
        entry: dict[str, Any] = {"snr_db": snr, "system": system, "mixtures": len(members)}
        for name in METRICS:
            values = [m[name] for m in members if np.isfinite(m[name])]
            entry[name] = round(float(np.mean(values)), 3) if values else None
            if len(values) < len(members):
                entry[f"{name}_missing"] = len(members) - len(values)
        if spoken := sum(m.get("words", 0.0) for m in members):
            entry["wer"] = round(sum(m.get("word_errors", 0.0) for m in members) / spoken, 4)
            entry["words"] = int(spoken)
        out.append(entry)
    return out


def markdown(summary: list[dict[str, Any]]) -> str:
    columns = [*METRICS, *(["wer"] if any("wer" in row for row in summary) else [])]
    lines = ["| SNR dB | system | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for row in summary:
        fine = ("stoi", "estoi", "wer")
        cells = ["-" if row.get(m) is None else f"{row[m]:.{3 if m in fine else 2}f}" for m in columns]
        lines.append(f"| {row['snr_db']} | {row['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def markdown_of_costs(table: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(table.values()))) if table else []
    lines = ["| system | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(f"{row[c]:g}" for c in columns) + " |" for name, row in table.items()]
    return "\n".join(lines) + "\n"


def draw(path: Path, example: Mixture, outputs: dict[str, F32]) -> None:
    """Spectrograms of one mixture: noisy, every system, clean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = {"noisy": example.noisy, **outputs, "clean": example.speech}
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 1.6 * len(panels)), sharex=True, layout="constrained")
    for axis, (name, audio) in zip(axes, panels.items(), strict=True):
        axis.specgram(
            audio + 1e-7 * np.random.default_rng(0).standard_normal(audio.size),
            NFFT=512,
            noverlap=384,
            Fs=RATE_HZ,
            vmin=-130,
            vmax=-50,
            cmap="magma",
        )
        axis.set_ylabel(f"{name}\nHz")
        axis.set_ylim(0, RATE_HZ / 2)
    axes[-1].set_xlabel("s")
    figure.suptitle(f"{example.speech_name} in {example.noise_name} at {example.snr_db:g} dB")
    figure.savefig(path, dpi=72)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with speech/ and noise/ (default: %(default)s)")
    parser.add_argument("--profile", default="assistant")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--mixtures", type=int, default=60)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.0, 5.0, 10.0], help="dB")
    parser.add_argument("--floor-db", type=float, default=MaskConfig().floor_db)
    parser.add_argument("--systems", nargs="+", default=[*OWN, *peers.PEERS], help="peers not installed are left out")
    parser.add_argument("--no-words", action="store_true", help="do not count word errors, which takes long")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks" / "results")
    a = parser.parse_args(arguments)
    if not a.data.is_dir():
        print(f"skipped: no evaluation data at {a.data}", file=sys.stderr)
        return 0
    others = {name: peer for name, peer in peers.installed().items() if name in a.systems}
    if missing := [name for name in a.systems if name in peers.PEERS and name not in others]:
        print(f"left out, not installed (see benchmarks/quality/peers.txt): {', '.join(missing)}", file=sys.stderr)
    systems = [name for name in a.systems if name not in missing]
    pipelines = {}
    for system in systems:
        if system != "noisy" and system not in others:
            kind, _, precision = system.partition("-")
            pipelines[system] = make_pipeline(kind, a.profile, a.model, precision or "int8", a.floor_db)
    ears = recogniser(not a.no_words)
    rows: list[dict[str, Any]] = []
    heard: list[F32] = []
    for i, mixture in enumerate(tqdm(mixtures(a.data, tuple(a.snr), a.mixtures), total=a.mixtures, disable=None)):
        outputs = {name: enhance(p, mixture.noisy) for name, p in pipelines.items()}
        outputs |= {name: peers.enhance(peer, mixture.noisy) for name, peer in others.items()}
        about = {"speech": mixture.speech_name, "noise": mixture.noise_name, "snr_db": mixture.snr_db}
        said = words.countable(mixture.text)
        for name in systems:
            estimate = mixture.noisy if name == "noisy" else outputs[name]
            rows.append({**about, "system": name, **score(mixture.speech, estimate, ears, said)})
        if sum(audio.size for audio in heard) < COST_S * RATE_HZ:
            heard.append(mixture.noisy)
        if i == 1:
            a.out.mkdir(parents=True, exist_ok=True)
            shown = {n: o for n, o in outputs.items() if n not in ("network-float", "dtln-int8")}
            draw(a.out / f"quality-{a.profile}.png", mixture, shown)
    summary = summarise(rows)
    table = costs(pipelines, others, np.concatenate(heard))
    a.out.mkdir(parents=True, exist_ok=True)
    document = {
        "profile": a.profile,
        "floor_db": a.floor_db,
        "python": platform.python_version(),
        "costs": table,
        "summary": summary,
        "rows": [{k: (round(v, 4) if isinstance(v, float) else v) for k, v in r.items()} for r in rows],
    }
    text = json.dumps(document, indent=1).replace("NaN", "null")
    (a.out / f"quality-{a.profile}.json").write_text(text + "\n")
    page = f"{markdown(summary)}\n{markdown_of_costs(table)}"
    (a.out / f"quality-{a.profile}.md").write_text(page)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
