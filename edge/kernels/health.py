"""Kernels of the health monitor: samples that do not move, levels and phase coherence.

Microphone pairs (i, j), j < i, are numbered i * (i - 1) / 2 + j. Bands lie at the front of their arrays.
"""

import numpy as np

from edge.kernels.jit import kernel

# As in the level meters: one 12-bit step below 16-bit full scale.
CLIP_LEVEL = 0.9997
LSB = 1.0 / 32768.0
# 4 ms without any change, while others hear something well above their own rounding, is no sound.
STOP_SAMPLES = 64
STOP_POWER = (8.0 * LSB) ** 2
# The same for rooms so quiet that rounding might hide everything for a while.
QUIET_STOP_SAMPLES = 1600
QUIET_STOP_POWER = (4.0 * LSB) ** 2
# A run of equal samples this long makes a channel not moving.
RUN_SAMPLES = 16
# So many samples that come again exactly, this many times within a quarter of a second each, are a buffer sent again.
ANCHOR_REPEATS = 3
ANCHOR_SAMPLES = 4000

# Even when most of the others are silent too, one that has been heard for so long beside digital zeros shows them dead.
ALONE_SAMPLES = 8000
# Reasons, in the order of `edge.health.reasons.REASONS`.
DEAD, STUCK = 1, 2


@kernel(
    "int64(float32[:, ::1], int64[::1], boolean[::1], float32, int64, float32, float32[:, ::1], int64[:, ::1],"
    " float32[:, ::1], uint8[::1])"
)
def watch_samples(block, channels, active, keep, reach, sane_max, levels, counts, anchors, frozen):
    """One captured block (hop, channels): which microphones have stopped moving.

    channels (mics,): captured channel of each microphone; active (mics,): those in use; keep: forgetting of the share
    of clipped samples per hop; reach: samples by which one microphone may hear later than another.
    State: levels (3, channels): last sample, power of the newest samples without their mean, share of clipped samples;
    counts (4, channels): equal samples up to now, samples since the last run of equal ones, age of the anchor, its
    returns; anchors (channels, n).
    Written: frozen (mics,): 0 moves, DEAD all zero, STUCK constant or the same samples again.
    Returns how many active microphones are frozen while most of the others hear something, or one does for long.
    """
    hop, captured = block.shape
    tail = anchors.shape[1]
    near = min(hop, STOP_SAMPLES)
    for c in range(captured):
        last = levels[0, c]
        run, moving, age, repeats = counts[0, c], counts[1, c], counts[2, c], counts[3, c]
        total = np.float32(0.0)
        mean = np.float32(0.0)
        clips = 0
        first = anchors[c, 0]
        for n in range(hop):
            x = block[n, c]
            if not (abs(x) <= sane_max):
                x = np.float32(0.0)
            if x == last:
                run += 1
            else:
                if run >= RUN_SAMPLES:
                    moving = 0
                run = 0
            moving += 1
            last = x
            if n >= hop - near:
                total += x * x
                mean += x
            if abs(x) >= CLIP_LEVEL:
                clips += 1
            if x == first and n <= hop - tail and run == 0:
                same = 1
                while same < tail and block[n + same, c] == anchors[c, same]:
                    same += 1
                if same == tail:
                    repeats += 1
                    age = -n
        mean /= np.float32(near)
        levels[0, c] = last
        levels[1, c] = max(total / np.float32(near) - mean * mean, np.float32(0.0))
        levels[2, c] = keep * levels[2, c] + (np.float32(1.0) - keep) * np.float32(clips) / np.float32(hop)
        age += hop
        if age > ANCHOR_SAMPLES:
            # an anchor has to be told from silence and from rounding
            repeats = 0
            low, high = block[hop - tail, c], block[hop - tail, c]
            for n in range(tail):
                x = block[hop - tail + n, c]
                anchors[c, n] = x
                low, high = min(low, x), max(high, x)
            age = 0
            if not (high - low > 8.0 * LSB):
                anchors[c, 0] = np.nan
                age = ANCHOR_SAMPLES  # try the next block
        counts[0, c], counts[1, c], counts[2, c], counts[3, c] = run, moving, age, repeats
    found = 0
    for m in range(channels.shape[0]):
        c = channels[m]
        run, again = counts[0, c], counts[3, c] >= ANCHOR_REPEATS
        frozen[m] = 0
        railed = abs(levels[0, c]) >= CLIP_LEVEL and run < QUIET_STOP_SAMPLES
        if (run < STOP_SAMPLES or railed) and not again:
            continue
        kind = STUCK if again or abs(levels[0, c]) > 2.0 * LSB else DEAD
        if not active[m]:
            frozen[m] = kind
            continue
        others = hearing = alone = 0
        for n in range(channels.shape[0]):
            if n == m or not active[n]:
                continue
            others += 1
            o = channels[n]
            if counts[0, o] >= RUN_SAMPLES:
                continue  # silent too just now
            power = levels[1, o]
            if again:
                hearing += counts[3, o] == 0 and power >= QUIET_STOP_POWER
            else:
                loud = counts[1, o] >= STOP_SAMPLES + reach and power >= STOP_POWER
                long = min(run, counts[1, o]) >= QUIET_STOP_SAMPLES and power >= QUIET_STOP_POWER
                hearing += loud or long
                alone += loud and min(run, counts[1, o]) >= ALONE_SAMPLES
        if (hearing > 0 and 2 * hearing >= others) or alone > 0:
            frozen[m] = kind
            found += 1
    return found


