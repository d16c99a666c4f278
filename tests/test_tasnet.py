"""Conv-TasNet without torch: a stream gives what the paper's sums give over the whole recording."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from tasnet_toy import SMALL, random_weights, reference, write_model  # noqa: E402

from edge.enhancers.tasnet import ConvTasNetEnhancer  # noqa: E402
from edge.errors import AudioFileError, ModelError  # noqa: E402
from edge.mask.manifest import load_manifest  # noqa: E402
from edge.profiles import PROFILES  # noqa: E402
from edge.tasnet import TasNetStream  # noqa: E402

KINDS = {
    "channel": SMALL,
    "cumulative": dataclasses.replace(SMALL, norm="cumulative"),
    "cumulative without end": dataclasses.replace(SMALL, norm="cumulative", memory_frames=0),
    "frames of three strides": dataclasses.replace(SMALL, kernel_samples=30, stride_samples=10, kernel=5),
}


def sound(samples: int, seed: int = 3) -> np.ndarray:
    """Noise that comes and goes."""
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.0, 0.3, samples // 1000 + 1), 1000)[:samples]
    return (rng.standard_normal(samples) * envelope).astype(np.float32)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tasnet"), SMALL)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_stream_equals_the_whole_recording_computed_by_the_papers_sums(kind: str, tmp_path: Path) -> None:
    config = KINDS[kind]
    assert config.problems() == []
    stream = TasNetStream(write_model(tmp_path, config))
    samples = sound(5003)
    expected = reference(config, random_weights(config), samples)
    found = np.concatenate([stream.push(samples), stream.flush()])
    assert found.dtype == np.float32
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_chunks_of_any_length_give_the_same_samples(toy: Path) -> None:
    stream, samples = TasNetStream(toy), sound(4001)
    expected = np.concatenate([stream.push(samples), stream.flush()])
    rng = np.random.default_rng(0)
    for lengths in ([1] * 300, [127, 129, 128], list(rng.integers(0, 700, 40))):
        made, at = [], 0
        for length in [*lengths, samples.size]:
            made.append(stream.push(samples[at : at + length]))
            at += length
            # never later than the latency says
            assert sum(map(len, made)) > min(at, samples.size) - stream.latency_samples
        made.append(stream.flush())
        np.testing.assert_array_equal(np.concatenate(made), expected)


def test_latency_is_what_the_manifest_says(toy: Path) -> None:
    """What comes out by the time n samples are in never depends on later ones, and cannot be had earlier."""
    stream = TasNetStream(toy)
    assert stream.latency_samples == 128 + 16
    assert "9.0 ms" in stream.manifest.about
    assert stream.push(sound(127)).size == 0
    assert stream.push(sound(1)).size == 128 - 16


@pytest.mark.parametrize("samples", [0, 1, 15, 16, 17, 128, 143])
def test_short_recordings_keep_their_length(toy: Path, samples: int) -> None:
    stream = TasNetStream(toy)
    for _ in range(2):  # flush leaves it as new
        out = np.concatenate([stream.push(sound(1000)[:samples]), stream.flush()])
        assert out.shape == (samples,)
        np.testing.assert_allclose(out, reference(SMALL, random_weights(SMALL), sound(1000)[:samples]), atol=1e-5)


def test_reset_forgets(toy: Path) -> None:
    stream, samples = TasNetStream(toy), sound(2000)
    expected = stream.push(samples)
    stream.push(sound(1234, 9))
    stream.reset()
    np.testing.assert_array_equal(stream.push(samples), expected)


def test_bad_samples_are_silence_and_do_not_last(toy: Path) -> None:
    stream, samples = TasNetStream(toy), sound(3000)
    broken, silent = samples.copy(), samples.copy()
    broken[500:503] = [np.nan, np.inf, 1e30]
    silent[500:503] = 0.0
    found = [np.concatenate([stream.push(s), stream.flush()]) for s in (broken, silent)]
    np.testing.assert_array_equal(*found)
    with pytest.raises(AudioFileError, match=r"int16 of shape \(5,\), expected floats"):
        stream.push(np.zeros(5, np.int16))


def test_int8_is_near_float_and_has_the_nodes_it_should(toy: Path) -> None:
    samples = sound(8000)
    runs = {}
    for precision in ("float", "int8"):
        stream = TasNetStream(toy, precision)
        runs[precision] = np.concatenate([stream.push(samples), stream.flush()])
    error = runs["int8"] - runs["float"]
    snr_db = 10.0 * np.log10(np.sum(runs["float"] ** 2) / np.sum(error**2))
    assert 20.0 < snr_db < 80.0
    graph = onnx.load(str(toy.with_name("toy.int8.onnx"))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Gemm") == 2 + 2 * len(SMALL.dilations)
    # weights are bytes with a scale per output channel
    weights = {t.name: t for t in graph.initializer}
    quantised = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    matrices = [n for n in quantised if weights[n.input[0]].data_type == onnx.TensorProto.INT8]
    assert len(matrices) == kinds.count("Gemm")
    for node in matrices:
        assert weights[node.input[1]].dims[0] == weights[node.input[0]].dims[1]
    # the encoder and the decoder hear sound itself, in floating point
    assert kinds.count("MatMul") == 2


def test_a_network_with_global_norms_takes_whole_recordings_and_does_not_stream(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, norm="global", input_norm="global")
    path = write_model(tmp_path, config)
    samples = sound(3001)
    found = ConvTasNetEnhancer(str(path)).enhance(samples, 16000)
    np.testing.assert_allclose(found, reference(config, random_weights(config), samples), atol=1e-5)
    with pytest.raises(ModelError, match="so it cannot stream"):
        TasNetStream(path)


def test_the_enhancer_takes_what_a_batch_brings(toy: Path) -> None:
    enhancer = ConvTasNetEnhancer(str(toy))
    once = enhancer.enhance(sound(2000), 16000)
    for samples, rate_hz in ((sound(1), 16000), (sound(0), 16000), (np.zeros(500, np.float32), 16000)):
        assert enhancer.enhance(samples, rate_hz).shape == samples.shape
    for rate_hz in (8000, 44100, 48000):
        for count in (1, 4800):
            out = enhancer.enhance(sound(count), rate_hz)
            assert out.shape == (count,)
            assert np.isfinite(out).all()
    with pytest.raises(AudioFileError, match="conv_tasnet enhances one channel"):
        enhancer.enhance(np.zeros((100, 2), np.float32), 48000)
    again = pickle.loads(pickle.dumps(enhancer))
    assert again.identity == enhancer.identity != ConvTasNetEnhancer(str(toy), "int8").identity
    np.testing.assert_array_equal(again.enhance(sound(2000), 16000), once)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mask"}, "is a 'mask'; expected the manifest of a 'conv_tasnet'"),
        ({"format": 9}, "has format 9, this program reads format 1"),
        ({"overlap": 1}, "overlap should be from 2 to 64"),
        ({"block_frames": 4}, r"input.shape should be \[4, 16\]"),
        ({"states": []}, "has other inputs than its manifest says"),
        ({"name": 3}, "name should be text"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_sentence(
    toy: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    for file in toy.parent.glob("*.onnx"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(json.loads(toy.read_text()) | changes))
    with pytest.raises(ModelError, match=message):
        TasNetStream(path)


def test_files_are_proven_and_names_resolved(toy: Path, tmp_path: Path) -> None:
    for file in (toy, *toy.parent.glob("*.onnx")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    network = tmp_path / "toy.float.onnx"
    content = bytearray(network.read_bytes())
    content[-1] ^= 1
    network.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged"):
        TasNetStream(tmp_path / "toy.json")
    with pytest.raises(ModelError, match="model 'nonesuch' is not known"):
        ConvTasNetEnhancer("nonesuch")
    with pytest.raises(ModelError, match="is a 'conv_tasnet', expected a mask network"):
        load_manifest(toy, PROFILES["assistant"])
