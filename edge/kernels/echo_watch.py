"""Echo cancellation kernels that look at what a filter has learnt and at how it fares."""

import numpy as np

from edge.kernels.jit import kernel

# verdicts of `supervise`
GOOD, CHANGED, WORTHLESS, WEAK = 0, 1, 2, 3


@kernel("int64(float32[:, :, ::1], float32[:, :, ::1], float32[::1], float32[::1])")
def weigh(w_re, w_im, energy, paths):
    """Index of the partition with the most energy over references and microphones.

    energy (partitions,): squared weights of each partition, added up; paths (mics,): energy of each echo path, squared
    weights added over rows, mean over bins.
    """
    partitions = energy.shape[0]
    rows, mics, bins = w_re.shape
    for k in range(partitions):
        energy[k] = np.float32(0.0)
    for m in range(mics):
        paths[m] = np.float32(0.0)
    for row in range(rows):
        for m in range(mics):
            total = np.float32(0.0)
            for b in range(bins):
                total += w_re[row, m, b] * w_re[row, m, b] + w_im[row, m, b] * w_im[row, m, b]
            energy[row % partitions] += total
            paths[m] += total / np.float32(bins)
    best = 0
    for k in range(1, partitions):
        if energy[k] > energy[best]:
            best = k
    return best


@kernel(
    "int64(float32[:, ::1], float32[::1], float32, float32, float32, float32[::1], float64[::1], int64[::1], int64,"
    " int64[::1])"
)
def supervise(sums, power, reference_power, silence, keep, lasting, levels, waits, refractory, verdict):
    """Watch the filter of every microphone for one hop while the reference plays; returns how many need help.

    sums (mics, 4) as in `edge.kernels.echo.subtract`. lasting (4,): the same over all microphones, forgetting by
    `keep`. levels (mics + 1,): sums of the mean squares of the microphones and, last, of the reference. waits (mics,):
    hops until the next verdict is allowed. verdict (mics,) is written:
    CHANGED where the error resembles the estimate, reversed (a talker never looks like that), WORTHLESS where the
    microphone does not resemble the estimate or the estimate only adds power, WEAK where it is far too small, else
    GOOD.
    """
    mics = sums.shape[0]
    for i in range(4):
        lasting[i] *= keep
    found = 0
    for m in range(mics):
        verdict[m] = GOOD
        levels[m] += power[m]
        waits[m] = max(waits[m] - 1, 0)
        if power[m] < silence:
            continue
        for i in range(4):
            lasting[i] += (np.float32(1.0) - keep) * sums[m, i]
        if waits[m] > 0:
            continue
        yy, ee, hh, eh = sums[m, 0], sums[m, 1], sums[m, 2], sums[m, 3]
        alike = np.float32(0.25) * np.sqrt(ee * hh)
        if ee > np.float32(1.5) * yy or (eh < np.float32(-0.75) * hh and eh < -alike):
            verdict[m] = WORTHLESS
        elif eh < np.float32(-0.15) * hh and eh < -alike:
            verdict[m] = CHANGED
        elif eh > np.float32(0.5) * hh and eh > alike:
            verdict[m] = WEAK
        if verdict[m]:
            waits[m] = refractory
            found += 1
    levels[mics] += reference_power
    return found