@kernel(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], float32, float32, float32[:, :, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def listen(x_re, x_im, bands, rate, floor, phasor, c_re, c_im, level_db):
    """One frame of spectra (mics, bins): levels and the phase coherence of every pair.

    bands: first and last + 1 bin of the coherence, the low and the high band; rate: of the averages; floor: power
    added to a band, so that silence has a level too. Scratch: phasor (2, mics, coherence bins), the phases.
    c (pairs, coherence bins): averages of exp(i (phase of i - phase of j)), every frame counting alike, which makes
    them deaf to level and quick to notice that a microphone has stopped hearing (Lachaux 1999: phase-locking value).
    level_db (2, mics): of this frame in the low and the high band.
    """
    mics = x_re.shape[0]
    start, width = bands[0], bands[1] - bands[0]
    for m in range(mics):
        for k in range(2):
            power = np.float32(0.0)
            for b in range(bands[2 + 2 * k], bands[3 + 2 * k]):
                power += x_re[m, b] * x_re[m, b] + x_im[m, b] * x_im[m, b]
            level_db[k, m] = np.float32(10.0) * np.log10(power + floor)
        for b in range(width):
            re, im = x_re[m, start + b], x_im[m, start + b]
            scale = np.float32(1.0) / np.sqrt(re * re + im * im + np.float32(1e-20))
            phasor[0, m, b] = re * scale
            phasor[1, m, b] = im * scale
    p = 0
    for i in range(1, mics):
        for j in range(i):
            for b in range(width):
                re = phasor[0, i, b] * phasor[0, j, b] + phasor[1, i, b] * phasor[1, j, b]
                im = phasor[1, i, b] * phasor[0, j, b] - phasor[0, i, b] * phasor[1, j, b]
                c_re[p, b] += rate * (re - c_re[p, b])
                c_im[p, b] += rate * (im - c_im[p, b])
            p += 1


@kernel("void(float32[:, ::1], float32[:, ::1], int64[::1], float32[:, ::1])")
def measure_pairs(c_re, c_im, widths, pairs):
    """Coherence and mean cosine of the phase of each pair over its own band.

    c (pairs, bins) as `listen` averages it; widths (pairs,): bins of each pair, 0 where the microphones are too far
    apart to agree on anything. Written: pairs (2, pairs): root mean square of |c|, and the mean of Re(c) / |c|.
    """
    for p in range(widths.shape[0]):
        width = widths[p]
        square = np.float32(0.0)
        magnitude = np.float32(0.0)
        real = np.float32(0.0)
        for b in range(width):
            s = c_re[p, b] * c_re[p, b] + c_im[p, b] * c_im[p, b]
            square += s
            magnitude += np.sqrt(s)
            real += c_re[p, b]
        pairs[0, p] = np.sqrt(square / np.float32(max(width, 1)))
        pairs[1, p] = real / (magnitude + np.float32(1e-6))
