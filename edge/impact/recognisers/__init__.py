"""Recognisers by name: ours, and those of installed packages (entry point group `mic_edge.recognisers`)."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

F32 = NDArray[np.float32]

GROUP = "mic_edge.recognisers"
BUILT_IN = {
    "whisper-tiny": ("edge.impact.recognisers.whisper_tiny", "WhisperTiny"),
    "pocketsphinx": ("edge.impact.recognisers.sphinx", "Sphinx"),
}
"""best first; made only when asked for"""


class Recogniser(Protocol):
    """Sound to text. Made by calling what the entry point names without arguments, once in every process."""

    identity: str
    """changes whenever the text may change: name, version, weights; results are kept under it"""

    def transcribe(self, samples: F32, rate_hz: int) -> str:
        """samples float32 (n,) of full scale 1.0 at 16 kHz -> what is said, "" for nothing. Must not keep anything
        from one call to the next: sounds come in any order and in several processes.
        """


def recogniser_names() -> list[str]:
    """Every name that make_recogniser knows, whether its packages are installed or not."""
    return [*BUILT_IN, *sorted(_plugged_in().keys() - BUILT_IN.keys())]


def make_recogniser(name: str) -> Recogniser:
    """Raises UsageError for a name that is not known, or one whose packages are missing or do not keep the contract."""
    plugged_in = _plugged_in()
    if name not in recogniser_names():
        raise UsageError(
            f"no recogniser {name!r}; expected one of {', '.join(recogniser_names())}, or install a package that "
            f"offers it under the entry point group {GROUP}"
        )
    try:
        if name in BUILT_IN:
            module, maker = BUILT_IN[name]
            made = getattr(importlib.import_module(module), maker)()
        else:
            made = plugged_in[name].load()()
    except UsageError:
        raise
    except ImportError as error:
        raise UsageError(f"recogniser {name} needs {_package(error)}, which is not here; {_how(name)}") from error
    except Exception as error:
        raise UsageError(f"recogniser {name} cannot be made, {type(error).__name__}: {error}") from error
    identity = getattr(made, "identity", None)
    if not (isinstance(identity, str) and identity and callable(getattr(made, "transcribe", None))):
        raise UsageError(
            f"recogniser {name} ({type(made).__name__}) has no identity, a text that is not empty, or no transcribe("
            "samples, rate_hz); see docs/impact.md"
        )
    return made


def default_recogniser() -> str:
    """The best one of ours that is installed. Raises UsageError where none is."""
    for name in BUILT_IN:
        try:
            make_recogniser(name)
        except UsageError:
            continue
        return name
    raise UsageError(f"no recogniser is installed; {_how('')}")


def _plugged_in() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _package(error: ImportError) -> str:
    return (error.name or str(error)).split(".")[0]


def _how(name: str) -> str:
    return "install the package again that offers it" if name and name not in BUILT_IN else "pip install mic-edge[lab]"
