"""Holds a playback device to the capture clock: measures how the two clocks drift, and says by how much to resample.

Pure: numbers in, a ratio out, no device and no clock of its own. Two estimates work together:
- The drift is the slope of frames played against frames captured, fitted over minutes with forgetting. Neither count is
  changed by what the lock does, so nothing can oscillate. Until enough was seen a prior pulls the slope towards the
  last known value (at first zero).
- The level of the device's queue, smoothed, is pulled to its target with a time constant of half a minute, which takes
  away what the drift estimate leaves. Many devices report their queue in steps of a period; so slow a pull turns such a
  step into a pitch change of at most 0.03 %.
"""

from __future__ import annotations

import math

POINT_S = 1.0
"""one point of the fit: the means over this time"""
FORGET_S = 600.0
"""age at which a point of the fit has lost 63 % of its weight"""
PULL_S = 30.0
"""time constant with which the queue goes back to its target"""
SMOOTH_POINTS = 4.0
DRIFT_LIMIT = 600e-6
"""full-speed USB allows 500 ppm; anything more is no clock"""
PULL_LIMIT = 300e-6
PRIOR_DRIFT = 100e-6
"""deviation of the drift expected between two arbitrary crystals"""
KNOWN_SHARE = 0.9
"""weight of the data against the prior from which on the drift is reported"""


class _LineFit:
    """Least squares with exponential forgetting, O(1) per point; the newest point is always at x = 0."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._n = self._x = self._xx = self._y = self._xy = 0.0

    def add(self, step: float, y: float) -> None:
        """A point that lies `step` beyond the last one on the x axis."""
        keep = self._keep
        self._xx = keep * (self._xx - 2.0 * step * self._x + step * step * self._n)
        self._xy = keep * (self._xy - step * self._y)
        self._x = keep * (self._x - step * self._n)
        self._y = keep * self._y + y
        self._n = keep * self._n + 1.0

    def moments(self) -> tuple[float, float]:
        """Centred sums of x x and of x y."""
        return self._xx - self._x * self._x / self._n, self._xy - self._x * self._y / self._n


class ClockLock:
    """Ratio of output to input frames that keeps a device's queue at `target_frames`.

    Parameters: in_rate_hz of the blocks (capture clock), out_rate_hz of the device; target_frames, the queue to keep
    just before a block is written; granularity_frames, how coarsely the device reports its queue.
    """

    def __init__(self, in_rate_hz: float, out_rate_hz: float, target_frames: int, granularity_frames: int) -> None:
        self.target_frames = target_frames
        self._ratio = out_rate_hz / in_rate_hz
        self._out_rate_hz = out_rate_hz
        self._point_frames = POINT_S * out_rate_hz
        # what a level read in steps of `granularity` weighs against the prior
        self._prior_weight = max(granularity_frames, 1) ** 2 / 12.0 / PRIOR_DRIFT**2
        self._drift = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget levels and counts. The drift found so far stays as the prior: crystals do not change."""
        self._fit = _LineFit(math.exp(-POINT_S / FORGET_S))
        self._prior_drift = self._drift
        self._known = 0.0
        self._captured = 0.0
        self._written = 0.0
        self._last_x = 0.0
        self._events = -1
        self._smooth_error: float | None = None
        self._pull = 0.0
        self._start_point()

    def _start_point(self) -> None:
        self._levels = 0
        self._level_sum = self._captured_sum = self._played_sum = 0.0
        self._point_end = self._captured + self._point_frames

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the playback clock runs than the capture clock; None while not known yet."""
        return 1e6 * self._drift if self._known >= KNOWN_SHARE else None

    @property
    def correction(self) -> float:
        """Relative deviation of the ratio from its nominal value now in force."""
        return self._drift + self._pull

    def update(self, in_frames: int, queue_frames: int, events: int) -> float:
        """Ratio for a block of in_frames about to be resampled and written.

        queue_frames: frames waiting in the device before that, negative when unknown; events: any count that changes
        whenever the queue jumped for another reason than drift (underruns, dropped frames).
        """
        if events != self._events:
            self.reset()
            self._events = events
        elif queue_frames >= 0:
            self._levels += 1
            self._level_sum += queue_frames
            self._captured_sum += self._captured
            self._played_sum += self._written - queue_frames
            if self._captured >= self._point_end:
                self._take_point()
        self._captured += in_frames * self._ratio
        return self._ratio * (1.0 + self.correction)

    def written(self, out_frames: int) -> None:
        """Count frames that went to the device after the last update()."""
        self._written += out_frames

    def _take_point(self) -> None:
        captured = self._captured_sum / self._levels
        played = self._played_sum / self._levels
        error = self._level_sum / self._levels - self.target_frames
        self._fit.add(captured - self._last_x, played - captured * (1.0 + self._prior_drift))
        self._last_x = captured
        xx, xy = self._fit.moments()
        self._known = xx / (xx + self._prior_weight)
        drift = self._prior_drift + xy / (xx + self._prior_weight)
        self._drift = min(max(drift, -DRIFT_LIMIT), DRIFT_LIMIT)
        if self._smooth_error is None:
            self._smooth_error = error
        self._smooth_error += (error - self._smooth_error) / SMOOTH_POINTS
        pull = -self._smooth_error / (self._out_rate_hz * PULL_S)
        self._pull = min(max(pull, -PULL_LIMIT), PULL_LIMIT)
        self._start_point()
