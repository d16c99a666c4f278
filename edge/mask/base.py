"""The one contract of every gain estimator."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class MaskEstimator(Protocol):
    """Causal gain estimator: one spectrum in, one gain per bin out, state inside, nothing allocated per step.

    One for an array may have two things more. `cue_power`, float32 (2, bins) scratch or None: where there is one it is
    filled right before each step with the mean power of the microphones in use (row 0) and with the mean power of what
    the look direction does not explain of them, scaled so that diffuse noise gives about row 0 for any number of
    microphones (row 1, zero with one). `listener()`: an estimator for a single microphone, whatever the beam does.
    """

    latency_samples: int
    """Extra delay beyond the STFT's own; 0 for every estimator that ships."""

    presence: NDArray[np.float32]
    """(bins,) float32 in [0, 1]: speech presence after the last step; gates the noise covariance one hop later."""

    def step(self, spectrum: NDArray[np.complex64], gain: NDArray[np.float32]) -> None:
        """Read `spectrum` complex64 (bins,), write `gain` float32 (bins,) in [0, 1]. The floor is applied later."""

    def reset(self) -> None:
        """Return to the state right after construction."""


def model_name(estimator: object) -> str:
    """Network and precision that an estimator runs, empty where none does. The name is that of the manifest's file, by
    which the command `model` and mask.model know it.
    """
    estimator = getattr(estimator, "in_force", estimator)  # once: during a fade another thread may change it
    manifest = getattr(estimator, "manifest", None)
    return f"{manifest.path.stem} {getattr(estimator, 'precision', '')}".strip() if manifest else ""
