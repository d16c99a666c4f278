"""Training the network for arrays on toy scenes: batches, learning, and the exported network beside its listener."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small import RECIPES  # noqa: E402

from edge.errors import AudioFileError, ConfigError, ModelError  # noqa: E402
from edge.mask.features import CUES  # noqa: E402
from edge.mask.network import NetworkMask  # noqa: E402
from edge.profiles import PROFILES  # noqa: E402
from models import checkpoint  # noqa: E402
from models.array_items import Heard  # noqa: E402
from models.array_shards import pack, write_shard  # noqa: E402
from models.config import MaskConfig, TrainConfig  # noqa: E402
from models.curve import draw_curve  # noqa: E402
from models.examples import LEAST_TALKER_GAIN_DB, ArrayExamples  # noqa: E402
from models.export import export  # noqa: E402
from models.frontend import FrontEnd  # noqa: E402
from models.mixing import MixingConfig  # noqa: E402
from models.restore import restore_mask  # noqa: E402
from models.tasks import Sources  # noqa: E402
from models.train import main as train_main  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train

PROFILE = PROFILES["assistant"]
FRAMES = 100
ARRAY = str(RECIPES / "array.toml")
CONFIG = TrainConfig(
    network=MaskConfig(cues=True, hidden=24),
    validate_every=20,
    validation_batches=1,
    warmup_steps=5,
    max_steps=40,
    learning_rate=5e-3,
    mixing=MixingConfig(batch=4),
)


def make_scene(rng: np.random.Generator) -> Heard:
    """Noise, and bursts of speech; only the speech agrees with the look."""
    speech, noise = (
        (rng.standard_normal((FRAMES, PROFILE.bins)) + 1j * rng.standard_normal((FRAMES, PROFILE.bins))) * 0.1
        for _ in range(2)
    )
    speech = speech * (np.arange(FRAMES) // 12 % 2 == 1)[:, None] * 2.0
    beam = (speech + noise).astype(np.complex64)
    mics = np.abs(speech) ** 2 + 2.0 * np.abs(noise) ** 2
    cue_power = np.stack([mics, 1.5 * np.abs(noise) ** 2], axis=1).astype(np.float32)
    return Heard(beam, speech.astype(np.complex64), cue_power, talker_gain_db=-1.0, azimuth_deg=0.0)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards to train on, of which one scene lost its talker, and one held out."""
    folder = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for name, count in (("train-00000", 8), ("train-00001", 8), ("held-out-00000", 4)):
        packed = [pack(make_scene(rng)) for _ in range(count)]
        rows = [{"scale": scale, "snr_db": 3.0, "talker_gain_db": -1.0} for _, scale in packed]
        if name == "train-00001":
            rows[2]["talker_gain_db"] = LEAST_TALKER_GAIN_DB - 1.0
        write_shard(folder / name, np.stack([p for p, _ in packed]), rows)
    return folder


