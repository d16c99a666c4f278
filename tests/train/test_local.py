"""The correction that every band makes for itself: begins at nothing, is the same in the graph, is handed on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnxruntime  # noqa: E402
from small import CONFIG  # noqa: E402

from edge.errors import ConfigError, ModelError  # noqa: E402
from models.config import MaskConfig  # noqa: E402
from models.graph import build_graph, states  # noqa: E402
from models.net import MaskNet  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.trainer import Trainer  # noqa: E402
from models.transfer import transfer  # noqa: E402

pytestmark = pytest.mark.train

BANDS, HIDDEN, UNITS, FRAMES = 11, 6, 5, 30


def make(groups: int, trained: bool = True, seed: int = 0, units: int = UNITS) -> MaskNet:
    torch.manual_seed(seed)
    net = MaskNet(BANDS, groups * BANDS, HIDDEN, 2, local_units=units)
    if trained and net.local is not None:
        torch.nn.init.normal_(net.local.out.weight, std=2.0)
        torch.nn.init.normal_(net.local.out.bias)
    return net.eval()


@torch.no_grad()
def gains(net: MaskNet, features: np.ndarray) -> np.ndarray:
    return net(torch.from_numpy(features))[0].numpy()


def features(groups: int, items: int = 1) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((FRAMES, items, groups * BANDS)).astype(np.float32)


def test_it_begins_as_the_network_without_it() -> None:
    net = make(2, trained=False)
    plain = MaskNet(BANDS, 2 * BANDS, HIDDEN, 2)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("local.")})
    x = features(2)
    np.testing.assert_allclose(gains(net, x), gains(plain.eval(), x), atol=1e-7)
    assert np.abs(gains(make(2), x) - gains(plain, x)).max() > 0.05


def test_frame_by_frame_with_its_state_is_all_at_once_and_items_do_not_mix() -> None:
    net, x = make(2), features(2, items=3)
    whole, state, frames = gains(net, x), None, []
    with torch.no_grad():
        for frame in x:
            y, state = net(torch.from_numpy(frame[None]), state)
            frames.append(y.numpy()[0])
    np.testing.assert_allclose(np.stack(frames), whole, atol=1e-6)
    np.testing.assert_allclose(whole[:, 1:2], gains(net, np.ascontiguousarray(x[:, 1:2])), atol=1e-6)


@pytest.mark.parametrize("groups", [2, 4])
def test_the_graph_says_the_same_hop_by_hop(groups: int) -> None:
    net, x = make(groups), features(groups)
    session = onnxruntime.InferenceSession(build_graph(net).SerializeToString(), providers=["CPUExecutionProvider"])
    names = [name for _, name, _ in states(net)]
    state = {name: np.zeros(shape, np.float32) for name, _, shape in states(net)}
    assert state["h_local"].shape == (1, BANDS, UNITS)
    expected = gains(net, x)[:, 0]
    for frame, wanted in zip(x, expected, strict=True):
        direct = np.concatenate([np.ones((1, BANDS), np.float32), frame[:, :-BANDS]], axis=1)
        got, *after = session.run(["gains", *names], {"features": frame[None], "direct": direct[None], **state})
        state = dict(zip(state, after, strict=True))
        np.testing.assert_allclose(got[0, 0], wanted, atol=1e-5)


def test_an_array_takes_over_what_one_microphone_has_learnt() -> None:
    """With cues, which begin without effect; and one that has none drops it."""
    source, x = make(2), features(4)
    same = torch.eye(BANDS)
    into = make(4, trained=False, seed=7)
    transfer(source, into, same, same)
    mono = np.concatenate([x[..., :BANDS], x[..., -BANDS:]], axis=-1)
    np.testing.assert_allclose(gains(into, x), gains(source, mono), atol=1e-6)
    without = MaskNet(BANDS, 2 * BANDS, HIDDEN, 2)
    transfer(source, without, same, same)
    torch.testing.assert_close(without.head.weight, source.head.weight)


def test_more_units_begin_as_the_fewer_and_fewer_are_refused() -> None:
    source, x = make(2), features(2)
    into = make(2, seed=7, units=2 * UNITS)
    transfer(source, into, torch.eye(BANDS), torch.eye(BANDS))
    np.testing.assert_allclose(gains(into, x), gains(source, x), atol=1e-6)
    assert into.local is not None
    assert into.local.lstm.weight_hh_l0[UNITS : 2 * UNITS].abs().min() > 0.0  # the new ones hear and can learn
    with pytest.raises(ModelError, match="cannot start from 10 local_units, expected 5 or fewer"):
        transfer(into, source, torch.eye(BANDS), torch.eye(BANDS))


def test_dropout_is_of_training_alone() -> None:
    net, x = MaskNet(BANDS, 2 * BANDS, HIDDEN, 2, dropout=0.5), torch.from_numpy(features(2))
    net.train()
    assert not torch.equal(net(x)[0], net(x)[0])
    net.eval()
    assert torch.equal(net(x)[0], net(x)[0])


def test_only_a_part_is_trained_where_the_recipe_says_so(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    cache, speech, noise = corpora
    config = dataclasses.replace(CONFIG, max_steps=3, only="local.", network=MaskConfig(hidden=24, local_units=4))
    trainer = Trainer(config, Sources(cache, speech, noise, None), tmp_path)
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    trainer.run()
    changed = {name for name, value in trainer.net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert {name.partition(".")[0] for name in changed} == {"local"}
    with pytest.raises(ConfigError, match="no parameter of the network begins so"):
        Trainer(dataclasses.replace(config, only="elsewhere"), Sources(cache, speech, noise, None), tmp_path / "x")
