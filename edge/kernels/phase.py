"""Phase of spectra: small delays of single microphones, as a ramp over frequency."""

from edge.kernels.jit import kernel


@kernel("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def rotate(turn_re, turn_im, x_re, x_im):
    """x *= turn for complex numbers of modulus 1 as two arrays; all (mics, bins)."""
    for m in range(x_re.shape[0]):
        for b in range(x_re.shape[1]):
            re = x_re[m, b]
            im = x_im[m, b]
            x_re[m, b] = re * turn_re[m, b] - im * turn_im[m, b]
            x_im[m, b] = re * turn_im[m, b] + im * turn_re[m, b]
