"""Another network while audio flows: faded in when it is good, one sentence and no change at all when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_parts import ArraySink, ArraySource, live_config, recording
from network_files import copy_network, edit, network_bytes, replace_network, spoil_network
from test_runtime_controller import HOP, Daemon

from edge.errors import EdgeError
from edge.mask.base import model_name
from edge.mask.crossfade import FADE_S, LISTEN_S, CrossfadeMask
from edge.mask.network import NetworkMask
from edge.profiles import PROFILES
from edge.runtime import estimators
from edge.runtime.chain import Chain
from edge.runtime.collect import SnapshotMaker
from edge.runtime.loop import AudioLoop
from edge.runtime.overload import LATE_HOPS

PROFILE = PROFILES["assistant"]
LISTEN_HOPS = round(LISTEN_S * 1000 / PROFILE.hop_ms)
SWAP_HOPS = LISTEN_HOPS + round(FADE_S * 1000 / PROFILE.hop_ms)
AT = 10
"""the hop ahead of which the command comes"""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return copy_network(tmp_path / "nets", "first")


@pytest.fixture
def second(first: Path) -> Path:
    return copy_network(first.parent, "second")


def config_with(model: Path | str, **more: Any) -> Any:
    return live_config(**{"mask__kind": "network", "mask__model": str(model), "mask__precision": "int8"} | more)


def played(
    config: Any, *commands: tuple[int, str, dict[str, Any]], hops: int = 90
) -> tuple[np.ndarray, Daemon, list[Any]]:
    """What comes out when each command (hop, name, payload) is sent; and what was answered: a reply or an error."""
    daemon = Daemon(config, hops=hops)
    answers: list[Any] = []

    def send(name: str, payload: dict[str, Any]) -> None:
        try:
            answers.append(daemon.controller.command(name, payload))
        except EdgeError as error:
            answers.append(error)

    for hop, name, payload in commands:
        daemon.script[hop] = lambda n=name, p=payload: send(n, p)
    daemon.loop.run()
    assert daemon.loop.error is None
    assert daemon.loop.delivered == hops
    return daemon.loop.sink.samples, daemon, answers


def test_a_network_is_faded_in_and_stays(first: Path, second: Path) -> None:
    alone, _, _ = played(config_with(first))
    out, daemon, (reply,) = played(config_with(first), (AT, "model", {"model": "second"}))
    assert reply["model"] == "second int8"
    assert reply["mask"] == "network"
    estimator = daemon.loop.chain.estimator
    assert isinstance(estimator, NetworkMask)
    assert model_name(estimator) == "second int8"
    assert daemon.controller.config.mask.model == str(second)
    until = (AT + LISTEN_HOPS) * HOP
    np.testing.assert_array_equal(out[:until], alone[:until])
    # the same weights, which have listened for 0.3 s: no sample jumps farther than without the change
    steps, usual_steps = (np.abs(np.diff(each[:, 0])).max() for each in (out[until - HOP :], alone[until - HOP :]))
    assert steps < 1.2 * usual_steps


def test_other_precision_of_the_same_network(first: Path) -> None:
    _, daemon, (reply,) = played(config_with(first), (AT, "model", {"precision": "float"}))
    assert reply["model"] == "first float"
    assert model_name(daemon.loop.chain.estimator) == "first float"


def test_telemetry_tells_the_network_in_use(first: Path, second: Path) -> None:
    daemon = Daemon(config_with(first), hops=90)
    maker = SnapshotMaker(daemon.loop)
    seen: dict[int, tuple[str, str]] = {}

    def look(hop: int) -> None:
        seen[hop] = (model_name(daemon.loop.chain.estimator), daemon.loop.chain.pipeline.mask_kind)

    daemon.script = {hop: lambda h=hop: look(h) for hop in range(AT + 1, 80)}
    daemon.script[AT] = lambda: daemon.controller.command("model", {"model": str(second)})
    daemon.loop.run()
    assert seen[AT + LISTEN_HOPS] == ("first int8", "network")
    assert seen[AT + SWAP_HOPS + 1] == ("second int8", "network")
    assert maker.make().model == "second int8"


def not_there(manifest: Path) -> None:
    manifest.unlink()


def not_json(manifest: Path) -> None:
    manifest.write_text("{")


def other_profile(manifest: Path) -> None:
    edit(manifest, lambda data: data.update(profile="hearing"))


def other_hop(manifest: Path) -> None:
    edit(manifest, lambda data: data.update(hop_samples=256))


def no_network_file(manifest: Path) -> None:
    (manifest.parent / "second.int8.onnx").unlink()


def truncated(manifest: Path) -> None:
    content = network_bytes(manifest)
    (manifest.parent / "second.int8.onnx").write_bytes(content[: len(content) // 2])


def truncated_and_vouched_for(manifest: Path) -> None:
    replace_network(manifest, network_bytes(manifest)[:200_000])


def other_shape(manifest: Path) -> None:
    edit(manifest, lambda data: data["states"][0].update(shape=[1, 1, 64]))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (not_there, "no network 'second'; shipped: "),
        (not_json, "is not valid JSON"),
        (other_profile, "is made for profile hearing"),
        (other_hop, "is made for hop_samples 256"),
        (no_network_file, "is missing beside its manifest"),
        (truncated, "is damaged"),
        (truncated_and_vouched_for, "cannot be opened by onnxruntime"),
        (other_shape, "has shape"),
        (spoil_network, "numbers that are not finite"),
    ],
)
def test_a_bad_one_is_one_sentence_and_nothing_changes(first: Path, second: Path, damage: Any, sentence: str) -> None:
    damage(second)
    alone, _, _ = played(config_with(first), hops=70)
    out, daemon, (error,) = played(config_with(first), (AT, "model", {"model": "second"}), hops=70)
    assert isinstance(error, EdgeError)
    assert sentence in str(error)
    assert "\n" not in str(error)
    np.testing.assert_array_equal(out, alone)
    assert model_name(daemon.loop.chain.estimator) == "first int8"
    assert daemon.controller.config.mask.model == str(first)
    assert daemon.controller._in_force()["model"] == "first int8"


def test_another_latency_is_refused(first: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(config_with(first))
    monkeypatch.setattr(NetworkMask, "latency_samples", 128)
    with pytest.raises(EdgeError, match="delays by 128 samples and the one in use by 0; restart"):
        daemon.controller.command("model", {"model": "second"})
    assert daemon.loop._changes == type(daemon.loop._changes)()


def test_two_in_a_row_end_with_the_second(first: Path, second: Path) -> None:
    third = copy_network(first.parent, "third")
    daemon = Daemon(config_with(first), hops=150)
    for hop, model in ((AT, second), (AT + 3, third)):
        daemon.script[hop] = lambda m=model: daemon.controller.command("model", {"model": str(m)})
    names = []
    for hop in range(AT + 5, 140, 5):
        daemon.script[hop] = lambda: names.append(model_name(daemon.loop.chain.estimator))
    daemon.loop.run()
    assert daemon.loop.error is None
    assert list(dict.fromkeys(names)) == ["first int8", "second int8", "third int8"], "one fade after the other"
    assert isinstance(daemon.loop.chain.estimator, NetworkMask)


def test_there_and_back(first: Path, second: Path) -> None:
    _, daemon, replies = played(
        config_with(first), (AT, "model", {"model": "second"}), (70, "model", {"model": "first"}), hops=140
    )
    assert [reply["model"] for reply in replies] == ["second int8", "first int8"]
    assert model_name(daemon.loop.chain.estimator) == "first int8"


def test_a_swap_while_overload_has_the_network_out(first: Path, second: Path) -> None:
    daemon = Daemon(config_with(first), hops=150)
    chain = daemon.loop.chain
    modes = {}

    def overload() -> None:
        for _ in range(LATE_HOPS):
            chain.guard(True)

    def look(hop: int) -> None:
        modes[hop] = (chain.mode, chain.pipeline.mask_kind, model_name(chain.estimator))

    daemon.script = {
        5: overload,
        AT: lambda: daemon.controller.command("model", {"model": "second"}),
        70: lambda: look(70),
        71: lambda: setattr(chain._guard, "recover_hops", 1),
        140: lambda: look(140),
    }
    daemon.loop.run()
    assert daemon.loop.error is None
    assert modes[70] == ("overload: wiener instead of network", "wiener", "")
    assert modes[140] == ("normal", "network", "second int8")


def test_a_board_that_cannot_bear_two_networks_has_the_new_one_at_once(first: Path, second: Path) -> None:
    chain = Chain(config_with(first))
    loop = AudioLoop(ArraySource(recording(40 * HOP)), ArraySink(), chain)
    parts = chain.prepare(config_with(second).mask, "mvdr")
    loop.at_next_hop(lambda: chain.adopt(parts, keep_rung=True))
    loop.at_next_hop(lambda: setattr(loop.clock, "deadline_ns", 0))
    names = []
    loop.source = ArraySource(recording(LATE_HOPS * HOP), lambda hop: names.append(model_name(chain.estimator)))
    loop.run()
    assert set(names[:LATE_HOPS]) == {"first int8"}
    assert model_name(chain.estimator) == "second int8"
    assert chain.mode == "normal", "the fade, not the network, was too much"


def test_the_listener_follows(first: Path, second: Path) -> None:
    daemon = Daemon(config_with(first, beamformer__kind="mvdr"), hops=90)
    pipeline = daemon.loop.chain.pipeline
    ears = pipeline.listener.estimator
    during = {}

    def look() -> None:
        during["ears"] = pipeline.listener.estimator
        during["name"] = model_name(pipeline.listener.estimator)

    daemon.script[AT] = lambda: daemon.controller.command("model", {"model": "second"})
    daemon.script[AT + 5] = look
    daemon.loop.run()
    assert daemon.loop.error is None
    assert isinstance(during["ears"], CrossfadeMask)
    assert during["ears"]._outgoing is ears, "the old ears go on with all that they have heard"
    assert during["name"] == "first int8"
    assert pipeline.listener.behind is pipeline.estimator
    assert isinstance(pipeline.listener.estimator, NetworkMask)
    assert pipeline.listener.estimator is not pipeline.estimator
    assert model_name(pipeline.listener.estimator) == "second int8"


def test_no_listener_is_made_and_no_file_read_on_the_audio_thread(
    first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(config_with(first, beamformer__kind="mvdr"))
    parts = chain.prepare(config_with(second).mask, "mvdr")
    for name in ("_allocate", "twin", "listener"):
        monkeypatch.setattr(NetworkMask, name, lambda self: pytest.fail("made too late"))
    loop = AudioLoop(ArraySource(recording(80 * HOP)), ArraySink(), chain)
    loop.at_next_hop(lambda: chain.adopt(parts, keep_rung=True))
    loop.run()
    assert loop.error is None
    assert model_name(chain.estimator) == "second int8"


class ArrayNetwork(NetworkMask):
    """A network that wants cues, as one for arrays does, and remembers what it got."""

    def _allocate(self) -> None:
        super()._allocate()
        self.cue_power = np.full((2, PROFILE.bins), -1.0, np.float32)

    def step(self, spectrum: np.ndarray, gain: np.ndarray) -> None:
        self.seen = self.cue_power.copy()
        self.cue_power[:] = -1.0
        super().step(spectrum, gain)

    def listener(self) -> NetworkMask:
        return NetworkMask(self.manifest.path, PROFILE, self.precision)


def test_an_array_network_for_a_mono_one_and_back(first: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cues are filled for whichever of the two wants them, from the first hop that it listens."""

    def make(kind: str, mask: Any, profile: Any, mics: int) -> Any:
        if kind == "network":
            return (ArrayNetwork if "second" in mask.model else NetworkMask)(mask.model, profile, "int8")
        return original(kind, mask, profile, mics)

    original = estimators.make_estimator
    monkeypatch.setattr(estimators, "make_estimator", make)
    daemon = Daemon(config_with(first, beamformer__kind="mvdr"), hops=150)
    chain = daemon.loop.chain
    filled: dict[int, bool] = {}

    def look(hop: int) -> None:
        array = next(part for part in chain._past[-1].estimators.values() if isinstance(part, NetworkMask))
        if isinstance(array, ArrayNetwork):
            filled[hop] = bool(np.all(array.seen[0] > 0.0) and np.all(array.seen >= 0.0))

    daemon.script = {hop: lambda h=hop: look(h) for hop in range(AT + 2, 75)}
    daemon.script[AT] = lambda: daemon.controller.command("model", {"model": "second"})
    daemon.script[75] = lambda: daemon.controller.command("model", {"model": "first"})
    daemon.loop.run()
    assert daemon.loop.error is None
    assert len(filled) > SWAP_HOPS
    assert all(filled.values())
    assert not isinstance(chain.estimator, ArrayNetwork)
    assert model_name(chain.estimator) == "first int8"


