"""One microphone: everybody on the same mixtures."""

from __future__ import annotations

import functools

from benchmarks.quality import ours, peers, words
from benchmarks.quality.bench import Options, Row, bench
from benchmarks.quality.corpus import Mixture

NOISY, INT8, FLOAT, ASR, WIENER = "noisy", "ours int8", "ours float", "ours asr", "wiener"


def score(options: Options, mixture: Mixture) -> list[Row]:
    """A row of scores per system."""
    tools = bench(options)
    said = words.countable(mixture.text)
    int8 = ours.enhance(tools.mono("int8"), mixture.noisy[:, None])
    outputs = {
        NOISY: mixture.noisy,
        INT8: int8["listen"],
        ASR: int8["asr"],
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
    return [{**about, "system": name, **found} for name, found in scores.items()]
