"""Impact on recognition: the real recognisers and the real voice encoder, where they are installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.cli.main import main
from edge.demo.bundled import load_scene
from edge.errors import UsageError
from edge.impact.recognisers import GROUP, make_recogniser
from edge.impact.speaker import SHORTEST_S, VoiceEncoder, similarity, spoken_part
from edge.impact.words import bounded, normalised_words, word_errors

F32 = NDArray[np.float32]


def sentence(number: int) -> tuple[F32, list[str]]:
    """A sentence of the demo's scene, clean and at the first microphone, and its words."""
    scene = load_scene()
    row = scene.facts["sentences"][number]
    start, end = (int(float(row[key]) * scene.rate_hz) for key in ("start_s", "end_s"))
    return scene.reference[start:end], normalised_words(row["text"])


@pytest.mark.parametrize(
    ("name", "most_errors"),
    [
        ("whisper-tiny", 0.2),
        ("pocketsphinx", 0.7),
    ],
)
def test_recogniser_hears_speech_better_than_noise_and_the_same_twice(name: str, most_errors: float) -> None:
    try:
        ears = make_recogniser(name)
    except UsageError as error:
        pytest.skip(str(error))
    clean, words = sentence(0)
    noise = np.random.default_rng(0).standard_normal(clean.size).astype(np.float32)
    noisy = clean + noise * np.sqrt(np.mean(clean**2)) * 2.0
    heard = ears.transcribe(clean, 16000)
    assert word_errors(words, normalised_words(heard)) <= most_errors * len(words)
    in_noise, _ = bounded(normalised_words(ears.transcribe(noisy, 16000)), clean.size / 16000)
    assert word_errors(words, in_noise) > word_errors(words, normalised_words(heard))
    assert ears.transcribe(0.05 * clean, 16000) == heard  # neither level nor what was before matters
    assert len(normalised_words(ears.transcribe(np.zeros(16000, np.float32), 16000))) <= 2


def test_recogniser_of_the_document_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pocketsphinx")
    document = (Path(__file__).resolve().parent.parent / "docs" / "impact.md").read_text("utf-8")
    (point,) = re.findall(r"```toml\n.*?recognisers\"\]\n(.*?)\n```", document, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (tmp_path / "my_ears.py").write_text(code)
    info = tmp_path / "my_ears-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-ears\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{point.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(tmp_path)
    clean, words = sentence(0)
    heard = make_recogniser("sphinx-wide").transcribe(clean, 16000)
    assert word_errors(words, normalised_words(heard)) < 0.8 * len(words)


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("resemblyzer is not installed (pip install --no-deps resemblyzer)")
    return VoiceEncoder()


def test_encoder_knows_a_talker_in_other_words_and_less_so_in_noise(encoder: VoiceEncoder) -> None:
    clean, _ = sentence(0)
    other, _ = sentence(2)
    own = encoder.embed(clean)
    assert own.shape == (256,)
    assert np.linalg.norm(own) == pytest.approx(1.0, abs=1e-5)
    assert similarity(own, encoder.embed(0.01 * clean)) == pytest.approx(1.0, abs=1e-4)
    noise = np.random.default_rng(1).standard_normal(clean.size).astype(np.float32) * np.sqrt(np.mean(clean**2))
    in_noise = [similarity(own, encoder.embed(clean + gain * noise)) for gain in (0.1, 0.5, 2.0)]
    same = similarity(own, encoder.embed(other))
    assert 0.75 < same < 1.0
    assert 1.0 > in_noise[0] > in_noise[1] > in_noise[2]
    assert in_noise[2] < same


def test_encoder_is_the_lstm_that_it_claims_to_be(encoder: VoiceEncoder) -> None:
    torch = pytest.importorskip("torch")
    from edge.impact.torch_file import read_weights

    spec = importlib.util.find_spec("resemblyzer")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    weights = read_weights(Path(spec.submodule_search_locations[0]) / "pretrained.pt", "model_state")
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    for name, net in (("lstm.", lstm), ("linear.", linear)):
        net.load_state_dict({k[len(name) :]: torch.from_numpy(v) for k, v in weights.items() if k.startswith(name)})
    mel = np.random.default_rng(2).random((2, 160, 40)).astype(np.float32) * 0.01
    with torch.no_grad():
        raw = torch.relu(linear(lstm(torch.from_numpy(mel))[1][0][-1])).numpy()
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder._parts(mel), expected, atol=2e-6)


def test_spoken_part_leaves_out_silence() -> None:
    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    clean = np.concatenate([np.zeros(16000, np.float32), tone, np.zeros(16000, np.float32)])
    part = spoken_part(clean)
    assert part.shape == clean.shape
    assert part[16000:32000].all()
    assert 16000 <= part.sum() <= 16000 + 2 * 4 * 480
    assert not spoken_part(np.zeros(5000, np.float32)).any()


def test_whole_command_with_speech_and_encoder(tmp_path: Path, encoder: VoiceEncoder) -> None:
    import json

    import impact_parts as parts

    try:
        make_recogniser("whisper-tiny")
    except UsageError as error:
        pytest.skip(str(error))
    clean, words = sentence(0)
    parts.write(tmp_path / "speech" / "a" / "0.wav", clean)
    (tmp_path / "speech" / "a" / "0.txt").write_text(" ".join(words))
    parts.write(tmp_path / "speech" / "b" / "1.wav", clean[: int(0.8 * SHORTEST_S * 16000)])
    noise = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    parts.write(tmp_path / "noise" / "hiss.wav", noise)
    folders = ["--speech", str(tmp_path / "speech"), "--noise", str(tmp_path / "noise"), "--out", str(tmp_path / "out")]
    options = ["--snr=-10,20", "--mask", "wiener", "--mix-back", "0", "--jobs", "1", "--no-cache"]
    assert main(["impact", *folders, "--recogniser", "whisper-tiny", *options]) == 0
    report = json.loads((tmp_path / "out" / "impact.json").read_text())
    cells = {(cell["condition"], cell["snr_db"]): cell for cell in report["cells"]}
    likes = {key: cell["similarity"]["value"] for key, cell in cells.items()}
    assert likes["clean", None] == pytest.approx(1.0, abs=1e-5)
    assert likes["noisy", -10.0] < likes["noisy", 20.0] < 1.0
    assert cells["noisy", -10.0]["wer"]["whisper-tiny"]["value"] > cells["noisy", 20.0]["wer"]["whisper-tiny"]["value"]
    assert any("the encoder needs 1 s" in row["reason"] for row in report["reasons"])
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out" / "impact.png").read_bytes()[:4] == b"\x89PNG"
