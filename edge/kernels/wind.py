"""Noise that no two microphones share: how much of it there is at low frequency, and weights that do not amplify it.

Arrays have the bins from 0 Hz up to where neighbouring microphones still hear a room alike, (rows, low), innermost;
spectra and weights have all bins and only the first `low` are touched. Pairs are given by their two microphones.
"""

import numpy as np

from edge.kernels.jit import kernel

# Keeps the averages of digital silence away from denormals; alike in powers and cross powers, so silence is coherent.
TINY = 1e-18
# A source in the room is about equally loud at all microphones of a small array; what is beyond this factor (8 dB, gain
# errors included) over the second quietest of them happens at the microphone itself, unless it is always louder,
# in sound that it shares too. The quietest may be dying.
UNEVEN = 6.0
# What a microphone shares this much of with its best partner tells how loud it is in sound; 40 dB apart are not learnt.
SHARED = 0.8
GAIN_MAX = 1e4
# A microphone with less than this in all its bins gives digital zeros.
DEAD = 1e-12


@kernel(
    "void(float32[:, ::1], float32[:, ::1], boolean[::1], int64[::1], int64[::1], float32, boolean[::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def track(x_re, x_im, active, first, second, rate, alive, power, cross):
    """Recursive averages of |X|^2, (mics, low), and of the real part of the cross spectrum, (pairs, low).

    active (mics,): microphones in use. Written: alive (mics,), those of them that do not give digital zeros now.
    """
    low = power.shape[1]
    for m in range(power.shape[0]):
        total = np.float32(0.0)
        for b in range(low):
            now = x_re[m, b] * x_re[m, b] + x_im[m, b] * x_im[m, b]
            total += now
            power[m, b] += rate * (now + np.float32(TINY) - power[m, b])
        alive[m] = active[m] and total > DEAD
    for p in range(cross.shape[0]):
        i, j = first[p], second[p]
        for b in range(low):
            now = x_re[i, b] * x_re[j, b] + x_im[i, b] * x_im[j, b] + np.float32(TINY)
            cross[p, b] += rate * (now - cross[p, b])


@kernel(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], int64[::1], float32[:, ::1], boolean[::1], int64, float32,"
    " float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def incoherent(power, cross, first, second, inverse_least, alive, reach, step, gain, coherence, low_levels, noise):
    """Power at each microphone that no other microphone shares, noise (mics, low).

    inverse_least (pairs, low): 1 / the least real coherence that sound in a room can have between the two, 0 where
    that says nothing. Coherence is averaged over bins +-reach. What the best partner of a microphone shares with it is
    sound, the rest is noise, and so is what is UNEVEN * gain times louder than at the second quietest (noise of a
    sensor from those beside it: Sleeman, van Wettum and Trampert, BSSA 2006). gain (mics,), from 1 up: how much louder
    than the second quietest a microphone is in what it shares; it follows by the share `step` of itself per call at
    most, so that a hot microphone is learnt and a knock is not. alive (mics,): those that count.
    Scratch: coherence (pairs, low), low_levels (2, low).
    """
    mics, low = power.shape
    for p in range(cross.shape[0]):
        i, j = first[p], second[p]
        for b in range(low):
            coherence[p, b] = cross[p, b] / np.sqrt(power[i, b] * power[j, b])
    for b in range(low):
        low_levels[0, b] = np.float32(1e30)
        low_levels[1, b] = np.float32(1e30)
    for m in range(mics):
        if alive[m]:
            for b in range(low):
                low_levels[1, b] = min(low_levels[1, b], max(low_levels[0, b], power[m, b]))
                low_levels[0, b] = min(low_levels[0, b], power[m, b])
        for b in range(low):
            noise[m, b] = np.float32(-1.0)
    for p in range(cross.shape[0]):
        i, j = first[p], second[p]
        if not (alive[i] and alive[j]):
            continue
        for b in range(low):
            if inverse_least[p, b] == np.float32(0.0):
                continue
            start, end = max(b - reach, 0), min(b + reach + 1, low)
            total = np.float32(0.0)
            for k in range(start, end):
                total += coherence[p, k]
            shared = total * inverse_least[p, b] / np.float32(end - start)
            shared = min(max(shared, np.float32(0.0)), np.float32(1.0))
            noise[i, b] = max(noise[i, b], shared)
            noise[j, b] = max(noise[j, b], shared)
    for m in range(mics):
        if alive[m] and low > 0:
            votes = 0
            for b in range(low):
                if noise[m, b] > np.float32(SHARED):
                    votes += 1 if power[m, b] > gain[m] * low_levels[1, b] else -1
            gain[m] *= np.float32(1.0) + step * np.float32(votes) / np.float32(low)
            gain[m] = min(max(gain[m], np.float32(1.0)), np.float32(GAIN_MAX))
        for b in range(low):
            shared = noise[m, b] if noise[m, b] >= np.float32(0.0) else np.float32(1.0)  # no partner: not known
            own = power[m, b] * (np.float32(1.0) - shared)
            if alive[m]:
                own = max(own, power[m, b] - np.float32(UNEVEN) * gain[m] * low_levels[1, b])
            noise[m, b] = own


@kernel(
    "void(float32[:, ::1], float32[:, ::1], boolean[::1], float32, float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def bound(power, noise, alive, share, d_re, d_im, w_re, w_im):
    """Draw the weights w towards those of least incoherent noise, as far as needed, in place; w^H d stays 1.

    It is taken to be 1, which w0 = noise^-1 d / (d^H noise^-1 d) gives as well: where w is drawn all the way it becomes
    1 whatever it was, half way the mean of both. A bin without anything to do is not touched.

    The incoherent noise in the output, sum |w|^2 noise, may be `share` of the sound at the microphone that has second
    least of it (which hides it), or else hardly more than the least that any weights with w^H d = 1 give: noise^-1 d,
    normalised, which is never more than that of the best microphone alone. d (mics, bins): what the weights look at.
    """
    mics, low = power.shape
    for b in range(low):
        sound = np.float32(1e30)
        sound_2 = np.float32(1e30)
        quiet = np.float32(1e30)
        quiet_2 = np.float32(1e30)
        total = np.float32(0.0)
        used = 0
        for m in range(mics):
            if alive[m]:
                used += 1
                own = power[m, b] - noise[m, b]
                sound_2 = min(sound_2, max(sound, own))
                sound = min(sound, own)
                quiet_2 = min(quiet_2, max(quiet, power[m, b]))
                quiet = min(quiet, power[m, b])
                total += (w_re[m, b] * w_re[m, b] + w_im[m, b] * w_im[m, b]) * noise[m, b]
        if used == 0:
            continue
        if used > 2:
            sound = sound_2
            quiet = quiet_2
        allowed = share * max(sound, np.float32(0.0))
        if total <= allowed:
            continue
        # w0 = noise^-1 d / (d^H noise^-1 d); microphones without noise of their own count alike
        even = np.float32(0.1) * quiet
        norm = np.float32(0.0)
        for m in range(mics):
            if alive[m]:
                norm += (d_re[m, b] * d_re[m, b] + d_im[m, b] * d_im[m, b]) / (noise[m, b] + even)
        if not (norm > np.float32(0.0)):
            continue
        inverse = np.float32(1.0) / norm
        # noise at w0 + keep (w - w0): a quadratic in keep
        at_0 = np.float32(0.0)
        slope = np.float32(0.0)
        curve = np.float32(0.0)
        for m in range(mics):
            factor = inverse / (noise[m, b] + even) if alive[m] else np.float32(0.0)
            re, im = d_re[m, b] * factor, d_im[m, b] * factor
            own = noise[m, b] if alive[m] else np.float32(0.0)
            at_0 += (re * re + im * im) * own
            slope += (re * (w_re[m, b] - re) + im * (w_im[m, b] - im)) * own
            curve += ((w_re[m, b] - re) ** 2 + (w_im[m, b] - im) ** 2) * own
        room = max(allowed, np.float32(1.1) * at_0) - at_0
        keep = np.float32(1.0)
        if curve + np.float32(2.0) * slope > room:
            keep = (np.sqrt(slope * slope + curve * room) - slope) / curve
        if not (keep < np.float32(1.0)):
            continue
        keep = max(keep, np.float32(0.0))
        for m in range(mics):
            factor = inverse / (noise[m, b] + even) if alive[m] else np.float32(0.0)
            re, im = d_re[m, b] * factor, d_im[m, b] * factor
            w_re[m, b] = re + keep * (w_re[m, b] - re)
            w_im[m, b] = im + keep * (w_im[m, b] - im)


@kernel(
    "int64(float32[:, ::1], float32[:, ::1], boolean[::1], float32, float32, float32, float32[::1], float32[::1],"
    " float32[::1])"
)
def judge(power, noise, alive, rise, fall, floor_max, floor, windy, loud):
    """Tell wind and knocks, which come and go, from the steady noise of the sensors, bin by bin.

    floor (low,): steady incoherent power, mean over the microphones; where nothing hides it, it follows downward by the
    share `fall` and upward by the factor `rise` per hop, never beyond floor_max. Written: windy (bins,), from 0 for
    none to 1 for much more than the floor and a good part of all there is, and in the octave above the last of the
    `low` bins as in that one; loud (1,), the incoherent power of the windy bins. Returns how many bins it is from the
    bottom up to the highest windy one.
    """
    mics, low = power.shape
    used = np.float32(0.0)
    for m in range(mics):
        if alive[m]:
            used += np.float32(1.0)
    loud[0] = np.float32(0.0)
    corner = 0
    for b in range(low):
        own = np.float32(0.0)
        whole = np.float32(TINY)
        for m in range(mics):
            if alive[m]:
                own += noise[m, b]
                whole += power[m, b]
        part = own / whole
        own /= max(used, np.float32(1.0))
        over = min(max((own / floor[b] - np.float32(4.0)) * np.float32(0.125), np.float32(0.0)), np.float32(1.0))
        windy[b] = over * min(max((part - np.float32(0.05)) * np.float32(8.0), np.float32(0.0)), np.float32(1.0))
        loud[0] += windy[b] * own
        if windy[b] > np.float32(0.5):
            corner = b + 1
        if part > np.float32(0.5):
            if own < floor[b]:
                floor[b] = max(floor[b] + fall * (own - floor[b]), np.float32(1e-12))
            else:
                floor[b] = min(floor[b] * rise, floor_max)
    end = min(2 * low, windy.shape[0])
    for b in range(low, end):
        windy[b] = windy[low - 1]
    return end if low > 0 and windy[low - 1] > np.float32(0.5) else corner


@kernel("void(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1])")
def leave_out(x_re, x_im, windy, calm_re, calm_im):
    """Copy spectra x (mics, bins) to calm, with silence in the bins that are windy."""
    for m in range(x_re.shape[0]):
        for b in range(x_re.shape[1]):
            keep = windy[b] < np.float32(0.5)
            calm_re[m, b] = x_re[m, b] if keep else np.float32(0.0)
            calm_im[m, b] = x_im[m, b] if keep else np.float32(0.0)
