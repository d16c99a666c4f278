"""What one step of training is made of, from waves mixed anew or from scenes of arrays made beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edge.errors import AudioFileError
from models.array_shards import LEAST_POWER, read_shards, unpack
from models.frontend import FrontEnd
from models.mixing import Mixer
from models.rooms import random_equaliser

JUDGED_EVERY = 2
"""The gains of every second frame are judged, the odd and the even ones in turn: half the work, nearly the same
lesson."""
LEAST_TALKER_GAIN_DB = -6.0
"""Scenes in which the beam shut the talker out by more than this are left out: there is nothing to learn to keep."""
LEVEL_DB = 15.0
EQUALISER_DB = 5.0
"""Largest random change of level and of colour of a scene each time it is used."""
ABSENT = 0.06
"""Share of scenes whose cues are taken away, as where one microphone is left: the network must do without."""


@dataclass(frozen=True)
class Examples:
    """A batch: spectra and cues that the features are made of, and the frames on which the gains are judged.

    heard complex (frames, batch, bins): what the network hears. noisy, clean complex (judged, batch, bins): what the
    gains of the frames heard[first::JUDGED_EVERY] are applied to, and what should remain of it. cue_power (frames,
    batch, 2, bands): only where the network has cues.
    """

    heard: Tensor
    noisy: Tensor
    clean: Tensor
    first: int
    cue_power: Tensor | None = None

    @classmethod
    def of_step(
        cls, step: int, heard: Tensor, noisy: Tensor, clean: Tensor, cue_power: Tensor | None = None
    ) -> Examples:
        """Those of a step, of which the odd or the even frames are judged; noisy and clean of all frames."""
        judged = slice(step % JUDGED_EVERY, None, JUDGED_EVERY)
        return cls(heard, noisy[judged], clean[judged], step % JUDGED_EVERY, cue_power)

    def judged(self, frames: Tensor) -> Tensor:
        """Those of the frames (frames, ...) that are judged."""
        return frames[self.first :: JUDGED_EVERY]


class Source(Protocol):
    def batch(self, step: int) -> Examples:
        """The batch of a step: a function of the seed, the rank and the step alone."""
        ...


class MixedExamples:
    """Mixtures of one microphone."""

    def __init__(self, mixer: Mixer, front: FrontEnd) -> None:
        self._mixer, self._front = mixer, front

    def batch(self, step: int) -> Examples:
        mixture, target = map(torch.from_numpy, self._mixer.batch(step))
        delay = self._front.loss_delay
        heard = self._front.spectra(mixture)
        noisy = self._front.spectra(mixture, delay) if delay else heard
        return Examples.of_step(step, heard, noisy, self._front.spectra(target, delay))


class ArrayExamples:
    """Scenes of `models.array_scenes` in a folder, at another level and in another colour each time.

    part: "train" or "held-out". varied: draw scenes, levels and colours at random; else take them in order, as they
    are. Raises AudioFileError when there are none.
    """

    def __init__(
        self, folder: Path, part: str, front: FrontEnd, batch: int, seed: int = 0, rank: int = 0, varied: bool = True
    ) -> None:
        self._shards, rows = read_shards(folder, part)
        self._rows = [r for r in rows if r["snr_db"] is None or r["talker_gain_db"] > LEAST_TALKER_GAIN_DB]
        if not self._rows:
            raise AudioFileError(f"no {part} scenes in {folder}; make them with python -m models.array_scenes")
        self._bins, self._pooling = front.profile.bins, front.pooling.numpy()
        self._frame_s = front.frame_hop / front.profile.rate_hz
        self._batch, self._seed, self._rank, self._varied = batch, seed, rank, varied

    @property
    def hours(self) -> float:
        return len(self._rows) * self._shards[0].shape[1] * self._frame_s / 3600.0

    def batch(self, step: int) -> Examples:
        rng = np.random.default_rng([self._seed, self._rank, step])
        if self._varied:
            order = rng.integers(len(self._rows), size=self._batch)
        else:
            order = np.arange(step * self._batch, (step + 1) * self._batch) % len(self._rows)
        rows = [self._rows[i] for i in order]
        packed = np.stack([self._shards[r["shard"]][r["place"]] for r in rows], axis=1)
        scale = np.array([r["scale"] for r in rows], np.float32)[None, :, None]
        if self._varied:
            gain = np.stack([random_equaliser(rng, self._bins, EQUALISER_DB) for _ in rows])
            gain *= 10.0 ** (rng.uniform(-LEVEL_DB, LEVEL_DB, (len(rows), 1)) / 20.0)
            scale = scale * gain.astype(np.float32)
            beam, target, logs = unpack(packed, 1.0)
            beam, target = beam * scale, target * scale
            # the bands' powers change as the power gains under them do
            logs = logs + np.log10(gain**2 @ self._pooling)[:, None, :].astype(np.float32)
            absent = rng.random(len(rows)) < ABSENT
            # the beam is that microphone, and nothing can disagree (see `edge.cues`)
            logs[:, absent, 0] = np.log10(np.abs(beam[:, absent]) ** 2 @ self._pooling + LEAST_POWER)
            logs[:, absent, 1] = np.log10(LEAST_POWER)
        else:
            beam, target, logs = unpack(packed, scale)
        heard = torch.from_numpy(beam)
        return Examples.of_step(step, heard, heard, torch.from_numpy(target), torch.from_numpy(10.0**logs))
