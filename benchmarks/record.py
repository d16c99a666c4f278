"""One JSON file of results per machine, so that a run can be compared with the last one and with other machines."""

from __future__ import annotations

import datetime
import hashlib
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


def digest(root: Path = RESULTS.parents[1]) -> str:
    """12 hex digits of all that decides what comes out: edge/**/*.py and the files of models/shipped, names included.

    Without models/shipped/lab, whose networks no live chain has. Unlike the commit it stays the same when only
    documents, tests or benchmarks change.
    """
    found = hashlib.sha256()
    shipped = (path for path in (root / "models" / "shipped").glob("*.*") if path.suffix != ".md")
    for path in sorted([*(root / "edge").rglob("*.py"), *shipped]):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()[:12]


def stamp() -> dict[str, Any]:
    """Where and when numbers come from, and from which state of the project: taken when a run begins."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"machine": machine(), "commit": commit(), "digest": digest(), "date": today}


def still(begun: dict[str, Any]) -> dict[str, Any]:
    """The stamp of a run that began with `begun`; without its digest where that is not the project's any more."""
    return begun if begun["digest"] == digest() else begun | {"digest": None}


def provenance(stamp: dict[str, Any]) -> str:
    """One sentence of a stamp: when, of what, where and, if it has peers, against what."""
    where, peers = stamp.get("machine") or {}, stamp.get("peers") or {}
    told = [stamp.get("date"), f"commit {stamp['commit']}" if stamp.get("commit") else "commit not known"]
    state = stamp.get("digest")
    told += [f"code and networks {state}" if state else "code or networks changed during the run"]
    told += [f"{where['processor']}, {where['cores']} cores"] if "processor" in where else []
    told += [f"{name} {where[name]}" for name in ("python", *PACKAGES) if name in where]
    told += [f"peers {'; '.join(dict.fromkeys(peers.values()))}"] if peers else []
    return f"Measured: {', '.join(part for part in told if part)}."


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
