"""The report as text: word error rate and similarity, a line per condition and a column per SNR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.impact.conditions import CLEAN
from edge.impact.report import ENCODER_LIMITS, Cell, Report
from edge.impact.statistics import METHOD, Estimate
from edge.impact.words import NORMALISATION


def text_report(report: Report) -> str:
    """Ends with a line break."""
    lines: list[str] = []
    for recogniser in report.recognisers:
        lines += [
            f"word error rate in %, {recogniser} (95 % interval; * differs from noisy)",
            *_wer(report, recogniser),
            "",
        ]
        said = {cell.words[recogniser] for cell in report.cells.values()}
        spoken = f"{min(said)} to {max(said)}" if len(said) > 1 else f"{max(said, default=0)}"
        cut = sum(cell.ran_away[recogniser] for cell in report.cells.values())
        lines += [f"  {spoken} words said per entry; {cut} transcripts that ran away were cut off", ""]
    if any(cell.similarity.value is not None for cell in report.cells.values()):
        lines += ["speaker similarity to the clean speech (95 % interval)", *_similarity(report), ""]
        lines += [f"  clean speech of {what}: {_plain(e, 1.0, 2)}" for what, e in _between(report)]
        lines += [f"  {ENCODER_LIMITS}", ""]
    lines += [f"{count} without a value: {reason}" for reason, count in report.reasons]
    return "\n".join([*lines, METHOD, f"words: {NORMALISATION}", ""])


def _between(report: Report) -> list[tuple[str, Estimate]]:
    pairs = (("one talker, other words", report.same_talker), ("other talkers", report.other_talkers))
    return [(what, estimate) for what, estimate in pairs if estimate.value is not None]


def _wer(report: Report, recogniser: str) -> list[str]:
    def entry(cell: Cell) -> str:
        change = cell.wer_change[recogniser]
        sure = change.low is not None and change.high is not None and (change.low > 0.0 or change.high < 0.0)
        return _plain(cell.wer[recogniser], 100.0, 1) + ("*" if sure else "")

    return _table(report, entry)


def _similarity(report: Report) -> list[str]:
    return _table(report, lambda cell: _plain(cell.similarity, 1.0, 2))


def _plain(estimate: Estimate, scale: float, digits: int) -> str:
    if estimate.value is None:
        return "-"
    text = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return text
    fewer = max(0, digits - 1) if scale > 1.0 else digits
    return f"{text} ({scale * estimate.low:.{fewer}f}-{scale * estimate.high:.{fewer}f})"


def _table(report: Report, entry: Callable[[Cell], str]) -> list[str]:
    rows = [["", *(f"{snr:g} dB" for snr in report.snrs_db)]]
    for name in report.conditions:
        cells = [report.cells.get((name, snr)) for snr in report.snrs_db]
        rows.append([name, *(entry(cell) if cell else "-" for cell in cells)])
    clean = report.cells.get((CLEAN, None))
    return [*_columns(rows), *([f"  {CLEAN}: {entry(clean)}"] if clean else [])]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
