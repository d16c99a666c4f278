"""Endless training batches: pools of speech and noise segments that slowly turn over, mixed anew in every batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data import RATE_HZ, Corpus
from models.rooms import RoomBank, random_equaliser
from models.sounds import NoiseMaker, unit
from models.talkers import Talkers

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class MixingConfig:
    segment_s: float = 4.0
    """long enough that most of it is heard with the noise already known, as in a live system that runs for hours"""
    batch: int = 12
    pool: int = 192
    """segments of each kind held at once"""
    refresh: int = 3
    """segments of each kind made new per batch; each is used about batch / refresh times, with other partners"""
    rooms: int = 200
    reverberant: float = 0.45
    snr_mean_db: float = 2.0
    snr_spread_db: float = 7.0
    snr_low_db: float = -10.0
    snr_high_db: float = 30.0
    silent: float = 0.03
    """share of items without speech"""
    clean: float = 0.03
    """share of items without noise"""
    clipped: float = 0.05
    """share of mixtures that overload the microphone; the target is not clipped"""
    muted: float = 0.05
    """share of items that begin with up to 3 s of digital silence or dither, as after a mute"""
    level_low_dbfs: float = -48.0
    level_high_dbfs: float = -5.0

    def problems(self) -> list[str]:
        found = []
        if not 1 <= self.batch <= self.pool or not 0 <= self.refresh <= self.pool or self.rooms < 1:
            found.append("mixing: expected batch from 1 to pool, refresh from 0 to pool and at least one room")
        if not 0.5 <= self.segment_s <= 60.0:
            found.append(f"mixing.segment_s: got {self.segment_s:g}, expected from half a second to a minute")
        for name in ("reverberant", "silent", "clean", "clipped", "muted"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                found.append(f"mixing.{name}: got {getattr(self, name):g}, expected a share from 0 to 1")
        if self.silent + self.clean > 1.0:
            found.append("mixing.silent and mixing.clean: expected shares that are 1 at most together")
        if self.snr_spread_db < 0.0:
            found.append(f"mixing.snr_spread_db: got {self.snr_spread_db:g}, expected 0 or more")
        for low, high in (("snr_low_db", "snr_high_db"), ("level_low_dbfs", "level_high_dbfs")):
            if not getattr(self, low) <= getattr(self, high):
                found.append(f"mixing.{low}: got {getattr(self, low):g}, expected no more than {high}")
        return found


class Mixer:
    """Batches of (mixture, target), each a function of (seed, rank, step) alone, so that a run can resume exactly."""

    def __init__(self, speech: Corpus, noise: Corpus, config: MixingConfig, seed: int, rank: int = 0) -> None:
        self.speech, self.config, self.seed, self.rank = speech, config, seed, rank
        self.samples = int(config.segment_s * RATE_HZ)
        self._noises = NoiseMaker(noise, speech, self.samples)
        self._rooms = RoomBank(seed, self.samples, config.rooms)
        self._talkers = Talkers(speech, self.samples)
        self._wet = np.zeros((config.pool, self.samples), np.float32)
        self._early = np.zeros((config.pool, self.samples), np.float32)
        self._noise = np.zeros((config.pool, self.samples), np.float32)
        self._made = -1

    def speech_segment(self, rng: np.random.Generator) -> tuple[F32, F32]:
        """(reverberant, early target) of one talker: utterances with pauses, 0.85 to 1.15 times as fast, in a room."""
        dry = self._talkers.draw(rng)
        room_index = int(rng.integers(self.config.rooms)) if rng.random() < self.config.reverberant else None
        equaliser = random_equaliser(rng, self._rooms.length // 2 + 1, 5.0)
        return self._rooms.filter(dry, equaliser, room_index)

    def noise_segment(self, rng: np.random.Generator) -> F32:
        """One noise of unit rms, equalised, now and then in a room."""
        audio = self._noises.draw(rng)
        room_index = int(rng.integers(self.config.rooms)) if rng.random() < 0.35 else None
        equaliser = random_equaliser(rng, self._rooms.length // 2 + 1, 6.0)
        return unit(self._rooms.filter(audio, equaliser, room_index)[0])

    def _make(self, item: int) -> None:
        rng = np.random.default_rng([self.seed, self.rank, item])
        slot = item % self.config.pool
        self._wet[slot], self._early[slot] = self.speech_segment(rng)
        self._noise[slot] = self.noise_segment(rng)

    def batch(self, step: int) -> tuple[F32, F32]:
        """Mixture and target float32 (batch, samples) of a step; any order of steps works, rising is cheap."""
        c = self.config
        newest = c.pool + step * c.refresh
        for item in range(max(newest - c.pool, self._made + 1 if self._made < newest else 0), newest):
            self._make(item)
        self._made = newest - 1
        rng = np.random.default_rng([self.seed, self.rank, step, 1])
        speech = rng.permutation(c.pool)[: c.batch]
        noises = rng.permutation(c.pool)[: c.batch]
        mixture = np.empty((c.batch, self.samples), np.float32)
        target = np.empty((c.batch, self.samples), np.float32)
        for i in range(c.batch):
            noise = np.roll(self._noise[noises[i]], int(rng.integers(self.samples)))
            mixture[i], target[i] = mix(rng, self._wet[speech[i]], self._early[speech[i]], noise, c)
        return mixture, target


def active_rms(audio: F32) -> float:
    """Rms over the 20 ms frames within 30 dB of the loudest: the level of the speech without its pauses."""
    frames = audio[: audio.size // 320 * 320].reshape(-1, 320)
    power = np.einsum("ij,ij->i", frames, frames) / 320.0
    loud = power > max(float(power.max()) * 1e-3, 1e-12)
    return float(np.sqrt(power[loud].mean())) if loud.any() else 0.0


def mix(rng: np.random.Generator, wet: F32, early: F32, noise: F32, config: MixingConfig) -> tuple[F32, F32]:
    """Mixture and target at a random SNR (of the active speech) and a random level, never above full scale."""
    kind = rng.random()
    snr_db = float(np.clip(rng.normal(config.snr_mean_db, config.snr_spread_db), config.snr_low_db, config.snr_high_db))
    level = 10.0 ** (rng.uniform(config.level_low_dbfs, config.level_high_dbfs) / 20.0)
    rms = active_rms(wet)
    if kind < config.silent or rms < 1e-6:
        mixture, target = noise, np.zeros_like(noise)
    else:
        wet, early = wet * np.float32(1.0 / rms), early * np.float32(1.0 / rms)
        amount = 10.0 ** (-snr_db / 20.0) if kind < 1.0 - config.clean else 10.0 ** (-rng.uniform(35.0, 60.0) / 20.0)
        mixture, target = wet + noise * np.float32(amount), early
    scale = level / max(float(np.sqrt(np.mean(np.square(mixture)))), 1e-6)
    peak = float(np.abs(mixture).max())
    scale = min(scale, 0.99 / max(peak, 1e-9))
    if rng.random() < config.clipped:
        limit = np.float32(peak * rng.uniform(0.15, 0.8))
        mixture = np.clip(mixture, -limit, limit)
    mixture, target = mixture * np.float32(scale), target * np.float32(scale)
    if rng.random() < config.muted:
        until = int(rng.uniform(0.1, 0.75) * mixture.size)
        dither = rng.standard_normal(until, np.float32) * np.float32(10.0 ** (-90.0 / 20.0))
        mixture[:until] = dither if rng.random() < 0.5 else 0.0
        target[:until] = 0.0
    return mixture, target
