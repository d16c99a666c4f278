"""Which captured channel is which: channels that sound alike, orders before and after a gap, delays against geometry.

Pairs (i, j), j < i, are numbered i * (i - 1) / 2 + j.
"""

import numpy as np

from edge.kernels.jit import kernel

DECIMATION = 8
LSB = 1.0 / 32768.0
# Correlation at low frequencies from which channels are microphones of one array, and below which they are not.
ALIKE = 0.6
UNLIKE = 0.35
# Mean square of the imaginary part from which sound comes from a side.
DIRECTED = 0.02
# Bins apart at which the phase is taken for a delay.
PHASE_EVERY = 4


@kernel("void(float32[:, ::1], float32, float32, float32, float32[:, ::1], float32[:, ::1], float32[::1])")
def correlate_channels(block, rate, high_pass, low_pass, memory, slow, correlation):
    """Correlation without delay of all captured channels (hop, channels) between about 150 and 500 Hz.

    rate: of the average, every hop counting alike; high_pass, low_pass: coefficients of one-pole filters at an eighth
    of the rate. State: memory (3, channels), correlation (pairs,). Scratch: slow (channels, hop / 8).
    """
    hop, channels = block.shape
    steps = hop // DECIMATION
    for c in range(channels):
        x, y, z = memory[0, c], memory[1, c], memory[2, c]
        for n in range(steps):
            mean = np.float32(0.0)
            for k in range(DECIMATION):
                v = block[n * DECIMATION + k, c]
                # NaN, infinite and absurd samples count as silence
                mean += v if abs(v) <= np.float32(10.0) else np.float32(0.0)
            mean *= np.float32(1.0 / DECIMATION)
            y = high_pass * (y + mean - x)
            x = mean
            z += low_pass * (y - z)
            slow[c, n] = z
        memory[0, c], memory[1, c], memory[2, c] = x, y, z
    p = 0
    silence = np.float32(steps) * np.float32((0.2 * LSB) ** 2)
    for i in range(1, channels):
        for j in range(i):
            both = np.float32(0.0)
            first = silence
            second = silence
            for n in range(steps):
                both += slow[i, n] * slow[j, n]
                first += slow[i, n] * slow[i, n]
                second += slow[j, n] * slow[j, n]
            correlation[p] += rate * (both / np.sqrt(first * second) - correlation[p])
            p += 1


@kernel("int64(float32[::1], boolean[::1])")
def find_shift(correlation, is_microphone):
    """Channels by which everything has moved on, from which channels sound alike; -1 when that is not certain.

    correlation (pairs,) as above; is_microphone (channels,): roles. A shift fits when all that would be microphones are
    alike and none of the rest is like any of them. There have to be more microphones than others: two playback
    channels are alike too.
    """
    channels = is_microphone.shape[0]
    found = -1
    for shift in range(channels):
        fits = True
        p = 0
        for i in range(1, channels):
            for j in range(i):
                a = is_microphone[(i - shift) % channels]
                b = is_microphone[(j - shift) % channels]
                if a and b:
                    fits = fits and correlation[p] > ALIKE
                elif a or b:
                    fits = fits and abs(correlation[p]) < UNLIKE
                p += 1
        if fits:
            if found < 0:
                found = shift
            elif found > 0:
                return -1  # more than one fits and none of them is as it should be
    return found


@kernel("boolean(float32[:, ::1], float32[::1], float32, float32, float32[:, ::1])")
def track_levels(level_db, gains_db, quiet_db, rate, mean):
    """Average of how each microphone's level (2, mics) differs from that of all, as captured; False when too quiet.

    gains_db (mics,): calibration that is in the levels. mean (2, mics) is updated at `rate`.
    """
    mics = gains_db.shape[0]
    for band in range(2):
        middle = np.float32(0.0)
        for m in range(mics):
            if level_db[band, m] < quiet_db:
                return False
            middle += (level_db[band, m] - gains_db[m]) / np.float32(mics)
        for m in range(mics):
            mean[band, m] += rate * (level_db[band, m] - gains_db[m] - middle - mean[band, m])
    return True


