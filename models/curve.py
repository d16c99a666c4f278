"""Picture of a training run: losses, held-out measures and the learning rate over the steps."""

from __future__ import annotations

import json
from pathlib import Path

LABELS = {
    "loss": "loss",
    "sdr_gain_db": "spectral SDR gain, dB",
    "envelopes": "envelope correlation",
    "loudness": "raw PESQ points lost",
    "si_snr_db": "SI-SNR, dB",
    "si_snr_gain_db": "SI-SNR gain, dB",
}
"""of what there may be in a row; each task has some of them"""


def draw_curve(log: Path, picture: Path) -> None:
    """Draw the rows of a run's log.jsonl to a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [r["step"] for r in rows]
    known = {key: label for key, label in LABELS.items() if any(key in row for row in rows)}
    size = (7, 2.0 + 1.6 * len(known))
    figure, axes = plt.subplots(len(known) + 1, 1, figsize=size, sharex=True, layout="constrained")
    for axis, (key, label) in zip(axes, known.items(), strict=False):
        axis.plot(steps, [r.get(key, float("nan")) for r in rows], ".-", label="held out")
        if key == "loss":
            axis.plot(steps, [r["train"] for r in rows], ".-", label="training")
            axis.legend()
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[-1].semilogy(steps, [max(r["lr"], 1e-9) for r in rows], ".-")
    axes[-1].set_ylabel("learning rate")
    axes[-1].set_xlabel("step")
    figure.savefig(picture, dpi=90)
    plt.close(figure)
