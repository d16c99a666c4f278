"""Relative transfer function of the talker, bin by bin: one step of power iteration a frame, geometry as the prior.

Hermitian matrices are packed lower triangles: entry (i, j), j <= i, is row i * (i + 1) / 2 + j of (pairs, bins).
"""

import numpy as np

from edge.kernels.jit import kernel

# Neighbouring frames overlap, so this many of them count as one independent observation.
FRAMES_PER_OBSERVATION = 4.0
# Speech to noise at a microphone that is reckoned with before speech was heard.
SNR_EXPECTED = 1.0
# Loading after the first frame of noise, falling with their number.
START_LOADING = 0.8


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[::1], int64, float32[::1], float32, float32,"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[::1], float32[::1])"
)
def rtf_update(
    speech_re,
    speech_im,
    noise_re,
    noise_im,
    w_re,
    w_im,
    d_re,
    d_im,
    evidence,
    load,
    reference,
    spread,
    loading_min,
    caution,
    scratch,
    v_re,
    v_im,
    h_re,
    h_im,
    trust,
    loading,
):
    """Transfer function h (mics, bins) of the talker from covariances (pairs, bins) and last weights w (mics, bins).

    By covariance whitening (Markovich, Gannot and Cohen 2009): h is the principal eigenvector of Rs Rn^-1. As w is
    proportional to Rn^-1 h (where the bound on |w|^2 does not draw it to h), Rs w is one step of its power iteration.
    Rn was inverted with diagonal loading `load` (bins,), so the same loading belongs into Rs, times the level a of
    noise in the frames with speech; a is read from pairs of microphones blocked against h. The phase is that of d at
    the `reference` microphone, the magnitude that of d over all microphones.
    The steering d (mics, bins) is the prior: its relative error has variance `spread` (bins,), the estimate has
    mics * (1/snr + 1/snr^2) / observations, and h is the mean of both weighted accordingly; trust (bins,) is the weight
    of the estimate. evidence (2, bins): weight of the frames in Rn and in Rs.
    What stays unknown of h, times the power of speech, is the loading that makes the next weights robust against it
    (Vorobyov, Gershman and Luo 2003), `caution` scales it; so is what few frames leave unknown of Rn. loading (bins,)
    is relative to the mean diagonal of Rn and at least loading_min. scratch (7, bins), v (mics, bins) are scratch.
    """
    mics, bins = d_re.shape
    num, den, block_s, block_n, norm, target = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    r = reference
    p_rr = r * (r + 1) // 2 + r
    # a: noise level in the speech frames relative to the noise frames, from signals b = h_r* e_m - h_m* e_r
    for b in range(bins):
        block_s[b] = np.float32(1e-20)
        block_n[b] = np.float32(1e-20)
    for m in range(mics):
        if m == r:
            continue
        p_mm = m * (m + 1) // 2 + m
        p = m * (m + 1) // 2 + r if m > r else r * (r + 1) // 2 + m
        sign = np.float32(1.0) if m > r else np.float32(-1.0)
        for b in range(bins):
            # h_r h_m*
            re = h_re[r, b] * h_re[m, b] + h_im[r, b] * h_im[m, b]
            im = h_im[r, b] * h_re[m, b] - h_re[r, b] * h_im[m, b]
            size_r = h_re[r, b] * h_re[r, b] + h_im[r, b] * h_im[r, b]
            size_m = h_re[m, b] * h_re[m, b] + h_im[m, b] * h_im[m, b]
            block_s[b] += (
                size_r * speech_re[p_mm, b]
                + size_m * speech_re[p_rr, b]
                - np.float32(2.0) * (re * speech_re[p, b] - sign * im * speech_im[p, b])
            )
            block_n[b] += (
                size_r * noise_re[p_mm, b]
                + size_m * noise_re[p_rr, b]
                - np.float32(2.0) * (re * noise_re[p, b] - sign * im * noise_im[p, b])
            )
    for b in range(bins):
        a = block_s[b] / block_n[b]
        block_s[b] = min(max(a, np.float32(0.3)), np.float32(10.0))
        num[b] = 0.0
        den[b] = 0.0
        norm[b] = np.float32(1e-30)
        target[b] = 0.0
    # v = (Rs + a load) w, and the powers of speech frames and noise frames in the output
    for i in range(mics):
        for b in range(bins):
            extra = block_s[b] * load[b]
            v_re[i, b] = extra * w_re[i, b]
            v_im[i, b] = extra * w_im[i, b]
            block_n[b] = load[b] * w_re[i, b]
            scratch[6, b] = load[b] * w_im[i, b]
        for j in range(mics):
            p = i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i
            sign = np.float32(1.0) if i >= j else np.float32(-1.0)
            for b in range(bins):
                v_re[i, b] += speech_re[p, b] * w_re[j, b] - sign * speech_im[p, b] * w_im[j, b]
                v_im[i, b] += speech_re[p, b] * w_im[j, b] + sign * speech_im[p, b] * w_re[j, b]
                block_n[b] += noise_re[p, b] * w_re[j, b] - sign * noise_im[p, b] * w_im[j, b]
                scratch[6, b] += noise_re[p, b] * w_im[j, b] + sign * noise_im[p, b] * w_re[j, b]
        for b in range(bins):
            num[b] += w_re[i, b] * v_re[i, b] + w_im[i, b] * v_im[i, b]
            den[b] += w_re[i, b] * block_n[b] + w_im[i, b] * scratch[6, b]
            size = d_re[i, b] * d_re[i, b] + d_im[i, b] * d_im[i, b]
            if size == np.float32(0.0):
                v_re[i, b] = 0.0
                v_im[i, b] = 0.0
            target[b] += size
            norm[b] += v_re[i, b] * v_re[i, b] + v_im[i, b] * v_im[i, b]
    # rotation and scale that bring v to the convention of d, and how far to trust it
    for b in range(bins):
        a = block_s[b]
        snr = num[b] / (a * den[b] + np.float32(1e-25)) - np.float32(1.0)
        share = np.float32(0.0)
        size = np.sqrt(v_re[r, b] * v_re[r, b] + v_im[r, b] * v_im[r, b])
        if snr > np.float32(1e-3) and size > np.float32(1e-15):
            observations = evidence[1, b] / np.float32(FRAMES_PER_OBSERVATION)
            noise = target[b] * (np.float32(1.0) + np.float32(1.0) / snr) / (snr * observations + np.float32(1e-6))
            share = spread[b] / (spread[b] + noise)
            scale = np.sqrt(target[b] / norm[b]) / size
            re = (d_re[r, b] * v_re[r, b] + d_im[r, b] * v_im[r, b]) * scale
            im = (d_im[r, b] * v_re[r, b] - d_re[r, b] * v_im[r, b]) * scale
            num[b] = re
            den[b] = im
        if not (share > np.float32(0.0)):
            share = np.float32(0.0)
            num[b] = 0.0
            den[b] = 0.0
        trust[b] = share
        block_n[b] = 0.0
        block_s[b] = 0.0
    for i in range(mics):
        for b in range(bins):
            if trust[b] > np.float32(0.0):
                re = num[b] * v_re[i, b] - den[b] * v_im[i, b]
                im = num[b] * v_im[i, b] + den[b] * v_re[i, b]
                h_re[i, b] = d_re[i, b] + trust[b] * (re - d_re[i, b])
                h_im[i, b] = d_im[i, b] + trust[b] * (im - d_im[i, b])
            else:  # also when there are no numbers
                h_re[i, b] = d_re[i, b]
                h_im[i, b] = d_im[i, b]
            den_size = h_re[i, b] * h_re[i, b] + h_im[i, b] * h_im[i, b]
            norm[b] = den_size if i == 0 else norm[b] + den_size
        p = i * (i + 1) // 2 + i
        for b in range(bins):
            block_s[b] += speech_re[p, b]
            block_n[b] += noise_re[p, b]
    for b in range(bins):
        snr = block_s[b] / (block_n[b] + np.float32(1e-25)) - np.float32(1.0)
        snr = min(max(snr, np.float32(SNR_EXPECTED)), np.float32(1e3))
        loading[b] = loading_min + caution * (np.float32(1.0) - trust[b]) * spread[b] * snr
        # a mean of two directions is shorter than either; the output would be louder
        norm[b] = np.sqrt(target[b] / max(norm[b], np.float32(1e-20)))
        loading[b] += np.float32(START_LOADING) / max(evidence[0, b], np.float32(1.0))
    for i in range(mics):
        for b in range(bins):
            h_re[i, b] *= norm[b]
            h_im[i, b] *= norm[b]


