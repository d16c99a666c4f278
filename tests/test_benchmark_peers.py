"""Peers of the quality benchmark: aligned outputs, what is not installed is left out, cost summaries."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import peers
from edge.quality.alignment import find_lag


class Delay(peers.Peer):
    """Gives back what it hears, three hops later."""

    def __init__(self, rate_hz: int, hop_samples: int) -> None:
        self.rate_hz, self.hop_samples, self.delay_samples = rate_hz, hop_samples, 3 * hop_samples
        self.reset()

    def reset(self) -> None:
        self._line = [np.zeros(self.hop_samples, np.float32) for _ in range(3)]

    def process(self, block: np.ndarray) -> np.ndarray:
        self._line.append(block.copy())
        return self._line.pop(0)


def speech_like(seconds: float) -> np.ndarray:
    """Noise below 6 kHz under a slow envelope."""
    rng = np.random.default_rng(0)
    n = int(seconds * 16000)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum[int(0.75 * spectrum.size) :] = 0.0
    wave = np.fft.irfft(spectrum, n) * (0.55 + 0.45 * np.sin(np.arange(n) / 1200.0))
    return (0.1 * wave).astype(np.float32)


@pytest.mark.parametrize(("rate_hz", "hop_samples"), [(16000, 128), (48000, 480)])
def test_output_is_aligned_and_as_long_as_the_input(rate_hz: int, hop_samples: int) -> None:
    peer, audio = Delay(rate_hz, hop_samples), speech_like(1.2345)
    assert peer.latency_ms == pytest.approx(4e3 * hop_samples / rate_hz)
    for _ in range(2):  # the second time from a fresh state
        out = peers.enhance(peer, audio)
        assert out.dtype == np.float32
        assert out.shape == audio.shape
        np.testing.assert_allclose(out[200:-200], audio[200:-200], atol=0.0 if rate_hz == 16000 else 2e-4)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        peers.packaged("no-such-distribution-here", ".onnx")
    with pytest.raises(importlib.metadata.PackageNotFoundError, match=r"numpy without \.nothing"):
        peers.packaged("numpy", ".nothing")
    assert peers.packaged("numpy", "numpy/version.py").is_file()


def test_installed_peers_remove_noise_and_keep_time() -> None:
    found = peers.installed()
    if not found:
        pytest.skip("no peer is installed (benchmarks/quality/peers.txt)")
    audio = speech_like(2.0)
    audio[:8000] = 0.0
    noisy = audio + 0.003 * np.random.default_rng(1).standard_normal(audio.size).astype(np.float32)
    for name, peer in found.items():
        out = peers.enhance(peer, noisy)
        assert np.isfinite(out).all(), name
        assert np.mean(out[4000:7000] ** 2) < 0.5 * np.mean(noisy[4000:7000] ** 2), name
        assert abs(find_lag(audio, out, 2000).lag_samples) <= 2, name


def test_a_stepped_network_is_that_network_run_by_itself(tmp_path: Path) -> None:
    """frame, state -> frame * state, frame + state: bound and turn about, as with the state handed on by hand."""
    onnx = pytest.importorskip("onnx")
    from benchmarks.quality.stepped import Stepped

    node, told, real = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node("Mul", ["frame", "state"], ["said"]), node("Add", ["frame", "state"], ["next"])],
        "running",
        [told("frame", real, ["batch", 1, 3]), told("state", real, [1, 1, 3])],
        [told("said", real, ["batch", 1, 3]), told("next", real, [1, 1, 3])],
    )
    path = tmp_path / "running.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), str(path))
    network = Stepped(path, (1, 1, 3))
    options = network.session.get_session_options()
    assert options.enable_cpu_mem_arena  # not the settings that suit this project's own networks
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    for _ in range(2):  # again from a fresh state, an odd number of steps later
        state = np.zeros((1, 1, 3), np.float32)
        for i in range(5):
            network.given[:] = frame = np.float32(i) + np.array([[[0.5, -1.0, 2.0]]], np.float32)
            network.step()
            wanted, state = network.session.run(None, {"frame": frame, "state": state})
            np.testing.assert_array_equal(network.result, wanted)
        network.reset()
