"""Conv-TasNet in torch: its loss, its reach, that it learns, and that its export streams the very same samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import CONFIG  # noqa: E402

from edge.enhancers.tasnet import ConvTasNetEnhancer  # noqa: E402
from edge.errors import ModelError  # noqa: E402
from edge.tasnet import TasNetStream  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import TasNetConfig  # noqa: E402
from models.export import export  # noqa: E402
from models.perceived import Perceived  # noqa: E402
from models.restore import restore_mask, restore_tasnet  # noqa: E402
from models.si_snr import si_snr_db, wave_loss  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.tasnet import ConvTasNet, running_mean  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train

SMALL = TasNetConfig(
    filters=64, kernel_samples=32, stride_samples=16, bottleneck=12, hidden=20, skip=10, blocks=3, memory_frames=200
)
TASNET = dataclasses.replace(CONFIG, network=SMALL, clip_norm=5.0)


def waves(items: int, samples: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(0.1 * np.random.default_rng(seed).standard_normal((items, samples)).astype(np.float32))


def test_si_snr_is_that_of_the_paper_and_ignores_level_and_mean() -> None:
    target, noise = waves(3, 4000), waves(3, 4000, 1)
    mixture = target + 0.3 * noise
    x, s = (v.double() - v.double().mean(-1, keepdim=True) for v in (mixture, target))
    kept = (x * s).sum(-1, keepdim=True) / s.square().sum(-1, keepdim=True) * s
    expected = 10.0 * torch.log10(kept.square().sum(-1) / (x - kept).square().sum(-1))
    found = si_snr_db(mixture, target)
    torch.testing.assert_close(found, expected.float(), atol=0.1, rtol=0)  # the soft bound takes a little
    torch.testing.assert_close(si_snr_db(5.0 * mixture + 0.2, target), found, atol=1e-3, rtol=0)
    assert (si_snr_db(target, target) > 29.0).all()


def test_the_loss_is_least_for_the_target_at_its_own_level() -> None:
    target, noise = waves(2, 4000), waves(2, 4000, 1)
    mixture = target + noise
    made = {
        "target": target,
        "louder": 2.0 * target,
        "softer": 0.5 * target,
        "cleaner": target + 0.3 * noise,
        "mixture": mixture,
        "upside down": -target,
        "nothing": torch.zeros_like(target),
    }
    values = {name: float(wave_loss(out, target, mixture)) for name, out in made.items()}
    assert min(values, key=lambda name: values[name]) == "target"
    assert values["cleaner"] < values["mixture"] < values["nothing"]
    assert np.isfinite(list(values.values())).all()


def test_a_silent_target_asks_for_silence_and_gradients_stay_finite() -> None:
    mixture = waves(4, 2000)
    target = torch.zeros_like(mixture)
    values = [float(wave_loss(g * mixture, target, mixture)) for g in (1.0, 0.1, 0.0)]
    assert values == sorted(values, reverse=True)
    mixture[1:] = 0.0  # digital silence, and a batch where everything occurs
    target[3] = waves(1, 2000, 5)[0]
    out = (0.5 * mixture).requires_grad_()
    wave_loss(out, target, mixture).backward()
    assert out.grad is not None
    assert bool(torch.isfinite(out.grad).all())
    assert float(out.grad[0].abs().max()) > 0.0


def test_what_is_perceived_is_worse_with_noise_and_its_gradient_stays_finite() -> None:
    perceived, target, noise = Perceived(16000), waves(3, 16000), waves(3, 16000, 1)
    assert abs(float(perceived(target, target))) < 1e-4
    losses = [float(perceived(target + share * noise, target)) for share in (0.1, 0.3, 1.0)]
    assert 0.001 < losses[0] < losses[1] < losses[2]
    # the same at any level of both, unlike a distance of spectra
    assert float(perceived(1e-2 * (target + noise), 1e-2 * target)) == pytest.approx(losses[2], rel=1e-2)
    for begin in (torch.zeros_like(target), target):
        made = begin.clone().requires_grad_()
        perceived(made, target).backward()
        assert made.grad is not None
        assert bool(made.grad.isfinite().all())


def test_a_run_on_from_si_snr_is_judged_by_what_is_perceived_too(
    run: tuple[Path, float, float], corpora: tuple[Path, Path, Path]
) -> None:
    folder, *_ = run
    network = dataclasses.replace(SMALL, perceptual_weight=50.0)
    config = dataclasses.replace(TASNET, network=network, max_steps=4)
    trainer = Trainer(config, Sources(*corpora), folder.with_name("perceived"), folder / "best.pt")
    before = trainer.validate()
    assert before["loss"] > 1.0 - before["si_snr_db"], "a unit of the perceptual loss counts as 50 dB"
    trainer.run()
    assert trainer.step == 4
    assert checkpoint.load(folder.with_name("perceived") / "best.pt")["config"]["network"]["perceptual_weight"] == 50.0


@pytest.mark.parametrize("memory", [0, 2, 7, 100])
def test_running_means_are_what_a_loop_gives(memory: int) -> None:
    values = waves(2, 60).unflatten(1, (30, 2))
    found, mean = running_mean(values, memory), torch.zeros(2, 2)
    for t in range(30):
        mean = mean + (values[:, t] - mean) / min(t + 1, memory or t + 1)
        torch.testing.assert_close(found[:, t], mean, atol=1e-6, rtol=1e-5)


def test_it_begins_as_a_wire_and_keeps_the_length() -> None:
    torch.manual_seed(0)
    net = ConvTasNet(SMALL)
    for samples in (1, 15, 16, 17, 1000):
        x = waves(2, samples)
        with torch.no_grad():
            y = net(x)
        assert y.shape == x.shape
        assert float((y - x).norm()) < 0.3 * float(x.norm())


def test_the_mask_reaches_as_far_as_said_and_never_ahead() -> None:
    """By the gradient of one coded frame's mask; cumulative norms remember all, so norms of a frame here."""
    config = dataclasses.replace(SMALL, input_norm="channel")
    torch.manual_seed(0)
    net = ConvTasNet(config).double()
    coded = torch.rand(1, 80, config.filters, dtype=torch.double, requires_grad=True)
    net.masks(coded)[0, 60].sum().backward()
    assert coded.grad is not None
    felt = torch.nonzero(coded.grad[0].abs().sum(-1)).flatten()
    frames = (config.receptive_field_samples - config.kernel_samples) // config.stride_samples + 1
    assert (int(felt.min()), int(felt.max())) == (60 - frames + 1, 60)
    offline = ConvTasNet(dataclasses.replace(config, norm="global", input_norm="global")).double()
    coded.grad = None
    offline.masks(coded)[0, 60].sum().backward()
    assert int(torch.nonzero(coded.grad[0].abs().sum(-1)).max()) == 79


