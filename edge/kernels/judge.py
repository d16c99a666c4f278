"""Judgement of every microphone from what the others hear: which to leave out, which to take back."""

import numpy as np

from edge.kernels.jit import kernel

# Reasons, in the order of `edge.health.reasons.REASONS`.
DEAD, STUCK, CLIPPED, NOISY, DELAY = 1, 2, 3, 4, 5
# Phase coherence from which two microphones are said to hear the same, and below which they do not. The bands are
# chosen so that two microphones in any sound field that reaches both stay above the first (see edge.health.bands).
AGREES = 0.6
DIFFERS = 0.35
# A microphone that hears nothing in common with the others and is at least so much quieter is dead, not noisy.
QUIETER_DB = 8.0
# Incoherent and louder only at low frequencies, by so much, is wind or a hand on the case: it passes.
WIND_DB = 4.0
# Self-noise is louder at high frequencies than at low ones by so much; gain and nearness are not.
HISS_DB = 8.0
# The level of the others has to be so far above rounding to compare with.
EVIDENCE_DB = 6.0
# Seconds for which a fault has to hold, by reason; frozen ones are certain at once.
DEAD_S, CLIPPED_S, NOISY_S, HISS_S, DELAY_S = 0.3, 0.5, 0.4, 0.8, 0.3
# The others clip so much less: with a few dB of mismatch a shout clips at all of them.
CLEAN_SHARE = 0.125
# Margin of the mean cosine below the least that geometry allows.
COSINE_MARGIN = 0.15
LONGEST_READMIT_S = 60.0


