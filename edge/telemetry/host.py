"""What the machine itself tells: temperature, throttling, memory, versions. None where a machine does not tell."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import edge

_THERMAL_PREFERENCE = ("cpu", "x86_pkg", "soc", "bigcore", "package")
"""parts of thermal zone types that mean the processor; others (battery, Wi-Fi, board) would mislead"""

_THROTTLED_NOW = 0b1111
"""Raspberry Pi firmware, bits in force now: under-voltage, frequency capped, throttled, soft temperature limit. The
same bits shifted by 16 mean "since boot" and are not used"""

VCGENCMD_INTERVAL_S = 30.0
"""starting a process costs milliseconds, so not every second"""

_PACKAGES = ("numpy", "numba", "onnxruntime", "paho-mqtt")


class HostSensors:
    """Readings of this machine. Paths are looked for once; the roots can be set to made-up trees in tests."""

    def __init__(
        self, sys_root: Path = Path("/sys"), proc_root: Path = Path("/proc"), vcgencmd: str | None = None
    ) -> None:
        self._zone = _cpu_zone(sys_root / "class" / "thermal")
        # soc/soc:firmware, or soc@107c000000/soc@107c000000:firmware on later boards
        firmware = sorted((sys_root / "devices" / "platform").glob("soc*/soc*:firmware/get_throttled"))
        self._throttled_file = firmware[0] if firmware else None
        self._vcgencmd = vcgencmd or shutil.which("vcgencmd")
        self._vcgencmd_due_s = 0.0
        self._vcgencmd_answer: bool | None = None
        self._statm = proc_root / "self" / "statm"
        self._model_file = proc_root / "device-tree" / "model"

    def temperature_c(self) -> float | None:
        """Processor temperature in degrees Celsius."""
        value = _read_int(self._zone / "temp") if self._zone else None
        if value is None:
            return None
        celsius = value / 1000.0
        return celsius if -60.0 < celsius < 200.0 else None  # absent sensors report wild numbers

    def throttled(self) -> bool | None:
        """Is the machine slowed down now by heat or lack of power? Known on a Raspberry Pi only."""
        if self._throttled_file is not None:
            value = _read_int(self._throttled_file, base=16)
            return None if value is None else bool(value & _THROTTLED_NOW)
        if self._vcgencmd is None:
            return None
        now_s = time.monotonic()
        if now_s >= self._vcgencmd_due_s:
            self._vcgencmd_due_s = now_s + VCGENCMD_INTERVAL_S
            self._vcgencmd_answer = _ask_vcgencmd(self._vcgencmd)
            if self._vcgencmd_answer is None:
                self._vcgencmd = None  # no right to ask the firmware, or no Raspberry Pi: it will not change
        return self._vcgencmd_answer

    def rss_mib(self) -> float | None:
        """Resident memory of this process in MiB."""
        try:
            pages = int(self._statm.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def versions(self) -> dict[str, str]:
        """mic-edge, Python, kernel, the libraries that matter, and the board where the device tree names it."""
        versions = {"mic-edge": edge.__version__, "python": platform.python_version(), "kernel": platform.release()}
        for name in _PACKAGES:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        with contextlib.suppress(OSError):
            versions["board"] = self._model_file.read_text(errors="replace").rstrip("\x00\n")
        return versions


def _cpu_zone(thermal: Path) -> Path | None:
    kinds: dict[Path, str] = {}
    for zone in sorted(thermal.glob("thermal_zone*"), key=lambda path: (len(path.name), path.name)):
        try:
            kinds[zone] = (zone / "type").read_text().strip().lower()
        except OSError:
            continue
    for wanted in _THERMAL_PREFERENCE:
        for zone, kind in kinds.items():
            if wanted in kind and _read_int(zone / "temp") is not None:
                return zone
    return None


def _read_int(path: Path, base: int = 10) -> int | None:
    try:
        return int(path.read_text().strip(), base)
    except (OSError, ValueError):
        return None


def _ask_vcgencmd(command: str) -> bool | None:
    try:
        answer = subprocess.run(
            [command, "get_throttled"],
            capture_output=True,
            text=True,
            timeout=1.0,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return bool(int(answer.stdout.strip().rpartition("=")[2], 16) & _THROTTLED_NOW)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
