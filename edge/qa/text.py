"""The report as plain text."""

from __future__ import annotations

from edge.qa.report import Report
from edge.qa.statistics import METHOD, Spread
from edge.qa.summary import FAIL, PASS, Summary, brief
from edge.qa.table import COLUMNS, written


def text_report(report: Report, files: bool) -> str:
    """All of it, lines of at most about 120 characters. files: with one line per file and system."""
    lines = [f"{len(report.measured)} pairs of {report.clean} and {report.noisy}", *report.unpaired, ""]
    lines += _means(report)
    for summary in report.summaries:
        lines += ["", f"{summary.system}: {'PASS' if summary.passed else 'FAIL'}", *_findings(report, summary)]
        lines += [f"  no value in {count} file{'s' * (count != 1)}: {reason}" for reason, count in summary.reasons]
    lines += ["", f"A system {report.criteria.sentence()}.", f"{METHOD}.", report.effort_sentence(), report.cache]
    if files:
        for summary in report.summaries:
            lines += ["", f"Files, {summary.system}", *_files(report, summary)]
    return "\n".join(lines) + "\n"


def _interval(name: str, spread: Spread) -> str:
    if spread.low is None:
        return "-"
    return f"[{written(name, spread.low)}, {written(name, spread.high)}]"


def _columns(rows: list[list[str]], indent: str = "") -> list[str]:
    """Rows of cells, the first column to the left and all others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        indent
        + "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _means(report: Report) -> list[str]:
    rows = [["mean over files", "noisy", *(summary.system for summary in report.summaries)]]
    for name in report.columns:
        cells = [COLUMNS[name].title]
        of_noisy = report.noisy_spreads.get(name)
        cells.append("" if of_noisy is None else written(name, of_noisy.mean))
        for summary in report.summaries:
            spread = summary.spreads[name]
            cells.append(f"{written(name, spread.mean)} {_interval(name, spread)}")
        rows.append(cells)
    return _columns(rows)


def _findings(report: Report, summary: Summary) -> list[str]:
    rows = [["criterion", "mean", "95 % interval", "files with a value", "that meet it", ""]]
    for finding in summary.findings:
        name = finding.criterion.name
        rows.append(
            [
                str(finding.criterion),
                written(name, finding.spread.mean),
                _interval(name, finding.spread),
                f"{finding.spread.files} of {len(report.measured)}",
                str(finding.met),
                "pass" if finding.passed else f"FAIL, {finding.why}",
            ]
        )
    # the last column holds sentences
    widest = max(len(row[-1]) for row in rows)
    return _columns([[*row[:-1], row[-1].ljust(widest)] for row in rows], "  ")


def _files(report: Report, summary: Summary) -> list[str]:
    names = [limit.name for limit in report.criteria.limits]
    rows = [["file", *(COLUMNS[name].title for name in names), "verdict"]]
    for row in summary.rows:
        values = [written(name, row.values[name]) for name in names]
        missing = sorted({brief(row.reasons[name]) for name in names if name in row.reasons})
        rows.append([row.name, *values, row.verdict if row.verdict in (PASS, FAIL) else "; ".join(missing)])
    widest = max(len(row[-1]) for row in rows)
    return _columns([[*row[:-1], row[-1].ljust(widest)] for row in rows], "  ")
