"""Beamforming kernels. Bins are the innermost axis everywhere, so every inner loop vectorises whatever the array.

Hermitian matrices are packed lower triangles: entry (i, j), j <= i, is row i * (i + 1) / 2 + j of (pairs, bins).
"""

import numpy as np

from edge.kernels.jit import kernel


@kernel("void(float64[::1], boolean[::1], int64, float64[::1], float32[:, ::1], float32[:, ::1])")
def steering(delays_s, active, reference, frequencies_hz, d_re, d_im):
    """Far-field steering vectors exp(-2 pi i f tau), tau relative to the reference microphone.

    delays (mics,), frequencies (bins,) into (mics, bins); zero at microphones that are not active (mics,).
    """
    for m in range(delays_s.shape[0]):
        tau = delays_s[m] - delays_s[reference]
        for b in range(frequencies_hz.shape[0]):
            phase = -2.0 * np.pi * frequencies_hz[b] * tau
            d_re[m, b] = np.cos(phase) if active[m] else 0.0
            d_im[m, b] = np.sin(phase) if active[m] else 0.0


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[::1], float32[::1],"
    " float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def mvdr_weights(r_re, r_im, h_re, h_im, loading, norm_max, load, l_re, l_im, z_re, z_im, scratch, w_re, w_im):
    """MVDR weights w = R^-1 h / (h^H R^-1 h) by a Cholesky factorisation per bin (Capon 1969; loading: Carlson 1988).

    h (mics, bins): transfer function of the talker, zero at microphones left out. loading (bins,): diagonal loading
    relative to the mean diagonal. norm_max (bins,): largest |w|^2 (white-noise gain bound, Cox 1987); above it w is
    drawn towards the matched filter h / |h|^2, which keeps w^H h = 1 because both satisfy it.
    Scratch: l (pairs, bins), z (mics, bins), scratch (mics + 1, bins). Written: w (mics, bins), load (bins,), what was
    added to the diagonal.
    """
    mics, bins = h_re.shape
    size = scratch[mics]
    used = np.float32(0.0)
    for b in range(bins):
        load[b] = 0.0
        size[b] = 0.0
    for i in range(mics):
        p = i * (i + 1) // 2 + i
        used += np.float32(1.0) if h_re[i, 0] != 0.0 or h_im[i, 0] != 0.0 else np.float32(0.0)
        for b in range(bins):
            load[b] += r_re[p, b]
            size[b] += h_re[i, b] * h_re[i, b] + h_im[i, b] * h_im[i, b]
    factor = np.float32(1.0) / max(used, np.float32(1.0))
    for b in range(bins):
        load[b] = load[b] * factor * loading[b] + np.float32(1e-12)
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
    # forward: L z = h
    for i in range(mics):
        row = i * (i + 1) // 2
        for b in range(bins):
            z_re[i, b] = h_re[i, b]
            z_im[i, b] = h_im[i, b]
        for k in range(i):
            a = row + k
            for b in range(bins):
                z_re[i, b] -= l_re[a, b] * z_re[k, b] - l_im[a, b] * z_im[k, b]
                z_im[i, b] -= l_re[a, b] * z_im[k, b] + l_im[a, b] * z_re[k, b]
        for b in range(bins):
            z_re[i, b] *= scratch[i, b]
            z_im[i, b] *= scratch[i, b]
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
    # normalise by h^H R^-1 h = |z|^2, then bound the part beyond the matched filter
    power, excess = scratch[0], scratch[1]
    for b in range(bins):
        power[b] = np.float32(1e-30)
        excess[b] = 0.0
    for i in range(mics):
        for b in range(bins):
            power[b] += z_re[i, b] * z_re[i, b] + z_im[i, b] * z_im[i, b]
    for b in range(bins):
        power[b] = np.float32(1.0) / power[b]
        size[b] = np.float32(1.0) / max(size[b], np.float32(1e-12))
    for i in range(mics):
        for b in range(bins):
            w_re[i, b] = w_re[i, b] * power[b] - h_re[i, b] * size[b]
            w_im[i, b] = w_im[i, b] * power[b] - h_im[i, b] * size[b]
            excess[b] += w_re[i, b] * w_re[i, b] + w_im[i, b] * w_im[i, b]
    for b in range(bins):
        room = max(norm_max[b] - size[b], np.float32(0.0))
        if not (excess[b] <= np.float32(1e12)):
            excess[b] = np.float32(0.0)  # broken numbers: the matched filter alone
        elif excess[b] > room:
            excess[b] = np.sqrt(room / excess[b])
        else:
            excess[b] = np.float32(1.0)
    for i in range(mics):
        for b in range(bins):
            keep = excess[b]
            if keep == np.float32(0.0):
                w_re[i, b] = h_re[i, b] * size[b]
                w_im[i, b] = h_im[i, b] * size[b]
            else:
                w_re[i, b] = h_re[i, b] * size[b] + keep * w_re[i, b]
                w_im[i, b] = h_im[i, b] * size[b] + keep * w_im[i, b]


@kernel("void(boolean[::1], float32[:, ::1], float32[:, ::1])")
def leave_out(active, r_re, r_im):
    """Empty the rows and columns of the microphones that are not active (mics,) in r (pairs, bins)."""
    p = 0
    for i in range(active.shape[0]):
        for j in range(i + 1):
            if not (active[i] and active[j]):
                for b in range(r_re.shape[1]):
                    r_re[p, b] = 0.0
                    r_im[p, b] = 0.0
            p += 1


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
