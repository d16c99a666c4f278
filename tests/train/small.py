"""A run of training small enough for a test."""

from __future__ import annotations

from models.mixing import MixingConfig
from models.trainer import TrainConfig

MIXING = MixingConfig(segment_s=1.0, batch=4, pool=12, refresh=2, rooms=4)
CONFIG = TrainConfig(
    hidden=24, validate_every=20, validation_batches=1, warmup_steps=5, max_steps=40, learning_rate=5e-3, mixing=MIXING
)
