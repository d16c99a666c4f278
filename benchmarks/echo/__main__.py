"""Echo cancellation in simulated rooms: ERLE over time, double talk, changed echo paths, delays, cost per hop.

ERLE is the true one: the power of the echo at the microphones over the power of what is left of it, both known, mean
over four microphones; neither the talker nor the self-noise counts.

Usage: python -m benchmarks.echo [--data DIR] [--fast]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.echo.scenes import AFTER_S, CHANGE_S, DOUBLE_S, END_S, Scene, Spec, render, specs
from benchmarks.hop_cost import stay_on_one_core
from benchmarks.mixtures import RATE_HZ, add_data_argument, skip_without
from benchmarks.record import RESULTS, machine
from edge.config.schema import ArrayConfig, Config
from edge.frontend import FrontEnd
from edge.geometry import ArrayGeometry
from edge.meters import Meters
from edge.profiles import PROFILES

F64 = NDArray[np.float64]
Row = dict[str, Any]

SPANS_S = {
    "first second": (0.5, 1.5),
    "4 s": (3.0, 5.0),
    "10 s": (10.0, DOUBLE_S),
    "double talk": (DOUBLE_S, AFTER_S),
    "after": (AFTER_S, CHANGE_S),
    "change + 0-1 s": (CHANGE_S, CHANGE_S + 1.0),
    "change + 2-3 s": (CHANGE_S + 2.0, CHANGE_S + 3.0),
    "change + 4-8 s": (CHANGE_S + 4.0, END_S),
}
STEP_S = 0.25


def front_end(mics: int, references: int, profile: str) -> FrontEnd:
    """Front end with `mics` microphones on a circle (4: a square) and references behind them."""
    angles = 2 * np.pi * (np.arange(mics) / mics) + np.pi / 4
    places = tuple((0.041 * float(np.cos(a)), 0.041 * float(np.sin(a)), 0.0) for a in angles)
    roles = "M" * mics + "R" * references
    config = Config(profile=profile, array=ArrayConfig(positions_m=places, roles=roles))
    return FrontEnd(config, ArrayGeometry(places), PROFILES[profile], Meters(len(roles), 1))


def cancel(scene: Scene, profile: str) -> tuple[F64, float]:
    """What the canceller leaves at the microphones (samples, mics), and the delay it found in ms."""
    heard = (scene.echo + scene.talker + scene.noise).astype(np.float32)
    front = front_end(heard.shape[1], scene.references.shape[1], profile)
    assert front.canceller is not None
    hop = PROFILES[profile].hop_samples
    captured = np.concatenate([heard, scene.references.astype(np.float32)], axis=1)
    out = np.zeros(heard.shape)
    for start in range(0, len(captured) - hop + 1, hop):
        front.block[:] = captured[start : start + hop]
        front.condition()
        front.cancel_echo()
        out[start : start + hop] = front.stft.history[:, -hop:].T
    return out, front.canceller.delay_ms


def _span(x: F64, begin_s: float, end_s: float) -> F64:
    return x[int(begin_s * RATE_HZ) : int(end_s * RATE_HZ)]


def _ratio_db(a: F64, b: F64) -> float:
    return 10.0 * math.log10(float(np.mean(a**2)) / max(float(np.mean(b**2)), 1e-20))


def measure(spec: Spec, profile: str, data: Path) -> Row:
    """All numbers of one scene."""
    from edge.quality import metrics

    scene = render(spec, data)
    out, delay_ms = cancel(scene, profile)
    row: Row = {"scene": scene.name, "playback": spec.playback, "profile": profile, "delay_found_ms": delay_ms}
    if spec.muted:
        removed = scene.talker + scene.noise - out
        row["talker_over_removed_db"] = _ratio_db(scene.talker, removed)
        return row
    left = out - scene.talker - scene.noise
    row["erle_db"] = {name: _ratio_db(_span(scene.echo, *s), _span(left, *s)) for name, s in SPANS_S.items()}
    times = np.arange(0.0, END_S, STEP_S)
    row["erle_over_time_db"] = [
        round(_ratio_db(_span(scene.echo, t, t + STEP_S), _span(left, t, t + STEP_S)), 1) for t in times
    ]
    talker, heard, kept = (_span(x[:, 0], DOUBLE_S, AFTER_S) for x in (scene.talker, scene.talker + scene.echo, out))
    alone = _span((scene.talker + scene.noise)[:, 0], DOUBLE_S, AFTER_S)
    for name, signal in (("microphone", heard), ("cancelled", kept), ("talker_alone", alone)):
        row[f"si_sdr_db_{name}"] = metrics.si_sdr_db(talker, signal).value
        row[f"estoi_{name}"] = metrics.estoi(talker.astype(np.float32), signal.astype(np.float32)).value
    return row


def cost(mics: int, references: int, profile: str, seconds: float = 20.0) -> Row:
    """Time of the echo stage per hop in ms, reference playing all the time: as dear as it gets."""
    front = front_end(mics, references, profile)
    hop, rng = PROFILES[profile].hop_samples, np.random.default_rng(1)
    taken: list[int] = []
    sound = 0.05 * rng.standard_normal((RATE_HZ, references)).astype(np.float32)
    for i in range(int(seconds * RATE_HZ / hop)):
        at = i * hop % (RATE_HZ - hop)
        front.block[:, mics:] = sound[at : at + hop]
        front.block[:, :mics] = 0.5 * sound[at : at + hop, :1]
        front.condition()
        before = time.perf_counter_ns()
        front.cancel_echo()
        taken.append(time.perf_counter_ns() - before)
    ms = np.array(taken[100:]) / 1e6
    p50, p99, worst = np.percentile(ms, [50, 99, 100])
    return {"mics": mics, "references": references, "profile": profile, "p50": p50, "p99": p99, "max": worst}


def _text(rows: Sequence[Row], costs: Sequence[Row]) -> str:
    lines = [
        "# Echo cancellation",
        "",
        "ERLE in dB, by time span. Talker at 0 dB to the echo if not said otherwise.",
        "",
    ]
    lines += [
        "| profile | scene | " + " | ".join(SPANS_S) + " | delay found |",
        "|---|---|" + "---|" * (len(SPANS_S) + 1),
    ]
    heard = [row for row in rows if "erle_db" in row]
    for row in heard:
        cells = [f"{row['erle_db'][name]:.1f}" for name in SPANS_S]
        lines.append(f"| {row['profile']} | {row['scene']} | {' | '.join(cells)} | {row['delay_found_ms']:g} ms |")
    lines += ["", "The talker during double talk, microphone 0: SI-SDR in dB and ESTOI against the talker's image.", ""]
    lines += ["| profile | scene | microphone | cancelled | talker and self-noise alone |", "|---|---|---|---|---|"]
    for row in heard:
        cells = [
            f"{row[f'si_sdr_db_{n}']:.1f} / {row[f'estoi_{n}']:.3f}"
            for n in ("microphone", "cancelled", "talker_alone")
        ]
        lines.append(f"| {row['profile']} | {row['scene']} | {' | '.join(cells)} |")
    lines += ["", "Reference plays, loudspeaker muted, talker all the time: talker over what was taken off him.", ""]
    lines += [
        f"- {r['profile']}, {r['scene']}: {r['talker_over_removed_db']:.1f} dB" for r in rows if "erle_db" not in r
    ]
    lines += ["", "| profile | microphones | references | p50 ms | p99 ms | max ms |", "|---|---|---|---|---|---|"]
    for row in costs:
        times = " | ".join(f"{row[key]:.3f}" for key in ("p50", "p99", "max"))
        lines.append(f"| {row['profile']} | {row['mics']} | {row['references']} | {times} |")
    return "\n".join(lines) + "\n"


def _draw(path: Path, rows: Sequence[Row]) -> None:
    """ERLE over time, mean and range over the plain scenes."""
    from edge.quality.plots import AFTER, BEAM, GRID, INK, picture

    with picture(path, 10.0, 4.0) as figure:
        axes = figure.subplots()
        for playback, colour in (("speech", AFTER), ("music", BEAM)):
            plain = [r for r in rows if r["profile"] == "assistant" and r["playback"] == playback and r.get("plain")]
            curves = np.array([row["erle_over_time_db"] for row in plain])
            times = (np.arange(curves.shape[1]) + 0.5) * STEP_S
            axes.fill_between(times, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
            axes.plot(times, curves.mean(axis=0), color=colour, lw=2, label=f"{playback}, {len(plain)} scenes")
        for at, text in ((DOUBLE_S, "talker"), (AFTER_S, "no talker"), (CHANGE_S, "loudspeaker moved")):
            axes.axvline(at, color=INK, lw=0.8, ls=":")
            axes.text(at + 0.2, 39.0, text, va="top", fontsize=9)
        axes.set(
            xlabel="seconds",
            ylabel="ERLE dB",
            xlim=(0, END_S),
            ylim=(-5, 40),
            title="echo taken off the microphones, four of them",
        )
        axes.grid(color=GRID, lw=0.8)
        axes.legend(loc="lower right")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.echo", description=__doc__.split("\n")[0])
    add_data_argument(parser)
    parser.add_argument("--fast", action="store_true", help="one scene per playback, nothing written")
    args = parser.parse_args()
    skip_without(args.data)
    pinned = stay_on_one_core() is not None
    costs = [cost(mics, refs, profile) for profile in PROFILES for mics, refs in ((4, 1), (4, 2), (6, 2), (8, 1))]
    chosen = [Spec("speech"), Spec("music")] if args.fast else list(specs())
    jobs = [(spec, profile) for profile in PROFILES for spec in chosen]
    rows = []
    for spec, profile in tqdm(jobs, file=sys.stderr, unit="scene", leave=False, disable=None):
        row = measure(spec, profile, args.data)
        row["plain"] = spec == Spec(spec.playback, spec.loudspeaker, spec.rt60_s, spec.seed)
        rows.append(row)
    text = _text(rows, costs)
    print(text)
    if not args.fast:
        document = {"machine": machine(), "pinned_to_one_core": pinned, "cost_ms": costs, "scenes": rows}
        (RESULTS / "echo.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (RESULTS / "echo.md").write_text(text, encoding="utf-8")
        _draw(RESULTS / "echo.png", rows)


if __name__ == "__main__":
    main()
