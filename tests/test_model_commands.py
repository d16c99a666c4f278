"""What a command that asks for another network may say, and who is told when it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_parts import ArraySink, ArraySource, live_config, recording
from network_files import copy_network
from test_runtime_controller import HOP, Daemon, Seconds

from edge.errors import EdgeError
from edge.runtime.chain import Chain
from edge.runtime.commanded_model import commanded_model, trusted_folders
from edge.runtime.controller import LiveController
from edge.runtime.loop import AudioLoop


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return copy_network(tmp_path / "nets", "first")


def config_with(model: Path) -> Any:
    return live_config(mask__kind="network", mask__model=str(model), mask__precision="int8")


def test_refusals_are_told_once_each_and_only_for_networks_and_files(first: Path) -> None:
    config = config_with(first)
    loop = AudioLoop(ArraySource(recording(4 * HOP)), ArraySink(2), Chain(config))
    failed: list[tuple[str, str]] = []
    controller = LiveController(config, loop, None, Seconds(), failed=lambda *told: failed.append(told))
    for name, payload in (("model", {"model": "absent"}), ("model", {}), ("bypass", {"enabled": 7})):
        with pytest.raises(EdgeError):
            controller.command(name, payload)
    assert [name for name, _ in failed] == ["model"]
    assert "no network 'absent'" in failed[0][1]


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({}, "model or precision is missing"),
        ({"model": 5}, "model is 5, expected text"),
        ({"precision": "int4"}, "expected auto, int8 or float"),
        ({"model": ""}, "expected the name of a network"),
        ({"model": "x" * 2000}, "expected the name of a network"),
        ({"model": "a\0b"}, "expected the name of a network"),
        ({"model": "x" * 1000}, "no network 'xxx"),
        ({"model": "/tmp/x\n\x1b[31mRED.json"}, "expected the name of a network"),
        ({"model": "second", "kind": "x"}, "unknown argument 'kind'"),
    ],
)
def test_arguments_are_checked(first: Path, payload: dict[str, Any], sentence: str) -> None:
    daemon = Daemon(config_with(first))
    with pytest.raises(EdgeError) as caught:
        daemon.controller.command("model", payload)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commands_take_networks_only_from_folders_of_the_owner(first: Path, tmp_path: Path) -> None:
    elsewhere = copy_network(tmp_path / "elsewhere", "other")
    folders = trusted_folders(str(first))
    assert commanded_model("auto", folders) == "auto"
    assert commanded_model("mono-assistant", folders) == "mono-assistant"
    assert commanded_model("first", folders) == commanded_model("first.json", folders) == str(first)
    assert commanded_model(str(first), folders) == str(first)
    link = first.parent / "link.json"
    link.symlink_to(elsewhere)
    for text in (str(elsewhere), str(link), "../elsewhere/other.json", "/etc/hostname", f"{first.parent}/../x.json"):
        with pytest.raises(EdgeError, match=r"is not a \.json in a folder that commands may take networks from"):
            commanded_model(text, folders)
    with pytest.raises(EdgeError, match="no network 'link'"):
        commanded_model("link", folders)
    assert commanded_model(str(elsewhere), trusted_folders("auto", [elsewhere.parent])) == str(elsewhere)
