"""The whole signal path: latency, reconstruction, bad samples, silence, switches."""

import numpy as np
import pytest
from signal_path import MONO, SQUARE, make_pipeline, run

from edge.config.schema import EchoConfig
from edge.errors import ConfigError
from edge.mask.classical import SpectralSubtractionMask, WienerMask
from edge.profiles import PROFILES

PROFILE_NAMES = list(PROFILES)


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("beamformer", ["none", "delay_sum"])
def test_bypass_reconstructs_perfectly(profile, beamformer):
    rng = np.random.default_rng(0)
    pipeline = make_pipeline(SQUARE, beamformer, profile=profile)
    if beamformer == "delay_sum":
        pipeline.set_bypass(True)
        pipeline.reset()
    x = rng.uniform(-0.9, 0.9, (pipeline.hop_samples * 200, 4)).astype(np.float32)
    y = run(pipeline, x)
    lag = pipeline.latency_samples
    assert np.abs(y[lag:] - x[:-lag, :1]).max() < 1e-6


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("mask", ["bypass", "wiener", "spectral_subtraction"])
def test_an_impulse_measures_the_latency(profile, mask):
    pipeline = make_pipeline(MONO, mask=mask, profile=profile)
    hop = pipeline.hop_samples
    for offset in (0, 1, hop // 2, hop - 1):
        pipeline.reset()
        x = np.zeros((hop * 40, 1), np.float32)
        x[20 * hop + offset] = 0.5
        y = run(pipeline, x)[:, 0]
        assert np.argmax(np.abs(y)) == 20 * hop + offset + pipeline.latency_samples
    # the block with a sample is complete after one hop at the latest, and leaves `latency_samples` later
    total_ms = 1000 * (hop + pipeline.latency_samples) / pipeline.rate_hz
    assert total_ms == PROFILES[profile].algorithmic_latency_ms
    assert total_ms <= {"assistant": 24.0, "hearing": 8.0}[profile]


def test_outputs_are_what_the_configuration_names():
    rng = np.random.default_rng(1)
    x = 0.1 * rng.standard_normal((128 * 60, 4)).astype(np.float32)
    both = run(make_pipeline(SQUARE, "mvdr", "wiener"), x)
    swapped = run(make_pipeline(SQUARE, "mvdr", "wiener", outputs=("asr", "listen")), x)
    single = run(make_pipeline(SQUARE, "mvdr", "wiener", outputs=("listen",)), x)
    np.testing.assert_array_equal(both, swapped[:, ::-1])
    np.testing.assert_array_equal(both[:, :1], single)
    assert np.mean(both[4000:, 0] ** 2) < 0.1 * np.mean(both[4000:, 1] ** 2)  # noise: masked, and not for asr


def test_a_replaced_pipeline_is_freed_without_the_collector():
    import gc
    import weakref

    gc.disable()
    try:
        pipeline = make_pipeline(SQUARE, "mvdr", "wiener")
        run(pipeline, np.zeros((128 * 3, 4), np.float32))
        watch = weakref.ref(pipeline)
        del pipeline
        assert watch() is None
    finally:
        gc.enable()


def test_a_given_noise_profile_is_what_is_subtracted():
    rng = np.random.default_rng(14)
    x = 0.1 * rng.standard_normal((128 * 200, 1)).astype(np.float32)
    power = {}
    for name, profile_power in (("right", 0.01), ("none", 1e-6)):
        pipeline = make_pipeline(MONO, mask="bypass", floor_db=-60.0)
        scale = 1.0 / pipeline._stft.power_scale / pipeline.profile.bins
        noise_power = np.full(pipeline.profile.bins, profile_power * scale, np.float32)
        pipeline.set_mask(SpectralSubtractionMask(pipeline.profile, noise_power=noise_power), "spectral_subtraction")
        power[name] = np.mean(run(pipeline, x)[2000:, 0] ** 2)
    assert power["none"] == pytest.approx(0.01, rel=0.1)
    assert power["right"] < 0.05 * power["none"]
    with pytest.raises(ValueError, match=r"expected \(257,\)"):
        SpectralSubtractionMask(PROFILES["assistant"], noise_power=np.ones(5, np.float32))


def test_gain_floor_holds_on_noise():
    rng = np.random.default_rng(2)
    x = 0.1 * rng.standard_normal((128 * 400, 1)).astype(np.float32)
    levels = {}
    for floor_db in (-12.0, -30.0):
        y = run(make_pipeline(MONO, mask="wiener", floor_db=floor_db), x)
        levels[floor_db] = 10 * np.log10(np.mean(y[30000:, 0] ** 2) / np.mean(x[30000:] ** 2))
    assert levels[-12.0] == pytest.approx(-12.0, abs=1.5)
    assert levels[-30.0] < -14.0


def test_roles_and_calibration_reach_the_right_channels():
    rng = np.random.default_rng(3)
    mics = 0.1 * rng.standard_normal((128 * 30, 2)).astype(np.float32)
    plain = run(make_pipeline(SQUARE[:2], "delay_sum"), mics)
    captured = np.zeros((len(mics), 4), np.float32)
    captured[:, 0], captured[:, 2] = 7.0, mics[:, 0]
    captured[:, 1], captured[:, 3] = rng.standard_normal(len(mics)), 0.5 * mics[:, 1]
    routed = run(
        make_pipeline(SQUARE[:2], "delay_sum", roles="XRMM", gains_db=(0.0, 6.0206), echo=EchoConfig(enabled=False)),
        captured,
    )
    np.testing.assert_allclose(routed, plain, atol=1e-5)


@pytest.mark.parametrize("mask", ["bypass", "wiener", "spectral_subtraction"])
def test_bad_samples_become_silence_and_are_counted(mask):
    rng = np.random.default_rng(4)
    pipeline = make_pipeline(SQUARE, "mvdr", mask)
    x = 0.1 * rng.standard_normal((128 * 50, 4)).astype(np.float32)
    x[1000:1010, 1] = np.nan
    x[2000, :] = np.inf
    x[3000, 2] = -1e30
    y = run(pipeline, x)
    assert pipeline.meters.nonfinite == 10 + 4 + 1
    assert np.isfinite(y).all()
    cleaned = np.where(np.abs(x) < 1e4, x, 0.0)  # NaN compares false
    np.testing.assert_array_equal(y, run(make_pipeline(SQUARE, "mvdr", mask), cleaned))


@pytest.mark.parametrize("mask", ["wiener", "spectral_subtraction", "bypass"])
def test_long_silence_then_sound_is_as_good_as_new(mask):
    rng = np.random.default_rng(5)
    pipeline = make_pipeline(SQUARE, "mvdr", mask)
    run(pipeline, np.zeros((128 * 125 * 60, 4), np.float32))
    x = 0.05 * rng.standard_normal((128 * 250, 4)).astype(np.float32)
    after = run(pipeline, x)
    fresh = run(make_pipeline(SQUARE, "mvdr", mask), x)
    assert np.isfinite(after).all()
    late = slice(128 * 125, None)
    assert np.mean(after[late, 0] ** 2) == pytest.approx(np.mean(fresh[late, 0] ** 2), rel=0.05)


def test_reset_is_as_new():
    rng = np.random.default_rng(6)
    pipeline = make_pipeline(SQUARE, "mvdr", "wiener")
    x = 0.1 * rng.standard_normal((128 * 60, 4)).astype(np.float32)
    first = run(pipeline, x)
    assert not np.array_equal(first, run(pipeline, x))  # it had learnt something
    pipeline.reset()
    np.testing.assert_array_equal(first, run(pipeline, x))


def test_switching_beamformer_and_mask_keeps_running_without_a_click():
    rng = np.random.default_rng(7)
    t = np.arange(128 * 200) / 16000
    x = np.repeat((0.3 * np.sin(2 * np.pi * 440 * t))[:, None], 4, axis=1) + 1e-3 * rng.standard_normal((len(t), 4))
    pipeline = make_pipeline(SQUARE, "mvdr", "bypass")
    parts = [run(pipeline, x[: 128 * 50])]
    pipeline.set_beamformer("delay_sum")
    parts.append(run(pipeline, x[128 * 50 : 128 * 100]))
    pipeline.set_bypass(True)
    parts.append(run(pipeline, x[128 * 100 : 128 * 150]))
    pipeline.set_mask(WienerMask(pipeline.profile), "wiener")
    parts.append(run(pipeline, x[128 * 150 :]))
    y = np.concatenate(parts)[1000:]
    assert (pipeline.beamformer_kind, pipeline.bypass, pipeline.mask_kind) == ("delay_sum", True, "wiener")
    assert np.abs(np.diff(y[:, 1])).max() < 1.5 * np.abs(np.diff(x[:, 0])).max()


def test_processing_allocates_nothing_that_stays():
    import tracemalloc

    rng = np.random.default_rng(8)
    pipeline = make_pipeline(SQUARE, "mvdr", "wiener")
    block = 0.1 * rng.standard_normal((128, 4)).astype(np.float32)
    out = np.zeros((128, 2), np.float32)
    for _ in range(100):
        pipeline.process(block, out)
    tracemalloc.start()
    pipeline.process(block, out)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2000):
        pipeline.process(block, out)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000  # bytes; a leak of one small object per hop would be 60 times that