@pytest.fixture(scope="module")
def run(corpora: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """A short run's folder, and its loss before and after."""
    folder = tmp_path_factory.mktemp("tasnet") / "run"
    trainer = Trainer(TASNET, Sources(*corpora), folder)
    assert "receptive field 480 samples (30.0 ms)" in trainer.task.about
    before = trainer.validate()["loss"]
    trainer.run()
    return folder, before, trainer.validate()["loss"]


def test_training_lowers_the_loss_on_held_out_talkers(run: tuple[Path, float, float]) -> None:
    folder, before, after = run
    assert after < before - 0.5
    assert (folder / "curve.png").stat().st_size > 1000
    assert '"si_snr_gain_db"' in (folder / "log.jsonl").read_text()


def test_a_run_is_resumed_and_begun_from(run: tuple[Path, float, float], corpora: tuple[Path, Path, Path]) -> None:
    folder, *_ = run
    again = Trainer(TASNET, Sources(*corpora), folder)
    assert again.step == 40
    other = Trainer(TASNET, Sources(*corpora), folder.with_name("other"), folder / "best.pt")
    assert other.ancestors[0]["step"] == 40
    for one, two in zip(again.average.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(one, two)
    wider = dataclasses.replace(TASNET, network=dataclasses.replace(SMALL, hidden=24))
    with pytest.raises(ModelError, match="other sizes"):
        Trainer(wider, Sources(*corpora), folder.with_name("wider"), folder / "best.pt")
    with pytest.raises(ModelError, match="trains another network"):
        Trainer(CONFIG, Sources(*corpora), folder)
    with pytest.raises(ModelError, match="is of a Conv-TasNet"):
        restore_mask(checkpoint.load(folder / "best.pt"))


@pytest.mark.parametrize("norm", ["channel", "cumulative", "global"])
def test_the_export_gives_what_torch_gives_over_the_whole_recording(
    run: tuple[Path, float, float], tmp_path: Path, norm: str
) -> None:
    state = checkpoint.load(run[0] / "last.pt")
    state["config"]["network"]["norm"] = norm
    if norm == "global":
        state["config"]["network"]["input_norm"] = norm
    for value in state["average"].values():  # as files store them
        if value.numel() >= 4096:
            value.copy_(value.half())
    path = export(state, tmp_path, "toy")
    samples = waves(1, 9001)
    with torch.no_grad():
        expected = restore_tasnet(state)(samples)[0].numpy()
    found = ConvTasNetEnhancer(str(path)).enhance(samples[0].numpy(), 16000)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-5)
    typical = state["calibration"][0].numpy().astype(np.float32) / 32767.0
    full, int8 = (ConvTasNetEnhancer(str(path), p).enhance(typical, 16000) for p in ("float", "int8"))
    assert 0.0 < np.sum((int8 - full) ** 2) < 1e-2 * np.sum(full**2)
    if norm != "global":
        stream = TasNetStream(path)
        pieces = [stream.push(piece) for piece in np.array_split(samples[0].numpy(), 37)]
        np.testing.assert_allclose(np.concatenate([*pieces, stream.flush()]), expected, atol=1e-5)
