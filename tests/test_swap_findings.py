"""A network put in while audio flows: the right one for the beam, trusted folders that stay, and networks that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_parts import live_config
from network_files import copy_network, edit
from test_runtime_controller import Daemon

from edge.errors import ConfigError, EdgeError
from edge.mask.base import model_name
from edge.mask.network import NetworkMask
from edge.profiles import PROFILES
from edge.runtime import chain as chain_module
from edge.runtime import estimators
from edge.runtime.chain import BROKEN, Chain
from edge.runtime.overload import LATE_HOPS, RESETS

PROFILE = PROFILES["assistant"]


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return copy_network(tmp_path / "nets", "first")


def network_config(model: Path | str, **more: Any) -> Any:
    return live_config(**{"mask__kind": "network", "mask__model": str(model), "mask__precision": "int8"} | more)


def block() -> np.ndarray:
    return np.random.default_rng(5).normal(0.0, 0.01, (PROFILE.hop_samples, 4)).astype(np.float32)


def run(chain: Chain, hops: int, sound: np.ndarray | None = None) -> None:
    out = np.zeros((PROFILE.hop_samples, len(chain.pipeline.outputs)), np.float32)
    for _ in range(hops):
        chain.pipeline.process(block() if sound is None else sound, out)
        chain.guard(False)


def fail(network: NetworkMask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it give numbers that are not finite from the next step on."""

    def nothing_finite() -> None:
        network._gains[:] = np.nan

    monkeypatch.setattr(network, "_runs", [nothing_finite, nothing_finite])


def test_the_folder_of_the_configuration_stays_trusted(first: Path) -> None:
    daemon = Daemon(network_config(first))
    for model in ("mono-assistant", "first"):
        assert daemon.controller.command("model", {"model": model})["model"] == f"{model} int8"


def test_the_folder_of_a_reloaded_configuration_is_trusted_and_that_of_before_is_not(
    first: Path, tmp_path: Path
) -> None:
    second = copy_network(tmp_path / "others", "second")
    daemon = Daemon(network_config(first), lambda: network_config(second))
    daemon.controller.reload()
    daemon.controller.command("model", {"model": "mono-assistant"})
    daemon.controller.command("model", {"model": "second"})
    with pytest.raises(EdgeError, match="no network 'first'"):
        daemon.controller.command("model", {"model": "first"})


@pytest.mark.parametrize(
    ("start", "then", "names"),
    [("none", "mvdr", ["mono-assistant", "array-assistant"]), ("mvdr", "none", ["array-assistant", "mono-assistant"])],
)
def test_auto_is_the_network_for_the_beam_that_there_is_now(start: str, then: str, names: list[str]) -> None:
    daemon = Daemon(network_config("auto", beamformer__kind=start), hops=70)
    before = model_name(daemon.loop.chain.estimator)
    daemon.run_with(("beamformer", {"kind": then}))
    assert [before, model_name(daemon.loop.chain.estimator)] == [f"{name} int8" for name in names]


def test_ears_of_a_swap_made_during_a_fade_are_the_network(first: Path) -> None:
    config = network_config(first, beamformer__kind="mvdr")
    chain = Chain(config)
    other = network_config(first, mask__precision="float").mask
    chain.adopt(chain.prepare(other, "mvdr"))
    run(chain, 5)
    chain.adopt(chain.prepare(other, "delay_sum"))
    run(chain, 60)
    for _ in range(LATE_HOPS):
        chain.guard(True)
    assert chain.pipeline.mask_kind == "wiener"
    chain._guard.recover_hops = 1
    run(chain, 60)
    assert chain.pipeline.mask_kind == "network"
    assert type(chain.pipeline.listener.estimator) is NetworkMask
    assert chain.pipeline.listener.estimator is chain.pipeline.listener.own


