"""Readings of the machine, on made-up sysfs trees."""

import sys

import pytest

import edge
from edge.telemetry.host import HostSensors


def zone(root, number, kind, temp):
    folder = root / "class" / "thermal" / f"thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(temp)


def throttled_file(root, text):
    folder = root / "devices" / "platform" / "soc" / "soc:firmware"
    folder.mkdir(parents=True)
    (folder / "get_throttled").write_text(text)


def test_a_machine_that_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    host = HostSensors(tmp_path / "sys", tmp_path / "proc")
    assert host.temperature_c() is None
    assert host.throttled() is None
    assert host.rss_mib() is None
    versions = host.versions()
    assert versions["mic-edge"] == edge.__version__
    assert "board" not in versions


@pytest.mark.parametrize(
    ("zones", "expected_c"),
    [
        ([(0, "cpu-thermal", "48312\n")], 48.312),
        ([(0, "gpu-thermal", "70000"), (1, "soc-thermal", "55000")], 55.0),
        (
            [(0, "iwlwifi_1", "39000"), (1, "soc_max", "61000"), (10, "CPU-therm", "58000"), (2, "battery", "30000")],
            58.0,
        ),
        ([(0, "acpitz", "20000"), (3, "x86_pkg_temp", "44000")], 44.0),
        ([(0, "battery", "30000"), (1, "iwlwifi_1", "40000")], None),
        ([(0, "cpu-thermal", "-274000")], None),
        ([(0, "cpu-thermal", "broken"), (1, "cpu-thermal", "51000")], 51.0),
    ],
)
def test_temperature_is_that_of_the_processor(tmp_path, zones, expected_c):
    for entry in zones:
        zone(tmp_path, *entry)
    assert HostSensors(tmp_path, tmp_path).temperature_c() == expected_c


def test_temperature_that_goes_away_is_none(tmp_path):
    zone(tmp_path, 0, "cpu-thermal", "48000")
    host = HostSensors(tmp_path, tmp_path)
    assert host.temperature_c() == 48.0
    (tmp_path / "class" / "thermal" / "thermal_zone0" / "temp").unlink()
    assert host.temperature_c() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0\n", False), ("50005\n", True), ("50000\n", False), ("8\n", True), ("0x4\n", True), ("?\n", None)],
)
def test_throttling_means_now_not_since_boot(tmp_path, text, expected):
    throttled_file(tmp_path, text)
    assert HostSensors(tmp_path, tmp_path).throttled() is expected


def vcgencmd(tmp_path, body):
    script = tmp_path / "vcgencmd"
    script.write_text(f"#!{sys.executable}\n{body}\n")
    script.chmod(0o755)
    return str(script)


def test_vcgencmd_is_asked_rarely(tmp_path):
    calls = tmp_path / "calls"
    command = vcgencmd(tmp_path, f"open({str(calls)!r}, 'a').write('x'); print('throttled=0x50001')")
    host = HostSensors(tmp_path, tmp_path, vcgencmd=command)
    assert [host.throttled() for _ in range(3)] == [True, True, True]
    assert calls.read_text() == "x"


def test_vcgencmd_without_rights_is_not_asked_again(tmp_path):
    calls = tmp_path / "calls"
    command = vcgencmd(tmp_path, f"open({str(calls)!r}, 'a').write('x'); raise SystemExit(255)")
    host = HostSensors(tmp_path, tmp_path, vcgencmd=command)
    assert host.throttled() is None
    host._vcgencmd_due_s = 0.0
    assert host.throttled() is None
    assert calls.read_text() == "x"


def test_memory_and_board(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "statm").write_text("100000 25600 900 1 0 3000 0\n")
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree" / "model").write_text("Raspberry Pi 4 Model B Rev 1.4\x00")
    host = HostSensors(tmp_path, tmp_path)
    import os

    assert host.rss_mib() == 25600 * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert host.versions()["board"] == "Raspberry Pi 4 Model B Rev 1.4"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_this_machine_tells_its_memory():
    assert 5 < HostSensors().rss_mib() < 100_000


def test_throttling_is_found_where_later_boards_have_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = tmp_path / "devices" / "platform" / "soc@107c000000" / "soc@107c000000:firmware"
    folder.mkdir(parents=True)
    (folder / "get_throttled").write_text("50004\n")
    assert HostSensors(tmp_path, tmp_path).throttled() is True
    (folder / "get_throttled").write_text("50000\n")
    assert HostSensors(tmp_path, tmp_path).throttled() is False
