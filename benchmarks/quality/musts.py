"""What the networks have to reach, line by line, from the rows and costs of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.array.musts import STATIC
from benchmarks.quality import arrays, mono, reverb

Row = dict[str, Any]

BELOW = ("rnnoise", "nsnet2", "dtln")
"""peers that ours has to pass; the next is aimed at"""
AIM = "deepfilternet3"
CHEAP = "dtln-int8"
RIVAL = arrays.behind(arrays.MVDR, AIM)
GTCRN_GAIN = {"pesq_wb": 0.60, "estoi": 0.133}
"""of GTCRN over noisy, as measured elsewhere on other mixtures: no package brings its weights"""
GTCRN_SHARE = {"pesq_wb": 0.60 / 0.63, "estoi": 0.133 / 0.166}
"""the same as a share of what DTLN gained there"""
INT8_LOSS = {"pesq_wb": 0.05, "estoi": 0.005}
LARGEST_BYTES = 1_500_000
CLEAN_PESQ = 4.0
SAME_COST = 1.05
"""silence may cost that much of speech: what two timings of the same thing differ by"""
MEASURES = ("pesq_wb", "estoi")
TITLES = {"pesq_wb": "PESQ-WB", "estoi": "ESTOI"}


@dataclass(frozen=True)
class Must:
    """One line. reached None: not measured. binding False: shown beside the musts."""

    what: str
    reached: bool | None
    ours: float | None = None
    needed: float | None = None
    note: str = ""
    binding: bool = True


def mean(rows: Iterable[Row], name: str) -> float | None:
    """Of the defined values; None without any."""
    values = [row[name] for row in rows if row.get(name) is not None and np.isfinite(row[name])]
    return float(np.mean(values)) if values else None


def word_error_rate(rows: Iterable[Row]) -> float | None:
    """Errors per spoken word over all rows."""
    rows = list(rows)
    spoken = sum(row.get("words") or 0.0 for row in rows)
    return sum(row.get("word_errors") or 0.0 for row in rows) / spoken if spoken else None


def _line(
    what: str, ours: float | None, needed: float | None, good: Callable[[float, float], bool], **more: Any
) -> Must:
    reached = None if ours is None or needed is None else bool(good(ours, needed))
    return Must(what, reached, ours, needed, **more)


def _above(a: float, b: float) -> bool:
    return a > b


def _at_least(a: float, b: float) -> bool:
    return a >= b


def _at_most(a: float, b: float) -> bool:
    return a <= b


def _below(a: float, b: float) -> bool:
    return a < b


def _pair(rows: Sequence[Row], item: Sequence[str], ours: str, other: str, name: str) -> tuple[Any, Any]:
    """Means of both over the items (mixtures, scenes) in which both are defined."""
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        if row["system"] in (ours, other) and row.get(name) is not None and np.isfinite(row[name]):
            found.setdefault(tuple(row[key] for key in item), {})[row["system"]] = row[name]
    both = [(f[ours], f[other]) for f in found.values() if len(f) == 2]
    return tuple(np.mean(both, axis=0).tolist()) if both else (None, None)


_MIXTURE = ("speech", "noise", "snr_db")
_SCENE = ("scene",)


def of_mono(rows: Sequence[Row], costs: dict[str, Row]) -> list[Must]:
    """The same mixtures and the same timing for all."""
    out = []
    for name in MEASURES:
        for peer in (*BELOW, AIM):
            ours, theirs = _pair(rows, _MIXTURE, mono.INT8, peer, name)
            out.append(_line(f"mono {TITLES[name]}, above {peer}", ours, theirs, _above, binding=peer != AIM))
        ours, noisy = _pair(rows, _MIXTURE, mono.INT8, mono.NOISY, name)
        gain = None if ours is None else ours - noisy
        out.append(_line(f"mono {TITLES[name]} gain over noisy, above GTCRN's", gain, GTCRN_GAIN[name], _above))
        dtln, below = _pair(rows, _MIXTURE, "dtln", mono.NOISY, name)
        scaled = None if dtln is None else GTCRN_SHARE[name] * (dtln - below)
        what = f"mono {TITLES[name]} gain over noisy, above DTLN's times GTCRN's share of it elsewhere"
        out.append(_line(what, gain, scaled, _above, binding=False))
    mine = costs.get(mono.INT8, {})
    theirs = costs.get(CHEAP, {})
    out.append(_line(f"mono ms per second, not above {CHEAP}", mine.get("ms_per_s"), theirs.get("ms_per_s"), _at_most))
    rival = costs.get(AIM, {}).get("ms_per_s")
    note = "about a seventh of it was asked for"
    if mine and rival:
        share = mine["ms_per_s"] / rival
        out.append(Must(f"mono share of the cost of {AIM}", share < 1 / 6, share, 1 / 7, note, binding=False))
    least = min((costs[p]["latency_ms"] for p in (*BELOW, CHEAP, AIM) if p in costs), default=None)
    out.append(_line("mono latency in ms, below every peer's", mine.get("latency_ms"), least, _below))
    return out


def of_array(rows: Sequence[Row], costs: dict[str, Row]) -> list[Must]:
    """Ours told nothing against the rival told the direction: where nothing moves or is broken, and in all scenes."""
    out = []
    still = [row for row in rows if row["family"] in STATIC]
    for chosen, where, binding in ((still, "nothing moves or is broken", True), (rows, "all scenes", False)):
        for name in MEASURES:
            ours, theirs = _pair(chosen, _SCENE, arrays.INT8, RIVAL, name)
            scenes = len({row["scene"] for row in chosen})
            what = f"array told nothing, {TITLES[name]}, above {RIVAL}"
            out.append(_line(what, ours, theirs, _above, note=f"{scenes} scenes, {where}", binding=binding))
    mine, rival = (costs.get(name, {}).get("ms_per_s") for name in (arrays.INT8, RIVAL))
    half = None if rival is None else 0.5 * rival
    out.append(_line(f"array ms per second, below half of {RIVAL}", mine, half, _below))
    return out


def of_int8(rows: Sequence[Row], item: Sequence[str], what: str) -> list[Must]:
    out = []
    for name, allowed in INT8_LOSS.items():
        small, large = _pair(rows, item, mono.INT8, mono.FLOAT, name)
        loss = None if small is None else large - small
        out.append(_line(f"{what}: {TITLES[name]} lost by int8", loss, allowed, _at_most))
    return out


def of_files(networks: dict[str, Any]) -> list[Must]:
    files = {f["file"]: f["bytes"] for network in networks.values() for f in network.get("files", {}).values()}
    return [_line(f"bytes of {name}", float(size), float(LARGEST_BYTES), _below) for name, size in files.items()]


def of_reverb(rows: Sequence[Row]) -> list[Must]:
    """Early-to-late energy up at every RT60, without noise (with it, shown). It is exact, so where it is known SRMR,
    which only estimates it, is shown beside it.
    """
    out = []
    for noise in ("none", "20 dB"):
        for rt60_s in sorted({row["rt60_s"] for row in rows}):
            for system in (reverb.ONE, reverb.SQUARE):
                there = [r for r in rows if r["rt60_s"] == rt60_s and r["noise"] == noise]
                gain_db = mean([r for r in there if r["system"] == system], "gain_db")
                after, before = (mean([r for r in there if r["system"] == s], "srmr") for s in (system, reverb.MIC))
                what = f"late reverberation, RT60 {rt60_s:g} s, noise {noise}, {system}"
                binding = noise == "none"
                if gain_db is not None or after is None:
                    out.append(_line(f"{what}: early-to-late gain in dB", gain_db, 0.0, _above, binding=binding))
                if after is not None:
                    binding = binding and gain_db is None
                    out.append(_line(f"{what}: SRMR, above {reverb.MIC}", after, before, _above, binding=binding))
    return out


def of_words(rows: Sequence[Row], what: str, before: str) -> list[Must]:
    """asr no worse than the microphone at any SNR; listen beside it."""
    out = []
    for snr_db in sorted({row.get("snr_db") for row in rows}, key=lambda v: (v is None, v)):
        there = [row for row in rows if row.get("snr_db") == snr_db]
        rates = {s: word_error_rate(r for r in there if r["system"] == s) for s in (before, mono.ASR, mono.INT8)}
        where = what if snr_db is None else f"{what} at {snr_db:g} dB"
        spoken = sum(row.get("words") or 0 for row in there if row["system"] == before)
        for system, name in ((mono.ASR, "asr"), (mono.INT8, "listen")):
            line = f"word error rate of {name}, {where}, not above {before}"
            mine = [row for row in there if row["system"] == system]
            alike = bool(mine) and all(row.get("same_as_noisy") for row in mine)
            note = f"{spoken:.0f} words" + (f"; the same sound as {before} to 24 bits" if alike else "")
            out.append(_line(line, rates[system], rates[before], _at_most, note=note, binding=name == "asr"))
    return out


def of_clean(rows: Sequence[Row]) -> list[Must]:
    out = []
    for level in sorted({row["wanted_dbfs"] for row in rows}):
        there = [r for r in rows if r["wanted_dbfs"] == level and r["system"] == mono.INT8]
        least = min((r["pesq_wb"] for r in there if r["pesq_wb"] is not None), default=float("nan"))
        what = f"clean speech in at {level:g} dBFS: PESQ-WB out"
        out.append(_line(what, mean(there, "pesq_wb"), CLEAN_PESQ, _above, note=f"least {least:.2f}"))
    return out


def of_silence(levels: Sequence[Row], costs: Sequence[Row]) -> list[Must]:
    out = []
    for mics in sorted({row["microphones"] for row in levels}):
        for kind in dict.fromkeys(row["in"] for row in levels):
            there = [r for r in levels if r["microphones"] == mics and r["in"] == kind]
            loudest = max(there, key=lambda r: -999.0 if r["out_dbfs"] is None else r["out_dbfs"])
            given = -999.0 if loudest["in_dbfs"] is None else loudest["in_dbfs"]
            made = -999.0 if loudest["out_dbfs"] is None else loudest["out_dbfs"]
            allowed = max(given + 0.1, -120.0)
            note = f"{loudest['output']} after {loudest['after']}; -999 is digital silence, -120 counts as it"
            out.append(_line(f"{kind} in, {mics} microphones: dBFS out", made, allowed, _at_most, note=note))
    for row in costs:
        what = f"{row['in']}, {row['microphones']} microphones: ms per second, not above speech"
        spent, worst = row["ms_per_s_speech"], row["ms_per_s_worst_stretch"]
        note = f"worst 10 s of silence against {SAME_COST:g} x speech"
        out.append(_line(what, worst, SAME_COST * spent, _at_most, note=note))
    return out


def check(document: dict[str, Any]) -> list[Must]:
    """All that a run can tell about; a part that was not run gives no line."""
    costs = document.get("cost") or {}
    found: list[Must] = []
    if rows := document.get("mono"):
        found += of_mono(rows, costs.get("mono", {})) + of_int8(rows, _MIXTURE, "mono")
        found += of_words(rows, "mono", mono.NOISY)
    if rows := document.get("array"):
        found += of_array(rows, costs.get("array", {})) + of_int8(rows, _SCENE, "array")
        found += of_words(rows, "array", arrays.MIC)
    found += of_files(document.get("networks") or {})
    found += of_reverb(document.get("reverb") or [])
    found += of_clean(document.get("clean") or [])
    return found + of_silence(document.get("silence") or [], costs.get("silence", []))


def as_json(musts: Sequence[Must]) -> list[Row]:
    return [asdict(must) for must in musts]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.3f}"


def as_text(musts: Sequence[Must]) -> str:
    """Tables: the musts, then what is only shown."""
    parts = []
    for binding, title in ((True, "Musts"), (False, "Beside them")):
        lines = [m for m in musts if m.binding is binding]
        if not lines:
            continue
        met = sum(m.reached is True for m in lines)
        missed = sum(m.reached is False for m in lines)
        parts += ["", f"{title}: {met} met, {missed} missed, {len(lines) - met - missed} not measured", ""]
        parts += ["| | what | ours | needed | note |", "|---|---|---|---|---|"]
        for m in lines:
            verdict = {None: "not measured", True: "met", False: "MISSED"}[m.reached]
            parts.append(f"| {verdict} | {m.what} | {_number(m.ours)} | {_number(m.needed)} | {m.note} |")
    return "\n".join(parts) + "\n"
