"""`edge devices` and `edge loopback` on systems made of files, and the commands that the set-up runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from edge.audio import loopback as loopback_state
from edge.audio.alsa_pcm import card_of, known_cards, missing_card
from edge.audio.devices import alsa_cards, find_devices
from edge.audio.loopback import Roots, modprobe_text, read_state, timer_source_of
from edge.audio.loopback_setup import LoopbackSetup
from edge.cli import devices as devices_command
from edge.cli import loopback as loopback_command
from edge.errors import DeviceError, UsageError

CARDS = """\
 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 1 [ArrayUAC10     ]: USB-Audio - ReSpeaker 4 Mic Array (UAC1.0)
                      SEEED ReSpeaker 4 Mic Array (UAC1.0) at usb-3f980000.usb-1.2, high speed
 7 [Loopback       ]: Loopback - Loopback
                      Loopback 1
"""
PCMS = """\
00-00: bcm2835 Headphones : bcm2835 Headphones : playback 8
01-00: USB Audio : USB Audio : playback 1 : capture 1
07-00: Loopback PCM : Loopback PCM : playback 1 : capture 1
07-01: Loopback PCM : Loopback PCM : playback 1 : capture 1
"""
SAMPLE = "# the loopback\noptions snd-aloop index=7 id=Loopback pcm_substreams=1\n# options snd-aloop timer_source=X\n"


def system(folder: Path, module: bool = True, loaded: bool = False, cards: str = "") -> Roots:
    """A machine as folders."""
    roots = Roots(folder / "asound", folder / "sys", folder / "modules", folder / "etc", "6.1.0-test")
    roots.module_folder().mkdir(parents=True)
    listed = "kernel/sound/drivers/snd-aloop.ko.xz: kernel/sound/core/snd-pcm.ko.xz\n" if module else ""
    (roots.module_folder() / "modules.dep").write_text(listed)
    roots.proc_asound.mkdir()
    if loaded:
        (roots.sys_module / "snd_aloop").mkdir(parents=True)
    if cards:
        (roots.proc_asound / "cards").write_text(cards)
        (roots.proc_asound / "pcm").write_text(PCMS)
    if "Loopback" in cards:
        (roots.proc_asound / "Loopback").mkdir()
        (roots.proc_asound / "Loopback" / "timer_source").write_text("\n")
    return roots


def samples(folder: Path) -> Path:
    for name, text in ((loopback_state.MODPROBE_FILE, SAMPLE), (loopback_state.MODULES_LOAD_FILE, "snd-aloop\n")):
        path = folder / "samples" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder / "samples"


def test_cards_are_listed_with_the_names_to_write(tmp_path):
    roots = system(tmp_path, cards=CARDS)
    cards = {card.id: card for card in alsa_cards(roots.proc_asound)}
    assert list(cards) == ["Headphones", "ArrayUAC10", "Loopback"]
    assert [p.name for p in cards["ArrayUAC10"].capture] == ["hw:CARD=ArrayUAC10,DEV=0"]
    assert cards["Headphones"].capture == ()
    assert [p.name for p in cards["Loopback"].playback] == ["hw:CARD=Loopback,DEV=0", "hw:CARD=Loopback,DEV=1"]
    assert cards["ArrayUAC10"].description == "ReSpeaker 4 Mic Array (UAC1.0)"


def test_presets_are_matched_by_card_id(tmp_path):
    found = find_devices(system(tmp_path, loaded=True, cards=CARDS), with_portaudio=False)
    text = devices_command.describe(found)
    assert "respeaker_usb_v2" in next(c for c in found.cards if c.id == "ArrayUAC10").boards
    assert "presets that fit: respeaker_usb_v2" in text
    assert 'device = "hw:CARD=ArrayUAC10,DEV=0"' in text
    assert "Loopback: card Loopback, system clock, not loaded at boot" in text
    json.dumps(found.as_dict())


def test_a_machine_without_sound_says_so(tmp_path):
    text = devices_command.describe(find_devices(system(tmp_path, module=False), with_portaudio=False))
    assert "none: this machine has no sound card" in text
    assert "no snd-aloop module" in text


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_devices_command_works_here(capsys, flags):
    """Whatever this machine has."""
    parser = argparse.ArgumentParser()
    devices_command.add_parser(parser.add_subparsers())
    assert devices_command.run(parser.parse_args(["devices", *flags])) == 0
    out = capsys.readouterr().out
    if flags:
        assert set(json.loads(out)) == {"cards", "other_pcms", "portaudio", "loopback", "notes"}
    else:
        assert out.startswith("ALSA cards\n")


def test_names_of_cards(tmp_path):
    proc = system(tmp_path, cards=CARDS).proc_asound
    assert known_cards(proc) == ["Headphones", "ArrayUAC10", "Loopback"]
    assert [card_of(n) for n in ("hw:CARD=a-b_c,DEV=0", "plughw:Loopback,1", "default", "pulse")] == [
        "a-b_c",
        "Loopback",
        "",
        "",
    ]
    assert missing_card("hw:CARD=ArrayUAC10", proc) == ""
    assert "this machine has Headphones, ArrayUAC10, Loopback" in missing_card("hw:CARD=Gone,DEV=0", proc)
    assert missing_card("default", proc) == ""


def loopback(roots: Roots, *flags: str) -> int:
    parser = argparse.ArgumentParser()
    loopback_command.add_parser(parser.add_subparsers())
    return loopback_command.run(parser.parse_args(["loopback", *flags]), roots)


@pytest.mark.parametrize("flags", [[], ["--setup"], ["--status"], ["--status", "--json"]])
def test_kernel_without_the_module_is_one_sentence(tmp_path, capsys, flags):
    with pytest.raises(DeviceError, match=r"6\.1\.0-test.* has no snd-aloop") as caught:
        loopback(system(tmp_path, module=False), *flags)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4
    if "--json" in flags:
        assert json.loads(capsys.readouterr().out)["available"] is False


def test_explanation_and_state(tmp_path, capsys):
    roots = system(tmp_path, loaded=True, cards=CARDS)
    holder = roots.proc_asound / "Loopback" / "pcm0p" / "sub0"
    holder.mkdir(parents=True)
    (holder / "hw_params").write_text("access: RW\nformat: S16_LE\nchannels: 2\nrate: 16000 (16000/1)\n")
    assert loopback(roots) == 0
    said = capsys.readouterr().out
    for words in ("DEV=0", "DEV=1", "opened first fixes", "--timer-card", "PCM Rate Shift 100000"):
        assert words in said
    assert "open with S16_LE, 16000 Hz, 2 channels" in said


def test_wrong_command_lines(tmp_path):
    roots = system(tmp_path, cards=CARDS)
    with pytest.raises(UsageError, match="--setup"):
        loopback(roots, "--timer-card", "ArrayUAC10")
    with pytest.raises(DeviceError, match=r'no sound card "Nobody".*Headphones, ArrayUAC10'):
        loopback(roots, "--setup", "--timer-card", "Nobody")


def installer(roots: Roots, folder: Path) -> tuple[LoopbackSetup, list[list[str]], list[str]]:
    """A set-up whose commands are noted; only `install` and `rm` are carried out, inside the made-up system."""
    commands: list[list[str]] = []
    said: list[str] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        if command[0] == "install":
            target = Path(command[-1])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Path(command[-2]).read_text())
        elif command[0] == "rm":
            Path(command[-1]).unlink()

    return LoopbackSetup(roots, said.append, run, samples(folder)), commands, said


def test_setup_installs_loads_and_shows_every_command(tmp_path):
    roots = system(tmp_path, cards=CARDS)
    setup, commands, said = installer(roots, tmp_path)
    setup.setup()
    assert [c[0] for c in commands] == ["install", "install", "modprobe"]
    assert (roots.etc / "modprobe.d/edge-aloop.conf").read_text() == SAMPLE
    assert (roots.etc / "modules-load.d/edge-aloop.conf").read_text() == "snd-aloop\n"
    assert "  modprobe snd-aloop" in said
    assert any("options snd-aloop index=7" in line for line in said)
    assert read_state(roots).at_boot
    # a second time there is nothing to write
    commands.clear()
    setup.setup()
    assert [c[0] for c in commands] == ["modprobe"]
    commands.clear()
    setup.undo()
    assert [c[0] for c in commands] == ["rm", "rm"]
    assert not read_state(roots).at_boot


def test_setup_binds_the_clock(tmp_path):
    roots = system(tmp_path, loaded=True, cards=CARDS)
    setup, commands, _said = installer(roots, tmp_path)
    setup.setup("ArrayUAC10")
    text = (roots.etc / "modprobe.d/edge-aloop.conf").read_text()
    assert "options snd-aloop index=7 id=Loopback pcm_substreams=1 timer_source=hw:ArrayUAC10.0.1\n" in text
    # already loaded: the running module is told as well
    assert commands[-1][:2] == ["sh", "-c"]
    assert commands[-1][2] == f"echo hw:ArrayUAC10.0.1 > {roots.proc_asound}/Loopback/timer_source"


def test_the_timer_is_that_of_the_capture_stream(tmp_path):
    """Number 1 of a device; 0 is its playback stream, which does not tick while only microphones run."""
    assert timer_source_of("Mic") == "hw:Mic.0.1"
    assert timer_source_of("Mic", 2, ",") == "hw:Mic,2,1"


def test_an_old_timer_is_replaced(tmp_path):
    folder = samples(tmp_path)
    (folder / loopback_state.MODPROBE_FILE).write_text(
        "options snd-aloop id=Loopback timer_source=hw:Old.0.1 index=7\n"
    )
    assert modprobe_text("hw:New.0.1", folder) == "options snd-aloop id=Loopback index=7 timer_source=hw:New.0.1\n"
    assert modprobe_text("", folder) == "options snd-aloop id=Loopback index=7\n"


def test_shipped_samples_are_what_the_setup_expects():
    assert "options snd-aloop" in modprobe_text("hw:Mic.0.1")
    assert modprobe_text("hw:Mic.0.1").count("timer_source=hw:Mic.0.1") == 1


def test_without_root_and_sudo_it_says_what_to_do(monkeypatch):
    from edge.audio import loopback_setup

    monkeypatch.setattr(loopback_setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(loopback_setup.shutil, "which", lambda _: None)
    with pytest.raises(DeviceError, match="needs root and there is no sudo"):
        loopback_setup.run_command(["modprobe", "snd-aloop"])


def test_failed_command_is_one_sentence():
    from edge.audio.loopback_setup import run_command

    with pytest.raises(DeviceError, match="failed") as caught:
        run_command(["ls", "/nowhere/at/all"])
    assert "\n" not in str(caught.value)
