"""Noise tracking and classical gain rules, one frame at a time."""

import numpy as np

from edge.kernels.jit import kernel

# Noise power below this is taken for digital silence; keeps quotients finite and numbers away from denormals.
POWER_FLOOR = 1e-12
POWER_MAX = 1e30
LEARNING_FRAMES = 12.0


@kernel("void(complex64[::1], float32[::1])")
def power(spectrum, out):
    """|spectrum|^2 per bin: complex64 (bins,) into float32 (bins,)."""
    for b in range(out.shape[0]):
        re, im = spectrum[b].real, spectrum[b].imag
        out[b] = re * re + im * im


@kernel("void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32, float32, float32)")
def track_noise(observed, noise, presence, presence_mean, age, keep, keep_stuck, keep_mean):
    """Unbiased MMSE noise power tracking by soft speech presence (Gerkmann and Hendriks, IEEE TASLP 2012).

    observed (bins,) is |Y|^2; noise, presence, presence_mean and age (bins,) are state, age counting frames seen.
    keep, keep_stuck and keep_mean are the forgetting factors per hop of the noise power, of the same where a mean
    presence that is nearly one frees a stuck estimate (equal in the paper), and of that mean. The first
    LEARNING_FRAMES are averaged: the very first sees a window still mostly empty.
    """
    xi = np.float32(31.6227766)  # a-priori SNR under speech: 15 dB
    slope = xi / (np.float32(1.0) + xi)
    for b in range(observed.shape[0]):
        seen = observed[b]
        # also where it is no number: the estimate must outlive that
        if not (POWER_FLOOR <= seen <= POWER_MAX):
            presence[b] = 0.0
            continue
        if age[b] < LEARNING_FRAMES:
            age[b] += np.float32(1.0)
            noise[b] = max(noise[b] + (seen - noise[b]) / age[b], np.float32(POWER_FLOOR))
        exponent = min(seen / noise[b] * slope, np.float32(60.0))
        p = np.float32(1.0) / (np.float32(1.0) + (np.float32(1.0) + xi) * np.exp(-exponent))
        presence_mean[b] = keep_mean * presence_mean[b] + (np.float32(1.0) - keep_mean) * p
        kept = keep
        if presence_mean[b] > np.float32(0.99):
            # no voice is there for so long: louder noise, to which the estimate has to come from far below
            p = min(p, np.float32(0.99))
            kept = keep_stuck
        presence[b] = p
        update = (np.float32(1.0) - p) * seen + p * noise[b]
        noise[b] = max(kept * noise[b] + (np.float32(1.0) - kept) * update, np.float32(POWER_FLOOR))


@kernel("void(float32[::1], int64, float32[::1])")
def around(observed, reach, out):
    """Mean power of each bin and of up to `reach` neighbours on both sides, (bins,) into float32 (bins,).

    Fewer at the edges. Single peaks of noise, of which musical noise is made, do not survive it; voices, which are
    wider, do.
    """
    bins = observed.shape[0]
    # a running sum: in double, so that what a loud bin leaves behind when it goes is below any noise
    total, count = np.float64(0.0), 0
    for b in range(-reach, bins):
        if b + reach < bins:
            count += 1
            if observed[b + reach] <= POWER_MAX:
                total += np.float64(observed[b + reach])
        if b - reach > 0:
            count -= 1
            if observed[b - reach - 1] <= POWER_MAX:
                total -= np.float64(observed[b - reach - 1])
        if b >= 0:
            out[b] = np.float32(max(total, 0.0) / count)


@kernel("void(float32[::1], float32[::1], float32[::1], float32[::1], float32, float32, float32[::1])")
def wiener_gain(observed, near, noise, speech, smoothing, xi_min, gain):
    """Wiener gain from the decision-directed a-priori SNR (Ephraim and Malah, IEEE TASSP 1984).

    observed |Y|^2; near, that from which the SNR of this frame alone is taken: |Y|^2, or its mean over neighbours
    (`around`); noise power; `speech` state (last frame's |G Y|^2), all (bins,). smoothing is the weight of the past,
    xi_min the least a-priori SNR (bounds musical noise; Cappe 1994). Written: gain (bins,) in [0, 1].
    """
    for b in range(observed.shape[0]):
        seen = observed[b]
        if not (POWER_FLOOR <= seen <= POWER_MAX and noise[b] >= np.float32(POWER_FLOOR)):
            gain[b] = np.float32(1.0)
            speech[b] = np.float32(0.0)
            continue
        inverse = np.float32(1.0) / noise[b]
        now = max(near[b] * inverse - np.float32(1.0), np.float32(0.0))
        xi = max(smoothing * speech[b] * inverse + (np.float32(1.0) - smoothing) * now, xi_min)
        g = xi / (np.float32(1.0) + xi)
        gain[b] = g
        speech[b] = g * g * seen


@kernel("void(float32[::1], float32[::1], float32[::1], float32)")
def fall_slowly(observed, gain, held, keep):
    """A gain (bins,) that rises at once and falls no faster than `keep` of the way per hop; in place.

    held (bins,) is the state: the gain of the last hop. Cutting off the end of a sound costs more than a little noise
    behind it, and a gain that drops at once is what makes a tone of a peak. Where |Y|^2, observed, is silence or no
    number nothing is held: what comes next need not fall from the gain of 1 that silence passes with.
    """
    for b in range(gain.shape[0]):
        if not (np.float32(POWER_FLOOR) <= observed[b] <= POWER_MAX):
            held[b] = np.float32(0.0)
            continue
        slow = keep * held[b] + (np.float32(1.0) - keep) * gain[b]
        if slow > gain[b]:
            gain[b] = slow
        held[b] = gain[b]


@kernel("void(float32[::1], float32[::1], float32[::1], float32, float32, float32[::1])")
def subtraction_gain(observed, noise, smooth, keep, over_max, gain):
    """Power spectral subtraction with SNR-dependent over-subtraction (Berouti et al., ICASSP 1979).

    observed |Y|^2 and noise power (bins,); `smooth` (bins,) is the state of a short smoothing of |Y|^2 (factor
    `keep`) that takes the edge off musical noise; over_max the over-subtraction at and below -5 dB, falling to 1 at
    20 dB. Written: gain (bins,). Their spectral floor is the gain floor that the pipeline applies afterwards.
    """
    for b in range(observed.shape[0]):
        if observed[b] <= POWER_MAX:
            smooth[b] = max(keep * smooth[b] + (np.float32(1.0) - keep) * observed[b], np.float32(POWER_FLOOR))
        if noise[b] < np.float32(POWER_FLOOR):
            gain[b] = np.float32(1.0)
            continue
        ratio = noise[b] / smooth[b]
        snr_db = np.float32(-10.0) * np.log10(ratio)
        over = over_max + (np.float32(1.0) - over_max) * (snr_db + np.float32(5.0)) / np.float32(25.0)
        over = min(max(over, np.float32(1.0)), over_max)
        gain[b] = np.sqrt(max(np.float32(1.0) - over * ratio, np.float32(0.0)))


@kernel("void(complex64[::1], float32[::1], float32, float32, complex64[::1])")
def apply_gain(spectrum, gain, floor, level, out):
    """out = spectrum * max(gain, floor) * level per bin; a gain that is not a number counts as the floor."""
    for b in range(gain.shape[0]):
        g = gain[b]
        if not (g > floor):
            g = floor
        elif g > np.float32(1.0):
            g = np.float32(1.0)
        out[b] = spectrum[b] * (g * level)
