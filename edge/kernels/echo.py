"""Echo cancellation kernels: partitioned frequency-domain Kalman filter, one block of a hop at a time.

Bins are innermost everywhere. Spectra of the reference lie in a ring of slots (slots, references, bins); row
reference * partitions + k of the weights meets the slot that is delay + k hops old.
"""

import numpy as np

from edge.kernels.jit import kernel

# State covariance is held above this: far below anything that moves a weight, far above denormal numbers.
COVARIANCE_MIN = 1e-15


@kernel("float32(float32[:, ::1], int64[::1], float32, float32, float32[:, ::1], float32[::1])")
def push_reference(block, channels, sane_max, silence, history, energy):
    """Push the reference channels of block (hop, captured) into history (references, 2 hops).

    NaN, infinite and absurd samples become 0; a hop whose mean square is below `silence` becomes exact silence.
    energy (references,) receives the sum of squares of the whole history. Returns the mean square of this hop, all
    references added.
    """
    hop = block.shape[0]
    total = np.float32(0.0)
    for r in range(channels.shape[0]):
        c = channels[r]
        old = np.float32(0.0)
        new = np.float32(0.0)
        for n in range(hop):
            history[r, n] = history[r, hop + n]
            old += history[r, n] * history[r, n]
            x = block[n, c]
            if not (abs(x) <= sane_max):
                x = np.float32(0.0)
            history[r, hop + n] = x
            new += x * x
        if new <= silence * np.float32(hop):
            new = np.float32(0.0)
            for n in range(hop):
                history[r, hop + n] = np.float32(0.0)
        energy[r] = old + new
        total += new / np.float32(hop)
    return total


@kernel(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], int64, int64,"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[:, ::1])"
)
def estimate(x_re, x_im, energy, newest, delay, w_re, w_im, y_re, y_im):
    """Spectrum of the echo at every microphone: sum of weights (rows, mics, bins) times the rows' slots.

    x (slots, references, bins), energy (slots, references) with 0 marking silent slots, newest: slot of this hop.
    y (mics, bins) is written.
    """
    slots, references, bins = x_re.shape
    rows, mics, _ = w_re.shape
    partitions = rows // references
    for m in range(mics):
        for b in range(bins):
            y_re[m, b] = np.float32(0.0)
            y_im[m, b] = np.float32(0.0)
    for row in range(rows):
        r, k = row // partitions, row % partitions
        slot = (newest - delay - k) % slots
        if energy[slot, r] == 0.0:
            continue
        xr, xi = x_re[slot, r], x_im[slot, r]
        for m in range(mics):
            wr, wi, yr, yi = w_re[row, m], w_im[row, m], y_re[m], y_im[m]
            for b in range(bins):
                yr[b] += wr[b] * xr[b] - wi[b] * xi[b]
                yi[b] += wr[b] * xi[b] + wi[b] * xr[b]


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32, float32, float32[:, ::1], float32[::1], float32[:, ::1],"
    " float32[::1])"
)
def subtract(history, echo, keep, wanted, error, strength, sums, power):
    """Take the echo (second hop of echo (mics, 2 hops)) off the newest hop of history (mics, K).

    error (mics, 2 hops) receives the full difference in its second hop. What is taken off is the echo times
    strength (mics,), which follows its target within the hop: `wanted`, or 0 at a microphone where taking it off would
    add power. sums (mics, 4) forget by `keep` per hop: powers of microphone, error and echo, and error times echo.
    power (mics,) receives the mean square of the microphone in this hop; a silent one stays as it is.
    """
    mics, length = history.shape
    hop = echo.shape[1] // 2
    start = length - hop
    per_sample = np.float32(1.0) / np.float32(hop)
    fresh = np.float32(1.0) - keep
    for m in range(mics):
        yy = np.float32(0.0)
        ee = np.float32(0.0)
        hh = np.float32(0.0)
        eh = np.float32(0.0)
        for n in range(hop):
            y = history[m, start + n]
            h = echo[m, hop + n]
            e = y - h
            error[m, hop + n] = e
            yy += y * y
            ee += e * e
            hh += h * h
            eh += e * h
        power[m] = yy * per_sample
        sums[m, 0] = keep * sums[m, 0] + fresh * yy * per_sample
        sums[m, 1] = keep * sums[m, 1] + fresh * ee * per_sample
        sums[m, 2] = keep * sums[m, 2] + fresh * hh * per_sample
        sums[m, 3] = keep * sums[m, 3] + fresh * eh * per_sample
        from_ = strength[m]
        to = wanted
        # hysteresis: out at 10 % more power, back where the error is no larger than the microphone
        if sums[m, 1] > sums[m, 0] * (np.float32(1.1) if from_ > 0.0 else np.float32(1.0)):
            to = np.float32(0.0)
        if not (ee * per_sample <= np.float32(4.0) * max(sums[m, 0], power[m])):
            from_, to = np.float32(0.0), np.float32(0.0)  # at once: a ramp would let half of a burst through
        strength[m] = to
        if yy == 0.0 or (from_ == 0.0 and to == 0.0):
            continue
        slope = (to - from_) * per_sample
        for n in range(hop):
            history[m, start + n] -= (from_ + slope * np.float32(n + 1)) * echo[m, hop + n]


