"""One JSON file of results per machine, so that a run can be compared with the last one and with other machines."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from edge import __version__
from edge.machine import processor

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "numba", "onnxruntime")


def machine() -> dict[str, Any]:
    """What a reader needs to know about where numbers come from; nothing that names the computer or its owner."""
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "edge": __version__,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def results_file() -> Path:
    """results/<architecture>-<processor>.json of this machine."""
    words = re.findall(r"[a-z0-9]+", processor().lower())
    return RESULTS / f"{platform.machine()}-{'-'.join(words)[:60] or 'unknown'}.json"


def record(benchmark: str, result: dict[str, Any]) -> Path:
    """Put the result of one benchmark into this machine's file, in the place of its last one. Returns the file."""
    path = results_file()
    whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    whole["machine"] = machine()
    whole[benchmark] = result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
