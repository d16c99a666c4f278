"""Opening an ALSA PCM through pyalsaaudio so that it does just what was asked, or one sentence says why not."""

from __future__ import annotations

import errno
import os
import re
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge.card_names import names_card_by_number
from edge.errors import DeviceError, UnfitDeviceError

PROC_ASOUND = Path("/proc/asound")
_CARD = re.compile(r"^\w+:(?:CARD=)?([A-Za-z_][\w-]*)")


class Pcm(Protocol):
    """The part of alsaaudio.PCM (0.11) that is used.

    Opened non-blocking. read() gives (frames, bytes): up to a period, 0 frames when there is nothing yet, -32 after an
    overrun with the stream already prepared again. write() gives the frames taken, likewise 0 and -32. Everything else
    that goes wrong raises ALSAAudioError. info() on a closed PCM aborts the process: never call it there.
    """

    def info(self) -> dict[str, Any]: ...

    def read(self) -> tuple[int, bytes]: ...

    def write(self, data: Any) -> int: ...

    def avail(self) -> int: ...

    def polldescriptors(self) -> list[tuple[int, int]]: ...

    def polldescriptors_revents(self, descriptors: list[tuple[int, int]]) -> int: ...

    def getchannels(self) -> list[int]: ...

    def getrates(self) -> Any: ...

    def getformats(self) -> dict[str, int]: ...

    def close(self) -> None: ...


OpenPcm = Callable[..., Pcm]
"""called with the keywords of alsaaudio.PCM"""


@dataclass(frozen=True)
class PcmRequest:
    device: str
    capture: bool
    rate_hz: int
    channels: int
    format: str
    period_frames: int
    periods: int

    @property
    def side(self) -> str:
        return "input" if self.capture else "output"


def import_alsaaudio() -> Any:
    """The pyalsaaudio module. Raises DeviceError where it cannot be had."""
    try:
        import alsaaudio
    except ImportError as error:
        raise UnfitDeviceError(
            'ALSA is not available here (pyalsaaudio is Linux only); use kind = "portaudio" for input and output'
        ) from error
    return alsaaudio


def pcm_errors() -> tuple[type[Exception], ...]:
    """What a PCM raises when its device fails."""
    try:
        return (import_alsaaudio().ALSAAudioError, OSError)
    except DeviceError:
        return (OSError,)


def open_pcm(request: PcmRequest, opener: OpenPcm | None = None) -> Pcm:
    """Open and configure a PCM, and check that it took the rate, channels and format. Raises DeviceError.

    ALSA sets every parameter "near" what was asked: period and buffer may differ and are the caller's to read from
    info(); anything else that differs is an error here.
    """
    alsa = import_alsaaudio()
    if names_card_by_number(request.device):
        raise UnfitDeviceError(
            f'"{request.device}" names the card by its number, which changes between boots; write its id, as in '
            "hw:CARD=name (`edge devices` lists them)"
        )
    missing = missing_card(request.device)
    if missing and opener is None:
        # asking alsa-lib would print to stderr at every attempt to reopen
        raise DeviceError(missing)
    kind = alsa.PCM_CAPTURE if request.capture else alsa.PCM_PLAYBACK
    try:
        pcm: Pcm = (opener or alsa.PCM)(
            type=kind,
            mode=alsa.PCM_NONBLOCK,
            device=request.device,
            rate=request.rate_hz,
            channels=request.channels,
            format=getattr(alsa, "PCM_FORMAT_" + request.format),
            periodsize=request.period_frames,
            periods=request.periods,
        )
    except (alsa.ALSAAudioError, OSError) as error:
        kind_of_error = UnfitDeviceError if _refuses(str(error)) else DeviceError
        raise kind_of_error(_why_not_opened(request, str(error))) from error
    try:
        _check(request, pcm)
    except DeviceError:
        pcm.close()
        raise
    return pcm


def card_of(device: str) -> str:
    """Card id in an ALSA name such as hw:CARD=seeed4micvoicec,DEV=0; empty when it names none."""
    match = _CARD.match(device)
    return match.group(1) if match else ""


def known_cards(proc: Path = PROC_ASOUND) -> list[str]:
    """Ids of the sound cards present, in the order of their numbers."""
    try:
        text = (proc / "cards").read_text()
    except OSError:
        return []
    return re.findall(r"^\s*\d+ \[(\S+)\s*\]", text, re.MULTILINE)


