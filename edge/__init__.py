"""Edge runtime for microphone arrays: capture, beamform, enhance, publish.

`from edge import Enhancer` is the way in for other programs: enhancement of streams and recordings as Python objects.
Such names are looked up when they are asked for, so that `import edge` loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.config import load_config as load_config
    from edge.offline import Enhancer as Enhancer
    from edge.offline import enhance_array as enhance_array
    from edge.wave import WaveEnhancer as WaveEnhancer

__version__ = "0.1.0"

_PUBLIC = {
    "Enhancer": "edge.offline",
    "WaveEnhancer": "edge.wave",
    "enhance_array": "edge.offline",
    "load_config": "edge.config",
}
"""name -> module"""

__all__ = ["Enhancer", "WaveEnhancer", "__version__", "enhance_array", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
