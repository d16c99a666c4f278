"""Health of the microphones, judged hop by hop on the audio thread."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import HealthConfig
from edge.geometry import ArrayGeometry
from edge.health.bands import Bands
from edge.kernels import health, judge
from edge.profiles import Profile

F32 = NDArray[np.float32]

STEP_S = 0.016
"""between two frames that are compared, at most half of what a window spans"""
MEMORY_S = 0.3
"""time constant of the phase coherence"""
CLIP_MEMORY_S = 1.5
ANCHOR_SAMPLES = 12
SILENT_S = 5.0
"""all microphones at digital zero for so long is worth saying"""


class HealthMonitor:
    """Finds microphones to leave out and takes them back once they recover. Allocates nothing per hop.

    Results: `active` bool (mics,), the microphones to be used, never none; `changed`, whether the last update changed
    it; `reason` uint8 (mics,), a number into `edge.health.reasons.REASONS`; `value` float32 (mics,).
    Every hop the samples are watched; comparing spectra and judging take turns in the hops of a step.
    """

    def __init__(
        self,
        config: HealthConfig,
        geometry: ArrayGeometry,
        profile: Profile,
        channels: int,
        power_scale: float,
        sane_max: np.float32,
    ) -> None:
        mics, pairs = geometry.mics, geometry.mics * (geometry.mics - 1) // 2
        self.enabled = config.enabled and mics > 1
        self.bands = Bands(geometry, profile)
        hop_s = profile.hop_ms / 1000.0
        self._step_hops = max(2, round(STEP_S / hop_s))
        self._step_s = np.float32(self._step_hops * hop_s)
        self._rate = np.float32(1.0 - math.exp(-self._step_s / MEMORY_S))
        self._clip_keep = np.float32(math.exp(-hop_s / CLIP_MEMORY_S))
        self._reach = math.ceil(geometry.max_delay_samples(profile.rate_hz)) + 1
        self._sane_max = np.float32(sane_max)
        self._silent_samples = round(SILENT_S * profile.rate_hz)
        # one 16-bit step in the high band
        self._floor = np.float32(health.LSB**2 / power_scale * self.bands.high_share)
        self._limits: F32 = np.array(
            [
                config.quiet_db,
                config.loud_db,
                config.clipped_share,
                config.readmit_s,
                10.0 * math.log10(self._floor),
            ],
            np.float32,
        )
        self._heard_db = np.float32(self._limits[4] + judge.EVIDENCE_DB)
        self._still = np.float32(0.0)
        # results
        self.active: NDArray[np.bool_] = np.ones(mics, np.bool_)
        self.changed = False
        self.reason: NDArray[np.uint8] = np.zeros(mics, np.uint8)
        self.value: F32 = np.zeros(mics, np.float32)
        # state
        self.samples: F32 = np.zeros((3, channels), np.float32)
        self.counts: NDArray[np.int64] = np.zeros((4, channels), np.int64)
        self._anchors: F32 = np.zeros((channels, ANCHOR_SAMPLES), np.float32)
        self._frozen: NDArray[np.uint8] = np.zeros(mics, np.uint8)
        width = len(self.bands.frequencies_hz)
        self.phases_re: F32 = np.zeros((pairs, width), np.float32)
        self.phases_im: F32 = np.zeros((pairs, width), np.float32)
        self.level_db: F32 = np.zeros((2, mics), np.float32)
        self.pairs: F32 = np.zeros((2, pairs), np.float32)
        self._relative: F32 = np.zeros((3, mics), np.float32)
        self._clocks: F32 = np.zeros((7, mics), np.float32)
        self._turn = 0
        # scratch
        self._phasor: F32 = np.zeros((2, mics, width), np.float32)
        self.resets = 0
        self.reset()

    def update(self, block: F32, mic_channels: NDArray[np.int64], x_re: F32, x_im: F32) -> None:
        """One hop: captured block (hop, channels), channel of each microphone, spectra float32 (mics, bins)."""
        self.changed = False
        if not self.enabled:
            return
        frozen = health.watch_samples(
            block,
            mic_channels,
            self.active,
            self._clip_keep,
            self._reach,
            self._sane_max,
            self.samples,
            self.counts,
            self._anchors,
            self._frozen,
        )
        turn = self._turn
        self._turn = turn + 1 if turn + 1 < self._step_hops else 0
        if turn == 0:
            health.listen(
                x_re,
                x_im,
                self.bands.bins,
                self._rate,
                self._floor,
                self._phasor,
                self.phases_re,
                self.phases_im,
                self.level_db,
            )
            health.measure_pairs(self.phases_re, self.phases_im, self.bands.widths, self.pairs)
        if turn == 1 or frozen:
            self._judge(mic_channels, self._step_s if turn == 1 else self._still)

    def _judge(self, mic_channels: NDArray[np.int64], step_s: np.float32) -> None:
        self.changed = judge.judge(
            self._limits,
            step_s,
            self.level_db,
            self.pairs,
            self.samples,
            mic_channels,
            self.bands.widths,
            self.bands.least_cosine,
            self._frozen,
            self._relative,
            self._clocks,
            self.active,
            self.reason,
            self.value,
        )

    @property
    def heard_db(self) -> np.float32:
        """Level of a band from which there is more in it than rounding."""
        return self._heard_db

    @property
    def silent(self) -> bool:
        """Every captured channel has been exactly constant for SILENT_S."""
        return bool((self.counts[0] >= self._silent_samples).all())

    def reset(self) -> None:
        """Forget everything; all microphones are in use again. `resets` counts it."""
        self.resets += 1
        self.active[:] = True
        self.changed = True
        self.reason[:] = 0
        self.value[:] = 0.0
        self.samples[:] = 0.0
        self.counts[:] = 0
        self.counts[2] = health.ANCHOR_SAMPLES
        self._anchors[:] = np.nan
        self._frozen[:] = 0
        self.phases_re[:] = 0.0
        self.phases_im[:] = 0.0
        self.level_db[:] = self._limits[4]
        self.pairs[:] = 0.0
        self._relative[:] = 0.0
        self._clocks[:] = 0.0
        self._clocks[5] = self._limits[3]
        self._turn = 0