def test_a_command_that_took_long_is_followed_by_quiet(first: Path) -> None:
    daemon = Daemon(network_config(first), clock=lambda: daemon.now_s)
    daemon.now_s = 0.0
    prepare = daemon.loop.chain.prepare

    def slow(*wanted: Any) -> Any:
        daemon.now_s += 5.0
        return prepare(*wanted)

    daemon.loop.chain.prepare = slow
    daemon.controller.command("mask", {"kind": "bypass"})
    with pytest.raises(EdgeError, match="within 1 s"):
        daemon.controller.command("mask", {"kind": "wiener"})


def test_a_reload_notices_that_the_network_of_the_listener_was_replaced(first: Path) -> None:
    ears = copy_network(first.parent, "ears")
    edit(first, lambda data: data.update(listener="ears"))
    config = network_config(first)
    chain = Chain(config)
    assert not chain.network_changed(config)
    edit(ears, lambda data: data.update(name="ears, trained again"))
    assert chain.network_changed(config)


def test_parts_that_do_not_fit_change_nothing(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*parts: Any) -> None:
        raise ConfigError("does not fit")

    config = network_config(first, beamformer__kind="mvdr")
    chain = Chain(config)
    kept = chain._made.make(("network",), config.mask, 4).estimators["network"], chain._listener
    monkeypatch.setattr(chain_module, "MaskSwap", refuse)
    with pytest.raises(ConfigError):
        chain.prepare(network_config(first, mask__precision="float").mask, "mvdr")
    assert not chain.network_changed(config)
    assert (chain._made.make(("network",), config.mask, 4).estimators["network"], chain._listener) == kept


def test_a_network_that_fails_while_it_is_faded_in_never_counts(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(network_config(first))
    parts = chain.prepare(network_config(first, mask__precision="float").mask, "mvdr")
    fail(parts.estimators["network"], monkeypatch)
    chain.adopt(parts, keep_rung=True)
    run(chain, RESETS + 1)
    assert chain.mode == f"{BROKEN}: wiener instead of network"
    assert chain.pipeline.mask_kind == "wiener"


def test_resets_of_the_network_that_is_faded_out_are_counted(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(network_config(first))
    old = chain.estimator
    chain.adopt(chain.prepare(network_config(first, mask__precision="float").mask, "mvdr"))
    fail(old, monkeypatch)
    run(chain, 4)
    assert old.resets >= 4
    assert chain.network_resets == old.resets


def test_ears_that_fail_hear_nothing_and_are_counted(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(network_config(first, beamformer__kind="mvdr"))
    ears = chain.pipeline.listener.own
    ears.presence.fill(0.7)
    fail(ears, monkeypatch)
    run(chain, 2)
    assert ears.presence.max() == 0.0
    assert chain.network_resets == 2
    # and they are still counted when others have come in their place
    chain.prepare(network_config(first, mask__precision="float").mask, "mvdr")
    assert chain.network_resets == 2


def test_ears_listen_while_the_first_network_is_faded_in() -> None:
    """Their state is as full as that of the network behind the beam when they begin to count."""
    config = network_config("mono-assistant", beamformer__kind="mvdr", mask__kind="wiener")
    chain = Chain(config)
    chain.adopt(chain.prepare(network_config("mono-assistant").mask, "mvdr"))
    heard = []
    while True:
        run(chain, 1)
        if chain.pipeline.mask_kind == "network":
            break
        heard.append(chain.pipeline.listener.own.presence.copy())
        assert chain.pipeline._gate is chain.pipeline.estimator.presence
    assert len({each.tobytes() for each in heard}) > 20
    assert not chain.pipeline.listener.awaited


def test_a_replaced_network_is_counted_once_however_many_follow(first: Path) -> None:
    made = estimators.Estimators(PROFILE, lambda: None)
    for number in range(7):
        network = NetworkMask(first, PROFILE)
        network.resets = 1
        made.keep(estimators.Made({"network": network}, (first, "int8", str(number))))
    assert made.resets == 7
