"""The shipped networks in the live path: manifests, state, parity of precisions, bad numbers, silence."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from network_files import copy_network, edit, network_bytes, spoil_network

from edge.errors import ModelError
from edge.kernels import bands
from edge.mask.features import Rates
from edge.mask.manifest import Manifest
from edge.mask.network import NetworkMask, _shared_session, resolve_model
from edge.profiles import PROFILES
from edge.resources import data_folder

INT8_BOUND = 0.2
"""largest difference of any gain between the int8 and the float network"""
INT8_MEAN_BOUND = 0.005

both = pytest.mark.parametrize("name", ["assistant", "hearing"])
precisions = pytest.mark.parametrize("precision", ["float", "int8"])


def spectra(name: str, frames: int, seed: int = 0, level_dbfs: float = -25.0) -> np.ndarray:
    """Noise whose level and colour change every 20 frames, complex64 (frames, bins)."""
    rng = np.random.default_rng(seed)
    bins = PROFILES[name].bins
    shape = 10.0 ** rng.uniform(-1.5, 0.5, (frames // 20 + 1, bins)).repeat(20, axis=0)[:frames]
    x = rng.standard_normal((frames, bins)) + 1j * rng.standard_normal((frames, bins))
    return (x * shape * 10.0 ** (level_dbfs / 20.0) * 10.0).astype(np.complex64)


def run(mask: NetworkMask, frames: np.ndarray) -> np.ndarray:
    out = np.zeros(frames.shape, np.float32)
    for spectrum, gain in zip(frames, out, strict=True):
        mask.step(spectrum, gain)
    return out


def make(name: str, precision: str = "int8") -> NetworkMask:
    return NetworkMask(resolve_model(f"mono-{name}"), PROFILES[name], precision)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A manifest with its files that a test may damage."""
    for path in data_folder("models").glob("mono-assistant*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "mono-assistant.json"


@both
@precisions
def test_gains_are_gains_and_presence_is_them(name: str, precision: str) -> None:
    mask = make(name, precision)
    out = run(mask, spectra(name, 100))
    assert np.isfinite(out).all()
    assert out.min() >= 0.0
    assert out.max() <= 1.0
    assert out.std() > 1e-4
    np.testing.assert_array_equal(mask.presence, out[-1])


@both
def test_streaming_equals_the_graph_run_directly(name: str) -> None:
    """Ping-pong bindings against a plain session that is handed its state back every time."""
    profile = PROFILES[name]
    mask = make(name, "float")
    manifest = mask.manifest
    frames = spectra(name, 60)
    got = run(mask, frames)
    session = onnxruntime.InferenceSession(str(manifest.network_file("float")), providers=["CPUExecutionProvider"])
    feed = {i: np.zeros(s, np.float32) for i, _, s in manifest.states}
    layout, count = manifest.layout, manifest.layout.bands
    weights = layout.matrix().astype(np.float64)
    names = [manifest.output_name, *(o for _, o, _ in manifest.states)]
    rates = Rates(profile.hop_ms * manifest.run_every_hops)
    smooth, noise, over = np.zeros((3, count), np.float32)
    for n, t in enumerate(range(manifest.run_every_hops - 1, 56, manifest.run_every_hops)):
        power = weights @ np.abs(frames[t].astype(np.complex128)) ** 2 / weights.sum(axis=1)
        log = np.log10(power + manifest.power_floor).astype(np.float32)
        bands.above_floor(log, n, rates.smoothing, rates.fall, rates.rise, smooth, noise, over)
        features = ((np.concatenate([over, log]) - manifest.mean) * manifest.inverse_std).astype(np.float32)
        feed[manifest.input_name] = features.reshape(1, 1, -1)
        feed[manifest.direct_name] = np.concatenate([np.ones(count, np.float32), features[:count]]).reshape(1, 1, -1)
        gains, *states = session.run(names, feed)
        feed.update({i: s for (i, _, _), s in zip(manifest.states, states, strict=True)})
        expected = gains.reshape(-1) @ layout.matrix()
        for held in range(manifest.run_every_hops):
            np.testing.assert_allclose(got[t + held], expected, atol=1e-5)


@both
@precisions
def test_state_matters_and_reset_clears_it(name: str, precision: str) -> None:
    mask = make(name, precision)
    frames = np.repeat(spectra(name, 1), 2 * mask.manifest.run_every_hops, axis=0)
    first = run(mask, frames)
    assert np.abs(first[-1] - first[0]).max() > 1e-4
    mask.reset()
    np.testing.assert_array_equal(run(mask, frames), first)


@both
def test_two_instances_share_nothing(name: str) -> None:
    frames = spectra(name, 40)
    alone = run(make(name), frames)
    one, other = make(name), make(name)
    out = np.zeros_like(alone)
    scratch = np.zeros_like(alone[0])
    for spectrum, gain in zip(frames, out, strict=True):
        one.step(spectrum, gain)
        other.step(spectrum * np.complex64(0.1), scratch)
    np.testing.assert_array_equal(out, alone)


@both
@pytest.mark.parametrize("level_dbfs", [-45.0, -25.0, -5.0])
def test_int8_stays_close_to_float(name: str, level_dbfs: float) -> None:
    frames = spectra(name, 400, seed=3, level_dbfs=level_dbfs)
    difference = np.abs(run(make(name, "int8"), frames) - run(make(name, "float"), frames))
    assert difference.max() < INT8_BOUND
    assert difference.mean() < INT8_MEAN_BOUND


def test_the_network_runs_every_n_hops_and_holds() -> None:
    mask = make("hearing")
    every = mask.manifest.run_every_hops
    out = run(mask, spectra("hearing", 4 * every))
    changed = [t for t in range(1, len(out)) if np.any(out[t] != out[t - 1])]
    assert every > 1
    # the first run comes when as many hops are there as lie between two runs, as in training
    assert changed == [every - 1, 2 * every - 1, 3 * every - 1, 4 * every - 1]


@both
def test_ten_minutes_of_digital_silence_then_speech(name: str) -> None:
    """Finite, and the state that silence leaves holds no denormals (they would slow every later step)."""
    mask = make(name)
    profile = PROFILES[name]
    silence = np.zeros(profile.bins, np.complex64)
    gain = np.zeros(profile.bins, np.float32)
    for _ in range(600 * profile.rate_hz // profile.hop_samples):
        mask.step(silence, gain)
    assert np.isfinite(gain).all()
    tiny = np.finfo(np.float32).tiny
    for copies in mask._states:
        for array in copies:
            assert not np.any((array != 0.0) & (np.abs(array) < tiny))
    out = run(mask, spectra(name, 40))
    assert np.isfinite(out).all()
    assert mask.resets == 0


@both
def test_bad_input_never_reaches_the_gains(name: str) -> None:
    mask = make(name)
    frames = spectra(name, 60)
    frames[20:24, 3] = np.nan
    frames[30:34] = np.inf
    frames[40:44] = np.complex64(3e38)
    assert np.isfinite(run(mask, frames)).all()


@both
def test_a_network_gone_bad_starts_anew_and_holds_its_last_gains(name: str) -> None:
    mask = make(name, "float")
    every = mask.manifest.run_every_hops
    frames = spectra(name, 40 * every)
    before = run(mask, frames)[-1]
    for copies in mask._states:
        copies[-1].fill(np.nan)
    gain = np.zeros_like(before)
    for _ in range(every):
        mask.step(frames[0], gain)
        np.testing.assert_array_equal(gain, before)
    assert mask.resets == 1
    after = run(mask, frames)
    fresh = run(make(name, "float"), frames)
    first = every - 1  # the hop of the first run
    np.testing.assert_array_equal(after[first:], fresh[first:])


# ---- resolving and manifests ----


@both
def test_name_and_path_find_the_shipped_model(name: str) -> None:
    path = resolve_model(f"mono-{name}")
    assert path.is_file()
    assert resolve_model(str(path)) == path


def test_unknown_name_lists_the_known_and_guesses() -> None:
    with pytest.raises(ModelError, match=r"mono-asistant.*did you mean 'mono-assistant'"):
        resolve_model("mono-asistant")


def test_int8_files_are_small_and_made_of_known_operators() -> None:
    others = {"Cast", "Add", "Mul", "Split", "Sum", "Sigmoid", "Concat", "Gather", "Reshape"}
    known = {
        "float": {"LSTM", "MatMul", *others},
        "int8": {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger", *others},
    }
    for path in data_folder("models").glob("*.json"):
        data = json.loads(path.read_text())
        for precision, row in data["files"].items():
            file = path.parent / row["file"]
            assert set(row["operators"]) <= known[precision]
            assert file.stat().st_size == row["bytes"]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
        assert "DynamicQuantizeLSTM" in data["files"]["int8"]["operators"]
        assert all(row["bytes"] < 1_500_000 for row in data["files"].values())
        assert (path.parent / data["card"]).is_file()


@both
def test_weights_stored_in_16_bits_are_widened_once_not_every_hop(name: str, tmp_path: Path) -> None:
    """What onnxruntime really runs, which it can write down, has no cast in it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    path = make(name, "float").manifest.network_file("float")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    onnx = pytest.importorskip("onnx")
    nodes = [n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node]
    assert nodes.count("LSTM") == len(make(name).manifest.states) // 2
    assert "Cast" not in nodes


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(key)


def put(value: Any, *keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("states"), "key states is missing"),
        (drop("files"), "key files is missing"),
        (put(7, "format"), "has format 7, this program reads format 2"),
        (put("16000", "rate_hz"), "rate_hz should be a whole number"),
        (put(48000, "rate_hz"), "made for rate_hz 48000, but profile assistant has rate_hz 16000"),
        (put("hearing", "profile"), 'this run uses profile assistant; set profile = "hearing", choose'),
        (put(256, "window_samples"), "made for window_samples 256"),
        (put(64, "hop_samples"), "made for hop_samples 64"),
        (put(0, "run_every_hops"), "run_every_hops should be from 1 to "),
        (put([0, 1, 2], "features", "band_centre_bins"), "a last bin of 256"),
        (put([3, 2], "features", "band_centre_bins"), "rising from 0"),
        (put([0.0], "features", "mean"), "features.mean should be"),
        (put([float("nan")] * 142, "features", "std"), "features.std should be"),
        (put([1, 1, 5], "input", "shape"), "input.shape should be"),
        (put([1, 1, 5], "direct", "shape"), "direct.shape should be"),
        (put(["some"], "features", "cues"), "features.cues should be"),
        (put("other", "states", 0, "input"), "has inputs .* expected"),
        (put([1, 1, 5], "states", 0, "shape"), "its manifest says"),
        (put("../x.onnx", "files", "int8", "file"), "without a folder"),
        (put("0" * 64, "files", "int8", "sha256"), "is damaged"),
        (put("gone.onnx", "files", "int8", "file"), "is missing beside its manifest"),
    ],
)
def test_a_wrong_manifest_is_one_clear_sentence(
    copied: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(copied, change)
    with pytest.raises(ModelError, match=message) as caught:
        NetworkMask(copied, PROFILES["assistant"], "int8")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        NetworkMask(tmp_path / "none.json", PROFILES["assistant"])


@pytest.mark.parametrize("text", ["", "{", "\x00\x01"])
def test_manifest_that_is_no_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="not valid JSON"):
        NetworkMask(path, PROFILES["assistant"])


def test_manifest_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text("[1]")
    with pytest.raises(ModelError, match="format is missing"):
        NetworkMask(path, PROFILES["assistant"])


def test_unknown_precision(copied: Path) -> None:
    with pytest.raises(ModelError, match=r"no 'int4' network, only float, int8"):
        NetworkMask(copied, PROFILES["assistant"], "int4")


def test_one_flipped_byte_is_found(copied: Path) -> None:
    path = copied.parent / "mono-assistant.int8.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="is damaged"):
        NetworkMask(copied, PROFILES["assistant"], "int8")


def test_a_file_that_is_no_network(copied: Path) -> None:
    path = copied.parent / "mono-assistant.int8.onnx"
    path.write_bytes(b"not a network")
    edit(copied, put(hashlib.sha256(b"not a network").hexdigest(), "files", "int8", "sha256"))
    edit(copied, put(len(b"not a network"), "files", "int8", "bytes"))
    with pytest.raises(ModelError, match="cannot be opened by onnxruntime"):
        NetworkMask(copied, PROFILES["assistant"], "int8")


def test_a_file_replaced_after_its_checksum_was_taken_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = copy_network(tmp_path, "raced")
    check = Manifest.network_file

    def replaced(self: Manifest, precision: str) -> Path:
        path = check(self, precision)
        path.write_bytes(network_bytes(manifest, "float"))
        return path

    monkeypatch.setattr(Manifest, "network_file", replaced)
    _shared_session.cache_clear()
    with pytest.raises(ModelError, match="was replaced while it was opened"):
        NetworkMask(manifest, PROFILES["assistant"], "int8")


def test_a_network_that_gives_no_numbers_is_refused_by_whoever_opens_it(copied: Path) -> None:
    spoil_network(copied)
    with pytest.raises(ModelError, match="mono-assistant gives numbers that are not finite; install"):
        NetworkMask(copied, PROFILES["assistant"])
