"""Enhancer, the public streaming class: any chunks, any network with a manifest, streams, reset, threads, rates."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from live_parts import SQUARE, live_config, recording
from network_files import copy_network, edit, replace_network

import edge
from edge import Enhancer, enhance_array
from edge.config import config_from_dict
from edge.errors import AudioFileError, ConfigError, ModelError
from edge.runtime.denormals import flushes_denormals, without_denormals
from edge.steps import Median

RATE_HZ = 16000


def cut(samples, seed, largest):
    """The samples in chunks of random lengths, empty ones among them."""
    rng, at = np.random.default_rng(seed), 0
    while at < len(samples):
        size = int(rng.integers(0, largest))
        yield samples[at : at + size]
        at += size


def streamed(enhancer, samples, seed=0, largest=900):
    return np.concatenate(list(enhancer.stream(cut(samples, seed, largest))))


# ---- made without a configuration ----


@pytest.mark.parametrize("mask", ["network", "wiener", "spectral_subtraction", "bypass"])
def test_mono_is_the_offline_result_of_the_same_configuration(mask):
    samples = recording(9000, 1)[:, 0]
    config = config_from_dict({"mask": {"kind": mask}, "output": {"kind": "null", "channels": ["listen"]}})
    out = streamed(Enhancer.mono(mask=mask), samples)
    assert (out.shape, out.dtype) == ((9000,), np.float32)
    np.testing.assert_array_equal(out, enhance_array(samples, RATE_HZ, config)[:, 0])
    assert np.abs(out).max() > 0.02


def test_an_array_by_board_and_by_positions():
    samples = recording(5000)
    table = {"array": {"positions_m": SQUARE}, "output": {"kind": "null"}}
    both = streamed(Enhancer.array(SQUARE, outputs=("listen", "asr")), samples)
    np.testing.assert_array_equal(both, enhance_array(samples, RATE_HZ, config_from_dict(table)))
    board = Enhancer.array("respeaker_4mic_square", mask="wiener", floor_db=-12.0)
    assert board.pipeline.gain_floor_db == -12.0
    assert streamed(board, samples).shape == (5000,)


@pytest.mark.parametrize("name", ["mono-assistant", "mono-hearing"])
def test_a_network_brings_its_profile_along(name, tmp_path):
    """By name, and as a file of anybody's: the same network gives the same bits."""
    samples = recording(4000, 1)[:, 0]
    path = copy_network(tmp_path, "mine", name)
    named = Enhancer.mono(model=name, precision="float")
    assert named.pipeline.profile.name == name.split("-")[1]
    np.testing.assert_array_equal(
        streamed(named, samples), streamed(Enhancer.mono(model=path, precision="float"), samples)
    )


def test_an_array_network_by_its_path(tmp_path):
    path = copy_network(tmp_path, "mine", "array-assistant")
    copy_network(tmp_path, "ears")
    edit(path, lambda data: data.update(listener="ears"))
    samples = recording(6000)
    own = Enhancer.array(SQUARE, model=path)
    assert own.estimator.manifest.path == path
    np.testing.assert_array_equal(streamed(own, samples), streamed(Enhancer.array(SQUARE), samples))


