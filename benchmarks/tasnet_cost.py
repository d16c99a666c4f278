"""What Conv-TasNet costs for a hop of 8 ms beside the mask network with its transforms, on one core.

Processor time of one thread, measured in turns, so that the ratios hold on a machine that has other work.

Usage: python -m benchmarks.tasnet_cost [--model MANIFEST.json] [--rounds 60]
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.inference import measure
from benchmarks.record import record
from edge.kinds import PRECISIONS
from edge.mask.network import NetworkMask, resolve_model
from edge.profiles import PROFILES
from edge.stft import Stft
from edge.tasnet import TasNetStream
from edge.tasnet.manifest import resolve_tasnet

PROFILE = PROFILES["assistant"]
BLOCK = (0.1 * np.random.default_rng(0).standard_normal(PROFILE.hop_samples)).astype(np.float32)


def masked_hop(precision: str) -> Callable[[], object]:
    """Analysis, the shipped network for one microphone and synthesis of one hop."""
    stft, mask = Stft(PROFILE, 1), NetworkMask(resolve_model("mono-assistant"), PROFILE, precision)
    gain = np.zeros(PROFILE.bins, np.float32)

    def hop() -> None:
        stft.history[0, : -BLOCK.size] = stft.history[0, BLOCK.size :]
        stft.history[0, -BLOCK.size :] = BLOCK
        stft.analyze()
        spectrum = (stft.spectrum_re[0] + 1j * stft.spectrum_im[0]).astype(np.complex64)
        mask.step(spectrum, gain)
        masked = spectrum * gain
        stft.synthesize(masked, masked)

    return hop


def costs(model: str | None, rounds: int) -> dict[str, Any]:
    """Microseconds of processor time per hop of 8 ms, by network and precision, and what is known of the network."""
    actions: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        actions[f"mono-assistant {precision}"] = masked_hop(precision)
        stream = TasNetStream(resolve_tasnet(model), precision)
        actions[f"{stream.manifest.name} {precision}"] = functools.partial(stream.push, BLOCK)
    sizes = {precision: size for precision, (_, _, size) in stream.manifest.files.items()}
    return {"hop_us": measure(actions, rounds), "about": stream.manifest.about, "bytes": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.tasnet_cost", description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="name or manifest of a causal Conv-TasNet (default: the shipped one)")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    found = costs(args.model, args.rounds)
    print(found["about"])
    for name, us in found["hop_us"].items():
        print(f"{name}: {us:.0f} us for a hop of {PROFILE.hop_ms:g} ms, {us / (10.0 * PROFILE.hop_ms):.1f} % of it")
    print(f"wrote {record('tasnet_cost', found)}")


if __name__ == "__main__":
    main()
