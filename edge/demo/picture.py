"""The demo in one picture: before and after, levels, time per hop, beam, and the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edge.config.schema import Config
from edge.demo.bundled import Scene
from edge.demo.report import Report
from edge.demo.session import LiveResult
from edge.geometry import geometry_from_config
from edge.profiles import PROFILES
from edge.quality import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.projections.polar import PolarAxes

LIMITS_DB = (-100.0, -40.0)
BEAM_FREQUENCIES_HZ = (500.0, 1000.0, 2000.0, 3500.0)


def draw(path: Path, scene: Scene, config: Config, live: LiveResult, report: Report) -> None:
    """Write the picture as PNG."""
    rate_hz, summary = scene.rate_hz, report.summary
    with plots.picture(path, 16.0, 9.4) as figure:
        halves = figure.add_gridspec(1, 2, width_ratios=(2.05, 1.0), wspace=0.02)
        left, right = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
        before, after, levels = left.subplots(3, 1, height_ratios=(1.0, 1.0, 0.85))
        plots.draw_spectrogram(before, report.noisy, rate_hz, "Before: microphone 1 (bars: speech)", LIMITS_DB)
        image = plots.draw_spectrogram(
            after, report.listen, rate_hz, f"After: {config.beamformer.kind} and {config.mask.kind}", LIMITS_DB
        )
        left.colorbar(image, ax=[before, after], label="dB", aspect=40, pad=0.01)
        _sentences(before, scene, len(report.noisy))
        tracks = [
            ("microphone 1", report.noisy, plots.BEFORE),
            ("beam (asr)", report.asr, plots.BEAM),
            ("beam and mask (listen)", report.listen, plots.AFTER),
        ]
        plots.draw_levels(levels, tracks, rate_hz, "Level")
        levels.legend(loc="lower right", ncols=3, fontsize=9)
        levels.set_xlabel("seconds")
        for axes in (before, after, levels):
            axes.set_xlim(0.0, max(len(report.noisy) / rate_hz, 0.1))

        # a figure of its own for each, so that the legend of one does not narrow the others
        thirds = right.add_gridspec(3, 1, height_ratios=(1.2, 0.9, 0.8))
        beam_part, hop_part, number_part = (right.add_subfigure(thirds[row]) for row in range(3))
        beam = beam_part.add_subplot(projection="polar")
        vacuum_deg = float(scene.facts["vacuum_cleaner"]["azimuth_deg"])
        plots.draw_beam_pattern(
            cast("PolarAxes", beam),
            report.weights,
            geometry_from_config(config.array),
            PROFILES[config.profile],
            BEAM_FREQUENCIES_HZ,
            scene.elevation_deg,
            {
                f"talker {scene.azimuth_deg:.0f}°": (scene.azimuth_deg, plots.AFTER),
                f"vacuum {vacuum_deg:.0f}°": (vacuum_deg, plots.LATE),
            },
        )
        beam.legend(loc="center left", bbox_to_anchor=(1.1, 0.5), fontsize=9, handlelength=1.3)
        hops = hop_part.add_subplot()
        hop = summary["runtime"]["hop_ms"]
        marks = {name: float(hop[name]) for name in ("p50", "p99", "max")}
        plots.draw_hop_histogram(hops, live.hop_ms, live.summary.deadline_ms, marks)
        hops.legend(loc="upper center", bbox_to_anchor=(0.68, 1.02), fontsize=9, handlelength=1.6)
        _numbers(number_part.add_subplot(), summary)


def _sentences(axes: Axes, scene: Scene, samples: int) -> None:
    """A line over the picture for each sentence."""
    for sentence in scene.facts["sentences"]:
        start_s, end_s = float(sentence["start_s"]), float(sentence["end_s"])
        if start_s * scene.rate_hz < samples:
            axes.plot([start_s, end_s], [8.12, 8.12], color=plots.AFTER, lw=3, clip_on=False, solid_capstyle="butt")


def _numbers(axes: Axes, summary: dict[str, Any]) -> None:
    scores, run = summary["scores"], summary["runtime"]
    axes.axis("off")
    rows: list[tuple[str, ...]] = [("", "before", "after", "")]
    for name, metric in (
        ("SNR, true", "snr_db"),
        ("PESQ-WB", "pesq_wb"),
        ("ESTOI", "estoi"),
        ("DNSMOS overall", "dnsmos_ovrl"),
    ):
        before, after = scores["noisy"][metric], scores["listen"][metric]
        known = before is not None and after is not None
        unit = " dB" if metric == "snr_db" else ""
        digits = 1 if unit else 2
        cells = tuple("-" if v is None else f"{v:.{digits}f}{unit}" for v in (before, after))
        rows.append((name, *cells, f"{after - before:+.{digits}f}" if known else ""))
    for i, row in enumerate(rows):
        for x, text, weight, colour in zip(
            (0.0, 0.5, 0.75, 0.98),
            row,
            ("normal", "normal", "bold", "bold"),
            (plots.INK, plots.MUTED, plots.INK, plots.AFTER),
            strict=True,
        ):
            side = "left" if x == 0.0 else "right"
            axes.text(x, 0.98 - 0.15 * i, text, ha=side, va="top", fontweight=weight, color=colour, fontsize=11)
    latency = summary["latency_ms"]
    facts = (
        f"latency {latency['algorithmic']:g} ms algorithmic; {run['deadline_misses']} of {run['hops']} hops late, "
        f"{run['overruns']} overruns"
    )
    axes.text(0.0, 0.16, facts, va="top", color=plots.MUTED, fontsize=9.5)
