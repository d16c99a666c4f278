"""Band-limited interpolation at a freely varying ratio: the kernel behind device resampling and the clock lock."""

import numpy as np

from edge.kernels.jit import kernel


@kernel(
    "Tuple((int64, int64, float64))(float32[:, ::1], int64, float32[:, ::1], float64, float64, float32[::1], "
    "float32[:, ::1])"
)
def interpolate(history, frames, table, fraction, step, weights, out):
    """As many output frames as `history` allows, at most out.shape[0].

    history (channels, capacity), of which the first `frames` columns are valid; used ones are shifted out. table
    (phases + 1, taps): one windowed-sinc phase per row, interpolated linearly between rows. fraction: position of the
    next output between two input frames, in [0, 1); step: input frames per output frame, below taps; weights (taps,)
    is scratch; out (frames, channels). Returns (frames made, input frames used up, new fraction). The same input
    gives the same output bits however it is cut into calls.
    """
    channels = history.shape[0]
    taps = table.shape[1]
    phases = table.shape[0] - 1
    first = 0
    made = 0
    while made < out.shape[0] and first + taps <= frames:
        at = fraction * phases
        row = int(at)
        between = np.float32(at - row)
        for k in range(taps):
            low = table[row, k]
            weights[k] = low + between * (table[row + 1, k] - low)
        for c in range(channels):
            total = np.float32(0.0)
            for k in range(taps):
                total += weights[k] * history[c, first + k]
            out[made, c] = total
        made += 1
        fraction += step
        whole = int(fraction)
        first += whole
        fraction -= whole
    used = first  # never beyond `frames`, since step < taps
    if used > 0:
        for c in range(channels):
            for n in range(frames - used):
                history[c, n] = history[c, n + used]
    return made, used, fraction
