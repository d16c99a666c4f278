"""What text and page both show in tables: the same words and numbers, before either dresses them."""

from __future__ import annotations

from edge.qa.report import Report
from edge.qa.statistics import Spread
from edge.qa.summary import Row, Summary, brief
from edge.qa.table import COLUMNS, written

CRITERIA_HEAD = ("criterion", "mean", "95 % interval", "files with a value", "that meet it")


def interval(name: str, spread: Spread) -> str:
    """Both ends, or nothing for fewer than two files."""
    return "" if spread.low is None else f"[{written(name, spread.low)}, {written(name, spread.high)}]"


def _fewer(report: Report, spread: Spread) -> str:
    """Of how many files a mean is, where some have no value: it is not to be compared with one over all of them."""
    return f"of {spread.files}" if 0 < spread.files < len(report.measured) else ""


def means(report: Report) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Head, and a row per number: its title, the mean of the noisy files, and that of each system; the second of a cell
    is its interval, where there is one, and of how many files it is where some have no value.
    """
    head = ["mean over files", "noisy", *(summary.system for summary in report.summaries)]
    rows = []
    for name in report.columns:
        of_noisy = report.noisy_spreads.get(name)
        noisy = ("", "") if of_noisy is None else (written(name, of_noisy.mean), _fewer(report, of_noisy))
        cells = [(COLUMNS[name].title, ""), noisy]
        for summary in report.summaries:
            spread = summary.spreads[name]
            about = " ".join(filter(None, (interval(name, spread), _fewer(report, spread))))
            cells.append((written(name, spread.mean), about))
        rows.append(cells)
    return head, rows


def criteria(report: Report, summary: Summary) -> list[tuple[list[str], bool, str]]:
    """For each criterion the cells below CRITERIA_HEAD, whether it is met, and in words why not."""
    return [
        (
            [
                str(finding.criterion),
                written(finding.criterion.name, finding.spread.mean),
                interval(finding.criterion.name, finding.spread),
                f"{finding.spread.files} of {len(report.measured)}",
                str(finding.met),
            ],
            finding.passed,
            finding.why,
        )
        for finding in summary.findings
    ]


def missing(summary: Summary) -> list[str]:
    """A sentence for each reason why values are missing, most files first."""
    return [f"No value in {count} file{'s' * (count != 1)}: {reason}" for reason, count in summary.reasons]


def why_no_verdict(report: Report, row: Row) -> str:
    """Reasons for which a file has no value of a criterion."""
    names = [limit.name for limit in report.criteria.limits]
    return "; ".join(sorted({brief(row.reasons[name]) for name in names if name in row.reasons}))
