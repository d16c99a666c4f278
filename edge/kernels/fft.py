"""Batched real FFTs by a Stockham radix-4 transform on pairs of channels, float32, nothing allocated.

Two real channels ride in one complex transform (one as the real, one as the imaginary part), so four microphones
cost two transforms and the two outputs of the pipeline cost one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.kernels.jit import kernel


def twiddles(length: int) -> NDArray[np.float32]:
    """exp(-2 pi i k / length) for k < length as float32 (2, length): cosine row, sine row."""
    phase = -2.0 * np.pi * np.arange(length) / length
    return np.ascontiguousarray(np.stack([np.cos(phase), np.sin(phase)]).astype(np.float32))


@kernel("boolean(float32[::1], float32[::1], float32[::1], float32[::1], float32[:, ::1])")
def _transform(xr, xi, yr, yi, tw):
    """Forward complex transform of (xr, xi); True when the result lies in (yr, yi). Both pairs are overwritten."""
    n = xr.shape[0]
    s = 1
    swapped = False
    while n > 2:
        quarter = n // 4
        if s == 1:
            for p in range(quarter):
                ar, ai = xr[p], xi[p]
                br, bi = xr[p + quarter], xi[p + quarter]
                cr, ci = xr[p + 2 * quarter], xi[p + 2 * quarter]
                dr, di = xr[p + 3 * quarter], xi[p + 3 * quarter]
                sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
                ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
                w1r, w1i = tw[0, p], tw[1, p]
                w2r, w2i = tw[0, 2 * p], tw[1, 2 * p]
                w3r, w3i = tw[0, 3 * p], tw[1, 3 * p]
                er, ei, fr, fi, gr, gi = tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr
                yr[4 * p], yi[4 * p] = sr + ur, si + ui
                yr[4 * p + 1], yi[4 * p + 1] = er * w1r - ei * w1i, er * w1i + ei * w1r
                yr[4 * p + 2], yi[4 * p + 2] = fr * w2r - fi * w2i, fr * w2i + fi * w2r
                yr[4 * p + 3], yi[4 * p + 3] = gr * w3r - gi * w3i, gr * w3i + gi * w3r
        else:
            for p in range(quarter):
                w1r, w1i = tw[0, p * s], tw[1, p * s]
                w2r, w2i = tw[0, 2 * p * s], tw[1, 2 * p * s]
                w3r, w3i = tw[0, 3 * p * s], tw[1, 3 * p * s]
                ia, ib, ic, id_ = s * p, s * (p + quarter), s * (p + 2 * quarter), s * (p + 3 * quarter)
                o = 4 * s * p
                for q in range(s):
                    ar, ai, br, bi = xr[ia + q], xi[ia + q], xr[ib + q], xi[ib + q]
                    cr, ci, dr, di = xr[ic + q], xi[ic + q], xr[id_ + q], xi[id_ + q]
                    sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
                    ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
                    er, ei, fr, fi, gr, gi = tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr
                    yr[o + q], yi[o + q] = sr + ur, si + ui
                    yr[o + s + q], yi[o + s + q] = er * w1r - ei * w1i, er * w1i + ei * w1r
                    yr[o + 2 * s + q], yi[o + 2 * s + q] = fr * w2r - fi * w2i, fr * w2i + fi * w2r
                    yr[o + 3 * s + q], yi[o + 3 * s + q] = gr * w3r - gi * w3i, gr * w3i + gi * w3r
        xr, yr = yr, xr
        xi, yi = yi, xi
        swapped = not swapped
        n = quarter
        s *= 4
    if n == 2:
        for q in range(s):
            ar, ai, br, bi = xr[q], xi[q], xr[q + s], xi[q + s]
            yr[q], yi[q] = ar + br, ai + bi
            yr[q + s], yi[q + s] = ar - br, ai - bi
        swapped = not swapped
    return swapped


@kernel(
    "void(float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def analyze(history, window, tw, work_a, work_b, spectrum_re, spectrum_im):
    """Windowed real FFT of every channel.

    history (channels, K), window (K,), tw (2, K) from `twiddles`, work_a and work_b scratch (2, K);
    spectrum_re and spectrum_im (channels, K/2 + 1) are written.
    """
    channels, length = history.shape
    half = length // 2
    for first in range(0, channels, 2):
        paired = first + 1 < channels
        if paired:
            for n in range(length):
                work_a[0, n] = history[first, n] * window[n]
                work_a[1, n] = history[first + 1, n] * window[n]
        else:
            for n in range(length):
                work_a[0, n] = history[first, n] * window[n]
                work_a[1, n] = np.float32(0.0)
        if _transform(work_a[0], work_a[1], work_b[0], work_b[1], tw):
            zr, zi = work_b[0], work_b[1]
        else:
            zr, zi = work_a[0], work_a[1]
        spectrum_re[first, 0], spectrum_im[first, 0] = zr[0], np.float32(0.0)
        spectrum_re[first, half], spectrum_im[first, half] = zr[half], np.float32(0.0)
        h = np.float32(0.5)
        for k in range(1, half):
            spectrum_re[first, k] = h * (zr[k] + zr[length - k])
            spectrum_im[first, k] = h * (zi[k] - zi[length - k])
        if paired:
            spectrum_re[first + 1, 0], spectrum_im[first + 1, 0] = zi[0], np.float32(0.0)
            spectrum_re[first + 1, half], spectrum_im[first + 1, half] = zi[half], np.float32(0.0)
            for k in range(1, half):
                spectrum_re[first + 1, k] = h * (zi[k] + zi[length - k])
                spectrum_im[first + 1, k] = h * (zr[length - k] - zr[k])


@kernel(
    "void(complex64[::1], complex64[::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], int64, float32[:, ::1])"
)
def synthesize(first, second, window, tw, work_a, work_b, tail, hop, out):
    """Inverse real FFT of two spectra at once, synthesis window, overlap-add of 2 hops.

    first, second complex64 (K/2 + 1,); window (K,) nonzero on its last 2 hops; tail (2, hop) carries the
    overlap; out (2, hop) receives the finished samples of both signals.
    """
    length = window.shape[0]
    half = length // 2
    # z = first + i * second with both spectra Hermitian; its conjugate goes through the forward transform
    work_a[0, 0], work_a[1, 0] = first[0].real, -second[0].real
    work_a[0, half], work_a[1, half] = first[half].real, -second[half].real
    for k in range(1, half):
        lr, li, ar, ai = first[k].real, first[k].imag, second[k].real, second[k].imag
        work_a[0, k] = lr - ai
        work_a[1, k] = -(li + ar)
        work_a[0, length - k] = lr + ai
        work_a[1, length - k] = li - ar
    if _transform(work_a[0], work_a[1], work_b[0], work_b[1], tw):
        zr, zi = work_b[0], work_b[1]
    else:
        zr, zi = work_a[0], work_a[1]
    scale = np.float32(1.0) / np.float32(length)
    start = length - 2 * hop
    for n in range(hop):
        w = window[start + n] * scale
        out[0, n] = tail[0, n] + w * zr[start + n]
        out[1, n] = tail[1, n] - w * zi[start + n]
        v = window[start + hop + n] * scale
        tail[0, n] = v * zr[start + hop + n]
        tail[1, n] = -v * zi[start + hop + n]


@kernel("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def inverse(spectrum_re, spectrum_im, tw, work_a, work_b, signals):
    """Inverse real FFT of every channel: spectra (channels, K/2 + 1) into signals (channels, K).

    tw (2, K) from `twiddles`, work_a and work_b scratch (2, K). Undoes `analyze` with a window of ones.
    """
    channels, length = signals.shape
    half = length // 2
    scale = np.float32(1.0) / np.float32(length)
    for first in range(0, channels, 2):
        paired = first + 1 < channels
        # z = first + i * second as in `synthesize`; a lone channel rides with silence
        second = first + 1 if paired else first
        on = np.float32(1.0) if paired else np.float32(0.0)
        work_a[0, 0], work_a[1, 0] = spectrum_re[first, 0], -on * spectrum_re[second, 0]
        work_a[0, half], work_a[1, half] = spectrum_re[first, half], -on * spectrum_re[second, half]
        for k in range(1, half):
            lr, li = spectrum_re[first, k], spectrum_im[first, k]
            ar, ai = on * spectrum_re[second, k], on * spectrum_im[second, k]
            work_a[0, k] = lr - ai
            work_a[1, k] = -(li + ar)
            work_a[0, length - k] = lr + ai
            work_a[1, length - k] = li - ar
        if _transform(work_a[0], work_a[1], work_b[0], work_b[1], tw):
            zr, zi = work_b[0], work_b[1]
        else:
            zr, zi = work_a[0], work_a[1]
        for n in range(length):
            signals[first, n] = scale * zr[n]
        if paired:
            for n in range(length):
                signals[second, n] = -scale * zi[n]
