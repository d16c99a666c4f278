"""Compare what was recorded from the loopback with what `edge enhance` made of the same scene.

usage: check_recording.py RECORDING.wav REFERENCE.wav

Both have two channels, listen and asr. The scene is played over and over, so any moment of it may come at any time.
"""

import sys

import numpy as np
import soundfile

WINDOW_S = 0.5


def correlations(recording: np.ndarray, reference: np.ndarray, rate_hz: int) -> np.ndarray:
    """Largest normalized cross-correlation of each window of the recording with any part of the looped reference."""
    size = int(WINDOW_S * rate_hz)
    looped = np.concatenate([reference, reference[:size]])
    length = 1 << (len(looped) + size).bit_length()
    spectrum = np.fft.rfft(looped, length)
    energy = np.concatenate([[0.0], np.cumsum(looped**2)])
    energies = np.maximum(energy[size:] - energy[:-size], 1e-9)
    found = []
    for first in range(0, len(recording) - size + 1, size):
        window = recording[first : first + size]
        if (power := float(np.sum(window**2))) < size * 1e-8:
            continue  # silence: where sound was lost
        products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(window, length)), length)[: len(energies)]
        found.append(float(np.max(products / np.sqrt(energies * power))))
    return np.array(found)


def main() -> None:
    recording, rate_hz = soundfile.read(sys.argv[1])
    reference, reference_rate_hz = soundfile.read(sys.argv[2])
    assert rate_hz == reference_rate_hz
    assert recording.shape[1] == reference.shape[1] == 2
    windows = len(recording) // int(WINDOW_S * rate_hz)
    for channel, (name, least) in enumerate((("listen", 0.7), ("asr", 0.9))):
        found = correlations(recording[:, channel], reference[:, channel], rate_hz)
        level_dbfs = 10 * np.log10(np.mean(recording[:, channel] ** 2) + 1e-12)
        reference_dbfs = 10 * np.log10(np.mean(reference[:, channel] ** 2) + 1e-12)
        median = float(np.median(found)) if len(found) else 0.0
        print(
            f"{sys.argv[1].split('/')[-1]} {name}: {level_dbfs:.1f} dBFS (file {reference_dbfs:.1f}), "
            f"{len(found)} of {windows} windows with sound, correlation median {median:.4f}, "
            f"lower decile {np.quantile(found, 0.1) if len(found) else 0:.4f}"
        )
        assert len(found) >= windows / 2, f"{name}: mostly silence"
        assert median > least, f"{name}: correlation {median:.3f}, expected over {least}"


main()