def test_a_network_of_another_architecture_runs_with_its_manifest(tmp_path):
    """Nothing but the manifest is known of a network: here one gain for all bands, that forgets slowly."""
    onnx = pytest.importorskip("onnx")
    path = copy_network(tmp_path, "other")
    data = json.loads(path.read_text())
    model = onnx.load(tmp_path / data["files"]["int8"]["file"])
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    direct, given, gains = data["direct"]["name"], data["input"]["name"], data["output"]["name"]
    state = {"input": "level_in", "output": "level_out", "shape": [1, 1, 1]}

    def info(name, shape):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    def constant(name, value):
        return onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, list(np.shape(value)), np.ravel(value))

    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("ReduceMean", [direct, "axis"], ["mean"], keepdims=1),
            node("Mul", ["level_in", "old"], ["kept"]),
            node("Mul", ["mean", "new"], ["fresh"]),
            node("Add", ["kept", "fresh"], ["level_out"]),
            node("Sigmoid", ["level_out"], ["one"]),
            node("Mul", ["one", "ones"], [gains]),
        ],
        "other",
        [info(given, shapes[given]), info(direct, shapes[direct]), info("level_in", [1, 1, 1])],
        [info(gains, shapes[gains]), info("level_out", [1, 1, 1])],
        [
            constant("old", np.float32([0.9])),
            constant("new", np.float32([0.1])),
            constant("ones", np.ones(shapes[gains], np.float32)),
            onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [2]),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    made = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    replace_network(path, made.SerializeToString())
    edit(path, lambda data: data.update(states=[state]))
    samples = recording(8000, 1)[:, 0]
    other = Enhancer.mono(model=path, precision="int8")
    whole = streamed(other, samples, largest=10**6)
    np.testing.assert_array_equal(streamed(other, samples, seed=3), whole)
    ratio = np.abs(whole[6000:]).max() / np.abs(samples[6000:]).max()
    assert 0.1 < ratio < 0.98, "it did what the graph says, not what the shipped one does"
    assert not np.array_equal(whole, streamed(Enhancer.mono(), samples))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Enhancer.mono(mask="magic"), ConfigError, "mask.kind"),
        (lambda: Enhancer.mono(model="mono-asistant"), ModelError, "did you mean 'mono-assistant'"),
        (lambda: Enhancer.mono(model="/none/mine.json"), ModelError, "does not exist"),
        (lambda: Enhancer.mono(mask="wiener", model="mono-assistant"), ConfigError, "give one of them"),
        (lambda: Enhancer.mono(rate_hz=0), ConfigError, "rate_hz is 0, expected from 4000"),
        (lambda: Enhancer.mono("16000"), ConfigError, "rate_hz is '16000', expected from 4000"),
        (lambda: Enhancer.mono(None), ConfigError, "rate_hz is None, expected from 4000"),
        (lambda: Enhancer.array(5), ConfigError, r"positions_m: got 5, expected a list of \[x, y, z\]"),
        (lambda: Enhancer.array([5, 6]), ConfigError, r"positions_m: got \[5, 6\], expected a list of \[x, y, z\]"),
        (lambda: Enhancer.mono(flor_db=-3.0), ConfigError, "floor_db"),
        (lambda: Enhancer.array("respeaker_4mic_squar"), ConfigError, "did you mean respeaker_4mic_square"),
        (lambda: Enhancer(live_config(), RATE_HZ, flat=True), ConfigError, "flat is for one output"),
    ],
)
def test_what_cannot_be_made_says_why(make, error, words):
    with pytest.raises(error, match=words):
        make()


# ---- streams ----


@pytest.mark.parametrize("rate_hz", [16000, 48000, 44100, 8000])
@pytest.mark.parametrize("low_latency", [False, True])
@pytest.mark.parametrize("largest", [2, 40, 5000])
def test_any_chunks_at_any_rate_give_the_same_bits(rate_hz, low_latency, largest):
    samples = recording(1500 if largest == 2 else 20000, 1)[:, 0]
    enhancer = Enhancer.mono(rate_hz, mask="wiener", low_latency=low_latency)
    whole = streamed(enhancer, samples, largest=10**6)
    assert whole.shape == samples.shape
    np.testing.assert_array_equal(streamed(enhancer, samples, largest, largest), whole)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
@pytest.mark.parametrize("low_latency", [False, True])
def test_what_comes_out_is_never_further_behind_than_lag_frames(rate_hz, low_latency):
    enhancer = Enhancer.mono(rate_hz, mask="bypass", low_latency=low_latency)
    taken = given = worst = 0
    for chunk in cut(np.zeros(4 * rate_hz, np.float32), 5, 200):
        taken += len(chunk)
        given += len(enhancer.push(chunk))
        worst = max(worst, taken - given)
    slack_ms = 0 if rate_hz == RATE_HZ else 5 if low_latency else 60
    assert enhancer.lag_frames - slack_ms * rate_hz // 1000 <= worst <= enhancer.lag_frames
    if low_latency:
        assert enhancer.lag_frames < 0.025 * rate_hz


def test_low_latency_conversion_keeps_time_and_shape():
    t = np.arange(48000) / 48000
    tone = (0.2 * np.sin(2 * np.pi * 700 * t) + 0.1 * np.sin(2 * np.pi * 3100 * t)).astype(np.float32)
    out = streamed(Enhancer.mono(48000, mask="bypass", low_latency=True), tone)
    np.testing.assert_allclose(out[4800:-4800], tone[4800:-4800], atol=2e-4)


def test_a_stream_yields_as_soon_as_something_is_finished_and_flushes_at_the_end():
    enhancer, fed = Enhancer.mono(mask="bypass"), []
    samples = recording(1000, 1)[:, 0]

    def chunks():
        for first in range(0, 1000, 50):
            fed.append(first)
            yield samples[first : first + 50]

    lengths, when = [], []
    for made in enhancer.stream(chunks()):
        lengths.append(len(made))
        when.append(len(fed))
    assert 0 not in lengths
    assert sum(lengths) == 1000
    # a hop of 128 after one of delay: with the 6th chunk of 50 the second hop is whole, and the first comes out
    assert when[:2] == [6, 8]
    assert lengths[-1] == 1000 - 128 * 6


def test_a_stream_without_end_needs_no_end():
    enhancer = Enhancer.mono(mask="bypass")
    noise = np.random.default_rng(0).standard_normal(160).astype(np.float32) * 0.01

    def for_ever():
        while True:
            yield noise

    stream = enhancer.stream(for_ever())
    assert sum(len(next(stream)) for _ in range(100)) >= 100 * 128


