"""`edge enhance`: which network, how precise, which profile; and recordings of any length through what takes pieces."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from live_parts import RATE_HZ, recording, write_recording, write_toml
from network_files import copy_network

from edge import mask
from edge.cli.main import main
from edge.config import config_from_dict
from edge.enhancers import make_enhancer
from edge.enhancers.spool import BLOCK_SAMPLES, Spool
from edge.enhancers.streams import AtRate, Collected, open_stream, through
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.mask.choice import choose
from edge.mask.factory import make_estimator
from edge.offline import Enhancer
from edge.profiles import PROFILES
from edge.resources import data_folder
from edge.runtime.estimators import Estimators


def enhance(*arguments: object) -> int:
    return main(["enhance", *(str(argument) for argument in arguments)])


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "in.wav", 6000, channels=1)


def report(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert enhance(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# ---- options ----


def test_the_precision_is_that_of_the_option_before_that_of_the_configuration(mono, tmp_path, capsys):
    config = tmp_path / "edge.toml"
    config.write_text('[mask]\nprecision = "float"\n')
    made = {}
    for options, precision in (
        ([], "int8"),
        (["--precision", "float"], "float"),
        (["--config", config], "float"),
        (["--config", config, "--precision", "int8"], "int8"),
        (["--config", config, "--precision", "auto"], "int8"),
    ):
        found = report(capsys, mono, tmp_path / "o.wav", *options)
        assert found["precision"] == precision, options
        made.setdefault(precision, []).append(soundfile.read(tmp_path / "o.wav")[0])
    np.testing.assert_array_equal(made["float"][0], made["float"][1])
    assert np.abs(made["float"][0] - made["int8"][0]).max() > 1e-5


def test_the_profile_is_that_of_the_option_or_of_the_model(mono, tmp_path, capsys):
    for options, profile, latency_ms in (
        ([], "assistant", 16.0),
        (["--profile", "hearing"], "hearing", 4.0),
        (["--model", "mono-hearing"], "hearing", 4.0),
        (["--mask", "wiener", "--profile", "hearing"], "hearing", 4.0),
    ):
        found = report(capsys, mono, tmp_path / "o.wav", *options)
        assert (found["profile"], found["algorithmic_latency_ms"]) == (profile, latency_ms), options
    assert enhance(mono, tmp_path / "o.wav", "--model", "mono-hearing", "--profile", "assistant") == 5
    assert "made for profile hearing" in capsys.readouterr().err


def test_what_it_costs_is_a_real_time_factor_and_a_latency(mono, tmp_path, capsys):
    assert enhance(mono, tmp_path / "o.wav", "--mask", "bypass") == 0
    said = capsys.readouterr().out
    assert "real-time factor " in said
    assert "16 ms algorithmic latency live" in said
    assert "p99" not in said
    assert enhance(mono, tmp_path / "o.wav", "--mask", "wiener_offline") == 0
    assert "real-time factor " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask", "wiener", "--model", "mono-assistant"], "wiener has no use for a model"),
        (["--mask", "bypass", "--model", "mono-assistant"], "bypass has no use for a model"),
        (["--mask", "spectral_subtraction", "--precision", "float"], "has no use for a precision"),
        (["--mask", "wiener_offline", "--precision", "float"], "has no use for a precision"),
        (["--mask", "wiener_offline", "--profile", "hearing"], "--profile is of the pipeline"),
        (["--mask", "bypass", "--floor-db", "-20"], "bypass has no gains"),
        (["--config", "wiener.toml", "--model", "mono-assistant"], "wiener has no use for a model"),
    ],
)
def test_what_a_mask_has_no_use_for_is_refused(mono, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wiener.toml").write_text('[mask]\nkind = "wiener"\n')
    assert enhance(mono, tmp_path / "o.wav", *options) == UsageError.exit_code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "o.wav").exists()


@pytest.mark.parametrize("name", ["network", "wiener", "blstm", "wiener_offline"])
def test_a_floor_out_of_range_is_refused_for_every_enhancer(name):
    for floor_db in (3.0, -200.0, float("nan")):
        with pytest.raises(UsageError, match="expected a finite number from -120 to 0 or auto"):
            make_enhancer(name, floor_db=floor_db)


@pytest.mark.parametrize(("name", "auto_db"), [("network", -60.0), ("wiener", -24.0), ("wiener_offline", -24.0)])
def test_a_floor_may_be_auto_whatever_the_configuration_says(name, auto_db, mono, tmp_path, capsys):
    (tmp_path / "edge.toml").write_text("[mask]\nfloor_db = -9.0\n")
    made = [mono, tmp_path / "o.wav", "--mask", name, "--config", tmp_path / "edge.toml"]
    assert report(capsys, *made)["gain_floor_db"] == -9.0
    assert report(capsys, *made, "--floor-db", "auto")["gain_floor_db"] == auto_db
    assert make_enhancer(name, floor_db="auto").identity == make_enhancer(name).identity
    with pytest.raises(SystemExit) as caught:
        enhance(*made, "--floor-db", "low")
    assert caught.value.code == 2
    assert "'low', expected a number of dB from -120 to 0, or auto" in capsys.readouterr().err


def test_samples_of_the_noise_that_are_no_numbers_become_silence_and_are_told(mono, tmp_path, capsys):
    noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32) * 0.01
    noise[[5, 9]] = np.nan, np.inf
    soundfile.write(tmp_path / "n.wav", noise, RATE_HZ, subtype="FLOAT")
    made = [mono, tmp_path / "o.wav", "--mask", "wiener", "--noise", tmp_path / "n.wav"]
    found = report(capsys, *made)
    assert found["warning"].startswith(f"2 samples of {tmp_path / 'n.wav'} were not finite")
    assert found["nonfinite_samples"] == 0, "of the recording itself"
    for nothing, what in ((0.0, "is silence"), (np.nan, "has no sample that is a number")):
        soundfile.write(tmp_path / "n.wav", np.full(RATE_HZ, nothing), RATE_HZ, subtype="FLOAT")
        assert enhance(*made) == AudioFileError.exit_code
        said = capsys.readouterr().err
        assert f"the noise recording {what}" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(("name", "file"), [("blstm", "blstm"), ("conv_tasnet", "conv-tasnet")])
def test_a_network_of_the_pipeline_is_told_to_be_of_the_wrong_kind(name, file, mono, tmp_path, capsys):
    assert enhance(mono, tmp_path / "o.wav", "--mask", name, "--model", "mono-assistant") == 5
    said = capsys.readouterr().err
    assert f"model 'mono-assistant' is of the wrong kind: it is for --mask network; expected {file}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["blstm", "conv_tasnet"])
def test_the_manifest_of_a_network_of_the_pipeline_is_of_the_wrong_kind_too(name, mono, tmp_path, capsys):
    path = data_folder("models") / "mono-assistant.json"
    assert enhance(mono, tmp_path / "o.wav", "--mask", name, "--model", path) == 5
    said = capsys.readouterr().err
    assert f"is a network of the live path, for --mask network; expected the manifest of a {name!r}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("file", ["blstm", "conv-tasnet"])
def test_a_network_of_recordings_is_none_for_the_pipeline(file, mono, tmp_path, capsys):
    assert enhance(mono, tmp_path / "o.wav", "--mask", "network", "--model", file) == 5
    said = capsys.readouterr().err
    assert f"model {file!r} is of the wrong kind: it hears whole recordings" in said
    assert "array-assistant, mono-assistant, mono-hearing" in said
    assert said.count("\n") == 1


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match="expected one of auto, int8, float"):
        make_enhancer("network", precision="half")


@pytest.mark.parametrize(("name", "file"), [("blstm", "blstm"), ("conv_tasnet", "conv-tasnet")])
def test_a_network_that_is_not_there_says_what_to_do(name, file, mono, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge.manifests.data_folder", lambda kind: tmp_path / kind)
    assert enhance(mono, tmp_path / "o.wav", "--mask", name) == 5
    said = capsys.readouterr().err
    assert f"the network {file} is not installed" in said
    assert "models/README.md" in said
    assert "--model FILE.json" in said
    assert said.count("\n") == 1


# ---- over-subtraction, in the configuration and as an option ----


def test_over_subtraction_is_a_key_of_the_mask():
    noise = 0.05 * np.random.default_rng(0).standard_normal(2 * RATE_HZ).astype(np.float32)
    left = []
    for times in (1.0, 3.0, 8.0):
        enhancer = Enhancer.mono(mask="spectral_subtraction", over_subtraction=times)
        left.append(float(np.std(np.concatenate([enhancer.push(noise), enhancer.flush()])[RATE_HZ:])))
        config = config_from_dict({"mask": {"kind": "spectral_subtraction", "over_subtraction": times}})
        for name in ("spectral_subtraction", "spectral_subtraction_offline"):
            told, configured = make_enhancer(name, over_subtraction=times), make_enhancer(name, config)
            sound = noise[:4000]
            np.testing.assert_array_equal(told.enhance(sound, RATE_HZ), configured.enhance(sound, RATE_HZ))
    assert left[0] > 1.2 * left[1] > 1.2 * left[2]
    for wrong in (0.5, 21.0):
        with pytest.raises(ConfigError, match=r"mask\.over_subtraction: .* from 1 to 20"):
            config_from_dict({"mask": {"over_subtraction": wrong}})


def test_a_configuration_read_again_makes_the_mask_anew_where_its_rule_has_changed():
    mask_of = lambda times: config_from_dict({"mask": {"over_subtraction": times}}).mask  # noqa: E731
    estimators = Estimators(PROFILES["assistant"], pause=lambda: None)
    made = [estimators.make(["spectral_subtraction", "wiener"], mask_of(3.0), 1)]
    estimators.keep(made[0])
    for times in (3.0, 5.0):
        made.append(estimators.make(["spectral_subtraction", "wiener"], mask_of(times), 1))
    first, same, other = (each.estimators for each in made)
    assert same["spectral_subtraction"] is first["spectral_subtraction"]
    assert other["spectral_subtraction"] is not first["spectral_subtraction"]
    assert other["spectral_subtraction"].over_subtraction == 5.0
    assert other["wiener"] is first["wiener"]


# ---- one manifest, read once ----


def test_a_manifest_that_is_named_is_read_once(tmp_path, monkeypatch):
    path = copy_network(tmp_path, "mine")
    reads, read = [], mask.manifest.open_manifest

    def counted(manifest: Path, *setting: str) -> Any:
        reads.append(manifest)
        return read(manifest, *setting)

    monkeypatch.setattr(mask.manifest, "open_manifest", counted)
    config = config_from_dict({"mask": {"model": str(path)}})
    make_estimator("network", config.mask, PROFILES["assistant"])
    assert reads == [path]
    # what was chosen is what is opened, whatever happens to the file in between
    chosen = choose(config.mask, PROFILES["assistant"])
    path.write_text("{")
    assert chosen.open(PROFILES["assistant"]).name == "mine"


# ---- pieces ----


class Twice:
    """Doubles what it hears; holds back all but a third until the end."""

    def __init__(self) -> None:
        self.held = np.zeros(0, np.float32)

    def push(self, samples):
        self.held = np.concatenate([self.held, samples])
        made, self.held = np.split(self.held, [self.held.size // 3])
        return 2.0 * made

    def finish(self):
        yield from np.array_split(2.0 * self.held, 3)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("samples", [0, 1, 7, 5003])
def test_any_rate_and_chunks_give_as_many_samples_in_their_places(rate_hz, samples):
    sound = np.asarray(0.1 * np.sin(2 * np.pi * 300.0 * np.arange(samples) / rate_hz), np.float32)
    whole = through(AtRate(Twice(), "twice", rate_hz, 16000), sound)
    stream = AtRate(Twice(), "twice", rate_hz, 16000)
    pieces = [stream.push(piece) for piece in np.array_split(sound, 9)]
    np.testing.assert_array_equal(np.concatenate([*pieces, *stream.finish()]), whole)
    assert whole.shape == sound.shape
    if samples > 1000:
        middle = slice(500, -500)
        np.testing.assert_allclose(whole[middle], 2.0 * sound[middle], atol=1e-3)


def test_an_enhancer_that_takes_no_pieces_hears_the_whole():
    sound = recording(9000, 1)[:, 0]
    enhancer = make_enhancer("wiener_offline")
    stream = open_stream(enhancer, RATE_HZ)
    assert isinstance(stream, Collected)
    assert all(stream.push(piece[:, None]).size == 0 for piece in np.array_split(sound, 4))
    np.testing.assert_array_equal(np.concatenate(list(stream.finish())), enhancer.enhance(sound, RATE_HZ))


def test_a_spool_gives_back_what_it_took_from_memory_and_from_a_file(monkeypatch):
    rng = np.random.default_rng(0)
    for most in (1 << 25, 1000):
        monkeypatch.setattr("edge.enhancers.spool.MOST_IN_MEMORY", most)
        spool, taken = Spool(), rng.standard_normal(BLOCK_SAMPLES + 77).astype(np.float32)
        spool.add(taken[:40])
        np.testing.assert_array_equal(np.concatenate(list(spool.blocks())), taken[:40])
        spool.add(taken[40:])
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate(list(spool.blocks())), taken)
        assert spool.samples == taken.size


def test_no_room_for_a_spool_is_one_sentence(monkeypatch):
    def full(size: int) -> Any:
        raise OSError(28, "No space left on device")

    spool = Spool()
    monkeypatch.setattr(spool._file, "write", full)
    with pytest.raises(AudioFileError, match=r"No space left on device.*TMPDIR"):
        spool.add(np.zeros(5, np.float32))


def test_conv_tasnet_streams_from_file_to_file_in_constant_memory(tmp_path, capsys):
    pytest.importorskip("onnx")
    from tasnet_toy import SMALL, write_model

    model = write_model(tmp_path / "toy", SMALL)
    enhancer = make_enhancer("conv_tasnet", model=str(model), precision="int8")
    sound = 0.1 * np.random.default_rng(0).standard_normal(20 * RATE_HZ).astype(np.float32)
    stream, largest = open_stream(enhancer, RATE_HZ), 0
    tracemalloc.start()
    for piece in np.array_split(sound, 40):
        stream.push(piece)
        largest = max(largest, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert largest < 0.3 * sound.nbytes
    short = sound[:30000]
    soundfile.write(tmp_path / "in.wav", short, RATE_HZ, "FLOAT")
    options = ["--mask", "conv_tasnet", "--model", model, "--precision", "int8"]
    found = report(capsys, tmp_path / "in.wav", tmp_path / "o.wav", *options)
    np.testing.assert_allclose(soundfile.read(tmp_path / "o.wav")[0], enhancer.enhance(short, RATE_HZ), atol=1e-7)
    assert (found["precision"], found["gain_floor_db"]) == ("int8", None)
    assert found["identity"] == enhancer.identity != make_enhancer("conv_tasnet", model=str(model)).identity


def test_behind_a_beam_it_is_the_same_piece_by_piece(tmp_path, capsys):
    pytest.importorskip("onnx")
    from tasnet_toy import SMALL, write_model

    model = write_model(tmp_path / "toy", SMALL)
    write_recording(tmp_path / "in.wav", 20000)
    config = write_toml(tmp_path)
    options = ["--config", config, "--mask", "conv_tasnet", "--model", model]
    assert report(capsys, tmp_path / "in.wav", tmp_path / "o.wav", *options)["precision"] == "float"
    assert enhance(tmp_path / "in.wav", tmp_path / "beam.wav", "--config", config, "--output", "asr") == 0
    beam = soundfile.read(tmp_path / "beam.wav", dtype="float32")[0]
    expected = make_enhancer("conv_tasnet", model=str(model)).enhance(beam, RATE_HZ)
    np.testing.assert_allclose(soundfile.read(tmp_path / "o.wav")[0], expected, atol=1e-3)


def test_a_clipped_recording_is_told(tmp_path, capsys):
    sine = 0.9 * np.sin(2 * np.pi * 200.0 * np.arange(RATE_HZ) / RATE_HZ)
    for name, gain in (("fine", 1.0), ("clipped", 3.0)):
        soundfile.write(tmp_path / f"{name}.wav", np.clip(gain * sine, -1.0, 1.0), RATE_HZ, subtype="PCM_16")
        warning = report(capsys, tmp_path / f"{name}.wav", tmp_path / "o.wav", "--mask", "bypass")["warning"]
        assert (warning or "").endswith("the recording is clipped") is (name == "clipped")


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44100])
def test_the_level_of_a_short_recording_is_that_of_its_samples(rate_hz, tmp_path, capsys):
    count = 300 * rate_hz // RATE_HZ
    soundfile.write(tmp_path / "short.wav", np.full(count, 0.1), rate_hz, subtype="FLOAT")
    found = report(capsys, tmp_path / "short.wav", tmp_path / "o.wav", "--mask", "bypass")
    # the conversion of the rate rings at the ends
    assert found["level_in_dbfs"] == [pytest.approx(-20.0, abs=0.05 if rate_hz == RATE_HZ else 0.5)]
    assert found["seconds"] == pytest.approx(count / rate_hz, abs=1e-4)
