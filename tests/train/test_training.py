"""Training on toy data: it learns, resumes exactly, and exports what it trained."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from toy import make_corpora  # noqa: E402

from edge.errors import AudioFileError, ModelError  # noqa: E402
from edge.mask.network import NetworkMask  # noqa: E402
from edge.profiles import PROFILES  # noqa: E402
from models import checkpoint, losses, synthetic  # noqa: E402
from models.data import load_corpus  # noqa: E402
from models.envelopes import Envelopes  # noqa: E402
from models.export import export  # noqa: E402
from models.frontend import FrontEnd  # noqa: E402
from models.graph import build_graph, store_in_half  # noqa: E402
from models.loudness import Loudness  # noqa: E402
from models.mixing import Mixer, MixingConfig, mix  # noqa: E402
from models.net import MaskNet  # noqa: E402
from models.restore import restore  # noqa: E402
from models.rooms import room_response  # noqa: E402
from models.sounds import NoiseMaker  # noqa: E402
from models.train import main as train_main  # noqa: E402
from models.trainer import TrainConfig, Trainer  # noqa: E402
from models.transfer import band_map, transfer  # noqa: E402

pytestmark = pytest.mark.train

MIXING = MixingConfig(segment_s=1.0, batch=4, pool=12, refresh=2, rooms=4)
CONFIG = TrainConfig(
    hidden=24, validate_every=20, validation_batches=1, warmup_steps=5, max_steps=40, learning_rate=5e-3, mixing=MIXING
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("toy")
    speech, noise = make_corpora(folder)
    return folder / "cache", speech, noise


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_corpora_are_decoded_resampled_and_split(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    voices, sounds = load_corpus(speech, "speech", cache), load_corpus(noise, "noise", cache)
    assert len(voices.clips) == 12
    assert {c.samples for c in sounds.clips} == {48000, round(3 * 16000 * 16000 / 44100)}
    train, held = voices.split(False), voices.split(True)
    groups = [{c.group for c in part.clips} for part in (train, held)]
    assert groups[0].isdisjoint(groups[1])
    assert groups[0] | groups[1] == {f"talker{n}" for n in range(4)}
    again = load_corpus(speech, "speech", cache)
    np.testing.assert_array_equal(again.audio(again.clips[3]), voices.audio(voices.clips[3]))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="no speech found"):
        load_corpus(tmp_path, "speech", tmp_path / "cache")


def test_batches_depend_on_the_step_alone(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    parts = [load_corpus(speech, "speech", cache), load_corpus(noise, "noise", cache)]
    straight, jumping = (Mixer(*parts, MIXING, seed=3) for _ in range(2))
    batches = [straight.batch(step) for step in range(9)]
    for step in (8, 2):
        for got, expected in zip(jumping.batch(step), batches[step], strict=True):
            np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(batches[0][0], batches[1][0])
    for mixture, target in batches:
        assert np.isfinite(mixture).all()
        assert np.isfinite(target).all()
        assert np.abs(mixture).max() <= 1.0


def test_early_responses_end_by_70_ms() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        response, early = room_response(rng)
        np.testing.assert_array_equal(early[:800], response[:800])
        assert not early[1120:].any()
        assert response[0] == 1.0


def test_loss_is_least_at_the_right_gain() -> None:
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(
        (rng.standard_normal((20, 2, 33)) + 1j * rng.standard_normal((20, 2, 33))).astype("complex64")
    )
    weight, envelopes = losses.bin_weights(33, 16000), Envelopes(33, 16000, 768)
    loudness = Loudness(33, 16000, 768)
    targets = losses.prepare(clean * 2.0, clean, weight)
    values = [
        float(losses.loss(torch.full((20, 2, 33), g), targets, envelopes, loudness)) for g in (0.1, 0.4, 0.5, 0.6, 1.0)
    ]
    assert int(np.argmin(values)) == 2


def test_loss_of_silence_pulls_gains_down() -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy((rng.standard_normal((20, 2, 33)) + 1j).astype("complex64"))
    targets = losses.prepare(noise, torch.zeros_like(noise), losses.bin_weights(33, 16000))
    envelopes, loudness = Envelopes(33, 16000, 768), Loudness(33, 16000, 768)
    values = [float(losses.loss(torch.full((20, 2, 33), g), targets, envelopes, loudness)) for g in (0.0, 0.3, 1.0)]
    assert values == sorted(values)
    assert np.isfinite(values).all()


def test_envelope_correlation_falls_with_noise_and_ignores_level_and_pauses() -> None:
    rng = np.random.default_rng(1)
    envelopes = Envelopes(257, 16000, 128)
    shape = torch.from_numpy(rng.gamma(0.3, 1.0, (192, 2, 257)).astype(np.float32))
    shape[96:] *= 1e-5  # a pause
    noise = torch.from_numpy(rng.gamma(1.0, 1.0, (192, 2, 257)).astype(np.float32))
    values = [envelopes.correlation(shape + g * noise, shape) for g in (0.0, 0.1, 1.0, 10.0)]
    torch.testing.assert_close(values[0], torch.ones(2), atol=2e-3, rtol=0)
    for louder, fainter in zip(values[1:], values, strict=False):
        assert (louder < fainter).all()
    # noise in the pause alone changes next to nothing, for there is nothing to understand
    late = noise.clone()
    late[:96] = 0.0
    assert (envelopes.correlation(shape + 0.1 * late, shape) > 0.85).all()
    torch.testing.assert_close(envelopes.correlation(7.0 * shape, shape), torch.ones(2), atol=2e-3, rtol=0)


def test_every_kind_of_noise_is_finite_and_of_its_length(corpora: tuple[Path, Path, Path]) -> None:
    cache, speech, noise = corpora
    samples = 20000
    maker = NoiseMaker(load_corpus(noise, "noise", cache), load_corpus(speech, "speech", cache), samples)
    kinds = (maker.recording, maker.texture, maker.babble, maker.coloured, maker.wind, maker.hum, maker.clicks)
    made = [maker.over_floor(f) for f in (synthetic.machine, synthetic.tones, synthetic.rain, synthetic.notes)]
    for seed, kind in enumerate((*kinds, *made * 8, *[maker.draw] * 12)):
        audio = kind(np.random.default_rng(seed))
        assert audio.shape == (samples,)
        assert audio.dtype == np.float32
        assert np.isfinite(audio).all()
        np.testing.assert_array_equal(audio, kind(np.random.default_rng(seed)))
    wind = np.abs(np.fft.rfft(maker.wind(np.random.default_rng(3)))) ** 2
    low = wind[: samples // 16].sum()  # below 1 kHz
    assert low > 4.0 * (wind.sum() - low)


def test_clipping_leaves_the_target_whole() -> None:
    rng = np.random.default_rng(2)
    wet, noise = (rng.standard_normal(8000).astype(np.float32) for _ in range(2))
    config = dataclasses.replace(MIXING, clipped=1.0, silent=0.0, clean=0.0)
    mixture, target = mix(np.random.default_rng(5), wet, wet, noise, config)
    top = np.abs(mixture).max()
    assert np.sum(np.abs(mixture) > 0.9999 * top) > 20
    factor = float(target @ wet) / float(wet @ wet)
    np.testing.assert_allclose(target, factor * wet, rtol=1e-4)


def test_training_lowers_the_loss_on_held_out_talkers(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, *corpora, tmp_path / "run")
    before = trainer.validate()["loss"]
    trainer.run()
    after = trainer.validate()["loss"]
    assert after < 0.8 * before
    assert (tmp_path / "run" / "best.pt").exists()
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [20, 40]


def test_resuming_continues_exactly(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    # the learning rate follows the processor's clock too; with hours allowed it follows the steps alone
    config = dataclasses.replace(CONFIG, max_steps=10, minutes=1e9, validate_every=5)
    whole = Trainer(config, *corpora, tmp_path / "whole")
    whole.run()
    part = Trainer(config, *corpora, tmp_path / "parts")
    for _ in range(5):
        part.train_step()
    checkpoint.save(tmp_path / "parts" / "last.pt", part.state())
    rest = Trainer(config, *corpora, tmp_path / "parts")
    assert rest.step == 5
    rest.run()
    for one, other in ((whole.net, rest.net), (whole.average, rest.average)):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_average_of_the_weights_is_what_is_exported(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(CONFIG, averaging=0.9), *corpora, tmp_path / "run")
    mean = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    for step in range(1, 13):
        trainer.train_step()
        kept = min(0.9, step / (step + 10.0))
        mean = {k: kept * mean[k] + (1.0 - kept) * v for k, v in trainer.net.state_dict().items()}
    net, _ = restore(trainer.state())
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, mean[name], atol=1e-5, rtol=1e-4)


def test_a_run_of_the_same_profile_begins_where_the_other_ended(
    corpora: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    first = Trainer(dataclasses.replace(CONFIG, max_steps=20), *corpora, tmp_path / "first")
    first.run()
    other = dataclasses.replace(CONFIG, seed=9)
    second = Trainer(other, *corpora, tmp_path / "second", tmp_path / "first" / "best.pt")
    torch.testing.assert_close(second.front.mean, first.front.mean)
    examples = first.validation[0]
    with torch.no_grad():
        expected = first.batch_loss(first.average, examples)[0]
        torch.testing.assert_close(second.batch_loss(second.net, examples)[0], expected)
        torch.testing.assert_close(second.batch_loss(second.average, examples)[0], expected)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(ModelError, match="no checkpoint"):
        checkpoint.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        checkpoint.load(path)


def test_the_command_trains_and_explains_a_missing_folder(
    corpora: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, speech, _ = corpora
    (tmp_path / "empty").mkdir()
    arguments = ["--speech", str(speech), "--noise", str(tmp_path / "empty"), "--out", str(tmp_path / "run")]
    assert train_main(arguments) == AudioFileError.exit_code
    assert "no noise found" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["assistant", "hearing"])
def test_export_streams_what_torch_computes(name: str, corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Waves -> torch, against waves -> spectra -> NetworkMask hop by hop: gains within 1e-3 (16-bit weights)."""
    profile = PROFILES[name]
    every = {"assistant": 1, "hearing": 4}[name]
    config = dataclasses.replace(CONFIG, profile=name, run_every_hops=every, max_steps=6, validate_every=6)
    trainer = Trainer(config, *corpora, tmp_path / "run")
    trainer.run()
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    manifest = export(state, tmp_path / "out", "toy")
    net, front = restore(state)
    spectra = trainer.source.batch(0).heard[:, :1]
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
    with pytest.raises(ModelError, match=r"pass --hidden 16"):
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


def test_loudness_is_lost_to_noise_and_to_muffling_but_not_to_level() -> None:
    rng = np.random.default_rng(2)
    loudness = Loudness(257, 16000, 128)
    speech = torch.from_numpy(rng.gamma(0.4, 2.5, (250, 1, 257)).astype(np.float32))
    noise = torch.from_numpy(rng.gamma(1.0, 1.0, (250, 1, 257)).astype(np.float32))

    def lost(power: torch.Tensor) -> float:
        return float(loudness.disturbance(power, speech))

    assert lost(speech) < 1e-2
    assert lost(3.0 * speech) < 1e-2
    steps = [lost(speech + g * noise) for g in (0.01, 0.1, 1.0, 10.0)]
    assert steps == sorted(steps)
    muffled = speech.clone()
    muffled[..., 100:] *= 1e-3
    assert lost(muffled) > 0.1
    # what was added disturbs more than what was left out
    assert lost(speech + 3.0 * noise) > lost(speech * (noise > 0.7))
