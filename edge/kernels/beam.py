"""Beamforming kernels. Bins are the innermost axis everywhere, so every inner loop vectorises whatever the array.

Hermitian matrices are packed lower triangles: entry (i, j), j <= i, is row i * (i + 1) / 2 + j of (pairs, bins).
"""

import numpy as np

from edge.kernels.jit import kernel

# Spectral power below which a bin is digital silence: no 16-bit microphone is that quiet, and learning from exact
# zeros would empty the covariance.
SILENCE_POWER = 1e-11
# Frames of evidence that the diffuse-field prior counts for when a bin starts to learn.
PRIOR_FRAMES = 8.0


@kernel("void(float64[::1], float64[::1], float32[:, ::1], float32[:, ::1])")
def steering(delays_s, frequencies_hz, d_re, d_im):
    """Far-field steering vectors exp(-2 pi i f tau): delays (mics,), frequencies (bins,) into (mics, bins)."""
    for m in range(delays_s.shape[0]):
        for b in range(frequencies_hz.shape[0]):
            phase = -2.0 * np.pi * frequencies_hz[b] * delays_s[m]
            d_re[m, b] = np.cos(phase)
            d_im[m, b] = np.sin(phase)


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32, float32[:, ::1],"
    " float32[::1], float32[::1], float32[:, ::1], float32[:, ::1])"
)
def covariance_update(x_re, x_im, presence, rate, diffuse, step, evidence, r_re, r_im):
    """Recursive noise covariance R += step * (x x^H - R), step = rate * (1 - presence)^2 per bin.

    A bin that never learned starts from the diffuse coherence (pairs, bins) at its own first power, worth
    PRIOR_FRAMES frames; `evidence` (bins,) counts the noise frames seen since. `step` (bins,) is scratch.
    """
    mics, bins = x_re.shape
    for b in range(bins):
        step[b] = 0.0
    for m in range(mics):
        for b in range(bins):
            step[b] += x_re[m, b] * x_re[m, b] + x_im[m, b] * x_im[m, b]
    for b in range(bins):
        power = step[b] / np.float32(mics)
        if power < SILENCE_POWER:
            step[b] = 0.0
            continue
        if evidence[b] == 0.0:
            for p in range(diffuse.shape[0]):
                r_re[p, b] = diffuse[p, b] * power
                r_im[p, b] = 0.0
            evidence[b] = PRIOR_FRAMES
        absent = (np.float32(1.0) - presence[b]) ** 2
        evidence[b] = min(evidence[b] + absent, np.float32(1e6))
        step[b] = max(rate, np.float32(1.0) / evidence[b]) * absent
    p = 0
    for i in range(mics):
        for j in range(i + 1):
            for b in range(bins):
                re = x_re[i, b] * x_re[j, b] + x_im[i, b] * x_im[j, b]
                im = x_im[i, b] * x_re[j, b] - x_re[i, b] * x_im[j, b]
                r_re[p, b] += step[b] * (re - r_re[p, b])
                r_im[p, b] += step[b] * (im - r_im[p, b])
            p += 1


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32, float32,"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def mvdr_weights(r_re, r_im, d_re, d_im, loading, norm_max, l_re, l_im, z_re, z_im, scratch, w_re, w_im):
    """MVDR weights w = R^-1 d / (d^H R^-1 d) by a Cholesky factorisation per bin (Capon 1969; loading: Carlson 1988).

    loading: diagonal loading relative to the mean diagonal. norm_max: largest |w|^2 (white-noise gain bound, Cox 1987);
    above it w is drawn towards delay-and-sum d / mics, which keeps w^H d = 1 because both satisfy it.
    Scratch: l (pairs, bins), z (mics, bins), scratch (mics + 1, bins). Written: w (mics, bins).
    """
    mics, bins = d_re.shape
    load = scratch[mics]
    for b in range(bins):
        load[b] = 0.0
    for i in range(mics):
        p = i * (i + 1) // 2 + i
        for b in range(bins):
            load[b] += r_re[p, b]
    factor = loading / np.float32(mics)
    for b in range(bins):
        load[b] = load[b] * factor + np.float32(1e-12)
    for i in range(mics):
        row = i * (i + 1) // 2
        for j in range(i + 1):
            p = row + j
            col = j * (j + 1) // 2
            for b in range(bins):
                l_re[p, b] = r_re[p, b]
                l_im[p, b] = r_im[p, b]
            for k in range(j):
                a, c = row + k, col + k
                for b in range(bins):
                    l_re[p, b] -= l_re[a, b] * l_re[c, b] + l_im[a, b] * l_im[c, b]
                    l_im[p, b] -= l_im[a, b] * l_re[c, b] - l_re[a, b] * l_im[c, b]
            if i == j:
                for b in range(bins):
                    # rounding can take a pivot below the loading, never validly
                    pivot = max(l_re[p, b] + load[b], load[b])
                    scratch[i, b] = np.float32(1.0) / np.sqrt(pivot)
            else:
                for b in range(bins):
                    l_re[p, b] *= scratch[j, b]
                    l_im[p, b] *= scratch[j, b]
    # forward: L z = d
    for i in range(mics):
        row = i * (i + 1) // 2
        for b in range(bins):
            z_re[i, b] = d_re[i, b]
            z_im[i, b] = d_im[i, b]
        for k in range(i):
            a = row + k
            for b in range(bins):
                z_re[i, b] -= l_re[a, b] * z_re[k, b] - l_im[a, b] * z_im[k, b]
                z_im[i, b] -= l_re[a, b] * z_im[k, b] + l_im[a, b] * z_re[k, b]
        for b in range(bins):
            z_re[i, b] *= scratch[i, b]
            z_im[i, b] *= scratch[i, b]
    # d^H R^-1 d = |z|^2, kept where the loading was
    for b in range(bins):
        load[b] = 0.0
    for i in range(mics):
        for b in range(bins):
            load[b] += z_re[i, b] * z_re[i, b] + z_im[i, b] * z_im[i, b]
    # backward: L^H w = z
    for back in range(mics):
        i = mics - 1 - back
        for b in range(bins):
            w_re[i, b] = z_re[i, b]
            w_im[i, b] = z_im[i, b]
        for k in range(i + 1, mics):
            a = k * (k + 1) // 2 + i
            for b in range(bins):
                w_re[i, b] -= l_re[a, b] * w_re[k, b] + l_im[a, b] * w_im[k, b]
                w_im[i, b] -= l_re[a, b] * w_im[k, b] - l_im[a, b] * w_re[k, b]
        for b in range(bins):
            w_re[i, b] *= scratch[i, b]
            w_im[i, b] *= scratch[i, b]
    # normalise, then bound the part beyond delay-and-sum
    share = np.float32(1.0) / np.float32(mics)
    excess = scratch[0]
    for b in range(bins):
        load[b] = np.float32(1.0) / load[b]
        excess[b] = 0.0
    for i in range(mics):
        for b in range(bins):
            w_re[i, b] = w_re[i, b] * load[b] - d_re[i, b] * share
            w_im[i, b] = w_im[i, b] * load[b] - d_im[i, b] * share
            excess[b] += w_re[i, b] * w_re[i, b] + w_im[i, b] * w_im[i, b]
    room = max(norm_max - share, np.float32(0.0))
    for b in range(bins):
        if not (excess[b] <= np.float32(1e12)):
            excess[b] = np.float32(0.0)  # broken numbers: pure delay-and-sum
        elif excess[b] > room:
            excess[b] = np.sqrt(room / excess[b])
        else:
            excess[b] = np.float32(1.0)
    for i in range(mics):
        for b in range(bins):
            keep = excess[b]
            if keep == np.float32(0.0):
                w_re[i, b] = d_re[i, b] * share
                w_im[i, b] = d_im[i, b] * share
            else:
                w_re[i, b] = d_re[i, b] * share + keep * w_re[i, b]
                w_im[i, b] = d_im[i, b] * share + keep * w_im[i, b]


@kernel("void(float32[:, ::1], float32[:, ::1], float32, float32[:, ::1], float32[:, ::1])")
def approach(target_re, target_im, rate, w_re, w_im):
    """One-pole step of the weights in use towards the target weights; all arrays (mics, bins)."""
    for m in range(w_re.shape[0]):
        for b in range(w_re.shape[1]):
            w_re[m, b] += rate * (target_re[m, b] - w_re[m, b])
            w_im[m, b] += rate * (target_im[m, b] - w_im[m, b])


@kernel("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], complex64[::1])")
def apply_weights(w_re, w_im, x_re, x_im, beam):
    """Beam output w^H x per bin: weights and spectra (mics, bins) into complex64 (bins,)."""
    mics, bins = x_re.shape
    for b in range(bins):
        re = np.float32(0.0)
        im = np.float32(0.0)
        for m in range(mics):
            re += w_re[m, b] * x_re[m, b] + w_im[m, b] * x_im[m, b]
            im += w_re[m, b] * x_im[m, b] - w_im[m, b] * x_re[m, b]
        beam[b] = np.complex64(complex(re, im))
