"""Bands for the mask network: bins to normalised log power, and band gains back to bins."""

import numpy as np

from edge.kernels.jit import kernel


@kernel(
    "void(complex64[::1], int32[::1], float32[::1], float32[::1], float32, float32[::1], float32[::1], float32[::1])"
)
def band_log_power(spectrum, band, fraction, inverse_weight, floor, mean, inverse_std, out):
    """out = (log10(band power + floor) - mean) * inverse_std, nothing allocated.

    spectrum complex64 (bins,); band, fraction (bins,) and inverse_weight (bands,) as in BandLayout; mean,
    inverse_std and out float32 (bands,). A bin that is not a number counts as silence, an infinite one as very loud.
    """
    bands = out.shape[0]
    for b in range(bands):
        out[b] = np.float32(0.0)
    for k in range(spectrum.shape[0]):
        re, im = spectrum[k].real, spectrum[k].imag
        p = re * re + im * im
        if not (p >= np.float32(0.0)):
            p = np.float32(0.0)
        elif p > np.float32(1e12):
            p = np.float32(1e12)
        b = band[k]
        upper = p * fraction[k]
        out[b] += p - upper
        if fraction[k] > np.float32(0.0):
            out[b + 1] += upper
    for b in range(bands):
        out[b] = (np.log10(out[b] * inverse_weight[b] + floor) - mean[b]) * inverse_std[b]


@kernel("boolean(float32[::1], int32[::1], float32[::1], float32[::1])")
def bands_to_bins(gains, band, fraction, out):
    """Interpolate band gains float32 (bands,) to out float32 (bins,), clipped to [0, 1]. False if any is not finite.

    Nothing is written from the first gain that is not finite: the caller then keeps what it had.
    """
    for b in range(gains.shape[0]):
        if not (np.abs(gains[b]) <= np.float32(2.0)):
            return False
    last = gains.shape[0] - 1
    for k in range(out.shape[0]):
        b = band[k]
        low = gains[b]
        g = low + fraction[k] * (gains[min(b + 1, last)] - low)
        out[k] = min(max(g, np.float32(0.0)), np.float32(1.0))
    return True
