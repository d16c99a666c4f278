"""Spatial cues for the networks that want them: what the beam rejected, and what disagrees with where it looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.beamform.base import Beamformer
from edge.kernels import cues
from edge.mask.base import MaskEstimator

F32 = NDArray[np.float32]


class Cues:
    """Fills the `cue_power` of an estimator, float32 (2, bins), before its step; see edge/mask/base.py for the rows.

    A beam that is one microphone has nothing to compare: row 0 is the power of that microphone, row 1 zero.
    Allocates nothing per hop.
    """

    def __init__(self, mics: int, bins: int) -> None:
        # scratch
        self._alone: NDArray[np.bool_] = np.zeros(mics, np.bool_)
        self._scratch: F32 = np.zeros((3, bins), np.float32)

    def fill(
        self, estimator: MaskEstimator, x_re: F32, x_im: F32, active: NDArray[np.bool_], beamformer: Beamformer
    ) -> None:
        """Spectra (mics, bins), `active` (mics,) microphones in use, the beamformer whose weights are followed."""
        power: F32 | None = getattr(estimator, "cue_power", None)
        if power is None:
            return
        if beamformer.kind == "none":
            self._alone[:] = False
            self._alone[int(active.argmax())] = True
            active = self._alone
        cues.look_residual(x_re, x_im, beamformer.look_re, beamformer.look_im, active, self._scratch, power)
