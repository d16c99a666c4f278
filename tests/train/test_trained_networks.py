"""From torch to the live path: the same features, the same gains, graphs, and networks begun from others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import CONFIG  # noqa: E402

from edge.errors import ModelError  # noqa: E402
from edge.mask.network import NetworkMask, resolve_model  # noqa: E402
from edge.profiles import PROFILES  # noqa: E402
from edge.stft import Stft  # noqa: E402
from models import checkpoint  # noqa: E402
from models.config import MaskConfig  # noqa: E402
from models.export import export  # noqa: E402
from models.frontend import FrontEnd  # noqa: E402
from models.graph import build_graph  # noqa: E402
from models.net import MaskNet  # noqa: E402
from models.onnx_files import store_in_half  # noqa: E402
from models.restore import restore_mask  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.trainer import Trainer  # noqa: E402
from models.transfer import band_map, transfer  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_live_features_are_those_of_training_from_the_first_frame_on(name: str) -> None:
    """Wave -> live transform and network, against wave -> torch."""
    profile = PROFILES[name]
    mask = NetworkMask(resolve_model(f"mono-{name}"), profile, "float")
    every = mask.manifest.run_every_hops
    front = FrontEnd(profile, every)
    front.mean, front.inverse_std = (
        torch.from_numpy(a.copy()) for a in (mask.manifest.mean, mask.manifest.inverse_std)
    )
    wave = np.random.default_rng(1).standard_normal(8000).astype(np.float32) * np.float32(0.1)
    expected = front.features(front.spectra(torch.from_numpy(wave[None])))[:, 0].numpy()
    stft = Stft(profile, 1)
    found, gain = [], np.zeros(profile.bins, np.float32)
    for hop in range(wave.size // profile.hop_samples):
        block = wave[hop * profile.hop_samples : (hop + 1) * profile.hop_samples]
        stft.history[0] = np.concatenate([stft.history[0, block.size :], block])
        stft.analyze()
        mask.step((stft.spectrum_re[0] + 1j * stft.spectrum_im[0]).astype(np.complex64), gain)
        if hop % every == every - 1:
            found.append(mask._extractor.features.reshape(-1).copy())
    np.testing.assert_allclose(np.stack(found), expected[: len(found)], atol=2e-2)


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_export_streams_what_torch_computes(name: str, corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Waves -> torch, against waves -> spectra -> NetworkMask hop by hop: gains within 1e-3 (16-bit weights)."""
    profile = PROFILES[name]
    every = {"assistant": 1, "hearing": 4}[name]
    config = dataclasses.replace(CONFIG, network=MaskConfig(name, every, hidden=24), max_steps=6, validate_every=6)
    trainer = Trainer(config, Sources(*corpora), tmp_path / "run")
    trainer.run()
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    manifest = export(state, tmp_path / "out", "toy")
    net, front = restore_mask(state)
    spectra = trainer.task.source.batch(0).heard[:, :1]
    with torch.no_grad():
        expected = (net(front.features(spectra))[0] @ front.interpolation)[:, 0].numpy()
    mask = NetworkMask(manifest, profile, "float")
    gain = np.zeros(profile.bins, np.float32)
    worst = 0.0
    for t, spectrum in enumerate(np.ascontiguousarray(spectra[:, 0].numpy())):
        for _ in range(every):
            mask.step(spectrum, gain)
        worst = max(worst, float(np.abs(gain - expected[t]).max()))
    assert worst < 1e-3
    int8 = NetworkMask(manifest, profile, "int8")
    for spectrum in np.ascontiguousarray(spectra[:, 0].numpy()):
        for _ in range(every):
            int8.step(spectrum, gain)
    assert np.abs(gain - expected[-1]).max() < 0.05


