"""This machine: the name of its processor, and the folder where programs keep what they have found out about it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

SYSTEM_STATE = Path("/var/lib/mic-edge")
"""state of the service, and of what root measures for it"""


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


def state_folder() -> Path:
    """Where this process keeps state: that of its service (systemd's STATE_DIRECTORY), of root, or of the user."""
    if service := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(service)
    # XDG Base Directory Specification: a relative path is to be ignored
    user = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(user):
        return Path(user) / "mic-edge"
    if getattr(os, "geteuid", lambda: -1)() == 0:
        return SYSTEM_STATE
    return Path(os.path.expanduser("~/.local/state")) / "mic-edge"


def state_files(name: str) -> Iterator[Path]:
    """Where to look for a file of state, the nearest place first: one's own, then that of the whole machine."""
    folder = state_folder()
    yield folder / name
    if folder != SYSTEM_STATE:
        yield SYSTEM_STATE / name
