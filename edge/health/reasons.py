"""Why a microphone is left out, and how to say so."""

from __future__ import annotations

REASONS = ("", "dead", "stuck", "clipped", "noisy", "delay")
"""by the number that the kernels use; the first is a sound microphone"""

UNITS = {"dead": "dB", "stuck": "", "clipped": "share", "noisy": "dB", "delay": "pairs"}
"""of the value that goes with a reason"""


def explain(reason: str, value: float) -> str:
    """What was found, as the end of a sentence."""
    if reason == "dead":
        return "digital zero" if value == 0.0 else f"{-value:.0f} dB quieter than the others"
    if reason == "stuck":
        return f"does not move, last sample {value:.4f}"
    if reason == "clipped":
        return f"{100.0 * value:.0f} % of its samples are clipped and few of the others'"
    if reason == "noisy":
        return f"hears nothing in common with the others, level {value:+.0f} dB"
    return "delay to the others larger than the geometry allows"
