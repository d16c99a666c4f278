"""What the quality benchmark says is met, missed or not measured."""

from __future__ import annotations

import pytest

from benchmarks.quality import arrays, mono, musts, reverb, timing, word_musts
from benchmarks.quality.must import Must, as_text


def mono_rows() -> list[dict]:
    """Ours in the middle of two peers, on two mixtures of which one peer has only one."""
    levels = {mono.NOISY: 1.0, mono.INT8: 2.0, mono.FLOAT: 2.01, mono.ASR: 1.0, "dtln": 1.9, "deepfilternet3": 2.2}
    rows = [
        {
            "speech": s,
            "noise": "n",
            "snr_db": 5.0,
            "system": name,
            "pesq_wb": value + add,
            "estoi": value / 4 + add / 10,
        }
        for name, value in levels.items()
        for s, add in (("a", 0.0), ("b", 0.5))
    ]
    for row in rows:
        row |= {"words": 60.0, "word_errors": 12.0 + 6.0 * (row["system"] == mono.INT8)}
    return [row for row in rows if row["system"] != "dtln" or row["speech"] == "a"]


def verdicts(found: list[Must]) -> dict[str, bool | None]:
    return {m.what: m.reached for m in found}


def test_musts_of_one_microphone() -> None:
    costs = {
        mono.INT8: {"ms_per_s": 5.0, "latency_ms": 16.0},
        "dtln-int8": {"ms_per_s": 6.0, "latency_ms": 32.0},
        "deepfilternet3": {"ms_per_s": 40.0, "latency_ms": 40.0},
    }
    found = verdicts(musts.of_mono(mono_rows(), costs))
    assert found["mono PESQ-WB, above dtln"] is True
    assert found["mono PESQ-WB, above rnnoise"] is None
    assert found["mono PESQ-WB, above deepfilternet3"] is False
    assert found["mono PESQ-WB gain over noisy, above GTCRN's"] is True
    assert found["mono ms per second, not above dtln-int8"] is True
    assert found["mono latency in ms, below every peer's"] is True
    # only mixtures that both have count: 2.0 against 1.9, not 2.25 against 1.9
    line = next(m for m in musts.of_mono(mono_rows(), {}) if m.what == "mono PESQ-WB, above dtln")
    assert (line.ours, line.needed) == (2.0, 1.9)
    assert verdicts(musts.of_mono(mono_rows(), {}))["mono ms per second, not above dtln-int8"] is None


@pytest.mark.parametrize("who", [mono.INT8, "dtln-int8"])
def test_a_cost_that_was_disturbed_is_not_measured(who: str) -> None:
    costs = {name: {"ms_per_s": 5.0, "latency_ms": 16.0, "timing": timing.QUIET} for name in (mono.INT8, "dtln-int8")}
    costs[who]["timing"] = timing.DISTURBED
    line = next(m for m in musts.of_mono(mono_rows(), costs) if m.what == "mono ms per second, not above dtln-int8")
    assert line.reached is None
    assert line.note.startswith("dtln-int8 is this project's own quantisation of DTLN (per channel, dynamic)")
    assert line.note.endswith(f"timing of {who} was disturbed")
    assert "| not measured | mono ms per second" in as_text([line])


def test_musts_of_int8_words_and_files() -> None:
    item = ("speech", "noise", "snr_db")
    lost = verdicts(musts.of_int8(mono_rows(), item, "mono"))
    assert lost == {"mono: PESQ-WB lost by int8": True, "mono: ESTOI lost by int8": True}
    rows = [row | ({"estoi": row["estoi"] - 0.01} if row["system"] == mono.INT8 else {}) for row in mono_rows()]
    assert verdicts(musts.of_int8(rows, item, "mono"))["mono: ESTOI lost by int8"] is False
    said = word_musts.of_words(mono_rows(), "mono", mono.NOISY)
    assert [(m.reached, m.binding) for m in said] == [(True, True), (False, False)]
    assert said[1].ours == pytest.approx(0.3)
    files = {"mono": {"files": {"int8": {"file": "a", "bytes": 10}, "float": {"file": "b", "bytes": 1_500_000}}}}
    assert [m.reached for m in musts.of_files(files)] == [True, False]


def test_musts_of_the_array_count_where_nothing_moves() -> None:
    rows = [
        {"scene": f"{family}-{i}", "family": family, "system": system, "pesq_wb": value, "estoi": value / 4}
        for i, (family, mine) in enumerate((("peers", 2.0), ("doa", 1.9), ("walk", 1.0)))
        for system, value in ((arrays.INT8, mine), (musts.RIVAL, 1.8))
    ]
    costs = {arrays.INT8: {"ms_per_s": 20.0}, musts.RIVAL: {"ms_per_s": 42.0}}
    found = musts.of_array(rows, costs)
    assert [m.reached for m in found if m.binding] == [True, True, True]
    assert [m.reached for m in found if not m.binding] == [False, False]
    assert musts.of_array(rows, {})[-1].reached is None


