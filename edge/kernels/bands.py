"""Bands for the mask network: bins to log power above a tracked noise floor, and band gains back to bins."""

import numpy as np

from edge.kernels.jit import kernel


@kernel("void(float32, int32, float32, float32[::1])")
def add_to_bands(power, band, fraction, out):
    """Share a bin's power among its two bands of out. Not a number counts as zero, infinity as very loud."""
    if not (power >= np.float32(0.0)):
        power = np.float32(0.0)
    elif power > np.float32(1e12):
        power = np.float32(1e12)
    upper = power * fraction
    out[band] += power - upper
    if fraction > np.float32(0.0):
        out[band + 1] += upper


@kernel("void(complex64[::1], int32[::1], float32[::1], float32[::1], float32, float32[::1])")
def band_log_power(spectrum, band, fraction, inverse_weight, power_floor, out):
    """out = log10(band power + power_floor), nothing allocated.

    spectrum complex64 (bins,); band, fraction (bins,) and inverse_weight (bands,) as in BandLayout; out float32
    (bands,). A bin that is not a number counts as silence, an infinite one as very loud.
    """
    for b in range(out.shape[0]):
        out[b] = np.float32(0.0)
    for k in range(spectrum.shape[0]):
        re, im = spectrum[k].real, spectrum[k].imag
        add_to_bands(re * re + im * im, band[k], fraction[k], out)
    for b in range(out.shape[0]):
        out[b] = np.log10(out[b] * inverse_weight[b] + power_floor)


@kernel("void(float32[::1], int64, float32, float32, float32, float32[::1], float32[::1], float32[::1])")
def above_floor(log_power, seen, smoothing, fall, rise, smooth, noise, out):
    """out = log_power less the noise floor of the band, which is followed quickly down and slowly up.

    log_power, out and the state smooth and noise float32 (n,); seen: frames before this one (0: the state is set anew).
    smoothing, fall, rise: shares of the way per frame. In the first frames the floor is the mean so far, or it would
    take seconds to rise from a first frame that was half empty.
    """
    upward = max(rise, np.float32(1.0) / np.float32(seen + 1))
    downward = max(fall, upward)
    for b in range(log_power.shape[0]):
        if seen == 0:
            smooth[b] = log_power[b]
            noise[b] = log_power[b]
        smooth[b] += smoothing * (log_power[b] - smooth[b])
        way = smooth[b] - noise[b]
        noise[b] += (upward if way > np.float32(0.0) else downward) * way
        out[b] = log_power[b] - noise[b]


@kernel("void(float32[::1], int32[::1], float32[::1], float32[::1], float32[::1])")
def band_power(power, band, fraction, inverse_weight, out):
    """out float32 (bands,) = mean of power float32 (bins,) under every band's triangle."""
    for b in range(out.shape[0]):
        out[b] = np.float32(0.0)
    for k in range(power.shape[0]):
        add_to_bands(power[k], band[k], fraction[k], out)
    for b in range(out.shape[0]):
        out[b] *= inverse_weight[b]


@kernel("void(float32[::1], float32[:, ::1], float32, float32, float32[:, ::1], float32[:, ::1])")
def spatial_cues(log_power, powers, smoothing, power_floor, smooth, out):
    """Two spatial cues per band: log10 of the beam's power and of what the look does not explain, over the
    microphones'.

    log_power float32 (bands,) of the beam, with power_floor in it; powers float32 (2, bands): mean of the
    microphones, what the look direction does not explain of them. smooth float32 (3, bands): state, all three powers
    smoothed; negative before the first frame. out float32 (2, bands), clipped to -3 to 1.
    """
    for b in range(log_power.shape[0]):
        beam = np.float32(10.0) ** log_power[b]
        mics = powers[0, b] + power_floor
        rest = powers[1, b] + power_floor
        if smooth[0, b] < np.float32(0.0):
            smooth[0, b] = beam
            smooth[1, b] = mics
            smooth[2, b] = rest
        smooth[0, b] += smoothing * (beam - smooth[0, b])
        smooth[1, b] += smoothing * (mics - smooth[1, b])
        smooth[2, b] += smoothing * (rest - smooth[2, b])
        for n in range(2):
            cue = np.log10(smooth[2 * n, b] / smooth[1, b])
            out[n, b] = min(max(cue, np.float32(-3.0)), np.float32(1.0))


@kernel("boolean(float32[::1], int32[::1], float32[::1], float32[::1], float32[::1])")
def bands_to_bins(gains, band, fraction, out, copy):
    """Interpolate band gains float32 (bands,) to out float32 (bins,), clipped to [0, 1], and put the same into copy.

    Returns False if any gain is not finite: out is left as it was then, and goes into copy.
    """
    good = True
    for b in range(gains.shape[0]):
        good &= np.abs(gains[b]) <= np.float32(2.0)
    last = gains.shape[0] - 1
    for k in range(out.shape[0]):
        if good:
            b = band[k]
            low = gains[b]
            g = low + fraction[k] * (gains[min(b + 1, last)] - low)
            out[k] = min(max(g, np.float32(0.0)), np.float32(1.0))
        copy[k] = out[k]
    return good


@kernel("void(float32[::1], float32[::1], float32[::1], float32[::1])")
def normalise(raw, mean, inverse_std, out):
    """out = (raw - mean) * inverse_std, all float32 (n,)."""
    for i in range(raw.shape[0]):
        out[i] = (raw[i] - mean[i]) * inverse_std[i]


@kernel(
    "void(complex64[::1], int32[::1], float32[::1], float32[::1], float32, int64, float32, float32, float32,"
    "float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1])"
)
def features(
    spectrum,
    band,
    fraction,
    inverse_weight,
    power_floor,
    seen,
    smoothing,
    fall,
    rise,
    smooth,
    noise,
    raw,
    mean,
    inverse_std,
    out,
):
    """`band_log_power` into the last bands of raw, `above_floor` into its first ones, and `normalise` of all to out.

    One call in place of three: handing the arrays over costs as much as what is done with them.
    """
    bands = smooth.shape[0]
    log_power = raw[raw.shape[0] - bands :]
    band_log_power(spectrum, band, fraction, inverse_weight, power_floor, log_power)
    above_floor(log_power, seen, smoothing, fall, rise, smooth, noise, raw[:bands])
    normalise(raw, mean, inverse_std, out)
