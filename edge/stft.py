"""Streaming short-time Fourier transform with low-delay windows: analysis of many channels, synthesis of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.kernels import fft
from edge.profiles import Profile
from edge.windows import asymmetric_windows

F32 = NDArray[np.float32]


class Stft:
    """Analysis of `mics` channels and synthesis of two signals, one hop at a time, nothing allocated per hop.

    State: `history` float32 (mics, K), written by the caller (the newest hop at its end), and the overlap tail.
    Scratch: work arrays. Results: `spectrum_re`, `spectrum_im` float32 (mics, bins), `signals` float32 (2, hop).
    Latency: `latency_samples` (one hop) from input to output stream; one hop of buffering comes on top.
    """

    def __init__(self, profile: Profile, mics: int) -> None:
        self.profile = profile
        length, bins = profile.window_samples, profile.bins
        self.analysis_window, self.synthesis_window = asymmetric_windows(length, profile.hop_samples)
        self.latency_samples = profile.hop_samples
        self.frequencies_hz: NDArray[np.float64] = np.arange(bins, dtype=np.float64) * (profile.rate_hz / length)
        # |X|^2 summed over bins times this is the mean square of the signal under the window
        self.power_scale = 2.0 / (length * float(np.sum(self.analysis_window.astype(np.float64) ** 2)))
        self._twiddles = fft.twiddles(length)
        # state
        self.history: F32 = np.zeros((mics, length), np.float32)
        self._tail: F32 = np.zeros((2, profile.hop_samples), np.float32)
        # results
        self.spectrum_re: F32 = np.zeros((mics, bins), np.float32)
        self.spectrum_im: F32 = np.zeros((mics, bins), np.float32)
        self.signals: F32 = np.zeros((2, profile.hop_samples), np.float32)
        # scratch
        self._work_a: F32 = np.zeros((2, length), np.float32)
        self._work_b: F32 = np.zeros((2, length), np.float32)

    def analyze(self) -> None:
        """Transform `history` into `spectrum_re` and `spectrum_im`."""
        fft.analyze(
            self.history,
            self.analysis_window,
            self._twiddles,
            self._work_a,
            self._work_b,
            self.spectrum_re,
            self.spectrum_im,
        )

    def synthesize(self, first: NDArray[np.complex64], second: NDArray[np.complex64]) -> None:
        """Overlap-add two spectra complex64 (bins,) into `signals`."""
        fft.synthesize(
            first,
            second,
            self.synthesis_window,
            self._twiddles,
            self._work_a,
            self._work_b,
            self._tail,
            self.profile.hop_samples,
            self.signals,
        )

    def reset(self) -> None:
        self.history[:] = 0.0
        self._tail[:] = 0.0