def test_musts_of_reverberation_clean_speech_and_silence() -> None:
    rows = [
        {"rt60_s": 0.5, "noise": "none", "system": system, "gain_db": gain, "srmr": value}
        for system, gain, value in ((reverb.MIC, 0.0, 4.0), (reverb.ONE, -0.1, 3.9), (reverb.SQUARE, 1.0, 3.0))
    ]
    found = [m for m in musts.of_reverb(rows) if "noise none" in m.what]
    assert [(m.reached, m.binding) for m in found] == [(False, True), (False, False), (True, True), (False, False)]
    # and what it costs the talker
    rows = [{**row, "estoi": 0.94 if row["system"] == reverb.MIC else 0.86} for row in rows]
    said = [m for m in musts.of_reverb(rows) if "ESTOI" in m.what and "noise none" in m.what]
    assert [(m.ours, m.needed, m.reached, m.binding) for m in said] == [(0.86, 0.94, False, False)] * 2
    rows = [{k: v for k, v in row.items() if k != "estoi"} for row in rows]
    # a better SRMR makes up for nothing, but counts where nothing exact is known
    rows = [{**row, "srmr": 5.0} if row["system"] == reverb.ONE else row for row in rows]
    found = [m for m in musts.of_reverb(rows) if reverb.ONE in m.what and "noise none" in m.what]
    assert [(m.reached, m.binding) for m in found] == [(False, True), (True, False)]
    found = [m for m in musts.of_reverb([{**row, "gain_db": None} for row in rows]) if "noise none" in m.what]
    assert [(m.reached, m.binding) for m in found] == [(True, True), (False, True)]
    rows = [{"wanted_dbfs": db, "system": mono.INT8, "pesq_wb": v} for db, v in ((-45.0, 3.9), (-25.0, 4.1))]
    assert [m.reached for m in musts.of_clean(rows)] == [False, True]
    level = {"microphones": 1, "in": "digital silence", "output": "listen", "after": "reset", "in_dbfs": None}
    spent = {"microphones": 1, "in": "dither", "ms_per_s_speech": 5.0, "timing": timing.QUIET}
    for made, over, reached in ((None, 1.02, [True, True]), (-100.0, 1.8, [False, False])):
        row = spent | {"worst_stretch_over_speech": over}
        found = musts.of_silence([level | {"out_dbfs": made}], [row])
        assert [m.reached for m in found] == reached
    assert musts.of_silence([], [row | {"timing": timing.DISTURBED}])[0].reached is None
    text = as_text(found)
    assert "0 met, 2 missed, 0 not measured" in text
    assert "| MISSED | dither, 1 microphones" in text


def word_rows(snr_db: float, errors: dict[str, float], words: float = 60.0, **more: object) -> list[dict]:
    return [
        {"snr_db": snr_db, "system": name, "words": words, "word_errors": wrong, **more}
        for name, wrong in errors.items()
    ]


def test_words_of_scenes_are_judged_by_snr_where_there_are_enough() -> None:
    good, bad = {"mic 0": 12.0, mono.ASR: 6.0, mono.INT8: 15.0}, {"mic 0": 6.0, mono.ASR: 9.0, mono.INT8: 3.0}
    rows = word_rows(-0.4, good, family="peers") + word_rows(0.0, good, family="walk")
    rows += word_rows(3.8, bad, family="peers") + word_rows(7.0, bad, family="peers")
    rows += word_rows(-5.1, bad, family="static", ran_away=True)
    found = {m.what: m for m in word_musts.of_words(rows, "array", "mic 0")}
    asr = {what.split(", ")[1]: m for what, m in found.items() if " of asr, array at" in what}
    assert {where: (m.reached, m.binding) for where, m in asr.items()} == {
        "array at -5.1 dB": (False, False),  # 60 words say nothing
        "array at -0.4 to 0 dB": (True, True),
        "array at 3.8 to 7 dB": (False, True),
    }
    low = asr["array at -5.1 dB"].note
    assert low == "60 words in 1 items; ran away in 1, mic 0 in 1; medians 0.150, 0.100; too few words to judge"
    kinds = {what: m.binding for what, m in found.items() if "moves or is broken" in what}
    assert len(kinds) == 4
    assert not any(kinds.values())
    assert not any(m.binding for what, m in found.items() if " of listen" in what)
