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

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "numba", "onnxruntime")


def processor() -> str:
    """Model of the processor as the system names it (on a Raspberry Pi, the model of the board)."""
    for path, pattern in (("/proc/device-tree/model", r"(.+)"), ("/proc/cpuinfo", r"model name\s*:\s*(.+)")):
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "")
        except OSError:
            continue
        if found := re.search(pattern, text):
            return found[1].strip()
    return platform.processor() or "unknown"


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
