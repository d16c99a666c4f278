"""Covariances of noise and of speech, learnt side by side. Bins are the innermost axis, so every inner loop vectorises.

Hermitian matrices are packed lower triangles: entry (i, j), j <= i, is row i * (i + 1) / 2 + j of (pairs, bins).
"""

import numpy as np

from edge.kernels.jit import kernel

# Spectral power below which a bin is digital silence: no 16-bit microphone is that quiet, and learning from exact
# zeros would empty the covariances.
SILENCE_POWER = 1e-11
# Frames of evidence that the diffuse-field prior counts for when a bin starts to learn.
PRIOR_FRAMES = 8.0
# Frames this far below the noise that was learnt (17 dB) come from a noise that has stopped; it is forgotten faster.
GONE = 0.02
GONE_FASTER = 8.0


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], boolean[::1], float32, float32, float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def covariance_update(
    x_re,
    x_im,
    presence,
    active,
    noise_rate,
    speech_rate,
    diffuse,
    step,
    evidence,
    noise_re,
    noise_im,
    speech_re,
    speech_im,
):
    """One frame x (mics, bins) into noise and speech covariances R += step * (x x^H - R), both (pairs, bins).

    presence (bins,) p: noise learns with noise_rate * (1 - p)^2, speech is the mean of the last 1 / speech_rate frames'
    worth of speech, weighted by p^2. A noise bin that never learned starts from the diffuse coherence (pairs, bins) at
    its own first power, worth PRIOR_FRAMES frames. evidence (2, bins): noise frames since the start, speech frames
    within memory. A noise that has stopped is forgotten GONE_FASTER. Microphones that are not active (mics,) are left
    alone. step (2, bins) is scratch. Digital silence teaches nothing.
    """
    mics, bins = x_re.shape
    for b in range(bins):
        step[0, b] = 0.0
    used = np.float32(0.0)
    for m in range(mics):
        if not active[m]:
            continue
        used += np.float32(1.0)
        for b in range(bins):
            step[0, b] += x_re[m, b] * x_re[m, b] + x_im[m, b] * x_im[m, b]
    for b in range(bins):
        power = step[0, b] / max(used, np.float32(1.0))
        if power < SILENCE_POWER:
            step[0, b] = 0.0
            step[1, b] = 0.0
            continue
        if evidence[0, b] == 0.0:
            p = 0
            for i in range(mics):
                for j in range(i + 1):
                    if active[i] and active[j]:
                        noise_re[p, b] = diffuse[p, b] * power
                        noise_im[p, b] = 0.0
                    p += 1
            evidence[0, b] = PRIOR_FRAMES
        absent = (np.float32(1.0) - presence[b]) ** 2
        learnt = np.float32(0.0)
        for m in range(mics):
            if active[m]:
                learnt += noise_re[m * (m + 1) // 2 + m, b]
        if power * used < np.float32(GONE) * learnt:
            absent *= np.float32(GONE_FASTER)
        evidence[0, b] = min(evidence[0, b] + absent, np.float32(1e6))
        step[0, b] = min(max(noise_rate, np.float32(1.0) / evidence[0, b]) * absent, np.float32(1.0))
        present = presence[b] * presence[b]
        evidence[1, b] = evidence[1, b] * (np.float32(1.0) - present * speech_rate) + present
        step[1, b] = present / max(evidence[1, b], np.float32(1e-6))
    p = 0
    for i in range(mics):
        for j in range(i + 1):
            if not (active[i] and active[j]):
                p += 1
                continue
            for b in range(bins):
                re = x_re[i, b] * x_re[j, b] + x_im[i, b] * x_im[j, b]
                im = x_im[i, b] * x_re[j, b] - x_re[i, b] * x_im[j, b]
                noise_re[p, b] += step[0, b] * (re - noise_re[p, b])
                noise_im[p, b] += step[0, b] * (im - noise_im[p, b])
                speech_re[p, b] += step[1, b] * (re - speech_re[p, b])
                speech_im[p, b] += step[1, b] * (im - speech_im[p, b])
            p += 1


@kernel("void(int64, boolean[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def admit(mic, active, noise_re, noise_im, speech_re, speech_im):
    """Start microphone `mic`, which was left out: as loud as the mean of the `active` others (mics,), alike with none.

    Weights then give it little until it has shown what it shares with them.
    """
    mics = active.shape[0]
    own = mic * (mic + 1) // 2 + mic
    for b in range(noise_re.shape[1]):
        noise_re[own, b] = 0.0
        speech_re[own, b] = 0.0
    others = np.float32(0.0)
    for m in range(mics):
        if active[m] and m != mic:
            others += np.float32(1.0)
            p = m * (m + 1) // 2 + m
            for b in range(noise_re.shape[1]):
                noise_re[own, b] += noise_re[p, b]
                speech_re[own, b] += speech_re[p, b]
    share = np.float32(1.0) / max(others, np.float32(1.0))
    for b in range(noise_re.shape[1]):
        noise_re[own, b] *= share
        speech_re[own, b] *= share
    for m in range(mics):
        if m == mic:
            continue
        p = mic * (mic + 1) // 2 + m if mic > m else m * (m + 1) // 2 + mic
        for b in range(noise_re.shape[1]):
            noise_re[p, b] = 0.0
            noise_im[p, b] = 0.0
            speech_re[p, b] = 0.0
            speech_im[p, b] = 0.0