def test_a_graph_stored_in_half_runs_without_casts_and_says_nearly_the_same(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    torch.manual_seed(0)
    full = build_graph(MaskNet(71, 142, 64))
    half = store_in_half(full)
    assert half.ByteSize() < 0.55 * full.ByteSize()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(half.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(options.optimized_model_filepath)
    assert "Cast" not in {n.op_type for n in optimised.graph.node}
    assert {i.data_type for i in optimised.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    plain = onnxruntime.InferenceSession(full.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst, ends = 0.0, [{k: np.zeros((1, 1, 64), np.float32) for k in ("h1", "c1", "h2", "c2")} for _ in range(2)]
    for _ in range(200):
        frame = rng.standard_normal((1, 1, 142)).astype(np.float32)
        found = [
            s.run(None, {"features": frame, "direct": frame, **end}) for s, end in zip((run, plain), ends, strict=True)
        ]
        ends = [dict(zip(("h1", "c1", "h2", "c2"), f[1:], strict=True)) for f in found]
        worst = max(worst, float(np.abs(found[0][0] - found[1][0]).max()))
    assert 0.0 < worst < 1e-3


def test_front_end_frames_end_where_the_live_hops_end() -> None:
    for name, every in (("assistant", 1), ("hearing", 4)):
        front = FrontEnd(PROFILES[name], every)
        wave = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4096)).astype(np.float32))
        spectra = front.spectra(wave)[:, 0].numpy()
        padded = np.concatenate([np.zeros(1024, np.float32), wave[0].numpy()])
        length, hop = PROFILES[name].window_samples, front.frame_hop
        for t in (0, 1, 7):
            end = 1024 + (t + 1) * hop
            expected = np.fft.rfft(padded[end - length : end] * front.window.numpy())
            np.testing.assert_allclose(spectra[t], expected, atol=1e-4)
        delayed = front.spectra(wave, 64)[:, 0].numpy()
        expected = np.fft.rfft(padded[1024 + hop + 64 - length : 1024 + hop + 64] * front.window.numpy())
        np.testing.assert_allclose(delayed[0], expected, atol=1e-4)
        assert delayed.shape == spectra.shape


def test_the_network_is_causal() -> None:
    torch.manual_seed(0)
    net = MaskNet(20, 40, 16)
    x = torch.randn(30, 1, 40)
    changed = x.clone()
    changed[15:] += 1.0
    with torch.no_grad():
        a, b = net(x)[0], net(changed)[0]
        first, state = net(x[:10])
        second, _ = net(x[10:], state)
    assert torch.equal(a[:15], b[:15])
    assert not torch.allclose(a[15:], b[15:])
    torch.testing.assert_close(torch.cat([first, second]), a, atol=1e-6, rtol=0)


def test_starting_from_another_profile_maps_bands_by_frequency() -> None:
    fronts = {name: FrontEnd(PROFILES[name]) for name in ("assistant", "hearing")}
    a, h = fronts["assistant"], fronts["hearing"]
    same = band_map(a.layout, a.profile, a.layout, a.profile)
    torch.testing.assert_close(same, torch.eye(a.layout.bands))
    down = band_map(a.layout, a.profile, h.layout, h.profile)
    up = band_map(h.layout, h.profile, a.layout, a.profile)
    # what is linear in frequency over the hearing bands is the same line over the assistant's
    hz = {
        n: torch.from_numpy(f.layout.centre_bins * (16000.0 / f.profile.window_samples)).float()
        for n, f in fronts.items()
    }
    torch.testing.assert_close(down @ hz["hearing"], hz["assistant"])
    torch.testing.assert_close(up @ hz["assistant"], hz["hearing"])
    torch.manual_seed(0)
    source = MaskNet(a.layout.bands, 2 * a.layout.bands, 16)
    into = MaskNet(h.layout.bands, 2 * h.layout.bands, 16)
    transfer(source, into, down, up)
    features = torch.randn(12, 1, 2 * h.layout.bands)
    mapped = torch.cat([part @ down.T for part in features.chunk(2, -1)], -1)
    with torch.no_grad():
        # the recurrent part and the head are the source's on mapped features; only slopes meet each band's own feature
        x = mapped
        for lstm in source.lstms:
            x, _ = lstm(x)
        theta, slope = (part @ up.T for part in source.head(x).chunk(2, -1))
        expected = torch.sigmoid(theta + slope * features[..., : h.layout.bands])
        torch.testing.assert_close(into(features)[0], expected, atol=1e-5, rtol=0)
    with pytest.raises(ModelError, match="2 x 16 units, expected 2 x 24 units"):
        transfer(source, MaskNet(h.layout.bands, 2 * h.layout.bands, 24), down, up)


def test_a_network_for_arrays_begins_as_the_one_for_one_microphone() -> None:
    """Whatever the cues say at first, the gains are those of the source."""
    torch.manual_seed(0)
    bands = 9
    source, into = MaskNet(bands, 2 * bands, 16), MaskNet(bands, 4 * bands, 16)
    transfer(source, into, torch.eye(bands), torch.eye(bands))
    features = torch.randn(20, 2, 4 * bands)
    alone = torch.cat([features[..., :bands], features[..., -bands:]], -1)
    with torch.no_grad():
        torch.testing.assert_close(into(features)[0], source(alone)[0], atol=1e-6, rtol=0)
