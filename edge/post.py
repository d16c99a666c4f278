"""After the mask: gain floor, slow level control, limiter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import PostConfig, gain_floor_db
from edge.kernels import levels
from edge.meters import Meters
from edge.profiles import Profile

F32 = NDArray[np.float32]


class LevelControl:
    """Slow gain that brings speech to a target level. It moves only while speech dominates, so noise is never pumped.

    power_scale turns |X|^2 summed over bins into mean square (see `Stft.power_scale`).
    """

    RISE_DB_PER_S = 3.0
    FALL_DB_PER_S = 12.0
    SPEECH_SHARE = 0.5
    SPEECH_LEVEL_MIN_DBFS = -60.0

    _speech: float
    _gain_db: float
    _gain: np.float32

    def __init__(self, config: PostConfig, profile: Profile, power_scale: float) -> None:
        self._enabled = config.agc
        self._target_dbfs = config.agc_target_dbfs
        self._gain_max_db = config.agc_max_gain_db
        self._scale = power_scale
        self._hop_s = profile.hop_ms / 1000.0
        self._keep = math.exp(-self._hop_s / 0.4)
        self.reset()

    def update(self, frame_power: float, speech_power: float) -> np.float32:
        """Powers of one frame of the beam (sums over bins); returns the linear gain to apply now."""
        if not self._enabled:
            return self._gain
        if speech_power > self.SPEECH_SHARE * frame_power:
            self._speech = self._keep * self._speech + (1.0 - self._keep) * speech_power * self._scale
            level_dbfs = 10.0 * math.log10(max(self._speech, 1e-12))
            if level_dbfs > self.SPEECH_LEVEL_MIN_DBFS:
                wanted_db = min(max(self._target_dbfs - level_dbfs, -self._gain_max_db), self._gain_max_db)
                step_db = wanted_db - self._gain_db
                self._gain_db += min(max(step_db, -self.FALL_DB_PER_S * self._hop_s), self.RISE_DB_PER_S * self._hop_s)
                self._gain = np.float32(10.0 ** (self._gain_db / 20.0))
        return self._gain

    @property
    def gain(self) -> np.float32:
        """Linear gain in force."""
        return self._gain

    def reset(self) -> None:
        self._speech = 0.0
        self._gain_db = 0.0
        self._gain = np.float32(1.0)


class GainFloor:
    """Least gain of the listen output. A new one is reached at GLIDE_DB_PER_S, so that another mask, whose floor is
    another, does not let the background jump."""

    GLIDE_DB_PER_S = 400.0

    def __init__(self, profile: Profile, floor_db: float | str, mask_kind: str, microphones: int) -> None:
        """floor_db: as mask.floor_db; mask_kind and microphones (in the beam): what "auto" depends on."""
        self._step = 10.0 ** (self.GLIDE_DB_PER_S * profile.hop_ms / 1000.0 / 20.0)
        self.wanted = floor_db
        self.suit(mask_kind, microphones)
        self.gain = self._target
        """linear, in force"""

    def suit(self, mask_kind: str, microphones: int) -> None:
        """Where to go behind a mask and a beam: sets `db`."""
        self.db = min(gain_floor_db(self.wanted, mask_kind, microphones), 0.0)
        self._target = np.float32(10.0 ** (self.db / 20.0))

    def update(self) -> np.float32:
        """One hop further; returns the gain to apply now."""
        if self.gain != self._target:
            self.gain = np.float32(min(max(self._target, self.gain / self._step), self.gain * self._step))
        return self.gain


class Limiter:
    """No sample above the ceiling, no delay: the gain drops at once and recovers over about 100 ms."""

    latency_samples = 0

    def __init__(self, config: PostConfig, profile: Profile, outputs: int) -> None:
        self._ceiling = np.float32(10.0 ** (config.limiter_dbfs / 20.0))
        self._release = np.float32(1.0 - math.exp(-1.0 / (0.1 * profile.rate_hz)))
        self._gain: F32 = np.ones(outputs, np.float32)

    def apply(self, signals: F32, order: NDArray[np.int64], out: F32, meters: Meters) -> None:
        """signals (2, hop) -> out (hop, outputs) with out[:, o] = signals[order[o]]; meters take the result."""
        levels.limit(signals, order, self._ceiling, self._release, self._gain, out, meters.out_energy, meters.out_peak)

    def reset(self) -> None:
        self._gain[:] = 1.0
