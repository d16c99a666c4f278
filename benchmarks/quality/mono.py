"""One microphone: everybody on the same mixtures."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks.quality import ours, peers, words
from benchmarks.quality.bench import Options, Row, bench
from benchmarks.quality.corpus import Mixture

ROUNDING = 2.0**-23
"""a step of 24 bits: sounds that nowhere differ by more are the same sound"""
NOISY, INT8, FLOAT, ASR, WIENER = "noisy", "ours int8", "ours float", "ours asr", "wiener"


def score(options: Options, mixture: Mixture) -> list[Row]:
    """A row of scores per system."""
    tools = bench(options)
    said = words.countable(mixture.text)
    int8 = ours.enhance(tools.mono("int8"), mixture.noisy[:, None])
    # asr of one microphone is that microphone, but for the rounding of two transforms (139 dB below it), over which the
    # recogniser may still hear another word: the same sound is heard once
    same = bool(np.abs(int8["asr"] - mixture.noisy).max() <= ROUNDING)
    outputs = {
        NOISY: mixture.noisy,
        INT8: int8["listen"],
        ASR: mixture.noisy if same else int8["asr"],
        WIENER: ours.enhance(tools.mono("int8", "wiener"), mixture.noisy[:, None])["listen"],
    }
    scores = {n: tools.scorer.output(mixture.speech, out, said, options.metrics) for n, out in outputs.items()}
    exact = ours.enhance(tools.mono("float"), mixture.noisy[:, None])["listen"]
    scores[FLOAT] = tools.scorer.output(mixture.speech, exact, wanted=options.quick_metrics)
    for name, peer in tools.peers.items():
        make = functools.partial(peers.enhance, peer)
        scores[name] = tools.scorer.made(
            mixture.speech, mixture.noisy, peer.identity, make, said, options.metrics, options.quick_peers
        )
    about = {"speech": mixture.speech_name, "noise": mixture.noise_name, "snr_db": mixture.snr_db}
    rows: list[Row] = [{**about, "system": name, **found} for name, found in scores.items()]
    return [row | {"same_as_noisy": same} if row["system"] == ASR else row for row in rows]
