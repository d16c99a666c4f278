"""Kernel of the spatial cues: what the microphones hear, and how much of it the look direction does not explain."""

import numpy as np

from edge.kernels.jit import kernel


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], boolean[::1], float32[:, ::1],"
    " float32[:, ::1])"
)
def look_residual(x_re, x_im, h_re, h_im, active, scratch, power):
    """Mean power per microphone, and that of what is left after the part along h was taken off.

    Spectra x and transfer function h (mics, bins), active (mics,) microphones that count (h may be anything at the
    others), scratch (3, bins). Written: power (2, bins). Row 0 is the mean of |x_m|^2. Row 1 is the mean of
    |x_m - h_m y|^2 times M / (M - 1), with y = h^H x / h^H h the least-squares fit and M the microphones that count:
    nothing for what comes along h alone, row 0 on average for what is uncorrelated between microphones. With M = 1
    row 1 is zero. Both are zero where the numbers are broken.
    """
    mics, bins = x_re.shape
    y_re, y_im, norm = scratch[0], scratch[1], scratch[2]
    total, rest = power[0], power[1]
    for b in range(bins):
        total[b] = 0.0
        y_re[b] = 0.0
        y_im[b] = 0.0
        norm[b] = 0.0
    count = 0
    for m in range(mics):
        if not active[m]:
            continue
        count += 1
        for b in range(bins):
            total[b] += x_re[m, b] * x_re[m, b] + x_im[m, b] * x_im[m, b]
            y_re[b] += h_re[m, b] * x_re[m, b] + h_im[m, b] * x_im[m, b]
            y_im[b] += h_re[m, b] * x_im[m, b] - h_im[m, b] * x_re[m, b]
            norm[b] += h_re[m, b] * h_re[m, b] + h_im[m, b] * h_im[m, b]
    share = np.float32(1.0) / np.float32(max(count, 1))
    rest_share = np.float32(1.0) / np.float32(count - 1) if count > 1 else np.float32(0.0)
    for b in range(bins):
        # |x - h y|^2 summed over the microphones is |x|^2 - |h^H x|^2 / h^H h (Pythagoras), so one pass is enough
        fit = (y_re[b] * y_re[b] + y_im[b] * y_im[b]) / max(norm[b], np.float32(1e-20))
        left = max(total[b] - fit, np.float32(0.0))
        sound = total[b] <= np.float32(1e30) and fit <= np.float32(1e30)
        rest[b] = left * rest_share if sound else np.float32(0.0)
        total[b] = total[b] * share if sound else np.float32(0.0)
