"""Steered response power with phase transform, and the grid filter that follows its peak. Bins are innermost.

A pair of microphones (i, j) has one cross-spectrum x_i conj(x_j) per bin; arrays of pairs are (pairs, bins in use),
where bin b of the pair is bin first_bin + b of the spectra.
"""

import numpy as np

from edge.kernels.jit import kernel

# Spectral power below which a bin is digital silence, and above which it is no sound but a fault.
SILENCE_POWER = np.float32(1e-11)
BROKEN_POWER = np.float32(1e12)
# Gains below are what a network leaves of noise: a new loud noise must not count as speech before it is learnt.
PRESENCE_MIN = np.float32(0.1)
# A frame so far below the noise that was learnt shows that this noise is over; it is then forgotten by so much a frame.
GONE = np.float32(0.02)
GONE_KEEP = np.float32(0.8)
# Speech of which so little of a frame is left is over.
FADED = np.float32(1e-6)
# Frames of evidence that a bin needs before its averages count fully.
FEW_FRAMES = np.float32(1e-2)


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], boolean[::1], int64, int64[:, ::1], float32, float32,"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def accumulate(x_re, x_im, presence, active, first_bin, pairs, keep_s, keep_n, s_re, s_im, n_re, n_im, sums, scratch):
    """Two recursive cross-spectra per pair, of speech (weight g^2, 0 for small g) and of the rest (weight (1 - g)^2).

    x (mics, bins of the frame), presence g (bins of the frame,), active (mics,): the others are left out and their
    pairs cleared. pairs (pairs, 3): both microphones and how many bins the pair uses. keep: forgetting per frame.
    sums (5, bins): weight and weighted power of speech, weight and weighted power of the rest, weight of speech since
    the last `whiten`. scratch (4, bins): the two weights of this frame, 0 where it is silent or not a number, and what
    the averages keep. The noise forgets only as fast as it learns, so it is held through speech and silence, but a
    noise that is much louder than what is heard now has stopped.
    """
    count = sums.shape[1]
    speech = scratch[0]
    rest = scratch[1]
    hold = scratch[2]
    fade = scratch[3]
    for b in range(count):
        speech[b] = 0.0
    mics = 0
    for m in range(x_re.shape[0]):
        if active[m]:
            mics += 1
            for b in range(count):
                k = first_bin + b
                speech[b] += x_re[m, k] * x_re[m, k] + x_im[m, k] * x_im[m, k]
    share = np.float32(1.0) / np.float32(max(mics, 1))
    for b in range(count):
        power = speech[b] * share
        # a comparison with NaN is false, so NaN counts as absent and as broken
        g = presence[first_bin + b]
        g = g if g > np.float32(0.0) else np.float32(0.0)
        g = min(g, np.float32(1.0))
        sound = power > SILENCE_POWER and power < BROKEN_POWER
        here = g * g if sound and g > PRESENCE_MIN else np.float32(0.0)
        absent = (np.float32(1.0) - g) * (np.float32(1.0) - g) if sound else np.float32(0.0)
        power = power if sound else np.float32(0.0)
        # what fades without end becomes denormal numbers, which cost a hundred times as much
        fading = keep_s if sums[0, b] > FADED else np.float32(0.0)
        sums[0, b] = fading * sums[0, b] + here
        sums[1, b] = fading * sums[1, b] + here * power
        gone = sound and power * sums[2, b] < GONE * sums[3, b]
        keep = GONE_KEEP if gone else np.float32(1.0) - (np.float32(1.0) - keep_n) * absent
        sums[2, b] = keep * sums[2, b] + absent
        sums[3, b] = keep * sums[3, b] + absent * power
        sums[4, b] += here
        speech[b] = here
        rest[b] = absent
        hold[b] = keep
        fade[b] = fading
    for p in range(pairs.shape[0]):
        i = pairs[p, 0]
        j = pairs[p, 1]
        used = pairs[p, 2]
        if not (active[i] and active[j]):
            for b in range(used):
                s_re[p, b] = 0.0
                s_im[p, b] = 0.0
                n_re[p, b] = 0.0
                n_im[p, b] = 0.0
            continue
        for b in range(used):
            k = first_bin + b
            sound = speech[b] + rest[b] > np.float32(0.0)
            re = x_re[i, k] * x_re[j, k] + x_im[i, k] * x_im[j, k] if sound else np.float32(0.0)
            im = x_im[i, k] * x_re[j, k] - x_re[i, k] * x_im[j, k] if sound else np.float32(0.0)
            s_re[p, b] = fade[b] * s_re[p, b] + speech[b] * re
            s_im[p, b] = fade[b] * s_im[p, b] + speech[b] * im
            n_re[p, b] = hold[b] * n_re[p, b] + rest[b] * re
            n_im[p, b] = hold[b] * n_im[p, b] + rest[b] * im


