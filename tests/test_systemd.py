"""The unit is valid, stays hardened and starts a command that exists; the installer lays files where they belong."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "systemd" / "edge.service"
INSTALL = ROOT / "systemd" / "install.sh"

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


def settings(key: str) -> list[str]:
    """Every value of a key in the unit, in order."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def unit_with_real_command(folder: Path) -> Path:
    """The unit with its programs replaced by ones that exist on any machine; verify looks for them."""
    unit = folder / "edge.service"
    unit.write_text(UNIT.read_text().replace("/opt/mic-edge/bin/edge", sys.executable))
    return unit


@needs_analyze
def test_unit_is_valid(tmp_path: Path) -> None:
    unit = unit_with_real_command(tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    # Complaints about other units of the machine are not ours.
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "edge.service" in line]
    assert ours == []


@needs_analyze
def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    unit = unit_with_real_command(tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert "WatchdogSeconds" in done.stdout + done.stderr


@needs_analyze
def test_exposure_stays_below_two(tmp_path: Path) -> None:
    unit = unit_with_real_command(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_unit_starts_a_command_line_that_parses() -> None:
    (command,) = settings("ExecStart")
    program, *arguments = command.split()
    assert program == "/opt/mic-edge/bin/edge"
    checked = subprocess.run(
        [sys.executable, "-m", "edge", *arguments[:-1], "/nonexistent/edge.toml"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    # 3: the command line was understood and the configuration is what is missing
    assert checked.returncode == 3, checked.stderr
    assert "/nonexistent/edge.toml" in checked.stderr


def test_unit_gives_what_the_daemon_uses() -> None:
    assert settings("Type") == ["notify"]
    assert float(settings("WatchdogSec")[0]) >= 1
    assert settings("ExecReload") == ['/bin/sh -c "kill -HUP $MAINPID"']
    assert settings("DynamicUser") == ["yes"]
    assert settings("SupplementaryGroups") == ["audio"]
    assert settings("DeviceAllow") == ["char-alsa rw"]
    assert int(settings("LimitRTPRIO")[0]) >= 70
    (environment,) = settings("Environment")
    (cache,) = settings("CacheDirectory")
    assert f"NUMBA_CACHE_DIR=%C/{cache}/" in environment
    assert "ORT_DISABLE_TELEMETRY=1" in environment


@pytest.mark.parametrize("incompatible", ["MemoryDenyWriteExecute", "RestrictRealtime", "PrivateDevices", "ProcSubset"])
def test_unit_has_nothing_that_stops_the_daemon(incompatible: str) -> None:
    assert settings(incompatible) == []


def test_errors_that_stay_are_not_retried() -> None:
    from edge.errors import ConfigError, ModelError, UsageError

    prevented = {int(code) for code in settings("RestartPreventExitStatus")[0].split()}
    assert prevented == {UsageError.exit_code, ConfigError.exit_code, ModelError.exit_code}


def run_install(destination: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(INSTALL), *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DESTDIR": str(destination)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_install_into_an_image_and_uninstall(tmp_path: Path) -> None:
    done = run_install(tmp_path, "--board", "respeaker_usb_v2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/systemd/system/edge.service").read_text() == UNIT.read_text()
    assert (tmp_path / "etc/modules-load.d/edge-aloop.conf").exists()
    configuration = tmp_path / "etc/mic-edge/edge.toml"
    checked = subprocess.run(
        [sys.executable, "-m", "edge", "check", str(configuration)], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr

    # a second run keeps what the user wrote
    configuration.write_text(configuration.read_text() + "# mine\n")
    modprobe = tmp_path / "etc/modprobe.d/edge-aloop.conf"
    modprobe.write_text("# mine\n")
    assert run_install(tmp_path).returncode == 0
    assert configuration.read_text().endswith("# mine\n")
    assert modprobe.read_text() == "# mine\n"

    # what was changed is the user's, here the timer_source of the loopback; the rest goes
    removed = run_install(tmp_path, "--uninstall")
    assert removed.returncode == 0
    assert f"{modprobe} was changed and stays" in removed.stdout
    assert files_below(tmp_path) == ["etc/mic-edge/edge.toml", "etc/modprobe.d/edge-aloop.conf"]


def test_uninstall_removes_loopback_files_that_nobody_changed(tmp_path: Path) -> None:
    assert run_install(tmp_path, "--board", "respeaker_usb_v2").returncode == 0
    assert "etc/modprobe.d/edge-aloop.conf" in files_below(tmp_path)
    assert run_install(tmp_path, "--uninstall").returncode == 0
    assert files_below(tmp_path) == ["etc/mic-edge/edge.toml"]


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def find_python(folder: Path, **scripts: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/find_python.sh where nothing but these made-up programs is on the path."""
    for name, body in scripts.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return subprocess.run(
        [str(ROOT / "scripts" / "find_python.sh")],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_python_is_found_or_refused_in_one_sentence(tmp_path: Path) -> None:
    none = find_python(tmp_path)
    assert none.returncode == 1
    assert none.stderr == "setup: no Python 3.10 to 3.13 found (set PYTHON to one)\n"
    real = f'exec "{sys.executable}" "$@"'
    later = find_python(tmp_path, python3="exit 1", **{"python3.11": real})
    assert later.stdout == f"{tmp_path / 'python3.11'}\n", later.stderr
    narrow = find_python(tmp_path, **{"python3.11": "case $2 in *calcsize*) exit 1 ;; esac"})
    assert narrow.returncode == 1
    assert "no 32-bit packages; install the 64-bit system" in narrow.stderr


@pytest.mark.parametrize("script", ["scripts/setup_venv.sh", "systemd/install.sh"])
def test_every_environment_is_made_with_a_python_that_was_checked(script: str) -> None:
    text = (ROOT / script).read_text()
    assert "python=$(scripts/find_python.sh)" in text
    assert re.findall(r"(\S+) -m venv", text) == ['"$python"']


def test_a_password_that_only_root_can_read_reaches_the_daemon() -> None:
    (credential,) = settings("LoadCredential")
    name, _, file = credential.partition(":")
    assert file.startswith("/etc/mic-edge/")
    # without a value to stand in for it the unit would not start where there is no password
    assert settings("SetCredential") == [f"{name}:\\n"]
    for document in ("docs/service.md", "systemd/edge.service"):
        text = (ROOT / document).read_text()
        assert file in text
        assert f"/run/credentials/edge.service/{name}" in text


def test_the_firmware_of_a_raspberry_pi_stays_closed_and_that_is_documented() -> None:
    assert not [device for device in settings("DeviceAllow") if "vcio" in device]
    assert "/dev/vcio" in (ROOT / "docs/service.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "say --board"), (("--board", "nonesuch"), "no board nonesuch"), (("--what",), "usage:")],
)
def test_install_refuses_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = run_install(tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not any(tmp_path.iterdir())
