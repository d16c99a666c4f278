"""Small Conv-TasNets with random weights as exported files, and what they compute, slowly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models.config import TasNetConfig
from models.export_tasnet import export_tasnet
from models.onnx_files import HALF_FROM, describe_files

SMALL = TasNetConfig(
    filters=64, kernel_samples=32, stride_samples=16, bottleneck=12, hidden=20, skip=10, blocks=3, memory_frames=40
)


def random_weights(config: TasNetConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """By the names of models.tasnet.ConvTasNet; those that files store in 16 bits already rounded to them."""
    rng = np.random.default_rng(seed)
    c = config

    def linear(name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        weight = rng.standard_normal((outputs, inputs)) * inputs**-0.5
        return {f"{name}.weight": weight, f"{name}.bias": 0.1 * rng.standard_normal(outputs)}

    def norm(name: str, channels: int) -> dict[str, np.ndarray]:
        gain, offset = 1.0 + 0.1 * rng.standard_normal(channels), 0.1 * rng.standard_normal(channels)
        return {f"{name}.gain": gain, f"{name}.offset": offset}

    made = {name: rng.standard_normal((c.filters, c.kernel_samples)) * 0.2 for name in ("encoder", "decoder")}
    made |= norm("input_norm", c.filters) | linear("bottleneck", c.filters, c.bottleneck)
    for n in range(len(c.dilations)):
        last = n == len(c.dilations) - 1
        name = f"blocks.{n}"
        made |= linear(f"{name}.enter", c.bottleneck, c.hidden)
        made |= norm(f"{name}.first_norm", c.hidden) | norm(f"{name}.second_norm", c.hidden)
        made |= {f"{name}.first.weight": np.array([0.2]), f"{name}.second.weight": np.array([0.3])}
        made |= {f"{name}.taps": rng.standard_normal((c.kernel, c.hidden)), f"{name}.taps_offset": np.zeros(c.hidden)}
        made |= linear(f"{name}.leave", c.hidden, c.skip + (0 if last else c.bottleneck))
    made |= {"skip_activation.weight": np.array([0.25])} | linear("mask", c.skip, c.filters)
    rounded = {k: v.astype(np.float16) if v.size >= HALF_FROM else v for k, v in made.items()}
    return {k: v.astype(np.float32) for k, v in rounded.items()}


def write_model(folder: Path, config: TasNetConfig, name: str = "toy", **changes: object) -> Path:
    """Export with random weights, int8 scaled on noise; changes: of the manifest. Returns the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {precision: folder / f"{name}.{precision}.onnx" for precision in ("float", "int8")}
    calibration = (np.random.default_rng(1).standard_normal((2, 8000)) * 3000.0).astype(np.int16)
    manifest = {"name": name} | export_tasnet(config, random_weights(config), calibration, files)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(manifest | {"files": describe_files(files)} | changes))
    return path


def reference(config: TasNetConfig, w: dict[str, np.ndarray], samples: np.ndarray) -> np.ndarray:
    """The whole recording, frame by frame and sum by sum as the paper writes it, in 64 bits."""
    c, late = config, config.kernel_samples - config.stride_samples
    frames = -(-(samples.size + late) // c.stride_samples)
    padded = np.zeros((frames - 1) * c.stride_samples + c.kernel_samples)
    padded[late : late + samples.size] = samples
    at = [t * c.stride_samples for t in range(frames)]
    coded = np.maximum(0.0, np.stack([w["encoder"].astype(float) @ padded[a : a + c.kernel_samples] for a in at]))

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].astype(float).T + w[f"{name}.bias"]

    def prelu(x: np.ndarray, name: str) -> np.ndarray:
        return np.where(x > 0.0, x, w[f"{name}.weight"] * x)

    def norm(x: np.ndarray, name: str, kind: str) -> np.ndarray:
        out, mean, square = np.empty_like(x), 0.0, 0.0
        for t, frame in enumerate(x):
            over = x if kind == "global" else frame
            share = 1.0 / min(t + 1, c.memory_frames or t + 1) if kind == "cumulative" else 1.0
            mean += share * (over.mean() - mean)
            square += share * (np.mean(over**2) - square)
            out[t] = (frame - mean) / np.sqrt(square - mean**2 + 1e-8)
        return out * w[f"{name}.gain"] + w[f"{name}.offset"]

    x = linear(norm(coded, "input_norm", c.input_norm), "bottleneck")
    skips = np.zeros((frames, c.skip))
    for n, dilation in enumerate(c.dilations):
        name = f"blocks.{n}"
        y = norm(prelu(linear(x, f"{name}.enter"), f"{name}.first"), f"{name}.first_norm", c.norm)
        convolved = np.zeros_like(y) + w[f"{name}.taps_offset"]
        first = -(c.kernel - 1) * dilation if c.causal else -(c.kernel // 2) * dilation
        for t in range(frames):
            for tap in range(c.kernel):
                seen = t + first + tap * dilation
                if 0 <= seen < frames:
                    convolved[t] += w[f"{name}.taps"][tap] * y[seen]
        out = linear(norm(prelu(convolved, f"{name}.second"), f"{name}.second_norm", c.norm), f"{name}.leave")
        skips += out[:, : c.skip]
        if out.shape[1] > c.skip:
            x = x + out[:, c.skip :]
    masks = 1.0 / (1.0 + np.exp(-linear(prelu(skips, "skip_activation"), "mask")))
    out = np.zeros_like(padded)
    for t, frame in enumerate((coded * masks) @ w["decoder"].astype(float)):
        out[at[t] : at[t] + c.kernel_samples] += frame
    return out[late : late + samples.size]