@kernel("void(float32[:, ::1], boolean[::1], int64, int64, int64, float32, float32, float32[::1])")
def match_levels(noise_re, active, reference, first, last, rate, gain_max, gain):
    """Sensitivity of every microphone relative to the reference, from the noise powers of bins first to last.

    There the array is small against the wavelength, so all microphones are in the same noise and what differs is
    their gain. gain (mics,) moves by `rate` towards the estimate, within gain_max either way; 0 if not active.
    """
    r = reference * (reference + 1) // 2 + reference
    for m in range(gain.shape[0]):
        if not active[m]:
            gain[m] = 0.0
            continue
        p = m * (m + 1) // 2 + m
        ratio = np.float32(0.0)
        for b in range(first, last):
            ratio += np.log((noise_re[p, b] + np.float32(1e-20)) / (noise_re[r, b] + np.float32(1e-20)))
        ratio = np.exp(np.float32(0.5) * ratio / np.float32(max(last - first, 1)))
        ratio = min(max(ratio, np.float32(1.0) / gain_max), gain_max)
        if gain[m] == np.float32(0.0):
            gain[m] = np.float32(1.0)
        if ratio == ratio:
            gain[m] += rate * (ratio - gain[m])


@kernel("void(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1])")
def scale(d_re, d_im, gain, out_re, out_im):
    """Steering vectors (mics, bins) times the gain of every microphone (mics,)."""
    for m in range(d_re.shape[0]):
        for b in range(d_re.shape[1]):
            out_re[m, b] = d_re[m, b] * gain[m]
            out_im[m, b] = d_im[m, b] * gain[m]
