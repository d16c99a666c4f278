"""Who speaks: the voice encoder of Resemblyzer, run here from the weights in its package.

Wan, Wang, Papir and Lopez Moreno, "Generalized end-to-end loss for speaker verification", ICASSP 2018: three LSTM
layers of 256 over 40 mel bands, an embedding of 256 values per 1.6 s. Only the weights of the package are used, since
its own code needs torch, librosa and webrtcvad, and releases of scipy and setuptools that are no longer current.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.impact.recognisers.whisper_tiny import mel_filters
from edge.impact.torch_file import read_weights

F32 = NDArray[np.float32]

RATE_HZ = 16000
MELS, WINDOW, HOP = 40, 400, 160
PART_FRAMES, STEP_FRAMES, LEAST_COVERED = 160, 77, 0.75
"""1.6 s, 1.3 times a second; the last part is taken when so much of it is sound"""
LAYERS, UNITS = 3, 256
LEVEL_DBFS = -30.0
SHORTEST_S = 1.0
"""of speech, below which an embedding says little"""
_FRAME = 480
_BELOW_LOUDEST_DB, _KEPT_AROUND = 35.0, 3
_REVISION = "1"


class VoiceEncoder:
    """Sound to an embedding. Raises UsageError where resemblyzer is not installed or has other weights."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("resemblyzer")
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(
                "speaker similarity needs resemblyzer, which is not here; pip install --no-deps resemblyzer, or "
                "leave it out with --no-speaker"
            )
        path = Path(spec.submodule_search_locations[0]) / "pretrained.pt"
        try:
            weights = read_weights(path, "model_state")
            self._layers = [
                (
                    np.ascontiguousarray(weights[f"lstm.weight_ih_l{i}"].T),
                    np.ascontiguousarray(weights[f"lstm.weight_hh_l{i}"].T),
                    weights[f"lstm.bias_ih_l{i}"] + weights[f"lstm.bias_hh_l{i}"],
                )
                for i in range(LAYERS)
            ]
            self._out, self._bias = np.ascontiguousarray(weights["linear.weight"].T), weights["linear.bias"]
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(
                f"resemblyzer has no weights that are known here ({error}); install release 0.1.4"
            ) from None
        self.identity = f"Resemblyzer {version('resemblyzer')}, revision {_REVISION}"

    def embed(self, samples: F32) -> F32:
        """Embedding float32 (256,) of length 1, no value below 0; samples float32 (n,) at 16 kHz, not silent."""
        level = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
        samples = samples * np.float32(10.0 ** (LEVEL_DBFS / 20.0) / level)
        starts = _part_starts(samples.size)
        needed = (starts[-1] + PART_FRAMES) * HOP
        mel = _mel(np.pad(samples, (0, max(0, needed - samples.size))))
        parts = self._parts(np.stack([mel[s : s + PART_FRAMES] for s in starts]))
        mean = parts.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _parts(self, x: F32) -> F32:
        """Embeddings (parts, 256) of mel spectra (parts, frames, 40)."""
        for ih, hh, bias in self._layers:
            given = x @ ih + bias
            hidden, cell = np.zeros((2, len(x), UNITS), np.float32)
            out = np.empty((*x.shape[:2], UNITS), np.float32)
            for t in range(x.shape[1]):
                i, f, g, o = np.split(given[:, t] + hidden @ hh, 4, axis=1)
                cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
                hidden = _sigmoid(o) * np.tanh(cell)
                out[:, t] = hidden
            x = out
        raw = np.maximum(hidden @ self._out + self._bias, 0.0)
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)


@functools.cache
def voice_encoder() -> VoiceEncoder:
    """The one of this process."""
    return VoiceEncoder()


def spoken_part(clean: F32) -> NDArray[np.bool_]:
    """Which samples of clean speech (n,) are speech: 30 ms frames within 35 dB of the loudest, 90 ms around them.

    The package asks WebRTC's detector instead; here one decision, of the clean speech, serves all that is made of it.
    """
    frames = -(-clean.size // _FRAME)
    power = np.mean(
        np.pad(clean, (0, frames * _FRAME - clean.size)).reshape(-1, _FRAME).astype(np.float64) ** 2, axis=1
    )
    loud = power > max(power.max(initial=0.0) * 10.0 ** (-_BELOW_LOUDEST_DB / 10.0), 1e-12)
    near = np.convolve(loud, np.ones(2 * _KEPT_AROUND + 1), "same") > 0.5
    return np.repeat(near, _FRAME)[: clean.size]


def similarity(a: F32, b: F32) -> float:
    """Cosine between two embeddings, here 0 to 1."""
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))


def _sigmoid(x: F32) -> F32:
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5, np.float32)


def _part_starts(samples: int) -> list[int]:
    """First mel frames of the parts that cover a sound."""
    frames = math.ceil((samples + 1) / HOP)
    starts = list(range(0, max(1, frames - PART_FRAMES + STEP_FRAMES + 1), STEP_FRAMES))
    covered = (samples - starts[-1] * HOP) / (PART_FRAMES * HOP)
    return starts[:-1] if covered < LEAST_COVERED and len(starts) > 1 else starts


def _mel(samples: F32) -> F32:
    """Mel spectrum of powers, float32 (1 + n // 160, 40), not logarithmic."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.asarray(power @ mel_filters(mels=MELS).T, np.float32)
