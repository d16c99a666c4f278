"""Conv-TasNet as a public stream: the same face and the same promises as Enhancer."""

from __future__ import annotations

import numpy as np
import pytest
from live_parts import recording

onnx = pytest.importorskip("onnx")

from tasnet_toy import SMALL, write_model  # noqa: E402

from edge import Enhancer, WaveEnhancer  # noqa: E402
from edge.errors import AudioFileError, ConfigError, ModelError  # noqa: E402
from edge.tasnet import TasNetStream  # noqa: E402


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("tasnet"), SMALL)


def cut(samples, seed, largest):
    rng, at = np.random.default_rng(seed), 0
    while at < len(samples):
        size = int(rng.integers(0, largest))
        yield samples[at : at + size]
        at += size


def test_at_its_own_rate_it_is_the_network_itself(toy):
    samples = recording(5003, 1)[:, 0]
    stream = TasNetStream(toy)
    expected = np.concatenate([stream.push(samples), stream.flush()])
    out = np.concatenate(list(WaveEnhancer(toy).stream(cut(samples, 1, 300))))
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("rate_hz", "low_latency"), [(16000, False), (48000, False), (44100, True)])
def test_any_chunks_reset_and_lag(toy, rate_hz, low_latency):
    samples = recording(9001, 1)[:, 0]
    enhancer = WaveEnhancer(toy, rate_hz, low_latency=low_latency)
    whole = np.concatenate(list(enhancer.stream([samples])))
    assert (whole.shape, whole.dtype) == (samples.shape, np.float32)
    enhancer.reset()
    made, taken = [], 0
    for chunk in cut(samples, 2, 90):
        made.append(enhancer.push(chunk))
        taken += len(chunk)
        assert taken - sum(map(len, made)) <= enhancer.lag_frames
    np.testing.assert_array_equal(np.concatenate([*made, enhancer.flush()]), whole)
    with pytest.raises(RuntimeError, match="reset"):
        enhancer.push(samples)


def test_what_does_not_fit_is_one_sentence(toy, tmp_path):
    with pytest.raises(AudioFileError, match=r"expected \(frames, 1\)"):
        WaveEnhancer(toy).push(np.zeros((10, 2), np.float32))
    with pytest.raises(ConfigError, match="rate_hz is 100"):
        WaveEnhancer(toy, 100)
    with pytest.raises(ModelError, match="conv_tasnet"):
        Enhancer.mono(model=toy)
    with pytest.raises(ModelError, match="does not exist"):
        WaveEnhancer(tmp_path / "none.json")
