"""What the networks have to reach, line by line, from the rows and costs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.array.musts import STATIC
from benchmarks.quality import arrays, mono, reverb, silence_cost, timing
from benchmarks.quality.must import Judge, Must, Row, above, at_most, below, line, mean, pair
from benchmarks.quality.word_musts import of_words

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
OWN_INT8 = f"{CHEAP} is this project's own quantisation of DTLN (per channel, dynamic), since none ships"

_MIXTURE = ("speech", "noise", "snr_db")
_SCENE = ("scene",)


def _ms_per_s(costs: dict[str, Row], name: str) -> float | None:
    """Of a system; None where it was not timed, or only beside something that disturbed it."""
    row = costs.get(name, {})
    return None if row.get("timing") == timing.DISTURBED else row.get("ms_per_s")


def _cost(
    what: str, costs: dict[str, Row], mine: str, other: str, good: Judge, note: str = "", share: float = 1.0
) -> Must:
    """Processing time per second of one system against a share of another's."""
    spent, theirs = (_ms_per_s(costs, name) for name in (mine, other))
    disturbed = [name for name in (mine, other) if costs.get(name, {}).get("timing") == timing.DISTURBED]
    notes = [note] if note else []
    notes += [f"timing of {' and '.join(disturbed)} was disturbed"] if disturbed else []
    return line(what, spent, None if theirs is None else share * theirs, good, note="; ".join(notes))


def of_mono(rows: Sequence[Row], costs: dict[str, Row]) -> list[Must]:
    """The same mixtures and the same timing for all."""
    out = []
    for name in MEASURES:
        for peer in (*BELOW, AIM):
            ours, theirs = pair(rows, _MIXTURE, mono.INT8, peer, name)
            out.append(line(f"mono {TITLES[name]}, above {peer}", ours, theirs, above, binding=peer != AIM))
        ours, noisy = pair(rows, _MIXTURE, mono.INT8, mono.NOISY, name)
        gain = None if ours is None else ours - noisy
        out.append(line(f"mono {TITLES[name]} gain over noisy, above GTCRN's", gain, GTCRN_GAIN[name], above))
        dtln, before = pair(rows, _MIXTURE, "dtln", mono.NOISY, name)
        scaled = None if dtln is None else GTCRN_SHARE[name] * (dtln - before)
        what = f"mono {TITLES[name]} gain over noisy, above DTLN's times GTCRN's share of it elsewhere"
        out.append(line(what, gain, scaled, above, binding=False))
    out.append(_cost(f"mono ms per second, not above {CHEAP}", costs, mono.INT8, CHEAP, at_most, OWN_INT8))
    mine, rival = (_ms_per_s(costs, name) for name in (mono.INT8, AIM))
    if mine and rival:
        note = "about a seventh of it was asked for"
        out.append(line(f"mono share of the cost of {AIM}", mine / rival, 1 / 6, below, note=note, binding=False))
    least = min((costs[p]["latency_ms"] for p in (*BELOW, CHEAP, AIM) if p in costs), default=None)
    latency_ms = costs.get(mono.INT8, {}).get("latency_ms")
    out.append(line("mono latency in ms, below every peer's", latency_ms, least, below))
    return out


def of_array(rows: Sequence[Row], costs: dict[str, Row]) -> list[Must]:
    """Ours told nothing against the rival told the direction: where nothing moves or is broken, and in all scenes."""
    out = []
    still = [row for row in rows if row["family"] in STATIC]
    for chosen, where, binding in ((still, "nothing moves or is broken", True), (rows, "all scenes", False)):
        for name in MEASURES:
            ours, theirs = pair(chosen, _SCENE, arrays.INT8, RIVAL, name)
            scenes = len({row["scene"] for row in chosen})
            what = f"array told nothing, {TITLES[name]}, above {RIVAL}"
            out.append(line(what, ours, theirs, above, note=f"{scenes} scenes, {where}", binding=binding))
    out.append(_cost(f"array ms per second, below half of {RIVAL}", costs, arrays.INT8, RIVAL, below, share=0.5))
    return out


def of_int8(rows: Sequence[Row], item: Sequence[str], what: str) -> list[Must]:
    out = []
    for name, allowed in INT8_LOSS.items():
        small, large = pair(rows, item, mono.INT8, mono.FLOAT, name)
        loss = None if small is None else large - small
        out.append(line(f"{what}: {TITLES[name]} lost by int8", loss, allowed, at_most))
    return out


def of_files(networks: dict[str, Any]) -> list[Must]:
    files = {f["file"]: f["bytes"] for network in networks.values() for f in network.get("files", {}).values()}
    return [line(f"bytes of {name}", float(size), float(LARGEST_BYTES), below) for name, size in files.items()]


def of_reverb(rows: Sequence[Row]) -> list[Must]:
    """Early-to-late energy up at every RT60, without noise (with it, shown). It is exact, so where it is known SRMR,
    which only estimates it, is shown beside it; and ESTOI against the early part, which says what that costs.
    """
    out = []
    for noise in ("none", "20 dB"):
        for rt60_s in sorted({row["rt60_s"] for row in rows}):
            there = [r for r in rows if r["rt60_s"] == rt60_s and r["noise"] == noise]
            for system in (reverb.ONE, reverb.SQUARE):
                made = [r for r in there if r["system"] == system]
                before = [r for r in there if r["system"] == reverb.MIC]
                what = f"late reverberation, RT60 {rt60_s:g} s, noise {noise}, {system}"
                binding, gain_db = noise == "none", mean(made, "gain_db")
                if gain_db is not None or mean(made, "srmr") is None:
                    out.append(line(f"{what}: early-to-late gain in dB", gain_db, 0.0, above, binding=binding))
                for name, title in (("srmr", "SRMR"), ("estoi", "ESTOI against the early part")):
                    if (after := mean(made, name)) is not None:
                        decides = binding and gain_db is None and name == "srmr"
                        line_of = f"{what}: {title}, above {reverb.MIC}"
                        out.append(line(line_of, after, mean(before, name), above, binding=decides))
    return out


def of_clean(rows: Sequence[Row]) -> list[Must]:
    out = []
    for level in sorted({row["wanted_dbfs"] for row in rows}):
        there = [r for r in rows if r["wanted_dbfs"] == level and r["system"] == mono.INT8]
        least = min((r["pesq_wb"] for r in there if r["pesq_wb"] is not None), default=float("nan"))
        what = f"clean speech in at {level:g} dBFS: PESQ-WB out"
        out.append(line(what, mean(there, "pesq_wb"), CLEAN_PESQ, above, note=f"least {least:.2f}"))
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
            out.append(line(f"{kind} in, {mics} microphones: dBFS out", made, allowed, at_most, note=note))
    for row in costs:
        what = (
            f"{row['in']}, {row['microphones']} microphones: cost of its worst {silence_cost.STRETCH_S:g} s over speech"
        )
        disturbed = row["timing"] == timing.DISTURBED
        times = None if disturbed else row["worst_stretch_over_speech"]
        note = "timing was disturbed" if disturbed else f"{row['ms_per_s_speech']:.2f} ms per second of speech"
        out.append(line(what, times, SAME_COST, at_most, note=note))
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
