"""Networks read back from their exported files say what they said, and a run begins with a shipped one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402
from small import CONFIG, MIXING, RECIPES  # noqa: E402
from tasnet_toy import SMALL, random_weights, write_model  # noqa: E402

from edge.errors import ModelError  # noqa: E402
from edge.resources import data_folder  # noqa: E402
from edge.tasnet import TasNetStream  # noqa: E402
from edge.tasnet.manifest import resolve_tasnet  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import BlstmConfig, MaskConfig, TrainConfig, config_from_dict, config_to_dict  # noqa: E402
from models.export import export  # noqa: E402
from models.exported import mask_weights, read_exported  # noqa: E402
from models.graph import build_blstm_graph, build_graph, states  # noqa: E402
from models.net import MaskNet, make_mask_net  # noqa: E402
from models.onnx_files import HALF_FROM  # noqa: E402
from models.recipe import load_recipe  # noqa: E402
from models.restore import make_front, restore_mask, restore_tasnet  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.train import main as train_main  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train

SHIPPED = sorted(data_folder("models").glob("*.json"))
FRAMES = 40


def random_net(network: MaskConfig | BlstmConfig) -> MaskNet:
    torch.manual_seed(3)
    net = make_mask_net(network, make_front(network)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def constants(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


@torch.no_grad()
def gains(net: MaskNet, features: torch.Tensor) -> np.ndarray:
    return net(features)[0].numpy()


@pytest.mark.parametrize(
    "network",
    [
        MaskConfig(hidden=12),
        MaskConfig(hidden=12, layers=3, local_units=5),
        MaskConfig("hearing", run_every_hops=4, hidden=12),
        MaskConfig(cues=True, hidden=12),
        MaskConfig(cues=True, hidden=12, local_units=5),
        BlstmConfig(hidden=12),
    ],
    ids=str,
)
def test_network_to_graph_to_network_gives_the_same_gains(network: MaskConfig | BlstmConfig) -> None:
    net = random_net(network)
    build = build_blstm_graph if net.bidirectional else build_graph
    again = make_mask_net(network, make_front(network)).eval()
    again.load_state_dict(mask_weights(constants(build(net))))
    features = torch.randn(FRAMES, 1, net.features, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(gains(again, features), gains(net, features), atol=1e-5)


@pytest.mark.parametrize("network", [MaskConfig(cues=True, hidden=12, local_units=5), BlstmConfig(hidden=12)], ids=str)
def test_files_hold_everything_a_run_begins_with(network: MaskConfig | BlstmConfig, tmp_path: Path) -> None:
    net = random_net(network)
    with torch.no_grad():  # as the file stores them, so that nothing is rounded
        for parameter in net.parameters():
            parameter.copy_(parameter.half() if parameter.numel() >= HALF_FROM else parameter)
    front = make_front(network)
    rng = np.random.default_rng(0)
    if isinstance(network, MaskConfig):
        front.mean.copy_(torch.from_numpy(rng.standard_normal(front.mean.shape)))
        front.inverse_std.copy_(torch.from_numpy(rng.uniform(0.5, 3.0, front.mean.shape)))
    state = {
        "config": config_to_dict(TrainConfig(network=network)),
        "average": net.state_dict(),
        "front": {"mean": front.mean, "inverse_std": front.inverse_std},
        "step": 7,
        "hours": {"speech": 1.5},
        "history": [],
        "elapsed_s": 90.0,
    }
    listener = "mono" if isinstance(network, MaskConfig) else ""
    read = read_exported(export(state, tmp_path, "toy", listener))
    again, same_front = restore_mask(read)
    features = torch.randn(FRAMES, 1, net.features, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(gains(again, features), gains(net, features), atol=1e-5)
    torch.testing.assert_close(same_front.mean, front.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(same_front.inverse_std, front.inverse_std, atol=1e-4, rtol=1e-4)
    assert (read["step"], read["hours"], read["elapsed_s"]) == (7, {"speech": 1.5}, 90.0)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_network_says_in_torch_what_its_file_says(path: Path) -> None:
    read = read_exported(path)
    # so that training can go on with a recipe that ships
    networks = [load_recipe(recipe).config.network for recipe in RECIPES.glob("*.toml")]
    assert config_from_dict(read["config"]).network in networks
    net, front = restore_mask(read)
    data = json.loads(path.read_text())
    session = onnxruntime.InferenceSession(path.with_name(data["files"]["float"]["file"]))
    names = [name for _, name, _ in states(net)]
    state = {name: np.zeros(shape, np.float32) for name, _, shape in states(net)}
    features = torch.randn(FRAMES, 1, front.feature_count, generator=torch.Generator().manual_seed(2))
    for frame, wanted in zip(features.numpy(), gains(net, features)[:, 0], strict=True):
        direct = np.concatenate([np.ones((1, net.bands), np.float32), frame[:, : -net.bands]], axis=1)
        got, *after = session.run(["gains", *names], {"features": frame[None], "direct": direct[None], **state})
        state = dict(zip(state, after, strict=True))
        np.testing.assert_allclose(got[0, 0], wanted, atol=1e-5)


def test_the_shipped_conv_tasnet_streams_what_torch_gives_for_the_whole_recording() -> None:
    path = resolve_tasnet(None)
    net = restore_tasnet(read_exported(path)).eval()
    rng = np.random.default_rng(3)
    wave = (0.1 * rng.standard_normal(40_000) * np.clip(np.sin(np.arange(40_000) / 900), 0.05, None)).astype(np.float32)
    with torch.no_grad():
        whole = net(torch.from_numpy(wave[None]))[0].numpy()
    stream = TasNetStream(path)
    pieces = [stream.push(piece) for piece in np.array_split(wave, 97)]
    streamed = np.concatenate([*pieces, stream.flush()])
    assert np.sqrt(np.mean(streamed**2)) > 1e-4, "silence would be equal to anything"
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_a_conv_tasnet_comes_back_too(tmp_path: Path) -> None:
    net = restore_tasnet(read_exported(write_model(tmp_path, SMALL, training={})))
    expected = random_weights(SMALL)
    assert set(net.state_dict()) == set(expected)
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-6, err_msg=name)


def test_a_run_begins_with_a_shipped_network(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    shipped = data_folder("models") / "mono-assistant.json"
    network = load_recipe(RECIPES / "mono.toml").config.network
    config = dataclasses.replace(CONFIG, network=network, max_steps=1, mixing=MIXING)
    trainer = Trainer(config, Sources(*corpora), tmp_path / "run", shipped)
    source, front = restore_mask(read_exported(shipped))
    torch.testing.assert_close(trainer.task.front.mean, front.mean)
    for name, value in source.state_dict().items():
        torch.testing.assert_close(trainer.average.state_dict()[name], value)
    told = json.loads(shipped.read_text())["training"]
    assert trainer.ancestors[:-1] == told["begun_from"]
    assert (trainer.ancestors[-1]["exported"], trainer.ancestors[-1]["step"]) == ("mono-assistant", told["steps"])
    checkpoint.save(tmp_path / "run" / "last.pt", trainer.state())
    assert checkpoint.load(tmp_path / "run" / "last.pt")["ancestors"] == trainer.ancestors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {}}, "files should be"),
        ({"profile": "other"}, "profile should be one of"),
        ({"kind": "conv_tasnet"}, "key architecture is missing"),
        ({"kind": "conv_tasnet", "architecture": {"letters": 3}}, "no weights that training could go on with"),
    ],
    ids=["files", "profile", "kind", "architecture"],
)
def test_what_no_run_can_begin_with_is_one_sentence(change: dict[str, object], message: str, tmp_path: Path) -> None:
    shipped = data_folder("models") / "mono-hearing.json"
    for file in shipped.parent.glob("mono-hearing.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / shipped.name
    path.write_text(json.dumps(json.loads(shipped.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        read_exported(path)


def test_the_command_names_what_it_cannot_begin_with(
    corpora: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, speech, noise = corpora
    folders = ["--speech", speech, "--noise", noise, "--cache", cache, "--out", tmp_path / "run"]
    for start, words in (
        ("none.json", "none.json does not exist; check --start-from"),
        ("x.onnx", "name its manifest"),
    ):
        arguments = [RECIPES / "mono.toml", *folders, "--start-from", tmp_path / start, "--set", "mixing.pool=12"]
        assert train_main([str(each) for each in [*arguments, "--set", "mixing.rooms=4"]]) == ModelError.exit_code
        assert words in capsys.readouterr().err
