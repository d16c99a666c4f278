"""The bidirectional mask network: it learns, and its enhancer computes what torch computes, aligned to the sample."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import CONFIG  # noqa: E402

from edge.enhancers import blstm  # noqa: E402
from edge.enhancers.blstm import BlstmEnhancer  # noqa: E402
from edge.errors import AudioFileError, ModelError  # noqa: E402
from edge.stft import Stft  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import BlstmConfig  # noqa: E402
from models.export import export  # noqa: E402
from models.net import MaskNet  # noqa: E402
from models.restore import restore_mask  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.trainer import Trainer  # noqa: E402
from models.transfer import transfer  # noqa: E402

pytestmark = pytest.mark.train

BLSTM = dataclasses.replace(CONFIG, network=BlstmConfig(hidden=20))


@pytest.fixture(scope="module")
def made(corpora: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A short run's folder, its exported manifest, and by how much the held-out loss fell."""
    folder = tmp_path_factory.mktemp("blstm")
    trainer = Trainer(BLSTM, Sources(*corpora), folder / "run")
    before = trainer.validate()["loss"]
    trainer.run()
    manifest = export(checkpoint.load(folder / "run" / "last.pt"), folder / "out", "toy")
    return folder / "run", manifest, before - trainer.validate()["loss"]


def sound(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(2).standard_normal(samples)).astype(np.float32)


def test_it_learns_and_hears_both_ways(made: tuple[Path, Path, float]) -> None:
    assert made[2] > 0.05
    torch.manual_seed(0)
    net = MaskNet(9, 18, 8, bidirectional=True)
    features = torch.randn(20, 1, 18, requires_grad=True)
    net(features)[0][10].sum().backward()
    assert features.grad is not None
    assert (features.grad.abs().sum((1, 2)) > 0.0).all()


def test_it_may_begin_as_a_causal_network_and_then_learns_to_hear_backwards_too() -> None:
    torch.manual_seed(0)
    same = torch.eye(9)
    causal, net = MaskNet(9, 18, 8, local_units=3), MaskNet(9, 18, 8, bidirectional=True)
    transfer(causal, net, same, same)
    causal.local = None
    features = torch.randn(20, 2, 18)
    torch.testing.assert_close(net(features)[0], causal(features)[0], atol=1e-6, rtol=0)
    net(features)[0].square().sum().backward()
    grad = net.head.weight.grad
    assert grad is not None
    assert grad[:, 8:].abs().min() > 0.0
    with pytest.raises(ModelError, match="cannot start from a network of 2 x 8 units both ways"):
        transfer(net, causal, same, same)


def test_the_enhancer_computes_what_torch_does(made: tuple[Path, Path, float]) -> None:
    run, manifest, _ = made
    net, front = restore_mask(checkpoint.load(run / "last.pt"))
    enhancer = BlstmEnhancer(str(manifest))
    hop, samples = front.frame_hop, sound(8000)
    # frames until the last sample has left the overlap-add
    padded = np.pad(samples, (0, -samples.size % hop + hop))
    features = front.features(front.spectra(torch.from_numpy(padded[None])))
    found = enhancer.features(samples)
    assert found.shape == features.shape
    np.testing.assert_allclose(found, features.numpy(), atol=2e-2)
    with torch.no_grad():
        expected = net(torch.from_numpy(found))[0].numpy()
    gains = {}
    for precision in ("float", "int8"):
        one = BlstmEnhancer(str(manifest), precision=precision)
        gains[precision] = one._session.run(["gains"], {"features": found})[0]
    assert np.abs(gains["float"] - expected).max() < 1e-3  # weights in 16 bits
    assert np.abs(gains["int8"] - expected).max() < 0.1


