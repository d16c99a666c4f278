"""The ALSA loopback card (snd-aloop): what state it is in, and what has to be done to have it at every boot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.audio.alsa_pcm import PROC_ASOUND, known_cards
from edge.errors import DeviceError
from edge.resources import data_folder

CARD = "Loopback"
MODPROBE_FILE = "modprobe.d/edge-aloop.conf"
MODULES_LOAD_FILE = "modules-load.d/edge-aloop.conf"

EXPLANATION = """\
The loopback is a sound card made of software (kernel module snd-aloop). What is played on one of its ends can be
recorded from the other, so any program records the enhanced microphone like a sound card:

  edge run plays to       hw:CARD=Loopback,DEV=0     (output.device, this is the default)
  other programs record   hw:CARD=Loopback,DEV=1     (or plughw:CARD=Loopback,DEV=1 to convert)

The end that is opened first fixes sample format, rate and channels for both: start edge first, or record with just what
output.format, output.rate_hz and output.channels say (plughw: converts whatever a program wants). One program at a time
records; a dsnoop PCM shares it (docs/audio-devices.md).

The loopback runs on the system's clock, the microphones on their card's. With output.clock = "auto" edge measures the
difference and resamples by it (a few parts per million; +2 ms). To have no resampling, bind the loopback to the card of
the microphones: edge loopback --setup --timer-card NAME. Then the loopback only runs while edge captures, and recorders
have to use the same period. By hand there is also the mixer control "PCM Rate Shift 100000" of the loopback card.
"""


@dataclass(frozen=True)
class Roots:
    """Where the system keeps things; tests give folders of their own."""

    proc_asound: Path = PROC_ASOUND
    sys_module: Path = Path("/sys/module")
    lib_modules: Path = Path("/lib/modules")
    etc: Path = Path("/etc")
    release: str = ""

    def module_folder(self) -> Path:
        import os

        return self.lib_modules / (self.release or os.uname().release)


@dataclass(frozen=True)
class LoopbackState:
    available: bool
    """the running kernel has the module"""
    loaded: bool
    card: str
    """id of the loopback card; empty when there is none"""
    timer_source: str
    """card whose clock it follows, as the kernel writes it; empty for the system's clock"""
    at_boot: bool
    """set up to be loaded at every boot"""
    in_use: str
    """format, rate and channels fixed by whoever has it open; empty when nobody has"""


def read_state(roots: Roots = Roots()) -> LoopbackState:
    """What the running system says."""
    loaded = (roots.sys_module / "snd_aloop").is_dir()
    card = CARD if CARD in known_cards(roots.proc_asound) else ""
    return LoopbackState(
        available=loaded or _kernel_has_module(roots.module_folder()),
        loaded=loaded,
        card=card,
        timer_source=read_timer_source(card, roots.proc_asound) if card else "",
        at_boot=(roots.etc / MODPROBE_FILE).is_file() and (roots.etc / MODULES_LOAD_FILE).is_file(),
        in_use=_in_use(roots.proc_asound / card) if card else "",
    )


def _kernel_has_module(folder: Path) -> bool:
    for name in ("modules.dep", "modules.builtin"):
        try:
            if re.search(r"/snd-aloop\.ko", (folder / name).read_text()):
                return True
        except OSError:
            continue
    return False


def _in_use(card: Path) -> str:
    for path in sorted(card.glob("pcm[01][pc]/sub*/hw_params")):
        try:
            found = dict(re.findall(r"^(format|rate|channels): (\S+)", path.read_text(), re.MULTILINE))
        except OSError:
            continue
        if len(found) == 3:
            return f"{found['format']}, {found['rate']} Hz, {found['channels']} channels"
    return ""


def read_timer_source(card: str, proc: Path = PROC_ASOUND) -> str:
    """The timer_source of a loopback card, empty for the system's clock."""
    try:
        return (proc / card / "timer_source").read_text().strip().strip("\0")
    except OSError:
        return ""


def timer_card(card: str, proc: Path = PROC_ASOUND) -> str:
    """Id of the card whose clock the loopback card `card` follows; empty for the system's clock."""
    source = read_timer_source(card, proc) if card else ""
    name = re.split(r"[.,]", source.split(":")[-1])[0]
    if name.isdigit():
        match = re.search(rf"^\s*{name} \[(\S+)\s*\]", _text(proc / "cards"), re.MULTILINE)
        return match.group(1) if match else ""
    return name


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def timer_source_of(card: str, device: int = 0, separator: str = ".") -> str:
    """timer_source value for the capture stream of a card.

    The timers of a PCM are numbered 2 * subdevice + direction with capture 1 (sound/core/pcm_timer.c). The bare card
    name would mean the playback stream, which never ticks while only the microphones run. Module parameters need dots
    for separators, /proc takes commas as well (sound/drivers/aloop.c).
    """
    return separator.join((f"hw:{card}", str(device), "1"))


def modprobe_text(timer: str, samples: Path | None = None) -> str:
    """Content for /etc/modprobe.d: the shipped sample, with or without a timer source."""
    text = sample_text(MODPROBE_FILE, samples)
    lines = []
    for line in text.splitlines():
        if re.match(r"\s*options\s+snd[-_]aloop\b", line):
            line = re.sub(r"\s+timer_source=\S*", "", line).rstrip()
            line += f" timer_source={timer}" if timer else ""
        lines.append(line)
    if timer and not any(f"timer_source={timer}" in line for line in lines):
        lines.append(f"options snd-aloop timer_source={timer}")
    return "\n".join(lines) + "\n"


def sample_text(name: str, samples: Path | None = None) -> str:
    """A shipped file of firmware_config. Raises DeviceError when the installation lacks it."""
    path = (samples or data_folder("firmware_config")) / name
    try:
        return path.read_text()
    except OSError as error:
        raise DeviceError(f"{path}: the shipped file is missing; install mic-edge again") from error


def unavailable_sentence(roots: Roots = Roots()) -> str:
    return (
        f"the running kernel ({roots.module_folder().name}) has no snd-aloop module, so there is no loopback; boot a "
        'kernel that has it (Debian and Raspberry Pi OS kernels do) or use output.kind = "alsa" or "file"'
    )
