"""Wind, knocks and sensor self-noise: what the microphones of a small array do not share at low frequency."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.kernels import wind

F32 = NDArray[np.float32]

AVERAGE_S = 0.05
"""time constant of the averages: a gust 40 dB above the room is forgotten in half a second"""
SMOOTH_HZ = 65.0
"""coherence is averaged over neighbours up to this far away: wind is smooth in frequency, and averages are short"""
TOP_HZ = 2000.0
"""nothing is looked for above"""
LEAST_COHERENCE = 0.5
"""pairs count up to the frequency where two sources at opposite ends can make their coherence this low"""
NEIGHBOURS = 4
"""a microphone is compared with this many, the nearest"""
HIDDEN_SHARE = 0.01
"""incoherent noise 20 dB below the sound at the microphone is not heard"""
FLOOR_START_DBFS, FLOOR_MAX_DBFS = -60.0, -50.0
"""self-noise, white, that sensors are given credit for before it is measured, and at most"""
RISE_DB_PER_S, FALL_S = 1.0, 1.0
"""how the measured self-noise follows"""
GAIN_DB_PER_S = 30.0
"""how fast it is learnt at most that one microphone is louder than the others in everything"""
CALLED_WIND_HZ = 150.0
"""it is called wind when frames are windy up to here ..."""
CALLED_WIND_DBFS = -60.0
"""... louder than this: what an echo canceller leaves behind is as incoherent, and fainter ..."""
CALLED_WIND_S, BEGIN_SHARE, END_SHARE = 1.0, 0.3, 0.02
"""... for this share of the recent second; until next to none has been for some seconds"""


class Wind:
    """Measures incoherent noise per hop at low frequency and keeps beamformer weights from passing or amplifying it.

    Sound in a room is nearly alike at microphones a few centimetres apart when the wavelength is long: even two equal
    sources at opposite ends leave a coherence of cos(2 pi f d / c). Turbulence at the microphones (Corcos, JASA 1963),
    knocks on one of them and the noise of the sensors are not alike. With one microphone nothing is ever found.

    window: of the analysis, (samples,). Results: `noise`; `windy` float32 (bins,), 0 for none to 1 for wind;
    `corner_hz`, below which this frame is windy, 0 without; `calm_re`, `calm_im` (mics, bins), the frame to learn from:
    itself, or with silence in the windy bins; `level_dbfs`.
    """

    def __init__(
        self,
        geometry: ArrayGeometry,
        frequencies_hz: NDArray[np.float64],
        hop_s: float,
        window: F32,
    ) -> None:
        first, second = np.tril_indices(geometry.mics, -1)
        distances_m = np.linalg.norm(geometry.positions_m[first] - geometry.positions_m[second], axis=-1)
        looked_at = frequencies_hz <= TOP_HZ
        phase = 2.0 * math.pi * frequencies_hz * distances_m[:, None] / SPEED_OF_SOUND_M_S
        telling = (phase < math.acos(LEAST_COHERENCE)) & looked_at
        low = int(np.count_nonzero(telling.any(axis=0)))
        near = np.full((geometry.mics, geometry.mics), np.inf)
        near[first, second] = near[second, first] = distances_m
        rank = near.argsort(axis=1, kind="stable").argsort(axis=1)
        kept = telling.any(axis=1) & (np.minimum(rank[first, second], rank[second, first]) < NEIGHBOURS)
        self._first, self._second = first[kept].astype(np.int64), second[kept].astype(np.int64)
        telling, phase = telling[kept, :low], phase[kept, :low]
        least = np.cos(np.where(telling, phase, 0.0))
        self._inverse_least: F32 = np.where(telling, 1.0 / least, 0.0).astype(np.float32)
        self._reach = int(SMOOTH_HZ / float(frequencies_hz[1]))
        self._rate = np.float32(1.0 - math.exp(-hop_s / AVERAGE_S))
        self._rise = np.float32(10.0 ** (RISE_DB_PER_S * hop_s / 10.0))
        self._gain_step = np.float32(10.0 ** (GAIN_DB_PER_S * hop_s / 10.0) - 1.0)
        self._fall = np.float32(1.0 - math.exp(-hop_s / FALL_S))
        window_power = float(np.sum(window.astype(np.float64) ** 2))
        self._floor_start = np.float32(window_power * 10.0 ** (FLOOR_START_DBFS / 10.0))
        self._floor_max = np.float32(window_power * 10.0 ** (FLOOR_MAX_DBFS / 10.0))
        self._power_scale = 2.0 / (len(window) * window_power)
        self._spacing_hz = float(frequencies_hz[1])
        self._called_wind = max(min(round(CALLED_WIND_HZ / self._spacing_hz), low), 1)
        self._slow = 1.0 - math.exp(-hop_s / CALLED_WIND_S)
        # state
        mics, pairs, bins = geometry.mics, len(self._first), len(frequencies_hz)
        self.power: F32 = np.zeros((mics, low), np.float32)
        self._cross: F32 = np.zeros((pairs, low), np.float32)
        self._floor: F32 = np.zeros(low, np.float32)
        self._gain: F32 = np.ones(mics, np.float32)
        self._often = 0.0
        self._level = 0.0
        self._is_wind = False
        # results
        self.noise: F32 = np.zeros((mics, low), np.float32)
        """incoherent power per microphone and bin"""
        self.windy: F32 = np.zeros(bins, np.float32)
        self.corner_hz = 0.0
        self._calm: tuple[F32, F32] = (np.zeros((mics, bins), np.float32), np.zeros((mics, bins), np.float32))
        self.calm_re, self.calm_im = self._calm
        # scratch
        self._loud: F32 = np.zeros(1, np.float32)
        self._coherence: F32 = np.zeros((pairs, low), np.float32)
        self._alive = np.zeros(mics, np.bool_)
        self._low_levels: F32 = np.zeros((2, low), np.float32)
        self.reset()

    def update(self, x_re: F32, x_im: F32, active: NDArray[np.bool_]) -> None:
        """Take in one frame: spectra (mics, bins) and the microphones in use (mics,)."""
        wind.track(x_re, x_im, active, self._first, self._second, self._rate, self._alive, self.power, self._cross)
        wind.incoherent(
            self.power,
            self._cross,
            self._first,
            self._second,
            self._inverse_least,
            self._alive,
            self._reach,
            self._gain_step,
            self._gain,
            self._coherence,
            self._low_levels,
            self.noise,
        )
        corner = wind.judge(
            self.power,
            self.noise,
            self._alive,
            self._rise,
            self._fall,
            self._floor_max,
            self._floor,
            self.windy,
            self._loud,
        )
        self.corner_hz = corner * self._spacing_hz
        self.calm_re, self.calm_im = x_re, x_im
        if corner > 0:
            self.calm_re, self.calm_im = self._calm
            wind.leave_out(x_re, x_im, self.windy, self.calm_re, self.calm_im)
        self._level += self._slow * (float(self._loud[0]) - self._level)
        self._often += self._slow * ((corner >= self._called_wind) - self._often)
        least_dbfs = CALLED_WIND_DBFS - (10.0 if self._is_wind else 0.0)
        loud = self._level * self._power_scale > 10.0 ** (least_dbfs / 10.0)
        self._is_wind = loud and self._often > (END_SHARE if self._is_wind else BEGIN_SHARE)

    @property
    def level_dbfs(self) -> float | None:
        """RMS of wind and knocks at a microphone in the bins they fill, recent second; None while there is none."""
        return 10.0 * math.log10(max(self._level * self._power_scale, 1e-12)) if self._is_wind else None

    def bound(self, d_re: F32, d_im: F32, w_re: F32, w_im: F32) -> None:
        """Keep weights w (mics, bins) from passing more incoherent noise than needed; see `edge.kernels.wind.bound`.

        d (mics, bins): what w looks at, with w^H d = 1 before and after.
        """
        wind.bound(self.power, self.noise, self._alive, np.float32(HIDDEN_SHARE), d_re, d_im, w_re, w_im)

    def reset(self) -> None:
        """Forget everything measured."""
        self.power[:] = 0.0
        self._cross[:] = 0.0
        self._floor[:] = self._floor_start
        self._gain[:] = 1.0
        self.noise[:] = 0.0
        self.windy[:] = 0.0
        self._often = self._level = 0.0
        self._is_wind = False
        self.corner_hz = 0.0
