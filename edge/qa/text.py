"""The report as plain text."""

from __future__ import annotations

from edge.qa import rows
from edge.qa.report import Report
from edge.qa.statistics import METHOD
from edge.qa.summary import Summary
from edge.qa.table import COLUMNS, written


def text_report(report: Report, files: bool) -> str:
    """All of it, lines of at most about 120 characters. files: with one line per file and system."""
    lines = [f"{len(report.measured)} pairs of {report.clean} and {report.noisy}", *report.unpaired, ""]
    lines += _means(report)
    for summary in report.summaries:
        lines += ["", f"{summary.system}: {'PASS' if summary.passed else 'FAIL'}", *_findings(report, summary)]
        lines += [f"  {sentence}" for sentence in rows.missing(summary)]
    lines += ["", f"A system {report.criteria.sentence()}.", f"{METHOD}.", report.effort_sentence(), report.cache]
    if files:
        for summary in report.summaries:
            lines += ["", f"Files, {summary.system}", *_files(report, summary)]
    return "\n".join(lines) + "\n"


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
    head, found = rows.means(report)
    return _columns([head, *([" ".join(part for part in cell if part) for cell in row] for row in found)])


def _findings(report: Report, summary: Summary) -> list[str]:
    found = rows.criteria(report, summary)
    lines = [[*rows.CRITERIA_HEAD, ""]]
    lines += [[*(cell or "-" for cell in cells), "pass" if passed else f"FAIL, {why}"] for cells, passed, why in found]
    return _columns(_last_to_the_left(lines), "  ")


def _files(report: Report, summary: Summary) -> list[str]:
    names = [limit.name for limit in report.criteria.limits]
    lines = [["file", *(COLUMNS[name].title for name in names), "verdict"]]
    for row in summary.rows:
        values = [written(name, row.values[name]) for name in names]
        why = rows.why_no_verdict(report, row)
        lines.append([row.name, *values, f"{row.verdict}, {why}" if why else row.verdict])
    return _columns(_last_to_the_left(lines), "  ")


def _last_to_the_left(lines: list[list[str]]) -> list[list[str]]:
    """The last column holds sentences."""
    widest = max(len(line[-1]) for line in lines)
    return [[*line[:-1], line[-1].ljust(widest)] for line in lines]
