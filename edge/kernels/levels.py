"""Sample-domain kernels: channel roles, bad samples, level meters, limiter."""

import numpy as np

from edge.kernels.jit import kernel

# 16-bit full scale is 32767 / 32768; anything nearer to 1 than one 12-bit step counts as clipped.
CLIP_LEVEL = 0.9997


@kernel(
    "int64(float32[:, ::1], int64[::1], float32[::1], float32[:, ::1], float64[::1], float32[::1], int64[::1], float32)"
)
def condition(block, channels, gains, history, energy, peak, clipped, sane_max):
    """Meter every channel of `block` (hop, channels), replace bad samples by silence, push microphones to `history`.

    channels (mics,): captured channel of each microphone; gains (mics,) linear; history (mics, K) moves left by one
    hop. energy, peak, clipped (channels,) accumulate. NaN, infinite and absurd samples (|x| > sane_max) become 0.
    Returns how many were replaced.
    """
    hop, captured = block.shape
    mics, length = history.shape
    bad = 0
    for c in range(captured):
        total = np.float32(0.0)
        top = np.float32(0.0)
        clips = 0
        for n in range(hop):
            x = abs(block[n, c])
            if x <= sane_max:
                total += x * x
                top = max(top, x)
                if x >= CLIP_LEVEL:
                    clips += 1
            else:
                bad += 1
        energy[c] += total
        peak[c] = max(peak[c], top)
        clipped[c] += clips
    for m in range(mics):
        for n in range(length - hop):
            history[m, n] = history[m, n + hop]
        c = channels[m]
        g = gains[m]
        for n in range(hop):
            x = block[n, c]
            history[m, length - hop + n] = x * g if abs(x) <= sane_max else np.float32(0.0)
    return bad


@kernel(
    "void(float32[:, ::1], int64[::1], float32, float32, float32[::1], float32[:, ::1], float64[::1], float32[::1])"
)
def limit(signals, order, ceiling, release, gain, out, energy, peak):
    """Look-ahead-free limiter and output meters: signals (2, hop) to out (hop, outputs) in the given order.

    The gain falls at once where a sample would pass `ceiling` and recovers by factor `release` per sample, so no
    sample ever exceeds the ceiling and no delay is added. gain (outputs,) is state; energy and peak accumulate.
    """
    hop = signals.shape[1]
    for o in range(order.shape[0]):
        g = gain[o]
        total = np.float32(0.0)
        top = np.float32(0.0)
        source = order[o]
        for n in range(hop):
            x = signals[source, n]
            g = g + (np.float32(1.0) - g) * release
            if abs(x) * g > ceiling:
                g = ceiling / abs(x)
            # the product may round to just above the ceiling
            y = min(max(x * g, -ceiling), ceiling)
            if not (abs(y) <= ceiling):
                y = np.float32(0.0)
            out[n, o] = y
            total += y * y
            top = max(top, abs(y))
        gain[o] = g
        energy[o] += total
        peak[o] = max(peak[o], top)


@kernel("void(float32[::1], float32[::1], complex64[::1], float32[::1], float32, float64, float64[::1])")
def track_snr(x_re, x_im, beam, gain, floor, keep, sums):
    """Smoothed powers behind the SNR estimate, one frame.

    x: reference microphone spectrum (bins,); beam: beamformed spectrum; gain: of the estimator per bin of the beam, in
    [0, 1]; floor: least amplitude gain applied to the listen output; keep: forgetting per hop. See `edge.snr` for why.
    sums (6,) are updated: speech and noise power at the microphone, speech and noise power in the listen output (all
    forgetting alike, so their quotients are right from the first frame on), then beam and speech power of this frame.
    """
    heard = np.float32(0.0)
    total = np.float32(0.0)
    speech = np.float32(0.0)
    speech_in = np.float32(0.0)
    noise_in = np.float32(0.0)
    speech_out = np.float32(0.0)
    noise_out = np.float32(0.0)
    for b in range(gain.shape[0]):
        mic = x_re[b] * x_re[b] + x_im[b] * x_im[b]
        p = beam[b].real * beam[b].real + beam[b].imag * beam[b].imag
        g = min(max(gain[b], np.float32(0.0)), np.float32(1.0))
        absent = np.float32(1.0) - g
        applied = max(g, floor) * max(g, floor)
        heard += mic
        total += p
        speech += g * p
        speech_in += np.float32(0.5) * g * (mic + p)
        noise_in += absent * absent * np.sqrt(absent) * mic
        speech_out += applied * g * p
        noise_out += applied * absent * absent * p
    sums[4] = total
    sums[5] = speech
    if heard <= 1e-9:
        return  # digital silence says nothing; the last estimate is held
    fresh = 1.0 - keep
    sums[0] = keep * sums[0] + fresh * speech_in
    sums[1] = keep * sums[1] + fresh * noise_in
    sums[2] = keep * sums[2] + fresh * speech_out
    sums[3] = keep * sums[3] + fresh * noise_out
