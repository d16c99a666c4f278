"""The demo in one picture: before and after, levels, time per hop, beam, and the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.config.schema import Config
from edge.demo.bundled import Scene
from edge.demo.report import Report
from edge.demo.session import LiveResult
from edge.geometry import geometry_from_config
from edge.profiles import PROFILES
from edge.quality import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMITS_DB = (-100.0, -40.0)
BEAM_FREQUENCIES_HZ = (500.0, 1000.0, 2000.0, 3500.0)


def draw(path: Path, scene: Scene, config: Config, live: LiveResult, report: Report) -> None:
    """Write the picture as PNG."""
    rate_hz, summary = scene.rate_hz, report.summary
    with plots.picture(path, 15.0, 9.2) as figure:
        grid = figure.add_gridspec(3, 2, width_ratios=(2.15, 1.0), height_ratios=(1.0, 1.0, 0.85))
        before, after, levels = (figure.add_subplot(grid[row, 0]) for row in range(3))
        plots.draw_spectrogram(before, report.noisy, rate_hz, "Before: microphone 1", LIMITS_DB)
        image = plots.draw_spectrogram(
            after, report.listen, rate_hz, f"After: {config.beamformer.kind} and {config.mask.kind}", LIMITS_DB
        )
        figure.colorbar(image, ax=[before, after], label="dB", aspect=40, pad=0.01)
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

        side = grid[:, 1].subgridspec(3, 1, height_ratios=(1.25, 0.85, 0.95))
        beam = figure.add_subplot(side[0], projection="polar")
        plots.draw_beam_pattern(
            beam,  # type: ignore[arg-type]
            report.weights,
            geometry_from_config(config.array),
            PROFILES[config.profile],
            BEAM_FREQUENCIES_HZ,
            scene.elevation_deg,
            {
                "talker": (scene.azimuth_deg, plots.AFTER),
                "vacuum cleaner": (float(scene.facts["vacuum_cleaner"]["azimuth_deg"]), plots.LATE),
            },
        )
        beam.legend(loc="upper right", bbox_to_anchor=(-0.1, 1.05), fontsize=8, handlelength=1.2)
        hops = figure.add_subplot(side[1])
        edges_ms = np.geomspace(0.04, 40.0, 90)
        counts, _ = np.histogram(live.hop_ms, edges_ms)
        hop = summary["runtime"]["hop_ms"]
        marks = {name: float(hop[name]) for name in ("p50", "p99", "max")}
        plots.draw_hop_histogram(hops, edges_ms, counts, live.summary.deadline_ms, marks)
        _numbers(figure.add_subplot(side[2]), summary)


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
            (0.0, 0.55, 0.78, 1.0),
            row,
            ("normal", "normal", "bold", "bold"),
            (plots.INK, plots.MUTED, plots.INK, plots.AFTER),
            strict=True,
        ):
            side = "left" if x == 0.0 else "right"
            axes.text(x, 0.97 - 0.135 * i, text, ha=side, va="top", fontweight=weight, color=colour, fontsize=11)
    latency = summary["latency_ms"]
    late = f"{run['deadline_misses']} of {run['hops']} hops late, {run['overruns']} overruns"
    axes.text(0.0, 0.22, f"latency {latency['algorithmic']:g} ms algorithmic", va="top", color=plots.MUTED)
    axes.text(0.0, 0.08, late, va="top", color=plots.MUTED)