@kernel(
    "boolean(float32[::1], float32, float32[:, ::1], float32[:, ::1], float32[:, ::1], int64[::1], int64[::1],"
    " float32[::1], uint8[::1], float32[:, ::1], float32[:, ::1], boolean[::1], uint8[::1], float32[::1])"
)
def judge(
    limits,
    step_s,
    level_db,
    pairs,
    samples,
    channels,
    widths,
    least_cosine,
    frozen,
    m_state,
    clocks,
    active,
    reason,
    value,
):
    """One judgement of all microphones; True when `active` changed.

    limits (5,): dB below the others that is dead, dB above that is noisy, share of clipped samples, seconds until a
    microphone is taken back, level in dB of rounding. step_s: since the last call. level_db (2, mics): low and high
    band of the newest frame. pairs (2, pairs): coherence and mean cosine; widths (pairs,): 0 where not comparable;
    least_cosine (pairs,): least mean cosine that the distance allows. samples (3, channels): as in `watch_samples`.
    frozen (mics,): from there. State: m_state (3, mics): dB above the median of the others, above the loudest of the
    others, and that in the low band; clocks (7, mics): seconds of each fault, of health, until taken back, and since
    the last change. Written: active (mics,) bool, reason (mics,), value (mics,): what was measured at the verdict.
    """
    mics = active.shape[0]
    changed = False
    in_use = 0
    for m in range(mics):
        in_use += active[m]
    rate = np.float32(1.0) - np.exp(-step_s / np.float32(0.2))
    for m in range(mics):
        # ---- what the others in use hear ----
        c = channels[m]
        others = 0
        clean = 0
        for n in range(mics):
            if n != m and active[n]:
                others += 1
                clean += samples[2, channels[n]] < np.float32(CLEAN_SHARE) * samples[2, c]
        if others == 0:
            continue
        # the lower median: one loud neighbour does not make a microphone quiet
        median = np.float32(0.0)
        top_low = np.float32(-1e9)
        top_high = np.float32(-1e9)
        for n in range(mics):
            if n == m or not active[n]:
                continue
            below = same = 0
            for k in range(mics):
                if k != m and active[k]:
                    below += level_db[1, k] < level_db[1, n]
                    same += level_db[1, k] == level_db[1, n]
            rank = (others - 1) // 2
            if below <= rank < below + same:
                median = level_db[1, n]
            top_low = max(top_low, level_db[0, n])
            top_high = max(top_high, level_db[1, n])
        heard = median > limits[4] + EVIDENCE_DB
        if heard:
            m_state[0, m] += rate * (min(max(level_db[1, m] - median, -60.0), 60.0) - m_state[0, m])
            m_state[1, m] += rate * (min(max(level_db[1, m] - top_high, -60.0), 60.0) - m_state[1, m])
            m_state[2, m] += rate * (min(max(level_db[0, m] - top_low, -60.0), 60.0) - m_state[2, m])
        # ---- coherence: its own with the others, and theirs with each other ----
        own = np.float32(0.0)
        theirs = np.float32(0.0)
        comparable = late = early = 0
        p = 0
        for i in range(1, mics):
            for j in range(i):
                if widths[p] > 0:
                    other = j if i == m else i
                    if i == m or j == m:
                        if active[other]:
                            comparable += 1
                            own = max(own, pairs[0, p])
                            if pairs[0, p] > AGREES:
                                early += 1
                                late += pairs[1, p] < least_cosine[p] - COSINE_MARGIN
                    elif active[i] and active[j] and pairs[1, p] >= least_cosine[p] - COSINE_MARGIN:
                        theirs = max(theirs, pairs[0, p])
                p += 1
        alone = comparable > 0 and theirs > AGREES and own < DIFFERS
        quiet = m_state[0, m]
        windy = m_state[2, m] > m_state[1, m] + WIND_DB
        hiss = others > 1 and m_state[1, m] > limits[1] and m_state[2, m] < m_state[1, m] - HISS_DB
        share = samples[2, c]
        misplaced = late > 0 and 3 * late >= 2 * early and theirs > AGREES
        if active[m]:
            clocks[6, m] += step_s
            if clocks[6, m] > LONGEST_READMIT_S:
                clocks[5, m] = limits[3]
            found = 0
            measured = np.float32(0.0)
            for kind in range(1, 6):
                if kind == DEAD:
                    bad = heard and (quiet < -limits[0] or (alone and quiet < -QUIETER_DB))
                    known, hold, number = heard, DEAD_S, quiet
                elif kind == STUCK:
                    bad = frozen[m] > 0
                    known, hold, number = True, 0.0, samples[0, c]
                elif kind == CLIPPED:
                    bad = share > limits[2] and 2 * clean >= others and not windy
                    known, hold, number = True, CLIPPED_S, share
                elif kind == NOISY:
                    bad = heard and ((alone and not windy and quiet >= -QUIETER_DB) or hiss)
                    known = heard and (theirs > AGREES or not hiss)
                    hold, number = (NOISY_S if alone else HISS_S), quiet
                else:
                    bad = misplaced
                    known, hold, number = theirs > AGREES, DELAY_S, np.float32(late)
                if bad:
                    clocks[kind - 1, m] += step_s
                elif known:
                    clocks[kind - 1, m] = 0.0
                if bad and clocks[kind - 1, m] >= hold and found == 0:
                    found = frozen[m] if kind == STUCK else kind
                    measured = number
            if frozen[m] > 0:
                found = frozen[m]
                measured = samples[0, c]
            if found > 0 and in_use > 1:
                active[m] = False
                in_use -= 1
                changed = True
                reason[m] = found
                value[m] = measured
                for k in range(5):
                    clocks[k, m] = 0.0
                clocks[6, m] = 0.0
        else:
            well = frozen[m] == 0 and share < limits[2] / 3.0 and not hiss and late == 0
            sounds = own > AGREES or (comparable == 0 and heard)
            bad = frozen[m] > 0 or share > limits[2] or alone or hiss or misplaced or (heard and quiet < -limits[0])
            if well and sounds and quiet > np.float32(0.7) * -limits[0] and heard:
                clocks[4, m] += step_s
            elif bad:
                clocks[4, m] = 0.0
            if clocks[4, m] >= clocks[5, m]:
                active[m] = True
                in_use += 1
                changed = True
                reason[m] = 0
                value[m] = 0.0
                clocks[5, m] = min(2.0 * clocks[5, m], LONGEST_READMIT_S)
                for k in range(5):
                    clocks[k, m] = 0.0
                clocks[6, m] = 0.0
    return changed
