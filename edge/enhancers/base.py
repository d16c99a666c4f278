"""The one contract of every enhancer of whole recordings, and what all of them need to keep it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import Config
from edge.decoding import expected, fitting, keys, show
from edge.errors import AudioFileError, UsageError
from edge.sane import SANE_MAX

F32 = NDArray[np.float32]


class OfflineEnhancer(Protocol):
    """Enhances whole recordings. Keeps nothing from one call to the next, so the order of files cannot matter."""

    name: str
    """that of `edge.enhancers.ENHANCERS` it was made by"""

    @property
    def identity(self) -> str:
        """Hex digest of everything that decides the output but the audio: name, whole configuration, bytes of the
        model, version of the algorithm. Equal identities mean equal outputs, so results can be kept under it.
        """

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        """samples float32 (n,) or (n, channels) of full scale 1.0 -> float32 (n,) at the same rate, aligned to the
        sample. Raises AudioFileError on a number of channels it was not made for.
        """


def within_limits(what: str, value: Any, setting: str) -> None:
    """Raises UsageError where `value`, unless it is None, is nothing that a key of the configuration takes."""
    key = next(key for key in keys(Config) if key.path == setting)
    if value is not None and fitting(value, key) is None:
        raise UsageError(f"{what} is {show(value)}, expected {expected(key.type, key.constraints)}")


def digest(name: str, version: str, **decides: Any) -> str:
    """Identity of an enhancer out of plain values, mappings of them, arrays and bytes.

    version: of the algorithm; raise it whenever the same options give another output.
    """
    text = json.dumps([name, version, decides], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        content = np.ascontiguousarray(value)
        return [str(content.dtype), content.shape, hashlib.sha256(content.tobytes()).hexdigest()]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be part of an identity")


def one_channel(samples: NDArray[Any], name: str) -> F32:
    """samples (n,) or (n, 1) as finite float32 (n,), what is no sound made silence.

    Raises AudioFileError for more channels: an array needs a configuration, see `make_enhancer`.
    """
    samples = np.asarray(samples)
    if samples.ndim == 2 and samples.shape[1] == 1:
        samples = samples[:, 0]
    if samples.ndim != 1:
        raise AudioFileError(
            f"{name} enhances one channel and the samples have shape {samples.shape}; give "
            "the configuration of the array (config=, --config, --board), or one channel of it (--channel 1)"
        )
    if samples.dtype.kind != "f":
        raise AudioFileError(f"the samples are {samples.dtype}, expected floats of full scale 1.0; convert them first")
    # a number too big for float32 is replaced before it would become an infinity
    sane = np.abs(samples) < SANE_MAX
    return np.where(sane, samples, 0.0).astype(np.float32)