@kernel(
    "float32(boolean[::1], int64[:, ::1], float32, float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def whiten(active, pairs, per_frame, s_re, s_im, n_re, n_im, sums, scratch, w_re, w_im):
    """Speech cross-spectra less the noise's, as coherence times evidence, into w (pairs, bins).

    Evidence of a bin, in [0, 1]: the share of speech in the frames since the last call (`per_frame` is one over their
    number; what was heard before counts in the averages, but not again) times the share of its power that is above
    the noise. w is divided by the number of bins that all pairs in use have together, so steered power is the mean of
    coherence times evidence however few bins the long pairs of a large array use. Returns the mean evidence of all
    bins; 0 with fewer than two microphones.
    scratch (2, bins): evidence over power, and scratch.
    """
    count = sums.shape[1]
    used_bins = 0
    for p in range(pairs.shape[0]):
        if active[pairs[p, 0]] and active[pairs[p, 1]]:
            used_bins += pairs[p, 2]
    if used_bins == 0:
        sums[4, :] = 0.0
        w_re[:, :] = 0.0
        w_im[:, :] = 0.0
        return 0.0
    share = np.float32(1.0 / used_bins)
    of_speech = scratch[0]
    of_noise = scratch[1]
    total = np.float32(0.0)
    for b in range(count):
        per_speech = np.float32(1.0) / (sums[0, b] + FEW_FRAMES)
        per_noise = np.float32(1.0) / (sums[2, b] + FEW_FRAMES)
        speech = sums[1, b] * per_speech + np.float32(1e-20)
        above = max(speech - sums[3, b] * per_noise, np.float32(0.0)) / speech
        evidence = sums[4, b] * per_frame * above
        sums[4, b] = 0.0
        total += evidence
        scale = evidence / speech * share
        of_speech[b] = scale * per_speech
        of_noise[b] = scale * per_noise
    for p in range(pairs.shape[0]):
        for b in range(pairs[p, 2]):
            w_re[p, b] = s_re[p, b] * of_speech[b] - n_re[p, b] * of_noise[b]
            w_im[p, b] = s_im[p, b] * of_speech[b] - n_im[p, b] * of_noise[b]
    return total / count


@kernel(
    "void(int64[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, :, ::1], float32[:, :, ::1], int64, int64,"
    " float32[::1])"
)
def scan(pairs, w_re, w_im, table_re, table_im, first, last, power):
    """Steered response power of directions first to last - 1: Re sum w conj(table) over pairs and bins.

    table (directions, pairs, bins): cross-spectrum of a far source in that direction. power (directions,) is written.
    """
    for d in range(first, last):
        total = np.float32(0.0)
        for p in range(pairs.shape[0]):
            for b in range(pairs[p, 2]):
                total += w_re[p, b] * table_re[d, p, b] + w_im[p, b] * table_im[d, p, b]
        power[d] = total


@kernel("void(float32[::1], float64, float64, float64, boolean, float64[::1], float64[::1])")
def bayes_step(power, sharpness, spread, jump, circular, belief, scratch):
    """One step of a grid filter: belief (directions,), a distribution, moves and then meets the evidence `power`.

    Moving: a share `spread` goes to each neighbour, a share `jump` anywhere. Evidence: log-likelihood sharpness *
    power. circular: the first direction is beside the last. Nothing that is not finite gets in. scratch (directions,).
    """
    count = belief.shape[0]
    top = -np.inf
    for d in range(count):
        if not abs(power[d]) < 1e6:
            return
        top = max(top, power[d])
    for d in range(count):
        before = d - 1 if d > 0 else (count - 1 if circular else 0)
        after = d + 1 if d < count - 1 else (0 if circular else count - 1)
        moved = belief[d] + spread * (belief[before] + belief[after] - 2.0 * belief[d])
        scratch[d] = ((1.0 - jump) * moved + jump / count) * np.exp(sharpness * (power[d] - top))
    total = 0.0
    for d in range(count):
        total += scratch[d]
    for d in range(count):
        belief[d] = scratch[d] / total