def test_a_reload_that_changes_only_the_mask_keeps_the_pipeline(first: Path, second: Path) -> None:
    daemon = Daemon(config_with(first), lambda: config_with(second, mask__floor_db=-9.0), hops=90)
    pipeline = daemon.loop.chain.pipeline
    assert daemon.run_with(("reload", {})) is pipeline
    assert daemon.replies[0]["changed"] == ["mask.model", "mask.floor_db"]
    assert daemon.replies[0]["model"] == "second int8"
    assert model_name(pipeline.estimator) == "second int8"
    assert pipeline.gain_floor_db == -9.0


def test_a_reload_fades_to_another_kind_of_mask(first: Path) -> None:
    daemon = Daemon(config_with(first), lambda: config_with(first, mask__kind="wiener"), hops=90)
    kinds = {}
    daemon.script = {hop: lambda h=hop: kinds.update({h: daemon.loop.chain.pipeline.mask_kind}) for hop in (20, 60)}
    daemon.run_with(("reload", {}))
    assert kinds == {20: "network", 60: "wiener"}


def test_a_reload_notices_that_a_network_was_replaced_under_its_name(first: Path) -> None:
    daemon = Daemon(config_with(first), lambda: config_with(first), hops=120)
    daemon.script[30] = lambda: edit(first, lambda data: data.update(name="first, trained again"))
    replies, before = [], daemon.loop.chain.estimator
    for hop in (5, 40):
        daemon.script[hop] = lambda: replies.append(daemon.controller.command("reload", {}))
    daemon.loop.run()
    assert daemon.loop.error is None
    assert [reply["changed"] for reply in replies] == [[], ["mask.model"]]
    after = daemon.loop.chain.estimator
    assert after is not before
    assert after.manifest.name == "first, trained again"
    assert model_name(after) == "first int8", "what the command takes"


def test_a_reload_to_a_bad_network_changes_nothing(first: Path, second: Path) -> None:
    truncated(second)
    daemon = Daemon(config_with(first), lambda: config_with(second), hops=60)
    before = daemon.controller.config
    with pytest.raises(EdgeError, match="is damaged"):
        daemon.controller.reload()
    assert daemon.controller.config == before
    daemon.loop.run()
    assert model_name(daemon.loop.chain.estimator) == "first int8"


def test_a_network_comes_in_where_none_was(second: Path) -> None:
    config = live_config(mask__kind="wiener", beamformer__kind="mvdr")
    _, daemon, (reply,) = played(config, (AT, "model", {"model": "mono-assistant", "precision": "int8"}))
    assert (reply["mask"], reply["model"]) == ("network", "mono-assistant int8")
    pipeline = daemon.loop.chain.pipeline
    assert (pipeline.mask_kind, model_name(pipeline.estimator)) == ("network", "mono-assistant int8")
    assert pipeline.listener is not None
    assert pipeline.listener.behind is pipeline.estimator
    assert pipeline.snr.trusted