def test_the_output_is_aligned_and_has_the_length_of_the_input(made: tuple[Path, Path, float]) -> None:
    _, manifest, _ = made
    wire = BlstmEnhancer(str(manifest), floor_db=0.0)  # no gain below one: nothing may change
    for samples in (1, 127, 128, 129, 5003):
        np.testing.assert_allclose(wire.enhance(sound(samples), 16000), sound(samples), atol=1e-5)
    enhancer = BlstmEnhancer(str(manifest))
    for samples, rate_hz in ((0, 16000), (1, 48000), (4801, 44100)):
        out = enhancer.enhance(sound(samples), rate_hz)
        assert out.shape == (samples,)
        assert np.isfinite(out).all()
    assert not enhancer.enhance(np.zeros(3000, np.float32), 16000).any()
    with pytest.raises(AudioFileError, match="blstm enhances one channel"):
        enhancer.enhance(np.zeros((100, 2), np.float32), 16000)
    again = pickle.loads(pickle.dumps(enhancer))
    assert again.identity == enhancer.identity != wire.identity
    np.testing.assert_array_equal(again.enhance(sound(3000), 16000), enhancer.enhance(sound(3000), 16000))


def test_a_long_recording_in_pieces_is_the_whole_one(
    made: tuple[Path, Path, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes of noise and syllables whose levels wander: gains within 2e-3, an error 60 dB down."""
    enhancer = BlstmEnhancer(str(made[1]))
    t = np.arange(300 * 16000) / 16000
    noise = np.random.default_rng(4).standard_normal(t.size) * 10.0 ** (-2.0 + 0.5 * np.sin(2 * np.pi * t / 131.0))
    syllables = np.sin(2 * np.pi * 190.0 * t) * np.clip(np.sin(2 * np.pi * 2.7 * t), 0.0, None)
    recording = (noise + 0.1 * syllables * (np.sin(2 * np.pi * t / 17.0) > -0.3)).astype(np.float32)
    whole = enhancer.gains(enhancer.features(recording))
    network, masked = enhancer.gains, blstm._InPieces._masked
    heard, used = [], []

    def noted(features: np.ndarray) -> np.ndarray:
        heard.append(len(features))
        return network(features)

    def kept(pieces: blstm._InPieces, stft: Stft, spectra: np.ndarray, gains: np.ndarray) -> np.ndarray:
        used.append(gains.copy())
        return masked(pieces, stft, spectra, gains)

    monkeypatch.setattr(enhancer, "gains", noted)
    monkeypatch.setattr(blstm._InPieces, "_masked", kept)
    out = enhancer.enhance(recording, 16000)
    hop_s = enhancer.profile.hop_ms / 1000.0
    assert len(heard) == 7  # a frame more than six have room for
    assert max(heard) == round(blstm.PIECE_S / hop_s)
    assert sum(heard) == len(whole) + 6 * round(blstm.OVERLAP_S / hop_s)
    found = np.concatenate(used)
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 2e-3
    monkeypatch.setattr(blstm, "PIECE_S", 1e6)
    heard.clear()
    expected = enhancer.enhance(recording, 16000)
    assert heard == [len(whole)]
    assert np.sum((out - expected) ** 2) < 1e-6 * np.sum(expected**2)


def test_another_kind_of_model_is_refused(made: tuple[Path, Path, float], tmp_path: Path) -> None:
    _, manifest, _ = made
    for file in manifest.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / manifest.name
    text = path.read_text()
    path.write_text(text.replace('"kind": "blstm"', '"kind": "conv_tasnet"'))
    with pytest.raises(ModelError, match="is a 'conv_tasnet'; expected the manifest of a 'blstm'"):
        BlstmEnhancer(str(path))
    path.write_text(text.replace('"format": 1', '"format": 9', 1))
    with pytest.raises(ModelError, match="format should be 1, which"):
        BlstmEnhancer(str(path))
    path.write_text(text.replace("log10 of mean power", "power"))
    with pytest.raises(ModelError, match=r"features\.kind should be"):
        BlstmEnhancer(str(path))
