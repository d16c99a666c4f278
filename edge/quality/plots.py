"""Pictures of sound, time and beams. The only module that imports matplotlib, and only its file backend."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import ArrayGeometry
from edge.profiles import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.projections.polar import PolarAxes

INK, MUTED, GRID = "#1d2733", "#6b7785", "#dfe4ea"
BEFORE, AFTER, BEAM, LATE = "#8a94a3", "#0b7a75", "#e08e0b", "#c8334a"
FREQUENCY_COLOURS = ("#b6c4d6", "#6f9fd8", "#1f6fb5", "#0b3c6f")

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


@contextmanager
def picture(path: Path, width_inches: float, height_inches: float, dpi: int = 110) -> Iterator[Figure]:
    """A figure in the project's style, drawn without a display and written to `path` when the block ends."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = _STYLE  # the type of the keys differs between releases of matplotlib
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with warnings.catch_warnings():
            # a file's name may be in a script that the font has not; boxes say as much
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(path, dpi=dpi)


def plain(name: str) -> str:
    """A name of a file or system as text for a picture: two dollar signs would make a formula of it, or an error."""
    return name.replace("$", r"\$")


def spectrogram_db(signal: ArrayLike, rate_hz: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level of 32 ms Hann frames every 8 ms: ((frequencies, frames) dB against full scale sine, start times in s)."""
    x = np.asarray(signal, dtype=np.float64)
    frame, hop = int(0.032 * rate_hz), int(0.008 * rate_hz)
    x = np.pad(x, (frame // 2, frame))
    starts = np.arange(0, x.size - frame, hop)
    window = np.hanning(frame + 1)[:-1]
    spectrum = np.fft.rfft(x[starts[:, None] + np.arange(frame)] * window, axis=1)
    return 20.0 * np.log10(np.abs(spectrum).T * 2.0 / window.sum() + 1e-7), starts / rate_hz


def draw_spectrogram(
    axes: Axes, signal: ArrayLike, rate_hz: int, title: str, limits_db: tuple[float, float]
) -> AxesImage:
    """Spectrogram up to half the rate; `limits_db` shared between pictures makes them comparable."""
    level_db, times_s = spectrogram_db(signal, rate_hz)
    image = axes.imshow(
        level_db,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=limits_db[0],
        vmax=limits_db[1],
        extent=(0.0, float(times_s[-1]), 0.0, rate_hz / 2000.0),
        interpolation="bilinear",
    )
    axes.set_title(title)
    axes.set_ylabel("kHz")
    axes.set_yticks([0, 2, 4, 6, 8] if rate_hz == 16000 else axes.get_yticks())
    return image


def level_dbfs(
    signal: ArrayLike, rate_hz: int, step_s: float = 0.05
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RMS level of consecutive pieces: (times in s at their middle, dBFS, at least -100)."""
    x = np.asarray(signal, dtype=np.float64)
    step = max(1, int(step_s * rate_hz))
    pieces = x[: x.size // step * step].reshape(-1, step)
    times_s = (np.arange(len(pieces)) + 0.5) * step / rate_hz
    return times_s, 10.0 * np.log10(np.mean(pieces**2, axis=1) + 1e-10)


def draw_levels(axes: Axes, tracks: Sequence[tuple[str, ArrayLike, str]], rate_hz: int, title: str) -> None:
    """Level over time of several (label, signal, colour)."""
    for label, signal, colour in tracks:
        times_s, dbfs = level_dbfs(signal, rate_hz)
        axes.plot(times_s, dbfs, color=colour, lw=1.3, label=label)
    axes.set_title(title)
    axes.set_ylabel("dBFS")
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_ylim(-85, -10)


def draw_hop_histogram(axes: Axes, hop_ms: ArrayLike, deadline_ms: float, marks_ms: dict[str, float]) -> None:
    """Processing times (hops,) of single hops on logarithmic axes, with `marks_ms` and the deadline as lines."""
    times_ms = np.asarray(hop_ms, dtype=np.float64)
    low_ms = min(0.05, 0.8 * float(times_ms.min(initial=0.05)))
    high_ms = max(1.6 * deadline_ms, 1.2 * float(times_ms.max(initial=deadline_ms)))
    count, edges_ms = np.histogram(times_ms, np.geomspace(low_ms, high_ms, 110))
    axes.stairs(np.maximum(count, 0.5), edges_ms, baseline=0.5, fill=True, color=AFTER, alpha=0.85, lw=0)
    axes.set(xscale="log", yscale="log", xlim=(low_ms, high_ms), ylim=(0.5, 3.0 * max(int(count.max(initial=1)), 1)))
    axes.axvline(deadline_ms, color=LATE, lw=1.8, label=f"deadline {deadline_ms:g} ms")
    for (name, value), style in zip(marks_ms.items(), ("-", "--", ":"), strict=False):
        axes.axvline(value, color=INK, lw=1.1, ls=style, label=f"{name} {value:.2f} ms")
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0) if low_ms <= t <= high_ms]
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set(title="Time per hop", xlabel="ms", ylabel="hops")


