"""The JSON of the quality benchmark: parts of several runs in one file, each with where it comes from."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("mono", "array", "reverb", "clean", "cost")
KEYS = {"clean": ("clean", "silence")}
"""where a part's results stand in the JSON, if not under its own name"""


def plain(value: Any) -> Any:
    """Rounded for JSON, which knows no NaN."""
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def ordered(document: dict[str, Any]) -> dict[str, Any]:
    """Keys in the same order whichever parts were run last."""
    parts = [key for part in PARTS for key in KEYS.get(part, (part,))]
    first = [key for key in ("networks", "options", "stamps", *parts) if key in document]
    return {key: document[key] for key in [*first, *(key for key in document if key not in first)]}


def compact(value: Any, indent: str = "") -> str:
    """JSON with one line for every row and every table of plain values, so that two runs differ in few lines."""
    inner = indent + " "
    if isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values()):
        lines = [f"{inner}{json.dumps(key)}: {compact(v, inner)}" for key, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        return "[\n" + ",\n".join(inner + json.dumps(v) for v in value) + f"\n{indent}]"
    return json.dumps(value)


def known(path: Path, same: dict[str, Any], stamp: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """Results of the last run that go with this one, each with the stamp of where it comes from: of the same networks
    and options and of the same state of the project (`stamp`: that of this run), and not of parts run again.

    A cost of another machine, or of other packages on it, is not kept either.
    """
    try:
        last = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if any(last.get(key) != value for key, value in same.items()):
        print(f"{path} is of other networks or options: nothing of it is kept", file=sys.stderr)
        return {}
    stamps = last.get("stamps", {})
    parts = [part for part in PARTS if part not in wanted and KEYS.get(part, (part,))[0] in last]
    older = [part for part in parts if stamps.get(part, {}).get("digest") != stamp["digest"]]
    if older:
        print(f"{path} has parts of another state of edge or of the networks: {', '.join(older)}", file=sys.stderr)
        parts = [part for part in parts if part not in older]
    if "cost" in parts and stamps["cost"]["machine"] != stamp["machine"]:
        print(f"{path} has costs of another machine or of other packages: not kept", file=sys.stderr)
        parts.remove("cost")
    kept = {key: last[key] for part in parts for key in KEYS.get(part, (part,)) if key in last}
    return kept | {"stamps": {part: stamps[part] for part in parts}}