def missing_card(device: str, proc: Path = PROC_ASOUND) -> str:
    """One sentence if `device` names a card that is not there, else empty."""
    card = card_of(device)
    if not card or not device.startswith(("hw:", "plughw:")) or card in known_cards(proc):
        return ""
    return _missing(device, proc)


def _missing(device: str, proc: Path = PROC_ASOUND) -> str:
    if card_of(device) == "Loopback":
        return f'there is no loopback card ("{device}"); `edge loopback --setup` makes one where the kernel can'
    cards = known_cards(proc)
    have = f"this machine has {', '.join(cards)}" if cards else "this machine has no sound card"
    return f'there is no ALSA device "{device}" ({have}); plug it in, or take a name that `edge devices` lists'


def _reason(text: str) -> tuple[str, int]:
    """What alsaaudio says went wrong, and its errno if that is one of _REASONS, else 0."""
    reason = text.split(" [")[0]
    return reason, next((n for n in _REASONS if os.strerror(n) == reason), 0)


def _refuses(text: str) -> bool:
    return _reason(text)[1] == errno.EINVAL


def _why_not_opened(request: PcmRequest, text: str) -> str:
    device = request.device
    reason, number = _reason(text)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return _missing(device)
    if number:
        return f'"{device}" {_REASONS[number]}'
    return f'"{device}" cannot be opened for {"capture" if request.capture else "playback"} ({reason})'


_REASONS = {
    errno.ENOENT: "",
    errno.ENODEV: "",
    errno.ENXIO: "",
    errno.EBUSY: "is in use by another program; stop that one (`fuser -v /dev/snd/*` names it) or take another device",
    errno.EACCES: "may not be used by this user; add the user to the group audio and log in again",
    errno.EPERM: "may not be used by this user; add the user to the group audio and log in again",
    errno.EINVAL: "refused the rate, channels or format asked for; `edge devices` shows what it offers",
    errno.ECONNREFUSED: "belongs to a sound server that does not run; start it, or name the card itself (hw:CARD=...)",
}


def _check(request: PcmRequest, pcm: Pcm) -> None:
    """Raise UnfitDeviceError if the device took another rate, channel count or format than asked."""
    info = pcm.info()
    side, device = request.side, request.device
    if info["channels"] != request.channels:
        offered = _spans(pcm.getchannels()) or str(info["channels"])
        key = "one letter in array.roles" if request.capture else "one name in output.channels"
        raise UnfitDeviceError(
            f'"{device}" offers {offered} channels, not {request.channels}; give {key} per channel it has, or use '
            f"plughw: in place of hw: to convert"
        )
    if info["format_name"] != request.format:
        offered = ", ".join(sorted(pcm.getformats())) or info["format_name"]
        raise UnfitDeviceError(
            f'"{device}" offers the sample formats {offered}, not {request.format}; set {side}.format to one of '
            "S16_LE, S24_3LE, S32_LE and FLOAT_LE that it has"
        )
    if info["rate"] != request.rate_hz:
        rates = pcm.getrates()
        offered = f"{rates[0]} to {rates[1]}" if isinstance(rates, tuple) else _listed(rates)
        raise UnfitDeviceError(
            f'"{device}" offers {offered or info["rate"]} Hz, not {request.rate_hz} Hz; set {side}.rate_hz to a rate '
            "it has, the runtime resamples"
        )


def _listed(value: Any) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, (list, set)) else str(value)


def _spans(numbers: list[int]) -> str:
    """[1, 2, 3, 8] as '1 to 3, 8'."""
    spans: list[list[int]] = []
    for n in sorted(numbers):
        if spans and n == spans[-1][1] + 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in spans)


class PcmPoll:
    """Waits for a PCM without ever blocking inside it, so that a dead device cannot hold the audio thread."""

    def __init__(self, pcm: Pcm) -> None:
        self._pcm = pcm
        self.poller = select.poll()
        for descriptor, events in pcm.polldescriptors():
            self.poller.register(descriptor, events)

    def acknowledge(self, ready: list[tuple[int, int]]) -> None:
        """Tell plugins (dsnoop, pulse) that their descriptors were seen; without it they stay ready for ever."""
        if ready:
            self._pcm.polldescriptors_revents(ready)