def beam_response_db(
    weights: NDArray[np.complexfloating],
    geometry: ArrayGeometry,
    profile: Profile,
    frequency_hz: float,
    azimuths_deg: ArrayLike,
    elevation_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Gain of a beamformer towards far sources: |w^H d| in dB, (azimuths,), at the bin nearest to `frequency_hz`.

    weights: complex (mics, bins), output w^H x, as Pipeline.weights gives them.
    """
    bin_index = round(frequency_hz * profile.window_samples / profile.rate_hz)
    bin_hz = bin_index * profile.rate_hz / profile.window_samples
    azimuths = np.atleast_1d(np.asarray(azimuths_deg, dtype=np.float64))
    delays_s = np.stack([geometry.steering_delays_s(float(a), elevation_deg) for a in azimuths])
    steering = np.exp(-2j * np.pi * bin_hz * delays_s)
    response = np.abs(steering @ np.conj(weights[:, bin_index]))
    return 20.0 * np.log10(np.maximum(response, 1e-6))


def draw_beam_pattern(
    axes: PolarAxes,
    weights: NDArray[np.complexfloating],
    geometry: ArrayGeometry,
    profile: Profile,
    frequencies_hz: Sequence[float],
    elevation_deg: float,
    marks_deg: dict[str, tuple[float, str]],
    floor_db: float = -30.0,
) -> None:
    """Gain over azimuth at a few frequencies, seen from above, forward up. marks_deg: label -> (azimuth, colour)."""
    azimuths_deg = np.arange(0.0, 361.0, 2.0)
    for frequency_hz, colour in zip(frequencies_hz, FREQUENCY_COLOURS, strict=False):
        gain_db = beam_response_db(weights, geometry, profile, frequency_hz, azimuths_deg, elevation_deg)
        label = f"{frequency_hz / 1000:g} kHz"
        axes.plot(np.radians(azimuths_deg), np.maximum(gain_db, floor_db), color=colour, lw=1.6, label=label)
    axes.set_theta_zero_location("N")
    axes.set_rlim(floor_db, 8.0)
    axes.set_rticks([-20.0, -10.0, 0.0], ["-20", "-10", "0 dB"], fontsize=8)
    axes.set_rlabel_position(200.0)
    axes.set_thetagrids(range(0, 360, 45), [f"{a if a <= 180 else a - 360}°" for a in range(0, 360, 45)], fontsize=8)
    axes.grid(color=GRID)
    axes.spines["polar"].set_color(GRID)
    for label, (azimuth_deg, colour) in marks_deg.items():
        angle = np.radians(azimuth_deg)
        axes.plot([angle, angle], [floor_db, 8.0], color=colour, lw=1.2, ls=(0, (4, 2)))
        axes.plot([angle], [8.0], color=colour, marker="o", ms=9, clip_on=False, ls="none", label=label, zorder=5)
    axes.set_title("Beam, seen from above")
