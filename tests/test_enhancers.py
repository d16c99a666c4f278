"""Enhancers of whole recordings: the contract, the noise they are told, what they gain, what they refuse."""

import json
import pickle

import numpy as np
import pytest
import soundfile
from live_parts import RATE_HZ, recording

from edge.cli.main import main
from edge.config import config_from_dict
from edge.config.schema import CLASSICAL_FLOOR_DB
from edge.enhancers import ENHANCERS, make_enhancer
from edge.enhancers.frames import CONTEXT_S, SEGMENT_S, Frames
from edge.enhancers.tracking import track_noise
from edge.errors import AudioFileError, ConfigError, UsageError
from edge.kinds import MASK_KINDS
from edge.offline import enhance_array
from edge.quality import metrics
from edge.sane import SANE_MAX

CLASSICAL = ("wiener", "spectral_subtraction", "wiener_offline", "spectral_subtraction_offline")
HERE = tuple(name for name in ENHANCERS if name not in ("blstm", "conv_tasnet"))
LEAD = RATE_HZ // 2


def talker(seconds=4.0, rate_hz=RATE_HZ):
    """Half a second of nothing, then harmonics of a moving pitch in syllables."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(130.0 + 25.0 * np.sin(2 * np.pi * 0.6 * t)) / rate_hz
    voiced = sum(np.cos(k * phase + k * k) / k for k in range(1, 20))
    return (0.08 * voiced * np.clip(np.sin(2 * np.pi * 2.1 * t), 0.0, None) ** 0.5 * (t > 0.5)).astype(np.float32)


def hiss(samples, seed=0, level=0.02):
    """Noise with a spectrum that falls, so that a profile has something to say."""
    white = np.random.default_rng(seed).standard_normal(samples + 1)
    return (level * (0.7 * white[1:] + 0.6 * white[:-1])).astype(np.float32)


SPEECH = talker()
NOISY = SPEECH + hiss(SPEECH.size)


# ---- the contract ----


@pytest.mark.parametrize("name", ENHANCERS)
def test_a_sample_beyond_all_devices_is_silence_for_every_enhancer_as_it_is_live(name):
    spoilt = NOISY[: 2 * RATE_HZ].copy()
    spoilt[RATE_HZ] = 0.0
    expected = make_enhancer(name).enhance(spoilt, RATE_HZ)
    for bad in (1.01 * SANE_MAX, -5e4, np.nan, np.inf):
        spoilt[RATE_HZ] = bad
        np.testing.assert_array_equal(make_enhancer(name).enhance(spoilt, RATE_HZ), expected)


@pytest.mark.parametrize("name", HERE)
def test_as_long_as_the_recording_float_and_the_same_every_time(name):
    enhancer = make_enhancer(name)
    assert enhancer.name == name
    first = enhancer.enhance(NOISY, RATE_HZ)
    assert first.dtype == np.float32
    assert first.shape == NOISY.shape
    enhancer.enhance(hiss(3000), 48000)
    np.testing.assert_array_equal(enhancer.enhance(NOISY, RATE_HZ), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(enhancer)).enhance(NOISY[:, None], RATE_HZ), first)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(("samples", "rate_hz"), [(0, 16000), (1, 16000), (7, 48000), (511, 16000), (4001, 44100)])
def test_any_length_and_rate(name, samples, rate_hz):
    made = make_enhancer(name).enhance(hiss(samples), rate_hz)
    assert made.shape == (samples,)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("name", MASK_KINDS)
def test_masks_are_those_of_the_pipeline(name):
    config = config_from_dict({"mask": {"kind": name}, "output": {"kind": "null", "channels": ["listen"]}})
    np.testing.assert_array_equal(
        make_enhancer(name).enhance(NOISY, RATE_HZ), enhance_array(NOISY, RATE_HZ, config)[:, 0]
    )


@pytest.mark.parametrize("name", HERE)
def test_silence_stays_silence_and_nonsense_becomes_it(name):
    enhancer = make_enhancer(name)
    assert not enhancer.enhance(np.zeros(8000, np.float32), RATE_HZ).any()
    bad = NOISY.copy()
    bad[5000:5010] = [np.nan, np.inf, -np.inf, 1e30, -1e30] * 2
    quiet = NOISY.copy()
    quiet[5000:5010] = 0.0
    np.testing.assert_array_equal(enhancer.enhance(bad, RATE_HZ), enhancer.enhance(quiet, RATE_HZ))


def test_an_identity_is_of_everything_that_decides():
    noise = hiss(8000)
    made = [
        *(make_enhancer(name) for name in HERE),
        make_enhancer("wiener", floor_db=-12.0),
        make_enhancer("wiener_offline", floor_db=-12.0),
        make_enhancer("wiener_offline", noise=noise),
        make_enhancer("wiener_offline", noise=noise[1:]),
        make_enhancer("wiener_offline", noise=noise, noise_rate_hz=8000),
        make_enhancer("wiener_offline", noise_from_s=(0.0, 0.5)),
        make_enhancer("wiener", noise_from_s=(0.0, 0.5)),
        make_enhancer("spectral_subtraction", over_subtraction=4.0),
        make_enhancer("spectral_subtraction_offline", over_subtraction=4.0),
        make_enhancer("network", model="mono-hearing", config=config_from_dict({"profile": "hearing"})),
    ]
    assert len({enhancer.identity for enhancer in made}) == len(made)
    assert (
        make_enhancer("wiener_offline", noise=noise).identity == make_enhancer("wiener_offline", noise=noise).identity
    )
    for name in HERE:
        assert make_enhancer(name).identity == pickle.loads(pickle.dumps(make_enhancer(name))).identity


# ---- an array ----

ARRAY = {"array": {"board": "respeaker_4mic_square"}, "input": {"kind": "file", "path": "x.wav"}}


def test_the_offline_ones_hear_the_beam_of_an_array():
    config = config_from_dict({**ARRAY, "output": {"kind": "null", "channels": ["asr"]}})
    samples = recording(12000, len(config.array.roles))
    beam = enhance_array(samples, RATE_HZ, config)[:, 0]
    made = make_enhancer("wiener_offline", config).enhance(samples, RATE_HZ)
    np.testing.assert_array_equal(made, make_enhancer("wiener_offline").enhance(beam, RATE_HZ))
    assert make_enhancer("wiener_offline", config).identity != make_enhancer("wiener_offline").identity
    listened = make_enhancer("wiener", config).enhance(samples, RATE_HZ)
    assert listened.shape == (12000,)


def test_channels_without_an_array_are_refused():
    for name in HERE:
        with pytest.raises(AudioFileError, match="2"):
            make_enhancer(name).enhance(np.zeros((1000, 2), np.float32), RATE_HZ)
    with pytest.raises(UsageError, match="wiener_offline"):
        make_enhancer("wiener", config_from_dict(ARRAY), noise_from_s=(0.0, 0.5))


# ---- what the classical ones do ----


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("told", [{}, {"noise_from_s": (0.0, 0.5)}, {"noise": hiss(RATE_HZ, seed=9)}], ids=str)
def test_noise_goes_and_speech_stays(name, told):
    made = make_enhancer(name, **told).enhance(NOISY, RATE_HZ)
    before, after = (metrics.si_sdr_db(SPEECH, x).value for x in (NOISY, made))
    assert after > before + 4.0
    assert 20 * np.log10(made[:LEAD].std() / NOISY[:LEAD].std()) < -8.0


@pytest.mark.parametrize("name", ["wiener", "spectral_subtraction"])
def test_the_whole_recording_serves_better_than_its_past(name):
    """In noise that rises by 10 dB in the middle."""
    noise = hiss(SPEECH.size) * np.where(np.arange(SPEECH.size) < SPEECH.size // 2, 0.5, 1.6).astype(np.float32)
    noisy = SPEECH + noise
    streaming, offline = (
        metrics.si_sdr_db(SPEECH, make_enhancer(n).enhance(noisy, RATE_HZ)).value for n in (name, f"{name}_offline")
    )
    assert offline > streaming + 0.3


def test_a_profile_is_of_the_noise_that_is_given():
    """Told a tone, they take off the tone and leave the hiss."""
    t = np.arange(SPEECH.size) / RATE_HZ
    tone = (0.05 * np.sin(2 * np.pi * 1000.0 * t)).astype(np.float32)
    mixed = tone + hiss(SPEECH.size, level=0.01)

    def band(x, low_hz, high_hz):
        power = np.abs(np.fft.rfft(x[RATE_HZ:])) ** 2
        f = np.fft.rfftfreq(x[RATE_HZ:].size, 1 / RATE_HZ)
        return 10 * np.log10(power[(f > low_hz) & (f < high_hz)].sum())

    for name in CLASSICAL:
        made = make_enhancer(name, noise=tone, noise_rate_hz=RATE_HZ).enhance(mixed, RATE_HZ)
        assert band(made, 950, 1050) < band(mixed, 950, 1050) - 12.0, name
        assert band(made, 3000, 7000) > band(mixed, 3000, 7000) - 1.5, name


def test_noise_at_another_rate_is_the_same_noise():
    noise = hiss(RATE_HZ, seed=9)
    import soxr

    wide = soxr.resample(noise, RATE_HZ, 48000)
    same, other = (
        make_enhancer("wiener_offline", noise=n, noise_rate_hz=r).enhance(NOISY, RATE_HZ)
        for n, r in ((noise, RATE_HZ), (wide, 48000))
    )
    assert metrics.snr_db(same, other).value > 30.0


@pytest.mark.parametrize("name", ["spectral_subtraction", "spectral_subtraction_offline"])
def test_more_over_subtraction_leaves_less(name):
    left = [make_enhancer(name, over_subtraction=x).enhance(NOISY, RATE_HZ)[:LEAD].std() for x in (1.0, 2.0, 5.0)]
    assert left[0] > left[1] > left[2]


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_floor_is_the_least_gain(name):
    noise = hiss(RATE_HZ * 2)
    made = make_enhancer(name, floor_db=-6.0).enhance(noise, RATE_HZ)
    assert -6.1 < 20 * np.log10(made.std() / noise.std()) < -3.0


def test_the_rate_of_the_recording_is_kept():
    """Nothing above 8 kHz is lost offline: a tone there that comes and goes is still there."""
    t = np.arange(2 * 48000) / 48000
    chirps = (0.1 * np.sin(2 * np.pi * 12000.0 * t) * (np.sin(2 * np.pi * 2.0 * t) > 0)).astype(np.float32)
    noisy = chirps + hiss(t.size, level=0.005)
    made = make_enhancer("wiener_offline").enhance(noisy, 48000)
    assert metrics.si_sdr_db(chirps, made).value > metrics.si_sdr_db(chirps, noisy).value > 15.0


# ---- frames and tracking ----


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 100, 5000])
def test_frames_give_back_what_they_take(rate_hz, samples):
    x = hiss(samples)
    np.testing.assert_allclose(Frames(rate_hz).filter(x, np.ones_like), x, atol=1e-6)


def test_segments_leave_no_seam():
    """What hears only its near surroundings gives the same in one segment and in several."""
    x = hiss(int(4000 * (2.2 * SEGMENT_S + CONTEXT_S)), seed=4)
    frames = Frames(4000)

    def near(power):
        return np.asarray(power > np.roll(power, 3, axis=0), np.float32)

    whole = near(np.abs(frames.spectra(np.pad(x, (96, 128)))) ** 2)
    made = frames.filter(x, near)
    spectra = frames.spectra(np.pad(x, (96, 128)))
    expected = np.zeros((len(spectra) - 1) * 32 + 128)
    for i, frame in enumerate(np.fft.irfft(spectra * whole, 128, axis=1)):
        expected[i * 32 : i * 32 + 128] += frame * np.sqrt(np.hanning(129)[:-1]) / 2.0
    inner = slice(200, x.size - 200)
    np.testing.assert_allclose(made[inner], expected[96 : 96 + x.size][inner], atol=1e-6)


def test_noise_is_found_from_its_first_frame_to_its_last_and_where_it_changes():
    rng = np.random.default_rng(2)
    true = np.where(np.arange(500) < 250, 1.0, 10.0)[:, None]
    power = (true * rng.exponential(1.0, (500, 129))).astype(np.float32)
    power[300:330] *= 1000.0  # a word
    found = track_noise(power, 0.008, 31.25)
    error_db = 10 * np.log10(np.median(found, axis=1) / true[:, 0])
    assert np.abs(error_db[:150]).max() < 1.5
    assert np.abs(error_db[-70:]).max() < 1.5
    assert np.abs(error_db[300:330]).max() < 3.0
    silent = track_noise(np.zeros((50, 129), np.float32), 0.008, 31.25)
    assert np.isfinite(silent).all()


# ---- what is refused ----


def test_wrong_options_are_one_sentence_each():
    for options, what in (
        ({"noise": hiss(8000), "noise_from_s": (0.0, 0.5)}, "twice"),
        ({"noise_from_s": (1.0, 0.5)}, "two times"),
        ({"noise_from_s": 5}, "from 5, expected two times"),
        ({"noise_from_s": ("a", "b")}, "expected two times in seconds"),
        ({"noise_from_s": (0.0, 1.0, 2.0)}, "expected two times in seconds"),
        ({"noise_from_s": (0.0, float("inf"))}, "expected two times"),
        ({"noise": "x"}, "of type str, expected floats"),
        ({"noise": np.zeros((8000, 2), np.float32)}, r"float32 of shape \(8000, 2\), expected floats"),
        ({"noise": np.ones(8000, np.int16)}, r"int16 of shape \(8000,\), expected floats"),
        ({"noise": hiss(8000), "noise_rate_hz": 0}, "rate of the noise is 0, expected from 4000"),
        ({"noise": hiss(8000), "noise_rate_hz": "16000"}, "rate of the noise is '16000', expected"),
        ({"noise_rate_hz": 16000}, "noise_rate_hz is of a recording of noise"),
        ({"floor_db": "low"}, r"the floor in dB is \"low\", expected a finite number from -120 to 0 or auto"),
        ({"over_subtraction": 3.0}, "over-subtraction"),
        ({"model": "mono-assistant"}, "model"),
        ({"floor_db": 3.0}, "floor"),
    ):
        with pytest.raises(UsageError, match=what):
            make_enhancer("wiener_offline", **options)
    with pytest.raises(UsageError, match="noise profile"):
        make_enhancer("network", noise_from_s=(0.0, 1.0))
    with pytest.raises(UsageError, match="from 1 to 20"):
        make_enhancer("spectral_subtraction_offline", over_subtraction=0.5)
    with pytest.raises(UsageError, match="from 1 to 20"):
        make_enhancer("spectral_subtraction", over_subtraction=0.5)
    with pytest.raises(ConfigError, match="wiener_offline"):
        make_enhancer("winer")
    for rate_hz in (0, -16000):
        with pytest.raises(ConfigError, match="expected from 4000"):
            make_enhancer("wiener_offline").enhance(NOISY, rate_hz)
    with pytest.raises(AudioFileError, match=r"only 4\.00 s"):
        make_enhancer("wiener_offline", noise_from_s=(5.0, 6.0)).enhance(NOISY, RATE_HZ)
    with pytest.raises(AudioFileError, match=r"only 4\.00 s"):
        make_enhancer("wiener_offline", noise_from_s=(3.9, 99.0)).enhance(NOISY, RATE_HZ)
    for nothing, what in ((np.zeros(8000), "is silence"), (np.full(8000, np.nan), "no sample that is a number")):
        with pytest.raises(AudioFileError, match=f"the noise recording .*{what}"):
            make_enhancer("wiener", noise=nothing)
    with pytest.raises(AudioFileError, match=r"the stretch from 0 to 0\.5 s is silence"):
        make_enhancer("wiener", noise_from_s=(0.0, 0.5)).enhance(SPEECH, RATE_HZ)
    with pytest.raises(AudioFileError, match=r"0\.050 s of noise"):
        make_enhancer("wiener", noise=hiss(800)).enhance(NOISY, RATE_HZ)


# ---- edge enhance ----


@pytest.fixture
def noisy_file(tmp_path):
    path = tmp_path / "in.wav"
    soundfile.write(path, NOISY, RATE_HZ, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("options", "made"),
    [
        (["--mask", "wiener_offline"], {"name": "wiener_offline"}),
        (["--mask", "wiener", "--noise-from", "0:0.5"], {"name": "wiener", "noise_from_s": (0.0, 0.5)}),
        (
            ["--mask", "spectral_subtraction_offline", "--over-subtraction", "5", "--floor-db", "-15"],
            {"name": "spectral_subtraction_offline", "over_subtraction": 5.0, "floor_db": -15.0},
        ),
    ],
    ids=lambda x: x["name"] if isinstance(x, dict) else "",
)
def test_the_command_gives_what_the_object_gives(noisy_file, tmp_path, capsys, options, made):
    out = tmp_path / "out.wav"
    assert main(["enhance", str(noisy_file), str(out), *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    enhancer = make_enhancer(**made)
    np.testing.assert_allclose(soundfile.read(out)[0], enhancer.enhance(NOISY, RATE_HZ), atol=1e-7)
    assert report["mask"] == made["name"]
    assert report["identity"] == enhancer.identity
    assert report["level_out_dbfs"][0] < report["level_in_dbfs"][0]


def test_the_command_takes_a_recording_of_noise(noisy_file, tmp_path, capsys):
    out, noise = tmp_path / "out.wav", tmp_path / "noise.flac"
    soundfile.write(noise, hiss(RATE_HZ, seed=9), RATE_HZ)
    assert main(["enhance", str(noisy_file), str(out), "--mask", "wiener_offline", "--noise", str(noise)]) == 0
    assert "noise.flac" in capsys.readouterr().out
    given = soundfile.read(noise, dtype="float32")[0]
    expected = make_enhancer("wiener_offline", noise=given).enhance(NOISY, RATE_HZ)
    np.testing.assert_allclose(soundfile.read(out)[0], expected, atol=1e-6)


def test_the_command_refuses_what_makes_no_sense(noisy_file, tmp_path, capsys):
    out = tmp_path / "out.wav"
    for options, code, what in (
        (["--mask", "wiener_offline", "--output", "asr"], 2, "pipeline alone"),
        (["--mask", "network", "--noise-from", "0:1"], 2, "no use for a noise profile"),
        (["--mask", "wiener_offline", "--noise-from", "8:9"], 6, "only 4.00 s"),
        (["--mask", "wiener_offline", "--noise", str(tmp_path / "none.wav")], 6, "no such file"),
        (
            ["--mask", "wiener_offline", "--noise", str(noisy_file), "--model", "mono-assistant"],
            2,
            "no use for a model",
        ),
    ):
        assert main(["enhance", str(noisy_file), str(out), *options]) == code
        assert what in capsys.readouterr().err
        assert not out.exists()
    with pytest.raises(SystemExit):
        main(["enhance", str(noisy_file), str(out), "--noise-from", "1"])


def test_the_default_floor_is_that_of_the_configuration():
    assert make_enhancer("wiener_offline").floor_db == CLASSICAL_FLOOR_DB == -24.0
