"""Sample format kernels against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from edge.audio.sample_format import FORMATS, Encoder, FrameRing, sample_format
from edge.errors import DeviceError

SCALES = {"S16_LE": 2.0**15, "S24_3LE": 2.0**23, "S32_LE": 2.0**31}


def integers_to_bytes(values: np.ndarray, name: str) -> bytes:
    """Slow reference: each sample by int.to_bytes."""
    size = sample_format(name).sample_bytes
    return b"".join(int(v).to_bytes(size, "little", signed=True) for v in values.ravel())


def extremes(name: str, channels: int, frames: int, seed: int = 3) -> np.ndarray:
    top = int(SCALES[name])
    values = np.random.default_rng(seed).integers(-top, top, (frames, channels))
    values[0], values[1], values[2], values[3] = -top, top - 1, -1, 0
    return values


@pytest.mark.parametrize("channels", [1, 2, 6, 16])
@pytest.mark.parametrize("name", SCALES)
def test_decode(name, channels):
    values = extremes(name, channels, 40)
    ring = FrameRing(name, channels, 64)
    ring.push(integers_to_bytes(values, name), 40)
    out = np.zeros((40, channels), np.float32)
    assert ring.pop(out) == 40
    np.testing.assert_array_equal(out, (values / SCALES[name]).astype(np.float32))


def test_decode_float_passes_everything():
    values = np.array([[0.5, -1.5], [np.nan, np.inf], [-np.inf, 1e-30]], np.float32)
    ring = FrameRing("FLOAT_LE", 2, 8)
    ring.push(values.tobytes(), 3)
    out = np.zeros((3, 2), np.float32)
    ring.pop(out)
    np.testing.assert_array_equal(out, values)


@pytest.mark.parametrize("name", SCALES)
def test_encode(name):
    rng = np.random.default_rng(4)
    block = rng.uniform(-1.2, 1.2, (50, 3)).astype(np.float32)
    block[0] = [1.0, -1.0, 0.0]
    block[1] = [np.inf, -np.inf, np.nan]
    scale = SCALES[name]
    expected = np.rint(np.nan_to_num(block.astype(np.float64), posinf=2, neginf=-2) * scale)
    expected = np.clip(expected, -scale, scale - 1)
    assert bytes(Encoder(name, 3, 10)(block)) == integers_to_bytes(expected, name)


def test_encode_float():
    block = np.array([[0.25, 1.5], [np.nan, -2.0]], np.float32)
    sent = np.frombuffer(bytes(Encoder("FLOAT_LE", 2, 1)(block)), np.float32)
    np.testing.assert_array_equal(sent, [0.25, 1.5, 0.0, -2.0])


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip_is_exact(name):
    """Whatever a device gave comes out of a sink of the same format bit by bit (S32_LE: to the 24 bits of a float)."""
    rng = np.random.default_rng(5)
    values = rng.integers(-(2**15), 2**15, (200, 5)) / 2.0**15
    block = values.astype(np.float32)
    raw = bytes(Encoder(name, 5, 200)(block))
    ring = FrameRing(name, 5, 200)
    ring.push(raw, 200)
    out = np.zeros_like(block)
    ring.pop(out)
    np.testing.assert_array_equal(out, block)
    assert bytes(Encoder(name, 5, 200)(out)) == raw


@pytest.mark.parametrize("name", FORMATS)
def test_ring_wraps_at_every_position(name):
    rng = np.random.default_rng(6)
    ring = FrameRing(name, 3, 7)
    sent, got = [], []
    encode = Encoder(name, 3, 7)
    for _ in range(300):
        frames = int(rng.integers(0, 7 - ring.count + 1))
        block = (rng.integers(-30000, 30000, (frames, 3)) / 32768.0).astype(np.float32)
        ring.push(bytes(encode(block)), frames)
        sent.append(block)
        out = np.zeros((int(rng.integers(0, 8)), 3), np.float32)
        got.append(out[: ring.pop(out)])
    rest = np.zeros((7, 3), np.float32)
    got.append(rest[: ring.pop(rest)])
    np.testing.assert_array_equal(np.concatenate(got), np.concatenate(sent))


def test_unknown_format():
    with pytest.raises(DeviceError, match=r"S20_LE.*S16_LE, S24_3LE, S32_LE, FLOAT_LE"):
        sample_format("S20_LE")
