"""A run of training small enough for a test."""

from __future__ import annotations

from pathlib import Path

from models.config import MaskConfig, TrainConfig
from models.mixing import MixingConfig

RECIPES = Path(__file__).resolve().parents[2] / "models" / "recipes"
MIXING = MixingConfig(segment_s=1.0, batch=4, pool=12, refresh=2, rooms=4)
CONFIG = TrainConfig(
    network=MaskConfig(hidden=24),
    validate_every=20,
    validation_batches=1,
    warmup_steps=5,
    max_steps=40,
    learning_rate=5e-3,
    mixing=MIXING,
)
