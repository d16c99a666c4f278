"""Offline enhancement: the very same pipeline, aligned to the sample, whatever the chunks, rates and files."""

import json
import os
import resource

import numpy as np
import pytest
import soundfile
from live_parts import RATE_HZ, live_config, recording, write_recording, write_toml

from edge.cli.enhance import _estimate
from edge.cli.main import main
from edge.config import config_from_dict
from edge.errors import AudioFileError
from edge.offline import Enhancer, enhance_array
from edge.pipeline import build_pipeline

MONO_BYPASS = config_from_dict({"mask": {"kind": "bypass"}, "output": {"kind": "null"}})


def in_chunks(enhancer, samples, rng, largest):
    parts, at = [], 0
    while at < len(samples):
        size = int(rng.integers(0, largest))
        parts.append(enhancer.push(samples[at : at + size]))
        at += size
    return np.concatenate([*parts, enhancer.flush()])


# ---- the enhancer ----


@pytest.mark.parametrize("rate_hz", [16000, 48000, 44100, 8000])
@pytest.mark.parametrize("largest", [3, 700, 20000])
def test_any_chunks_give_identical_output(rate_hz, largest):
    config, samples = live_config(), recording(2500 if largest == 3 else 15000)
    whole = enhance_array(samples, rate_hz, config)
    chunked = in_chunks(Enhancer(config, rate_hz), samples, np.random.default_rng(largest), largest)
    assert whole.shape == (len(samples), 2)
    np.testing.assert_array_equal(whole, chunked)


@pytest.mark.parametrize("frames", [0, 1, 127, 128, 129, 5000])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_as_many_frames_out_as_in(frames, rate_hz):
    assert enhance_array(recording(frames, 1), rate_hz, MONO_BYPASS).shape == (frames, 2)


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_it_is_the_pipeline_shifted_by_its_latency(profile):
    config, samples = live_config(profile=profile), recording(6400)
    pipeline = build_pipeline(config)
    hop = pipeline.hop_samples
    streamed = np.zeros((6400 + hop, 2), np.float32)
    padded = np.concatenate([samples, np.zeros((hop, 4), np.float32)])
    for first in range(0, len(padded), hop):
        pipeline.process(padded[first : first + hop], streamed[first : first + hop])
    np.testing.assert_array_equal(enhance_array(samples, RATE_HZ, config), streamed[pipeline.latency_samples :])


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_bypass_gives_the_input_back_in_place(profile):
    config = config_from_dict({"profile": profile, "mask": {"kind": "bypass"}, "output": {"kind": "null"}})
    samples = recording(9000, 1)
    out = enhance_array(samples[:, 0], RATE_HZ, config)
    # the limiter lets a tone at -14 dBFS alone
    np.testing.assert_allclose(out, np.repeat(samples, 2, axis=1), atol=1e-6)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 32000, 96000])
def test_resampling_both_ways_keeps_time_and_shape(rate_hz):
    t = np.arange(rate_hz) / rate_hz
    tone = (0.2 * np.sin(2 * np.pi * 700 * t) + 0.1 * np.sin(2 * np.pi * 3100 * t)).astype(np.float32)
    out = enhance_array(tone, rate_hz, MONO_BYPASS)[:, 0]
    middle = slice(rate_hz // 10, -rate_hz // 10)
    np.testing.assert_allclose(out[middle], tone[middle], atol=1e-4)


@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_bad_samples_are_silence_and_counted(rate_hz):
    samples = recording(20000)
    samples[5000:5004, 1] = np.nan
    samples[7000, 0] = np.inf
    enhancer = Enhancer(live_config(), rate_hz)
    out = np.concatenate([enhancer.push(samples), enhancer.flush()])
    assert np.isfinite(out).all()
    assert enhancer.report()["nonfinite_samples"] == 5


@pytest.mark.parametrize("shape", [(100,), (100, 3), (100, 4, 1)])
def test_a_wrong_shape_names_both_numbers(shape):
    with pytest.raises(AudioFileError, match=r"\(frames, 4\)"):
        Enhancer(live_config(), RATE_HZ).push(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("dtype", "full_scale"), [(np.int16, 2**15), (np.int32, 2**31)])
def test_recorded_integers_have_their_own_full_scale(dtype, full_scale):
    whole = np.rint(recording(4000, 1)[:, 0].astype(np.float64) * full_scale).astype(dtype)
    expected = enhance_array(whole / full_scale, RATE_HZ, MONO_BYPASS)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(enhance_array(whole, RATE_HZ, MONO_BYPASS), expected)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, complex])
