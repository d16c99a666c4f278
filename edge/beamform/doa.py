"""Where the talker is: steered response power of the speech that the network hears, over a grid of azimuths.

SRP-PHAT (DiBiase 2000) with two changes for noisy rooms. Cross-spectra are averaged with the network's gains as
weights, and what the microphones hear while speech is absent is subtracted, so that a fan or a radio as loud as the
talker does not win. And pairs are normalised by the power of the bin rather than by their own magnitude, so that bins
count by their coherence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.kernels import srp

F32 = NDArray[np.float32]

GRID_STEP_DEG = 5.0
ESTIMATE_EVERY_S = 0.1
"""one scan of the grid, spread evenly over the hops in this time"""
SPEECH_MEMORY_S = 0.1
NOISE_MEMORY_S = 1.5
LOWEST_HZ, HIGHEST_HZ = 300.0, 6500.0
MAX_PAIRS = 28
"""all pairs of 8 microphones; of more microphones the most different ones"""
PHASE_STEP_MAX = math.pi / 2
"""largest change of phase between neighbours of the grid: long pairs leave out the bins above it"""


@dataclass(frozen=True)
class Grid:
    """Azimuths that are looked at, in degrees, ascending, one step apart."""

    azimuth_deg: NDArray[np.float64]
    circular: bool
    """the last one is beside the first"""


def horizontal_mirror_deg(geometry: ArrayGeometry) -> float | None:
    """Azimuth of the line across which the array cannot tell left from right, or None if it can.

    Microphones on a line, or in an upright plane, hear a source and its mirror image behind them alike.
    """
    axis = geometry.axis
    if geometry.is_linear:
        return math.degrees(math.atan2(axis[1], axis[0]))
    if geometry.is_planar and abs(axis[2]) < 0.5:
        return math.degrees(math.atan2(axis[1], axis[0])) + 90.0
    return None


def direction_grid(geometry: ArrayGeometry, azimuth_deg: float) -> Grid:
    """All azimuths, `azimuth_deg` among them; for an array with a mirror only the half plane around it."""
    mirror_deg = horizontal_mirror_deg(geometry)
    if mirror_deg is None:
        count = round(360.0 / GRID_STEP_DEG)
        return Grid(azimuth_deg + GRID_STEP_DEG * (np.arange(count, dtype=np.float64) - count // 2), True)
    # from azimuth_deg to the mirror on both sides; on the mirror itself the half to the left counts
    ahead = (mirror_deg - azimuth_deg) % 180.0
    ahead = 180.0 if ahead < 1e-6 else ahead
    below = math.floor((180.0 - ahead) / GRID_STEP_DEG + 1e-9)
    above = math.floor(ahead / GRID_STEP_DEG + 1e-9)
    return Grid(azimuth_deg + GRID_STEP_DEG * np.arange(-below, above + 1, dtype=np.float64), False)


def choose_pairs(geometry: ArrayGeometry, most: int = MAX_PAIRS) -> list[tuple[int, int]]:
    """All pairs of microphones, or the `most` whose baselines differ most, every microphone used about as often."""
    pairs = [(i, j) for i in range(geometry.mics) for j in range(i + 1, geometry.mics)]
    if len(pairs) <= most:
        return pairs
    baseline = np.array([geometry.positions_m[i] - geometry.positions_m[j] for i, j in pairs])
    # distance to the nearest baseline taken already; a baseline and its opposite are the same
    apart = np.full(len(pairs), np.inf)
    uses = np.zeros(geometry.mics)
    chosen: list[int] = []
    while len(chosen) < most:
        score = np.minimum(apart, geometry.aperture_m) + 1e-3 * np.linalg.norm(baseline, axis=1)
        score -= 0.1 * geometry.aperture_m * np.array([uses[i] + uses[j] for i, j in pairs])
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        uses[list(pairs[best])] += 1
        for sign in (1.0, -1.0):
            apart = np.minimum(apart, np.linalg.norm(baseline - sign * baseline[best], axis=1))
    return [pairs[k] for k in sorted(chosen)]


class SteeredPower:
    """Power over the grid, a new one about every 0.1 s. Nothing is allocated after construction.

    geometry: at least 2 microphones. frequencies_hz: (bins,) of the spectra. hop_s: seconds between spectra.
    elevation_deg: at which the grid lies. Results: `power` float32 (directions,), about coherence times evidence, and
    `evidence` in [0, 1], how much of the recent past was speech above the noise; both when `update` returned True.
    """

    def __init__(
        self,
        geometry: ArrayGeometry,
        frequencies_hz: NDArray[np.float64],
        hop_s: float,
        grid: Grid,
        elevation_deg: float = 0.0,
    ) -> None:
        self.grid = grid
        used = np.flatnonzero((frequencies_hz >= LOWEST_HZ) & (frequencies_hz <= HIGHEST_HZ))
        self._first_bin = int(used[0])
        used_hz = frequencies_hz[used]
        pairs = choose_pairs(geometry)
        limits = [_bins_below(_highest_hz(geometry, i, j), used_hz) for i, j in pairs]
        self._pairs = np.array([(i, j, limit) for (i, j), limit in zip(pairs, limits, strict=True)], np.int64)
        self._keep_s = np.float32(math.exp(-hop_s / SPEECH_MEMORY_S))
        self._keep_n = np.float32(math.exp(-hop_s / NOISE_MEMORY_S))
        self._hops = max(4, round(ESTIMATE_EVERY_S / hop_s))
        self._per_frame = np.float32(1.0 / self._hops)
        self._table_re, self._table_im = _steering_table(geometry, grid, elevation_deg, pairs, used_hz)
        # results
        self.power: F32 = np.zeros(len(grid.azimuth_deg), np.float32)
        self.evidence = 0.0
        # state
        shape = (len(pairs), len(used))
        self._s_re: F32 = np.zeros(shape, np.float32)
        self._s_im: F32 = np.zeros(shape, np.float32)
        self._n_re: F32 = np.zeros(shape, np.float32)
        self._n_im: F32 = np.zeros(shape, np.float32)
        self._sums: F32 = np.zeros((5, len(used)), np.float32)
        self._w_re: F32 = np.zeros(shape, np.float32)
        self._w_im: F32 = np.zeros(shape, np.float32)
        self._hop = 0
        # scratch
        self._scratch: F32 = np.zeros((4, len(used)), np.float32)

    @property
    def every_hops(self) -> int:
        """Hops from one estimate to the next."""
        return self._hops

    def update(self, x_re: F32, x_im: F32, presence: F32, active: NDArray[np.bool_]) -> bool:
        """Take in one frame: spectra (mics, bins), presence (bins,), active (mics,). True when `power` is new."""
        srp.accumulate(
            x_re,
            x_im,
            presence,
            active,
            self._first_bin,
            self._pairs,
            self._keep_s,
            self._keep_n,
            self._s_re,
            self._s_im,
            self._n_re,
            self._n_im,
            self._sums,
            self._scratch,
        )
        hop, count = self._hop, len(self.power)
        if hop == 0:
            self._next_evidence = float(
                srp.whiten(
                    active,
                    self._pairs,
                    self._per_frame,
                    self._s_re,
                    self._s_im,
                    self._n_re,
                    self._n_im,
                    self._sums,
                    self._scratch,
                    self._w_re,
                    self._w_im,
                )
            )
        else:
            # the first hop whitens and the last one is left to whoever uses the result
            parts = self._hops - 2
            first, last = min(hop - 1, parts) * count // parts, min(hop, parts) * count // parts
            srp.scan(self._pairs, self._w_re, self._w_im, self._table_re, self._table_im, first, last, self.power)
        self._hop = (hop + 1) % self._hops
        if self._hop:
            return False
        self.evidence = self._next_evidence
        return True

    def reset(self) -> None:
        """Forget everything heard."""
        for array in (self._s_re, self._s_im, self._n_re, self._n_im, self._sums, self._w_re, self._w_im, self.power):
            array.fill(0.0)
        self._hop = 0
        self.evidence = 0.0


def _highest_hz(geometry: ArrayGeometry, i: int, j: int) -> float:
    distance_m = float(np.linalg.norm(geometry.positions_m[i] - geometry.positions_m[j]))
    return PHASE_STEP_MAX * SPEED_OF_SOUND_M_S / (2.0 * math.pi * distance_m * math.radians(GRID_STEP_DEG))


def _bins_below(highest_hz: float, used_hz: NDArray[np.float64]) -> int:
    return max(4, int(np.count_nonzero(used_hz <= highest_hz)))


def _steering_table(
    geometry: ArrayGeometry,
    grid: Grid,
    elevation_deg: float,
    pairs: list[tuple[int, int]],
    used_hz: NDArray[np.float64],
) -> tuple[F32, F32]:
    """Cross-spectra exp(-2 pi i f (tau_i - tau_j)) of a far source, real and imaginary (directions, pairs, bins)."""
    tau_s = np.array([geometry.steering_delays_s(azimuth, elevation_deg) for azimuth in grid.azimuth_deg])
    i, j = np.array(pairs).T
    table_re = np.empty((len(tau_s), len(pairs), len(used_hz)), np.float32)
    table_im = np.empty_like(table_re)
    for d, tau in enumerate(tau_s):
        phase = -2.0 * np.pi * used_hz * (tau[i] - tau[j])[:, None]
        table_re[d], table_im[d] = np.cos(phase), np.sin(phase)
    return table_re, table_im