def test_snr_is_read_only_where_a_network_decides():
    rng = np.random.default_rng(15)
    noise = 0.05 * rng.standard_normal((128 * 300, 1)).astype(np.float32)
    network = make_pipeline(MONO, mask="network")
    assert network.snr.input_db is None  # nothing heard yet
    run(network, np.zeros((128 * 20, 1), np.float32))
    assert network.snr.input_db is None
    run(network, noise)
    assert network.snr.input_db is None or network.snr.input_db < -5.0
    network.set_mask(WienerMask(network.profile), "wiener")
    run(network, noise)
    assert network.snr.input_db is None
    assert network.snr.output_db is None


def test_wrong_shapes_and_geometry_are_refused():
    pipeline = make_pipeline(SQUARE)
    out = np.zeros((128, 2), np.float32)
    with pytest.raises(ValueError, match=r"\(128, 3\), expected \(128, 4\)"):
        pipeline.process(np.zeros((128, 3), np.float32), out)
    with pytest.raises(ValueError, match="outputs"):
        pipeline.process(np.zeros((128, 4), np.float32), np.zeros((128, 1), np.float32))
    with pytest.raises(ConfigError, match="names 3 microphones"):
        make_pipeline(SQUARE, roles="MMMR")


def test_meters_publish_whole_intervals():
    pipeline = make_pipeline(SQUARE[:2], "none")
    x = np.full((128 * 10, 2), 0.5, np.float32)
    x[:, 1] = 1.0
    run(pipeline, x)
    pipeline.meters.rotate()
    reading = pipeline.meters.published
    assert reading.frames == 1280
    np.testing.assert_allclose(np.sqrt(reading.energy / reading.frames), [0.5, 1.0])
    np.testing.assert_array_equal(reading.clipped, [0, 1280])
    run(pipeline, 0.1 * x[:128])
    pipeline.meters.rotate()
    np.testing.assert_allclose(pipeline.meters.published.peak, [0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(reading.peak, [0.5, 1.0])


def test_level_control_brings_speech_to_the_target_and_leaves_noise():
    from edge.config.schema import PostConfig
    from edge.post import LevelControl

    profile = PROFILES["assistant"]
    control = LevelControl(PostConfig(agc=True, agc_target_dbfs=-23.0), profile, power_scale=1.0)
    for _ in range(125 * 30):
        gain = control.update(1e-4, 0.9e-4)  # speech at about -40 dBFS
    assert 20 * np.log10(gain) == pytest.approx(17.5, abs=0.2)
    for _ in range(125 * 30):
        held = control.update(1e-4, 1e-6)  # noise only
    assert held == gain