def test_samples_of_unknown_full_scale_are_refused(dtype):
    with pytest.raises(AudioFileError, match=r"expected floats of full scale 1\.0, int16 or int32"):
        enhance_array(np.zeros(100, dtype), RATE_HZ, MONO_BYPASS)


def test_the_report_tells_levels_and_cost():
    enhancer = Enhancer(MONO_BYPASS, RATE_HZ)
    samples = 0.1 * np.ones(16000, np.float32)
    enhancer.push(samples)
    enhancer.flush()
    report = enhancer.report()
    assert report["level_in_dbfs"][0] == pytest.approx(-20.0, abs=0.1)
    assert report["hops"] == 126
    assert set(report["stage_ms"]) == {name for name, _ in enhancer.pipeline.stages}
    assert report["real_time_factor"] > 0.0


# ---- the command ----


def enhance(*arguments):
    return main(["enhance", *(str(argument) for argument in arguments)])


@pytest.fixture
def array_file(tmp_path):
    return write_recording(tmp_path / "in.wav", 8000)


def test_an_array_with_its_configuration(tmp_path, array_file, capsys):
    config = write_toml(tmp_path)
    options = ["--azimuth", 30, "--beamformer", "delay_sum", "--mask", "spectral_subtraction", "--floor-db", -10]
    assert enhance(array_file, tmp_path / "o.wav", "--config", config, *options, "--output", "both", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    expected = live_config(
        beamformer__azimuth_deg=30.0,
        beamformer__kind="delay_sum",
        mask__kind="spectral_subtraction",
        mask__floor_db=-10.0,
    )
    samples = enhance_array(soundfile.read(array_file, dtype="float32")[0], RATE_HZ, expected)
    out, rate_hz = soundfile.read(tmp_path / "o.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(out, samples, atol=1.01 / 65536)
    used = {key: report[key] for key in ("beamformer", "azimuth_deg", "mask", "gain_floor_db", "outputs", "channels")}
    assert used == {
        "beamformer": "delay_sum",
        "azimuth_deg": 30.0,
        "mask": "spectral_subtraction",
        "gain_floor_db": -10.0,
        "outputs": ["listen", "asr"],
        "channels": 4,
    }
    assert report["warning"] is None


def test_a_mono_file_needs_nothing_but_its_name(tmp_path, capsys):
    path = write_recording(tmp_path / "in.flac", 44100, channels=1, rate_hz=44100, subtype="PCM_24")
    assert enhance(path, tmp_path / "o.wav", "--mask", "wiener") == 0
    info = soundfile.info(tmp_path / "o.wav")
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (44100, 44100, 1, "PCM_24")
    assert "no beamformer" in capsys.readouterr().out


def test_one_channel_of_many_is_what_the_same_mono_file_gives(tmp_path, capsys):
    write_recording(tmp_path / "in.wav", 5000)
    samples, _ = soundfile.read(tmp_path / "in.wav", always_2d=True)
    soundfile.write(tmp_path / "third.wav", samples[:, 2], RATE_HZ)
    assert enhance(tmp_path / "in.wav", tmp_path / "a.wav", "--channel", "3", "--mask", "wiener") == 0
    assert "no beamformer" in capsys.readouterr().out
    assert enhance(tmp_path / "third.wav", tmp_path / "b.wav", "--mask", "wiener") == 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav")[0], soundfile.read(tmp_path / "b.wav")[0])


def test_the_beam_alone_has_no_estimate_of_the_listen_output(tmp_path, capsys):
    from edge.demo.bundled import MIX

    board = ["--board", "respeaker_4mic_square", "--azimuth", "40"]
    assert enhance(MIX, tmp_path / "o.wav", *board, "--output", "asr", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["snr_in_db"] is not None
    assert report["snr_out_db"] is None
    assert enhance(MIX, tmp_path / "o.wav", *board, "--output", "asr") == 0
    said = capsys.readouterr().out
    assert "dB in\n" in said
    assert "(listen)" not in said


def test_an_estimate_at_its_limit_is_told_as_a_bound():
    assert (_estimate(39.96), _estimate(40.0)) == ("40.0", ">= 40")


def test_a_mono_file_leaves_the_array_of_the_configuration_out(tmp_path, capsys):
    path = write_recording(tmp_path / "mono.wav", 4000, channels=1)
    assert enhance(path, tmp_path / "o.wav", "--config", write_toml(tmp_path), "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["beamformer"] == "none"
    assert "1 channel" in captured.err


def test_a_board_and_a_file_without_its_reference_channels(tmp_path, capsys):
    path = write_recording(tmp_path / "in.wav", 4000, channels=4)
    assert enhance(path, tmp_path / "o.wav", "--board", "respeaker_usb_v2", "--mask", "bypass", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["beamformer"] == "mvdr"
    assert "microphones in order" in captured.err


@pytest.mark.parametrize(
    ("name", "subtype", "out", "expected"),
    [
        ("i.wav", "PCM_16", "o.flac", "PCM_16"),
        ("i.wav", "FLOAT", "o.wav", "FLOAT"),
        ("i.wav", "FLOAT", "o.flac", "PCM_24"),
        ("i.wav", "PCM_U8", "o.wav", "PCM_16"),
        ("i.ogg", "VORBIS", "o.wav", "PCM_16"),
    ],
)
def test_the_sample_format_follows_the_input(tmp_path, name, subtype, out, expected):
    path = write_recording(tmp_path / name, 2000, channels=1, subtype=subtype)
    assert enhance(path, tmp_path / out, "--mask", "bypass", "--json") == 0
    assert soundfile.info(tmp_path / out).subtype == expected


def test_a_truncated_file_is_enhanced_as_far_as_it_goes(tmp_path, array_file, capsys):
    data = array_file.read_bytes()
    array_file.write_bytes(data[: 44 + (len(data) - 44) // 2])
    assert enhance(array_file, tmp_path / "o.wav", "--config", write_toml(tmp_path), "--json") == 0
    captured = capsys.readouterr()
    assert "truncated" in captured.err
    assert "truncated" in json.loads(captured.out)["warning"]
    assert soundfile.info(tmp_path / "o.wav").frames == 4000


def test_an_existing_output_is_replaced_and_keeps_usual_rights(tmp_path):
    path = write_recording(tmp_path / "in.wav", 2000, channels=1)
    (tmp_path / "o.wav").write_bytes(b"old")
    assert enhance(path, tmp_path / "o.wav", "--mask", "bypass", "--json") == 0
    assert soundfile.info(tmp_path / "o.wav").frames == 2000
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "o.wav").stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_output_that_is_a_link_stays_one(tmp_path):
    path = write_recording(tmp_path / "in.wav", 500, channels=1)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "o.wav").symlink_to(tmp_path / "elsewhere" / "real.wav")
    for _ in range(2):  # first to a file that is not there yet
        assert enhance(path, tmp_path / "o.wav", "--mask", "bypass", "--json") == 0
        assert (tmp_path / "o.wav").is_symlink()
        assert soundfile.info(tmp_path / "elsewhere" / "real.wav").frames == 500
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_the_longest_name_is_taken_and_a_longer_one_is_one_sentence(tmp_path, capsys):
    path = write_recording(tmp_path / "in.wav", 500, channels=1)
    assert enhance(path, tmp_path / ("x" * 251 + ".wav"), "--mask", "bypass", "--json") == 0
    capsys.readouterr()
    assert enhance(path, tmp_path / ("x" * 300 + ".wav"), "--mask", "bypass") == 6
    assert "cannot be written (File name too long)" in capsys.readouterr().err


def test_only_regular_files_are_written(tmp_path, capsys):
    path = write_recording(tmp_path / "in.wav", 500, channels=1)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/null")
    for name in ("pipe.wav", "device.wav"):
        assert enhance(path, tmp_path / name, "--mask", "bypass") == 6
        assert f"{name} is not a regular file" in capsys.readouterr().err


def test_a_full_disk_names_the_output_and_leaves_the_old_one(tmp_path, capsys):
    path = write_recording(tmp_path / "in.wav", 4000, channels=1)
    (tmp_path / "o.wav").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3001, hard))
    try:
        assert enhance(path, tmp_path / "o.wav", "--mask", "bypass") == 6
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    err = capsys.readouterr().err
    assert f"edge: {tmp_path / 'o.wav'} was not written: " in err
    assert ".o-" not in err
    assert (tmp_path / "o.wav").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_of_which_nothing_can_be_read_leaves_the_output(tmp_path, capsys):
    path = tmp_path / "in.flac"
    soundfile.write(path, recording(20000, 1), RATE_HZ)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    (tmp_path / "o.wav").write_bytes(b"old")
    assert enhance(path, tmp_path / "o.wav", "--mask", "bypass") == 6
    assert "o.wav was not written" in capsys.readouterr().err
    assert (tmp_path / "o.wav").read_bytes() == b"old"


def test_samples_that_became_silence_are_told(tmp_path, capsys):
    samples = recording(2000, 1)
    samples[[3, 700, 1500], 0] = [np.nan, np.inf, 2e4]
    soundfile.write(tmp_path / "in.wav", samples, RATE_HZ, "FLOAT")
    assert enhance(tmp_path / "in.wav", tmp_path / "o.wav", "--mask", "bypass", "--json") == 0
    captured = capsys.readouterr()
    words = "3 samples were not finite or beyond +-10000 and became silence"
    assert f"edge: warning: {words}\n" in captured.err
    assert json.loads(captured.out)["warning"] == words


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.wav", "o.wav"], 6, ["none.wav", "no such file"]),
        (["empty.wav", "o.wav"], 6, ["is empty"]),
        (["header.wav", "o.wav"], 6, ["no sound"]),
        (["text.wav", "o.wav"], 6, ["no sound file"]),
        (["in.wav", "o.wav"], 6, ["4 channels", "--config or --board", "--channel 1"]),
        (["in.wav", "o.wav", "--channel", "5"], 6, ["no channel 5", "from 1 to 4"]),
        (["in.wav", "o.wav", "--channel", "0"], 6, ["no channel 0", "from 1 to 4"]),
        (["in.wav", "o.wav", "--channel", "2", "--azimuth", "3"], 2, ["--channel 2 takes 1 channel", "no direction"]),
        (["in.wav", "o.wav", "--board", "respeaker_2mic"], 6, ["4 channels", "captures 2"]),
        (["in.wav", "o.wav", "--board", "respeaker_2mi"], 3, ["did you mean respeaker_2mic"]),
        (["in.wav", "in.wav", "--config", "edge.toml"], 2, ["both input and output"]),
        (["in.wav", "none/o.wav", "--config", "edge.toml"], 6, ["folder", "does not exist"]),
        (["in.wav", "o.mp3", "--config", "edge.toml"], 2, [".wav or .flac"]),
        (["in.wav", "folder.wav", "--config", "edge.toml"], 2, ["is a folder"]),
        (["in.wav", "o.wav", "--config", "none.toml"], 3, ["no such configuration"]),
        (["in.wav", "o.wav", "--config", "edge.toml", "--azimuth", "nan"], 3, ["--azimuth"]),
        (["in.wav", "o.wav", "--config", "edge.toml", "--floor-db", "3"], 3, ["--floor-db"]),
        (["in.wav", "o.wav", "--config", "edge.toml", "--azimuth", "400"], 3, ["edge: --azimuth: got 400.0"]),
        (["in.wav", "o.wav", "--board", "respeaker_4mic_square", "--elevation", "91"], 3, ["edge: --elevation: got"]),
        (["mono.wav", "o.wav", "--azimuth", "3"], 2, ["1 channel", "no direction"]),
        (["mono.wav", "o.wav", "--beamformer", "mvdr"], 2, ["1 channel", "nothing to beamform"]),
        (["mono.wav", "o.wav", "--model", "none"], 5, ["'none' is not known"]),
        (["mono.wav", "o.wav", "--model", "damaged.json"], 5, ["damaged.json"]),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "in.wav", 500)
    write_recording(tmp_path / "mono.wav", 500, channels=1)
    soundfile.write(tmp_path / "header.wav", np.zeros((0, 1)), RATE_HZ)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound at all")
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "folder.wav").mkdir()
    write_toml(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert enhance(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edge: ")
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err
    # nothing half-done is left behind
    assert sorted(tmp_path.iterdir()) == before