@kernel(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], int64, int64, float32[:, ::1], float32[:, ::1],"
    " float32[::1], float32, float32, float32, float32, float32[:, ::1], float32[::1],"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])"
)
def adapt(
    x_re, x_im, energy, newest, delay, e_re, e_im, power, silence, noise_keep, noise_min, forget, noise, inverse,
    covariance, w_re, w_im,
):  # fmt: skip
    """One step of the partitioned-block frequency-domain Kalman filter (Kuech, Mabande and Enzner 2014), diagonal.

    A block of two hops of which one is new (their M / R = 2): the error is half of what the weights in a bin make.
    e (mics, bins): spectrum of the error behind a hop of zeros; power (mics,): microphones below `silence` are left
    alone. noise (mics, bins): smoothed power of the error, forgetting by noise_keep, never below noise_min; it stands
    for the near end, so the step shrinks while somebody talks. forget: share by which the echo path is expected to
    wander in a hop. covariance, w (rows, mics, bins) are updated; inverse (bins,) is scratch.
    """
    slots, references, bins = x_re.shape
    rows, mics, _ = w_re.shape
    partitions = rows // references
    half = np.float32(0.5)
    hold = np.float32(1.0) - forget
    for m in range(mics):
        if power[m] < silence:
            continue
        er, ei, psi = e_re[m], e_im[m], noise[m]
        for b in range(bins):
            p = er[b] * er[b] + ei[b] * ei[b]
            smoothed = max(noise_keep * psi[b] + (np.float32(1.0) - noise_keep) * p, noise_min)
            psi[b] = smoothed
            inverse[b] = max(smoothed, half * p)
        for row in range(rows):
            r, k = row // partitions, row % partitions
            slot = (newest - delay - k) % slots
            if energy[slot, r] == 0.0:
                continue
            xr, xi, c = x_re[slot, r], x_im[slot, r], covariance[row, m]
            for b in range(bins):
                inverse[b] += half * (xr[b] * xr[b] + xi[b] * xi[b]) * c[b]
        for b in range(bins):
            inverse[b] = np.float32(1.0) / inverse[b]
        for row in range(rows):
            r, k = row // partitions, row % partitions
            slot = (newest - delay - k) % slots
            if energy[slot, r] == 0.0:
                continue
            xr, xi, c, wr, wi = x_re[slot, r], x_im[slot, r], covariance[row, m], w_re[row, m], w_im[row, m]
            for b in range(bins):
                gain = half * c[b] * inverse[b]
                a = wr[b] + gain * (xr[b] * er[b] + xi[b] * ei[b])
                d = wi[b] + gain * (xr[b] * ei[b] - xi[b] * er[b])
                wr[b] = a
                wi[b] = d
                left = np.float32(1.0) - half * gain * (xr[b] * xr[b] + xi[b] * xi[b])
                c[b] = max(hold * left * c[b] + forget * (a * a + d * d), np.float32(COVARIANCE_MIN))


@kernel("void(float32, int64, float32[:, :, ::1])")
def scale_covariance(factor, microphone, covariance):
    """Multiply the covariance (rows, mics, bins) of one microphone by `factor`."""
    rows, _, bins = covariance.shape
    for row in range(rows):
        c = covariance[row, microphone]
        for b in range(bins):
            c[b] = max(c[b] * factor, np.float32(COVARIANCE_MIN))


@kernel("void(float32[::1], float32, int64, float32[:, :, ::1])")
def raise_covariance(profile, energy, microphone, covariance):
    """Raise the covariance (rows, mics, bins) of one microphone to at least profile (partitions,) times `energy`."""
    rows, _, bins = covariance.shape
    partitions = profile.shape[0]
    for row in range(rows):
        c = covariance[row, microphone]
        least = max(profile[row % partitions] * energy, np.float32(COVARIANCE_MIN))
        for b in range(bins):
            c[b] = max(c[b], least)


@kernel("void(float32[::1], float32, int64, float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def restart(profile, energy, microphone, covariance, w_re, w_im):
    """Forget the weights of one microphone; its covariance becomes profile (partitions,) times `energy`."""
    rows, _, bins = covariance.shape
    partitions = profile.shape[0]
    for row in range(rows):
        c, wr, wi = covariance[row, microphone], w_re[row, microphone], w_im[row, microphone]
        fresh = max(profile[row % partitions] * energy, np.float32(COVARIANCE_MIN))
        for b in range(bins):
            wr[b] = np.float32(0.0)
            wi[b] = np.float32(0.0)
            c[b] = fresh


@kernel("void(int64, int64, float32[::1], float32[::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1])")
def move_window(partitions, shift, profile, scale, covariance, w_re, w_im):
    """Let the partitions of every reference begin `shift` > 0 hops later; those that enter at the end start afresh.

    A move by whole partitions is exact. shift >= partitions forgets everything. scale (mics,) times profile
    (partitions,) is the covariance of what starts afresh.
    """
    rows, mics, bins = w_re.shape
    for first in range(0, rows, partitions):
        for k in range(partitions):
            row = first + k
            for m in range(mics):
                if k + shift < partitions:
                    for b in range(bins):
                        w_re[row, m, b] = w_re[row + shift, m, b]
                        w_im[row, m, b] = w_im[row + shift, m, b]
                        covariance[row, m, b] = covariance[row + shift, m, b]
                else:
                    fresh = max(profile[k] * scale[m], np.float32(COVARIANCE_MIN))
                    for b in range(bins):
                        w_re[row, m, b] = np.float32(0.0)
                        w_im[row, m, b] = np.float32(0.0)
                        covariance[row, m, b] = fresh
