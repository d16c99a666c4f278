"""Which devices PortAudio has, and finding one by part of its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from edge.errors import DeviceError, UnfitDeviceError


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Silence what C libraries print while they look for devices (alsa-lib: a line per device that is not there)."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def import_sounddevice() -> Any:
    """The sounddevice module. Raises DeviceError where PortAudio is not installed."""
    try:
        with quiet_stderr():
            import sounddevice
    except (ImportError, OSError) as error:
        raise UnfitDeviceError(
            'PortAudio is not installed; install it (Debian: `apt install libportaudio2`) or use kind = "alsa"'
        ) from error
    return sounddevice


def portaudio_devices() -> list[dict[str, Any]]:
    """All PortAudio devices: index, name, host_api, inputs, outputs, default_rate_hz. Raises DeviceError."""
    sd = import_sounddevice()
    apis = sd.query_hostapis()
    return [
        {
            "index": d["index"],
            "name": d["name"],
            "host_api": apis[d["hostapi"]]["name"],
            "inputs": d["max_input_channels"],
            "outputs": d["max_output_channels"],
            "default_rate_hz": int(d["default_samplerate"]),
        }
        for d in sd.query_devices()
    ]


def find_device(name: str, capture: bool) -> int:
    """Index of the device whose name is, or contains, `name` ("default": the system's). Raises DeviceError."""
    key, word = ("inputs", "input") if capture else ("outputs", "output")
    devices = [d for d in portaudio_devices() if d[key] > 0]
    if name in ("", "default"):
        sd = import_sounddevice()
        index = sd.default.device[0 if capture else 1]
        if index < 0:
            raise DeviceError(
                f"PortAudio has no {word} device on this machine; plug one in (`edge devices` lists them)"
            )
        return int(index)
    fitting = [d for d in devices if name == d["name"]] or [d for d in devices if name.lower() in d["name"].lower()]
    if len(fitting) == 1:
        return int(fitting[0]["index"])
    names = ", ".join(f'"{d["name"]}"' for d in (fitting or devices)) or "none at all"
    problem = f"more than one PortAudio {word} device" if fitting else f"no PortAudio {word} device"
    raise DeviceError(f'"{name}" fits {problem}; expected part of exactly one of: {names}')
