"""The sample files for ALSA, modprobe, modules-load and udev: parsed by the real alsa-lib, or checked line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.boards import board_names, load_board

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "firmware_config"
ALSA_CONF = Path("/usr/share/alsa/alsa.conf")

needs_alsa = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not ALSA_CONF.exists(), reason="alsa-lib is not installed"
)

CAPTURE = """
import sys, alsaaudio
pcm = alsaaudio.PCM(
    alsaaudio.PCM_CAPTURE, alsaaudio.PCM_NORMAL, device=sys.argv[1], channels=int(sys.argv[2]), rate=16000,
    format=alsaaudio.PCM_FORMAT_S16_LE, periodsize=400, periods=4,
)
data = b""
while len(data) < 1600 * 2 * int(sys.argv[2]):
    frames, block = pcm.read()
    assert frames > 0, frames
    data += block
sys.stdout.buffer.write(data)
"""


def alsa(folder: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with our asound.conf, its loopback replaced by a file of two channels."""
    config = folder / "alsa.conf"
    config.write_text(
        f"<{ALSA_CONF}>\n<{FOLDER / 'alsa' / 'asound.conf'}>\n"
        "pcm.!edge_loopback { type file slave.pcm null file /dev/null format raw "
        f'infile "{folder / "loopback.raw"}" }}\n'
    )
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(config)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60)


@needs_alsa
@pytest.mark.parametrize(("name", "channel"), [("edge_listen", 0), ("edge_asr", 1)])
def test_names_deliver_their_channel(tmp_path: Path, name: str, channel: int) -> None:
    pytest.importorskip("alsaaudio")
    generator = np.random.default_rng(7)
    frames = generator.integers(-20000, 20000, size=(1600, 2), dtype=np.int16)
    (tmp_path / "loopback.raw").write_bytes(frames.tobytes())
    done = alsa(tmp_path, sys.executable, "-c", CAPTURE, name, "1")
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int16)[:1600], frames[:, channel])


@needs_alsa
def test_card_names_are_understood(tmp_path: Path) -> None:
    """There is no such card here, and that, not the syntax, is what alsa-lib has to object to."""
    pytest.importorskip("alsaaudio")
    (tmp_path / "loopback.raw").write_bytes(b"")
    done = alsa(tmp_path, sys.executable, "-c", CAPTURE, "edge_microphones", "6")
    if done.returncode == 0:
        pytest.skip("this machine has the card")
    message = done.stderr.decode()
    assert "ArrayUAC10" in message or "No such" in message, message


def test_loopback_format_is_the_default_of_the_output() -> None:
    from edge.config.schema import OutputConfig

    text = (FOLDER / "alsa" / "asound.conf").read_text()
    output = OutputConfig()
    assert re.search(rf"^\s+rate {output.rate_hz}$", text, re.MULTILINE)
    assert re.search(rf"^\s+format {output.format}$", text, re.MULTILINE)
    assert re.search(rf"^\s+channels {len(output.channels)}$", text, re.MULTILINE)
    assert output.channels == ("listen", "asr")
    assert output.device == "hw:CARD=Loopback,DEV=0"


def statements(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def test_modprobe_names_the_card_the_runtime_opens() -> None:
    (line,) = statements(FOLDER / "modprobe.d" / "edge-aloop.conf")
    keyword, module, *options = line.split()
    assert (keyword, module) == ("options", "snd-aloop")
    values = dict(option.split("=") for option in options)
    assert values["id"] == "Loopback"
    assert set(values) <= {"index", "id", "enable", "pcm_substreams", "pcm_notify", "timer_source"}
    assert int(values["index"]) > 0


def test_modules_load_names_the_module() -> None:
    assert statements(FOLDER / "modules-load.d" / "edge-aloop.conf") == ["snd-aloop"]


UDEV_KEY = r"ACTION|SUBSYSTEM|SUBSYSTEMS|KERNEL|KERNELS|ATTR\{\w+\}|ENV\{\w+\}|GOTO|LABEL"
UDEV_TERM = re.compile(rf'^({UDEV_KEY})(==|!=|=|\+=)"([^"]*)"$')


def test_udev_rules_are_well_formed_and_know_the_boards() -> None:
    path = FOLDER / "udev" / "90-edge-microphones.rules"
    terms = [UDEV_TERM.match(term.strip()) for line in statements(path) for term in line.split(",")]
    assert terms
    assert None not in terms
    found = [term.groups() for term in terms if term]
    labels = {value for key, _, value in found if key == "LABEL"}
    assert {value for key, _, value in found if key == "GOTO"} <= labels
    ids = {
        card for key, operator, value in found if key == "ATTR{id}" and operator == "==" for card in value.split("|")
    }
    # the Kinect calls itself just "Audio", as other things do
    boards = {load_board(name).card_id for name in board_names()} - {"", "Audio"}
    assert boards <= ids
    assert ids - boards == {"Loopback"}
