"""Sample format kernels: device integers to float32 rings and back. Little-endian, interleaved, full scale is 1.0."""

import numpy as np

from edge.kernels.jit import kernel

S16_SCALE = 32768.0
S24_SCALE = 8388608.0
S32_SCALE = 2147483648.0


@kernel("void(int16[::1], int64, float32[:, ::1], int64)")
def decode_s16(samples, frames, ring, start):
    """Interleaved S16_LE to rows start, start + 1, ... of `ring` (capacity, channels), wrapping at its end."""
    capacity, channels = ring.shape
    row = start
    for n in range(frames):
        for c in range(channels):
            ring[row, c] = np.float32(samples[n * channels + c]) * np.float32(1.0 / S16_SCALE)
        row += 1
        if row == capacity:
            row = 0


@kernel("void(uint8[::1], int64, float32[:, ::1], int64)")
def decode_s24_3(samples, frames, ring, start):
    """Interleaved S24_3LE (three bytes a sample, packed), otherwise as decode_s16."""
    capacity, channels = ring.shape
    row = start
    i = 0
    for _ in range(frames):
        for c in range(channels):
            value = np.int32(samples[i]) | (np.int32(samples[i + 1]) << 8) | (np.int32(samples[i + 2]) << 16)
            value = (value ^ 0x800000) - 0x800000
            ring[row, c] = np.float32(value) * np.float32(1.0 / S24_SCALE)
            i += 3
        row += 1
        if row == capacity:
            row = 0


@kernel("void(int32[::1], int64, float32[:, ::1], int64)")
def decode_s32(samples, frames, ring, start):
    """Interleaved S32_LE, otherwise as decode_s16."""
    capacity, channels = ring.shape
    row = start
    for n in range(frames):
        for c in range(channels):
            ring[row, c] = np.float32(samples[n * channels + c]) * np.float32(1.0 / S32_SCALE)
        row += 1
        if row == capacity:
            row = 0


@kernel("void(float32[::1], int64, float32[:, ::1], int64)")
def decode_float(samples, frames, ring, start):
    """Interleaved FLOAT_LE as it is, NaN and all (the pipeline counts those), otherwise as decode_s16."""
    capacity, channels = ring.shape
    row = start
    for n in range(frames):
        for c in range(channels):
            ring[row, c] = samples[n * channels + c]
        row += 1
        if row == capacity:
            row = 0


@kernel("void(float32[:, ::1], int64, float32[:, ::1])")
def ring_read(ring, start, out):
    """Copy rows start, start + 1, ... of `ring`, wrapping at its end, to `out` (frames, channels)."""
    capacity, channels = ring.shape
    row = start
    for n in range(out.shape[0]):
        for c in range(channels):
            out[n, c] = ring[row, c]
        row += 1
        if row == capacity:
            row = 0


@kernel("float64(float32, float64)")
def _quantize(x, scale):
    """Nearest integer in [-scale, scale - 1]; NaN becomes 0."""
    y = np.rint(np.float64(x) * scale)
    if y > scale - 1.0:
        return scale - 1.0
    if y >= -scale:
        return y
    if y < -scale:
        return -scale
    return 0.0


@kernel("void(float32[:, ::1], int16[::1])")
def encode_s16(block, samples):
    """block (frames, channels) to interleaved S16_LE: nearest value, saturating, no dither (silence stays silence)."""
    frames, channels = block.shape
    for n in range(frames):
        for c in range(channels):
            samples[n * channels + c] = np.int16(_quantize(block[n, c], S16_SCALE))


@kernel("void(float32[:, ::1], uint8[::1])")
def encode_s24_3(block, samples):
    """block (frames, channels) to interleaved, packed S24_3LE, otherwise as encode_s16."""
    frames, channels = block.shape
    i = 0
    for n in range(frames):
        for c in range(channels):
            value = np.int64(_quantize(block[n, c], S24_SCALE))
            samples[i] = np.uint8(value & 0xFF)
            samples[i + 1] = np.uint8((value >> 8) & 0xFF)
            samples[i + 2] = np.uint8((value >> 16) & 0xFF)
            i += 3


@kernel("void(float32[:, ::1], int32[::1])")
def encode_s32(block, samples):
    """block (frames, channels) to interleaved S32_LE, otherwise as encode_s16."""
    frames, channels = block.shape
    for n in range(frames):
        for c in range(channels):
            samples[n * channels + c] = np.int32(_quantize(block[n, c], S32_SCALE))


@kernel("void(float32[:, ::1], float32[::1])")
def encode_float(block, samples):
    """block (frames, channels) to interleaved FLOAT_LE: not clipped, since floats can carry it; NaN becomes 0."""
    frames, channels = block.shape
    for n in range(frames):
        for c in range(channels):
            x = block[n, c]
            samples[n * channels + c] = x if x == x else np.float32(0.0)
