"""The protocol of sd_notify(3), against a real datagram socket."""

import os
import socket
import time

import pytest

from edge.runtime.notify import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5.0)
        yield listener


def messages(listener):
    """What has arrived so far."""
    listener.setblocking(False)
    found = []
    try:
        while True:
            found.append(listener.recv(4096).decode())
    except BlockingIOError:
        return found


def notifier_for(listener, **environment):
    return Notifier({"NOTIFY_SOCKET": listener.getsockname(), **environment})


def test_states_arrive_as_assignments(manager):
    notifier = notifier_for(manager)
    assert notifier.active
    notifier.starting("compiling", 90.0)
    notifier.ready("mvdr and network")
    before_usec = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.stopping()
    starting, ready, reloading, stopping = messages(manager)
    assert starting == "EXTEND_TIMEOUT_USEC=90000000\nSTATUS=compiling"
    assert ready == "READY=1\nSTATUS=mvdr and network"
    assert stopping.splitlines()[0] == "STOPPING=1"
    assert reloading.splitlines()[0] == "RELOADING=1"
    usec = int(reloading.splitlines()[1].removeprefix("MONOTONIC_USEC="))
    assert before_usec <= usec <= time.monotonic_ns() // 1000


def test_an_abstract_address_works():
    name = f"edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).send("READY=1")
        assert messages(listener) == ["READY=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "vsock:2:1234"])
def test_without_a_manager_nothing_happens(address):
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    assert notifier.send("READY=1") is False
    assert notifier.watchdog(5, 100.0) is False
    notifier.close()


def test_a_manager_that_does_not_listen_does_not_hold_us_up(manager):
    notifier = notifier_for(manager)
    results = [notifier.send("STATUS=" + "x" * 2000) for _ in range(3000)]
    assert results[0] is True
    assert results[-1] is False


def test_watchdog_pings_only_while_hops_advance(manager):
    notifier = notifier_for(manager, WATCHDOG_USEC="10000000")
    assert notifier.watchdog_interval_s == 5.0
    assert notifier.watchdog(1, 100.0)
    assert not notifier.watchdog(2, 104.9), "too early"
    assert notifier.watchdog(3, 105.0)
    assert not notifier.watchdog(3, 200.0), "no hop since: the audio thread hangs"
    assert notifier.watchdog(4, 200.1)
    assert messages(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog_unless_it_is_meant_for_us(manager, environment):
    notifier = notifier_for(manager, **environment)
    assert not notifier.watchdog(1, 100.0)
    assert messages(manager) == []


def test_watchdog_for_this_process(manager):
    notifier = notifier_for(manager, WATCHDOG_USEC="4000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.watchdog_interval_s == 2.0
