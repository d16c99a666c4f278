"""The shipped network for arrays, hop by hop against its graph fed by numpy, and int8 against float."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from edge.kernels import bands
from edge.mask.features import Rates
from edge.mask.network import NetworkMask, resolve_model
from edge.profiles import PROFILES

PROFILE = PROFILES["assistant"]
FRAMES = 300


def scene(seed: int, level: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Beam complex64 (frames, bins), and cue power float32 (frames, 2, bins): bursts that agree with the look direction
    over noise that does not."""
    rng = np.random.default_rng(seed)
    shape = (FRAMES, PROFILE.bins)
    burst, noise = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for _ in range(2))
    colour = np.geomspace(3.0, 0.05, PROFILE.bins)
    burst = burst * colour * (np.arange(FRAMES) // 25 % 2 == 1)[:, None] * level
    noise = 0.2 * noise * colour * level
    mics = np.abs(burst) ** 2 + 3.0 * np.abs(noise) ** 2
    cue_power = np.stack([mics, 2.5 * np.abs(noise) ** 2], axis=1)
    return (burst + noise).astype(np.complex64), cue_power.astype(np.float32)


def run(mask: NetworkMask, beam: np.ndarray, cue_power: np.ndarray) -> np.ndarray:
    out = np.zeros(beam.shape, np.float32)
    for spectrum, power, gain in zip(beam, cue_power, out, strict=True):
        assert mask.cue_power is not None
        mask.cue_power[:] = power
        mask.step(spectrum, gain)
    return out


def make(precision: str) -> NetworkMask:
    return NetworkMask(resolve_model("array-assistant"), PROFILE, precision)


def test_every_hop_equals_the_graph_fed_by_numpy() -> None:
    """Pooling, smoothing, ratios, clipping and the order of all features, written down anew in float64."""
    mask = make("float")
    manifest, beam_and_cues = mask.manifest, scene(0)
    got = run(mask, *beam_and_cues)
    session = onnxruntime.InferenceSession(str(manifest.network_file("float")), providers=["CPUExecutionProvider"])
    feed = {i: np.zeros(s, np.float32) for i, _, s in manifest.states}
    names = [manifest.output_name, *(o for _, o, _ in manifest.states)]
    matrix = manifest.layout.matrix().astype(np.float64)
    pooling = matrix / matrix.sum(axis=1, keepdims=True)
    rates, count = Rates(PROFILE.hop_ms), manifest.layout.bands
    smooth, noise, over = np.zeros((3, count), np.float32)
    smoothed = None
    for t, (spectrum, cue_power) in enumerate(zip(*beam_and_cues, strict=True)):
        powers = np.stack([np.abs(spectrum.astype(np.complex128)) ** 2, *cue_power.astype(np.float64)])
        pooled = powers @ pooling.T + manifest.power_floor
        smoothed = pooled if smoothed is None else smoothed + float(rates.cue) * (pooled - smoothed)
        removed, disagreement = np.clip(np.log10(smoothed[[0, 2]] / smoothed[1]), -3.0, 1.0)
        log = np.log10(pooled[0]).astype(np.float32)
        bands.above_floor(log, t, rates.smoothing, rates.fall, rates.rise, smooth, noise, over)
        raw = np.concatenate([over, removed, disagreement, log])
        features = ((raw - manifest.mean) * manifest.inverse_std).astype(np.float32)
        feed[manifest.input_name] = features.reshape(1, 1, -1)
        feed[manifest.direct_name] = np.concatenate([np.ones(count, np.float32), features[:-count]]).reshape(1, 1, -1)
        gains, *states = session.run(names, feed)
        feed.update({i: s for (i, _, _), s in zip(manifest.states, states, strict=True)})
        np.testing.assert_allclose(got[t], gains.reshape(-1) @ matrix, atol=1e-4)


def test_what_does_not_come_from_the_look_direction_is_let_through_less() -> None:
    beam, cue_power = scene(1)
    elsewhere = cue_power.copy()
    elsewhere[:, 1] = cue_power[:, 0]  # nothing of it agrees with the look direction
    burst = (np.arange(FRAMES) // 25 % 2 == 1) & (np.arange(FRAMES) > 100)
    assert run(make("float"), beam, elsewhere)[burst].mean() < run(make("float"), beam, cue_power)[burst].mean()


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_int8_stays_close_to_float(level: float) -> None:
    difference = np.abs(run(make("int8"), *scene(2, level)) - run(make("float"), *scene(2, level)))
    assert difference.max() < 0.2
    assert difference.mean() < 0.01
    assert difference.max() > 0.0