def test_an_empty_stream_gives_nothing():
    assert list(Enhancer.mono(mask="bypass").stream([])) == []
    assert list(Enhancer.mono(48000, mask="bypass").stream([np.zeros(0, np.float32)])) == []


def test_two_streams_at_once_are_refused():
    enhancer = Enhancer.mono(mask="bypass")
    chunks = [np.zeros(400, np.float32)] * 3
    first = enhancer.stream(chunks)
    next(first)
    next(enhancer.stream(chunks))
    with pytest.raises(RuntimeError, match="another stream"):
        next(first)


def test_the_caller_may_write_over_a_chunk():
    samples = recording(3000, 1)[:, 0]
    expected = streamed(Enhancer.mono(mask="wiener"), samples)
    enhancer, block, made = Enhancer.mono(mask="wiener"), np.zeros(100, np.float32), []
    for first in range(0, 3000, 100):
        block[:] = samples[first : first + 100]
        made.append(enhancer.push(block))
        block.fill(9.0)
    np.testing.assert_array_equal(np.concatenate([*made, enhancer.flush()]), expected)


# ---- reset ----


@pytest.mark.parametrize("before", ["nothing", "pushed", "flushed", "nan"])
@pytest.mark.parametrize("make", [lambda: Enhancer.mono(44100), lambda: Enhancer.array(SQUARE)], ids=["mono", "array"])
def test_after_a_reset_it_is_as_new(before, make):
    enhancer = make()
    samples = recording(6000, enhancer.channels)
    other = recording(7000, enhancer.channels, seed=9)
    if before == "nan":
        other[100:200] = np.nan
    if before != "nothing":
        enhancer.push(other)
        enhancer.pipeline.set_bypass(True)
    if before == "flushed":
        enhancer.flush()
    enhancer.reset()
    fresh = make()
    np.testing.assert_array_equal(
        np.concatenate([enhancer.push(samples), enhancer.flush()]), np.concatenate([fresh.push(samples), fresh.flush()])
    )
    mine, its = enhancer.report(), fresh.report()
    for timed in ("real_time_factor", "hop_ms", "stage_ms"):
        mine.pop(timed), its.pop(timed)
    assert mine == its


def test_flushing_again_gives_nothing_and_pushing_on_is_refused():
    enhancer = Enhancer.mono(mask="bypass")
    enhancer.push(np.zeros(300, np.float32))
    assert enhancer.flush().shape == (300 - 128,)
    assert enhancer.flush().shape == (0,)
    with pytest.raises(RuntimeError, match=r"reset\(\)"):
        enhancer.push(np.zeros(1, np.float32))


def test_a_refused_chunk_changes_nothing():
    samples = recording(2000, 1)[:, 0]
    enhancer = Enhancer.mono(mask="wiener")
    first = enhancer.push(samples[:700])
    for bad in (np.zeros((5, 2), np.float32), np.zeros(5, np.int64)):
        with pytest.raises(AudioFileError):
            enhancer.push(bad)
    rest = np.concatenate([first, enhancer.push(samples[700:]), enhancer.flush()])
    np.testing.assert_array_equal(rest, streamed(Enhancer.mono(mask="wiener"), samples))


# ---- surroundings ----


def test_the_thread_makes_no_difference_and_keeps_its_arithmetic():
    """A fade below the smallest normal number, on a thread that flushes denormals and on one that does not."""
    samples = (recording(16000, 1)[:, 0] * np.geomspace(1.0, 1e-42, 16000)).astype(np.float32)
    enhancer, made = Enhancer.mono(), []

    def work():
        with without_denormals():
            made.append((streamed(enhancer, samples), flushes_denormals()))
        ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))
        made.append((streamed(enhancer, samples), flushes_denormals()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (flushing, did), (plain, does) = made
    np.testing.assert_array_equal(flushing, plain)
    if sys.platform == "linux":
        assert (did, does) == (True, False)


def test_import_edge_loads_nothing_and_the_names_are_found():
    script = "import json, sys, edge; print(json.dumps([sorted(sys.modules), dir(edge)]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    modules, names = json.loads(done.stdout)
    assert not {"numpy", "numba", "scipy", "onnxruntime", "soundfile"} & set(modules)
    assert [name for name in modules if name.startswith("edge.")] == []
    assert set(edge.__all__) <= set(names)
    for name in edge.__all__:
        assert getattr(edge, name) is not None
    with pytest.raises(AttributeError, match="Enhansser"):
        edge.Enhansser  # noqa: B018


@pytest.mark.parametrize("values", [[], [3.0], [1.0, 2.0], [5.0, 1.0, 1.0, 9.0], [-2.5] * 7 + [40.0]])
def test_the_median_in_bounded_memory(values):
    median = Median()
    for value in values:
        median.note(value)
    assert median.value == (pytest.approx(np.median(values)) if values else None)