@kernel("void(float32[:, ::1], float32[:, ::1], int64[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def compare_orders(before_im, now_im, widths, level_before, level_now, scores):
    """How well the sound now is that of before with all microphones moved on by k, for every k.

    before_im, now_im (pairs, bins): imaginary part of the phase coherence, which is all of it that tells a direction;
    widths (pairs,); level (2, mics): dB against the mean of all. Written: scores (2, mics): normalised correlation of
    the phases, 0 where there is no direction, and root mean square difference of the levels in dB.
    """
    mics = scores.shape[1]
    for k in range(mics):
        total = np.float32(0.0)
        first = np.float32(0.0)
        second = np.float32(0.0)
        count = 0
        p = 0
        for i in range(1, mics):
            for j in range(i):
                a, b = (i + k) % mics, (j + k) % mics
                sign = np.float32(1.0)
                if a < b:
                    a, b = b, a
                    sign = np.float32(-1.0)
                q = a * (a - 1) // 2 + b
                for n in range(min(widths[p], widths[q])):
                    total += sign * before_im[p, n] * now_im[q, n]
                    first += before_im[p, n] ** 2
                    second += now_im[q, n] ** 2
                    count += 1
                p += 1
        directed = min(first, second) > np.float32(DIRECTED) * np.float32(count)
        scores[0, k] = total / np.sqrt(first * second) if directed else np.float32(0.0)
        square = np.float32(0.0)
        for m in range(mics):
            for band in range(2):
                d = level_now[band, (m + k) % mics] - level_before[band, m]
                square += d * d
        scores[1, k] = np.sqrt(square / np.float32(2 * mics))


@kernel("float32(float32[:, ::1], float32[::1])")
def _rest(misfit, delays_s):
    """Energy of delays (mics,) after the projection misfit (mics, mics)."""
    square = np.float32(0.0)
    for m in range(delays_s.shape[0]):
        rest = np.float32(0.0)
        for n in range(delays_s.shape[0]):
            rest += misfit[m, n] * delays_s[n]
        square += rest * rest
    return square


@kernel(
    "boolean(float32[:, ::1], float32[:, ::1], int64[::1], float32[::1], float32[:, ::1], float32, float32,"
    " float32[::1], float32[::1])"
)
def fit_geometry(c_re, c_im, widths, frequencies_hz, misfit, least_s, rate, delays_s, share):
    """Share of the delays that no far sound can cause: as the microphones are, two of them exchanged, all moved on.

    c (pairs, bins): phase coherence, measured up to widths (pairs,); misfit (mics, mics): projector on the delays that
    no direction gives; least_s: root mean square delay from which there is a direction to speak of.
    Scratch: delays_s (mics,). Updated at `rate`: share (pairs + mics,): first as they are, then with pair p exchanged,
    then moved on by 1, 2, ... False, and nothing updated, without enough sound from one side.
    """
    mics = delays_s.shape[0]
    for m in range(mics):
        delays_s[m] = 0.0
    p = 0
    for i in range(1, mics):
        for j in range(i):
            turn = np.float32(0.0)
            weight = np.float32(0.0)
            square = np.float32(0.0)
            for n in range(0, widths[p], PHASE_EVERY):
                f = frequencies_hz[n]
                s = c_re[p, n] * c_re[p, n] + c_im[p, n] * c_im[p, n]
                turn += s * f * np.arctan2(c_im[p, n], c_re[p, n])
                weight += s * f * f
                square += s
            # all pairs have to hear the same
            if square * PHASE_EVERY < np.float32(0.25) * widths[p] or widths[p] == 0:
                return False
            # the phase of i is behind that of j by so much
            delay = -turn / (np.float32(2.0 * np.pi) * weight)
            delays_s[i] += delay / np.float32(mics)
            delays_s[j] -= delay / np.float32(mics)
            p += 1
    total = np.float32(0.0)
    for m in range(mics):
        total += delays_s[m] * delays_s[m]
    if total < least_s * least_s * np.float32(mics):
        return False
    p = 0
    for i in range(1, mics):
        for j in range(i):
            delays_s[i], delays_s[j] = delays_s[j], delays_s[i]
            share[p + 1] += rate * (_rest(misfit, delays_s) / total - share[p + 1])
            delays_s[i], delays_s[j] = delays_s[j], delays_s[i]
            p += 1
    for k in range(mics):
        share[k if k == 0 else p + k] += rate * (_rest(misfit, delays_s) / total - share[k if k == 0 else p + k])
        first = delays_s[0]
        for m in range(mics - 1):
            delays_s[m] = delays_s[m + 1]
        delays_s[mics - 1] = first
    return True
