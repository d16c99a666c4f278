"""Mixtures on which the constants of the classical enhancers are chosen: training data that no network learns from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

SECONDS = {0.0: 4.0, 5.0: 6.0, 10.0: 8.0}
"""length of the mixtures at each SNR in dB"""
CLEAN_DB = 25.0
"""least SNR that a recording of speech was estimated to have, so that it is no noise that is asked for"""


def held_out_mixtures(folder: Path, cache: Path, limit: int, seed: int = 51) -> Iterator[tuple[float, F32, F32]]:
    """(SNR in dB, speech, noisy), `limit` of them in equal parts per SNR, of the held-out part of the training data.

    Mixed as training batches are (models.mixing), with every kind of noise that they have, but dry, at the given SNRs,
    neither clipped nor muted.
    """
    from models.data import Corpus, load_corpus
    from models.mixing import Mixer, MixingConfig

    speech, noise = (load_corpus(folder, kind, cache).split(True) for kind in ("speech", "noise"))
    speech = Corpus(speech.samples, tuple(c for c in speech.clips if not c.snr_db < CLEAN_DB))
    count = -(-limit // len(SECONDS))
    for i, (snr_db, seconds) in enumerate(SECONDS.items()):
        config = MixingConfig(
            segment_s=seconds,
            batch=count,
            pool=count,
            refresh=count,
            rooms=20,
            reverberant=0.0,
            snr_mean_db=snr_db,
            snr_spread_db=0.0,
            silent=0.0,
            clean=0.0,
            clipped=0.0,
            muted=0.0,
            level_low_dbfs=-30.0,
            level_high_dbfs=-20.0,
        )
        mixed, wanted = Mixer(speech, noise, config, seed + i).batch(0)
        yield from ((snr_db, target, mixture) for target, mixture in zip(wanted, mixed, strict=True))
