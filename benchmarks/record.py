"""One JSON file of results per machine, so that a run can be compared with the last one and with other machines."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
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


def commit(root: Path = RESULTS.parents[1]) -> str | None:
    """What the project was measured at: "abcdef123456", with ", changed" where tracked files other than results differ
    from it; None where the project is no git repository of its own.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # unpacked within somebody else's repository, its commits tell nothing
    if git("rev-parse", "--show-prefix") != "" or not (name := git("rev-parse", "--short=12", "HEAD")):
        return None
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benchmarks/results")
    return f"{name}, changed" if changed else name


def stamp() -> dict[str, Any]:
    """Where and when numbers come from, and from which state of the project."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"machine": machine(), "commit": commit(), "date": today}


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