def test_batches_depend_on_the_step_alone_and_leave_out_lost_talkers(scenes: Path) -> None:
    front = FrontEnd(PROFILE, cues=CUES)
    one, other = (ArrayExamples(scenes, "train", front, 4, seed=3) for _ in range(2))
    assert one.hours == pytest.approx(15 * FRAMES * 0.008 / 3600.0)
    first, again, later = one.batch(5), other.batch(5), one.batch(6)
    assert torch.equal(first.heard, again.heard)
    assert not torch.equal(first.heard, later.heard)
    assert first.heard.shape == (FRAMES, 4, PROFILE.bins)
    assert first.noisy.shape == first.clean.shape == (FRAMES // 2, 4, PROFILE.bins)
    # odd and even frames in turn
    assert torch.equal(later.noisy, later.heard[0::2])
    assert torch.equal(first.noisy, first.heard[1::2])
    assert torch.equal(first.judged(first.heard), first.noisy)


def test_a_change_of_level_and_colour_leaves_the_cues(scenes: Path) -> None:
    """Beam, target and the powers behind the cues change alike."""
    front = FrontEnd(PROFILE, cues=CUES)
    plain = ArrayExamples(scenes, "held-out", front, 4, varied=False).batch(0)
    varied = ArrayExamples(scenes, "held-out", front, 64, seed=1).batch(0)
    count = front.layout.bands

    def cues(examples: object) -> np.ndarray:
        raw = front.raw_features(front.log_power(examples.heard), examples.cue_power)
        return raw[20:, :, count:-count].numpy()

    levels = varied.heard.abs().square().mean((0, 2)).log10()
    assert float(levels.std()) > 0.3
    # which scene of the four each item is, by the disagreement, which no change of colour touches
    known, found = cues(plain), cues(varied)
    heard = [i for i in range(12) if found[:, i, count:].max() > -2.0]  # those whose cues were not taken away
    assert len(heard) > 6
    for item in heard:
        apart = np.abs(known - found[:, item : item + 1])[..., count:].mean((0, 2))
        assert apart.min() < 0.02 < np.sort(apart)[1]
        assert np.abs(known[:, apart.argmin()] - found[:, item])[:, :count].mean() < 0.05


def test_now_and_then_the_cues_are_missing(scenes: Path) -> None:
    """As `edge.cues` gives them for a single microphone: its power, and nothing that disagrees."""
    front = FrontEnd(PROFILE, cues=CUES)
    batch = ArrayExamples(scenes, "train", front, 200, seed=2).batch(0)
    count = front.layout.bands
    assert batch.cue_power is not None
    cues = front.raw_features(front.log_power(batch.heard), batch.cue_power)[10:, :, count:-count]
    removed, disagreement = cues[..., :count], cues[..., count:]
    absent = (disagreement < -2.0).all(-1).all(0)
    assert 3 <= int(absent.sum()) <= 30
    assert float(removed[:, absent].abs().max()) < 1e-2
    assert float(disagreement[:, ~absent].mean()) > -1.5


def test_no_scenes_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = train_main([ARRAY, "--set", "data.start_from=", "--scenes", str(tmp_path), "--out", str(tmp_path / "run")])
    assert code == AudioFileError.exit_code
    assert "no train scenes in" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--scenes", ""], ["--speech", "x"], ["--speech", "x", "--noise", "x"]])
def test_scenes_and_nothing_else(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train_main([ARRAY, *arguments, "--out", "y"]) == ConfigError.exit_code
    assert "a network with cues is trained on data.scenes" in capsys.readouterr().err


def test_training_on_scenes_uses_the_cues_and_exports_beside_a_listener(scenes: Path, tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, Sources(tmp_path, scenes=scenes), tmp_path / "run")
    before = trainer.validate()["loss"]
    trainer.run()
    assert trainer.validate()["loss"] < before - 0.05
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    net, front = restore_mask(state)
    examples = ArrayExamples(scenes, "held-out", front, 1, varied=False).batch(0)
    with torch.no_grad():
        expected = (net(front.features(examples.heard, examples.cue_power))[0] @ front.interpolation)[:, 0].numpy()
        deaf = torch.ones_like(examples.cue_power)
        without = (net(front.features(examples.heard, deaf))[0] @ front.interpolation)[:, 0].numpy()
    assert np.abs(expected - without).mean() > 0.02  # the cues count

    mono = dataclasses.replace(CONFIG, network=MaskConfig(hidden=24))
    ears = Trainer(mono, Sources(tmp_path, scenes=scenes), tmp_path / "other")
    export(ears.state(), tmp_path / "out", "ears")
    with pytest.raises(ModelError, match="--listener"):
        export(state, tmp_path / "out", "array")
    export(state, tmp_path / "out", "second", listener="ears")
    manifest = export(state, tmp_path / "out", "array", listener="ears")
    data = json.loads(manifest.read_text())
    assert data["features"]["cues"] == list(CUES)
    assert data["listener"] == "ears"
    mask = NetworkMask(manifest, PROFILE, "float")
    assert mask.listener().manifest.name == "ears"
    assert mask.cue_power is not None
    assert mask.cue_power.shape == (2, PROFILE.bins)
    # hop by hop with the cues of the scene, pooled as the shard keeps them: row by band, the same in all its bins
    gain, pooled = np.zeros(PROFILE.bins, np.float32), examples.cue_power[:, 0].numpy()
    of_bin = front.layout.band + (front.layout.fraction > 0.5)
    worst = []
    for t, spectrum in enumerate(np.ascontiguousarray(examples.heard[:, 0].numpy())):
        mask.cue_power[:] = pooled[t][:, of_bin]
        mask.step(spectrum, gain)
        worst.append(float(np.abs(gain - expected[t]).mean()))
    assert max(worst) < 0.05  # bins share the powers of their nearest band, so no more than nearly
    data["listener"] = "second"
    other = manifest.with_name("third.json")
    other.write_text(json.dumps(data | {"name": "third"}))
    with pytest.raises(ModelError, match="its listener second is a network for arrays itself"):
        NetworkMask(other, PROFILE, "float")
    (tmp_path / "out" / "ears.json").unlink()
    with pytest.raises(ModelError, match=r"ears\.json does not exist"):
        NetworkMask(manifest, PROFILE, "float")


def test_the_curve_is_drawn_from_the_log(tmp_path: Path) -> None:
    rows = [{"step": n, "loss": 1.0 / (n + 1), "train": 1.0, "lr": 1e-3 * (n < 3)} for n in range(5)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    draw_curve(tmp_path / "log.jsonl", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
