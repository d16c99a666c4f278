"""The report as one page of HTML that needs nothing else: style, pictures and sounds are inside."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Sequence
from html import escape

from edge.qa import rows
from edge.qa.evaluate import System
from edge.qa.examples import Example, compressed, examples
from edge.qa.report import Report
from edge.qa.statistics import METHOD
from edge.qa.summary import FAIL, PASS, Row, Summary
from edge.qa.table import COLUMNS, written
from edge.store import Store

LARGEST_BYTES = 12 << 20
"""of sounds and spectrograms together, evenly for all systems; what is beyond is left out, with a line that says so"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --muted: #6b7785; --line: #dfe4ea; --good: #0b7a75; --bad: #c8334a;
  --open: #b57500; --ground: #fff; --soft: #f5f7f9 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --muted: #98a4b3; --line: #354050; --good: #3fc1b8;
  --bad: #ff7a8c; --open: #ffc24d; --ground: #141a21; --soft: #1c242d } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto;
  max-width: 72rem; padding: 1.5rem }
h1 { font-size: 1.5rem; margin: 0 0 .3rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem } p { margin: .4rem 0 } .muted { color: var(--muted) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 } .wide { overflow-x: auto }
th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child, td.text { text-align: left } td.text { white-space: normal }
th { font-weight: 600; color: var(--muted) } td small { color: var(--muted) }
.pass { color: var(--good); font-weight: 600 } .fail { color: var(--bad); font-weight: 600 }
.open { color: var(--open); font-weight: 600 }
img { max-width: 100%; background: #fff; border-radius: 4px } summary { cursor: pointer; margin: .5rem 0 }
figure { margin: 1rem 0; padding: .8rem; background: var(--soft); border-radius: 6px }
figcaption { margin-bottom: .4rem } audio { height: 2.2rem }
.players { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem } .players label { display: block }
"""


def page(report: Report, store: Store, count: int) -> str:
    """The whole page. count: worst and best files per system that are shown and can be heard."""
    verdict = _verdict(report.passed)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Quality report: {'pass' if report.passed else 'fail'}</title><style>{_STYLE}</style>",
        f"<h1>Quality report: {verdict}</h1>",
        f"<p>{len(report.measured)} pairs of <code>{escape(str(report.clean))}</code> (clean) and "
        f"<code>{escape(str(report.noisy))}</code> (noisy), {escape(report.made)}</p>",
        *(f"<p class=open>{escape(sentence)}</p>" for sentence in report.unpaired),
        f"<p>A system {escape(report.criteria.sentence())}.</p>",
        *(_criteria(report, summary) for summary in report.summaries),
        "<h2>Means over files</h2>",
        _means(report),
        f"<p class=muted>{escape(METHOD)}.</p>",
    ]
    if importlib.util.find_spec("matplotlib") is None:
        parts.append("<p class=open>Pictures need matplotlib (pip install mic-edge[quality]).</p>")
    else:
        parts += _pictures(report, store, count)
    parts += ["<h2>All files</h2>", *(_files(report, summary) for summary in report.summaries), _footer(report)]
    return "\n".join(parts) + "\n</html>\n"


def _verdict(passed: bool) -> str:
    return "<span class=pass>pass</span>" if passed else "<span class=fail>fail</span>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """head is text, cells are HTML that is ready."""
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    titles = "".join(f"<th scope=col>{escape(title)}</th>" for title in head)
    return f"<div class=wide tabindex=0><table><tr>{titles}</tr>{body}</table></div>"


def _cell(cell: str) -> str:
    return cell if cell.startswith("<td") else f"<td>{cell}</td>"


def _criteria(report: Report, summary: Summary) -> str:
    found = [
        [
            *(escape(cell) for cell in cells),
            f"<td class=text>{_verdict(passed)}" + (f" <small>{escape(why)}</small>" if why else "") + "</td>",
        ]
        for cells, passed, why in rows.criteria(report, summary)
    ]
    lacking = "".join(
        f"<p class=open>{escape(sentence[0].upper() + sentence[1:])}</p>" for sentence in rows.missing(summary)
    )
    table = _table([*rows.CRITERIA_HEAD, "outcome"], found)
    return f"<h2>{escape(summary.system)}: {_verdict(summary.passed)}</h2>{table}{lacking}"


def _means(report: Report) -> str:
    head, found = rows.means(report)
    return _table(head, [[_dressed(*cell) for cell in row] for row in found])


def _dressed(value: str, interval: str) -> str:
    return escape(value) + (f" <small>{escape(interval)}</small>" if interval else "")


def _pictures(report: Report, store: Store, count: int) -> list[str]:
    from edge.qa.pictures import distributions, gains_over_noisy

    parts = ["<h2>How the files are spread</h2>", _image(distributions(report.summaries, report.criteria), "spread")]
    parts.append("<p class=muted>Dots are files, bars the mean with its interval, dashed lines the limits.</p>")
    noisy = {one.pair.name: one.noisy["scores"]["snr_db"][0] for one in report.measured}
    gains = [limit.name for limit in report.criteria.limits if COLUMNS[limit.name].gain_of]
    if gains:
        name = "pesq_gain" if "pesq_gain" in gains else gains[0]
        parts.append(_image(gains_over_noisy(report.summaries, name, "snr_db", noisy), "gain against input"))
    if count == 0:
        return parts
    parts.append("<h2>Worst and best files</h2>")
    parts.append("<p class=muted>By their mean rank over the criteria; ten seconds at most, compressed.</p>")
    left_bytes, left_out = 0, 0
    for system, summary in zip(report.systems, report.summaries, strict=True):
        left_bytes += LARGEST_BYTES // len(report.systems)  # and what the systems before have not taken
        parts.append(f"<h3>{escape(system.name)}</h3>")
        shown = _shown(report, system, summary, store, count)
        if not shown:
            parts.append("<p class=open>No file has a value for every criterion.</p>")
        for example in shown:
            figure = _figure(report, example)
            if len(figure) > left_bytes:
                left_out += 1
                continue
            left_bytes -= len(figure)
            parts.append(figure)
    if left_out:
        parts.append(f"<p class=open>{left_out} more left out, to keep the page below {LARGEST_BYTES >> 20} MiB.</p>")
    return parts


def _shown(report: Report, system: System, summary: Summary, store: Store, count: int) -> list[Example]:
    return examples(report.measured, system, summary.rows, report.criteria, count, report.channel, store)


def _figure(report: Report, example: Example) -> str:
    from edge.qa.pictures import spectrograms

    values = ", ".join(
        f"{escape(COLUMNS[limit.name].title)} {written(limit.name, example.row.values[limit.name])}"
        for limit in report.criteria.limits
    )
    drawn = spectrograms(example)
    players = "".join(
        f"<label>{escape(name)}<br><audio controls preload=none src='{_inline(*compressed(sound))}'></audio></label>"
        for name, sound in example.sounds.items()
    )
    return (
        f"<figure><figcaption><b>{example.place}</b>: {escape(example.row.name)} {_mark(example.row)}<br>"
        f"<small>{values}</small></figcaption>{_image(drawn, 'spectrograms') if drawn else ''}"
        f"<div class=players>{players}</div></figure>"
    )


def _mark(row: Row) -> str:
    kind = {PASS: "pass", FAIL: "fail"}.get(row.verdict, "open")
    return f"<span class={kind}>{escape(row.verdict)}</span>"


def _files(report: Report, summary: Summary) -> str:
    limits = {limit.name for limit in report.criteria.limits}
    names = [name for name in report.columns if name in limits] + [name for name in report.wanted if name not in limits]
    found = []
    for row in summary.rows:
        cells = [
            written(name, row.values[name])
            if name not in row.reasons
            else f"<td><small title='{escape(row.reasons[name], quote=True)}'>none</small></td>"
            for name in names
        ]
        why = escape(rows.why_no_verdict(report, row))
        found.append([escape(row.name), *cells, f"<td class=text>{_mark(row)} <small>{why}</small></td>"])
    table = _table(["file", *(COLUMNS[name].title for name in names), "verdict"], found)
    return f"<details><summary>{escape(summary.system)}, {len(found)} files</summary>{table}</details>"


def _footer(report: Report) -> str:
    made = ""
    for system in report.systems:
        recipe = system.recipe
        by = f"identity <code>{recipe.identity[:16]}</code>" if recipe else escape(str(system.folder))
        made += f"<br>{escape(system.name)}: {by}"
    return f"<p class=muted>{escape(report.effort_sentence())}<br>{escape(report.cache)}{made}</p>"


def _image(png: bytes, what: str) -> str:
    return f"<img alt='{what}' src='{_inline('image/png', png)}'>"


def _inline(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
