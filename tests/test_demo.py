"""The bundled scene, the demo's configuration and meter, and a short demo through the live runtime."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from mqtt_parts import MOSQUITTO, Mosquitto
from telemetry_samples import make_snapshot

from edge.config import config_from_dict
from edge.demo import meter
from edge.demo.bundled import FOLDER, load_scene
from edge.demo.session import demo_config, run_live
from edge.errors import AudioFileError, ConfigError
from edge.quality import metrics
from edge.telemetry.payload import telemetry_payload

SCENE = load_scene()


# ---- the scene ----


def test_scene_is_what_its_description_says():
    facts = SCENE.facts
    assert SCENE.rate_hz == 16000
    assert SCENE.samples == facts["duration_s"] * 16000
    assert SCENE.speech.shape[1] == SCENE.noise.shape[1] == len(facts["positions_m"])
    measured = metrics.power_ratio_db(SCENE.speech[:, 0], SCENE.noise[:, 0]).value
    spoken = metrics.power_ratio_db(SCENE.speech[:, 0], SCENE.noise[:, 0], SCENE.active).value
    assert spoken == pytest.approx(facts["snr_mic0_db"], abs=0.1)
    assert measured < spoken
    assert np.abs(SCENE.speech + SCENE.noise).max() < 1.0


def test_first_second_of_the_scene_is_noise_only():
    assert not SCENE.active[:16000].any()
    assert np.abs(SCENE.speech[:16000]).max() < 1e-3
    assert np.sqrt(np.mean(SCENE.noise[:16000] ** 2)) > 0.01


def test_scene_reference_is_the_early_part_of_the_speech():
    """Aligned with the reverberant speech of the first microphone to the sample, and a part of it."""
    from edge.quality.alignment import find_lag

    found = find_lag(SCENE.reference, SCENE.speech[:, 0], 200)
    assert found.lag_samples == 0
    assert found.correlation > 0.9


def test_scene_reference_is_at_the_microphone_that_beams_are_relative_to():
    """The beam as it starts, steered to the talker, gives his speech best aligned with the reference."""
    from edge.geometry import ArrayGeometry
    from edge.quality.alignment import find_lag
    from edge.quality.pattern import starting_beamformer, starting_weights

    positions = SCENE.facts["positions_m"]
    config = config_from_dict({"array": {"positions_m": positions}, "mask": {"kind": "bypass"}})
    beamformer, frequencies_hz = starting_beamformer(config, "delay_sum")
    weights = starting_weights(beamformer, SCENE.azimuth_deg, SCENE.elevation_deg)
    fine_hz = np.fft.rfftfreq(SCENE.samples, 1 / 16000)
    spectra = np.fft.rfft(SCENE.speech, axis=0).T
    # weights between the bins of the STFT: level 1 / mics and a delay, exact at every frequency
    delays_s = ArrayGeometry(positions).steering_delays_s(SCENE.azimuth_deg, SCENE.elevation_deg)
    exact = np.exp(-2j * np.pi * (delays_s - delays_s[0])[:, None] * fine_hz) / len(positions)
    at_bins = np.exp(-2j * np.pi * (delays_s - delays_s[0])[:, None] * frequencies_hz) / len(positions)
    np.testing.assert_allclose(weights, at_bins, atol=1e-4)
    beam = np.fft.irfft(np.sum(np.conj(exact) * spectra, axis=0), SCENE.samples).astype(np.float32)
    assert find_lag(SCENE.reference, beam, 200).lag_samples == 0
    # the other microphones hear the talker earlier or later
    others = [abs(find_lag(SCENE.reference, SCENE.speech[:, m], 200).lag_samples) for m in (1, 2)]
    assert min(others) >= 1


def test_talker_is_heard_from_where_the_scene_says():
    """Delay-and-sum over the speech alone is loudest towards the talker, in free field and by its direct sound."""
    from edge.geometry import ArrayGeometry

    geometry = ArrayGeometry(SCENE.facts["positions_m"])
    spectrum = np.fft.rfft(SCENE.speech, axis=0)
    frequencies_hz = np.fft.rfftfreq(SCENE.samples, 1 / 16000)
    band = (frequencies_hz > 500) & (frequencies_hz < 2500)
    spectrum = spectrum[band] / np.maximum(np.abs(spectrum[band]), 1e-9)

    def power(azimuth_deg):
        delays_s = geometry.steering_delays_s(azimuth_deg, SCENE.elevation_deg)
        steering = np.exp(2j * np.pi * frequencies_hz[band][:, None] * delays_s)
        return np.sum(np.abs(np.sum(steering * spectrum, axis=1)) ** 2)

    azimuths_deg = np.arange(-180.0, 180.0, 5.0)
    loudest = azimuths_deg[int(np.argmax([power(a) for a in azimuths_deg]))]
    assert abs(loudest - SCENE.azimuth_deg) <= 10.0


def test_scene_names_its_licences():
    assert "MIT-Festival" in SCENE.facts["voice_licence"]
    assert SCENE.facts["licence"].startswith("Apache-2.0")


def test_scene_with_a_file_missing_or_damaged_is_one_sentence(tmp_path):
    with pytest.raises(AudioFileError, match="is incomplete"):
        load_scene(tmp_path)
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:100])
    with pytest.raises(AudioFileError, match="is incomplete"):
        load_scene(tmp_path)


# ---- configuration ----


def test_demo_configuration_puts_the_scene_in_place(tmp_path):
    file = tmp_path / "empty.toml"
    file.write_text("")
    config = demo_config(SCENE, tmp_path / "out.wav", None, loop=False)
    assert config == demo_config(SCENE, tmp_path / "out.wav", file, loop=False)
    assert config.array.roles == "MMMM"
    assert config.input.realtime
    assert config.output.channels == ("listen", "asr")
    assert (config.beamformer.kind, config.beamformer.steering) == ("mvdr", "track")
    assert config.beamformer.azimuth_deg == config.beamformer.elevation_deg == 0.0, "nobody tells where the talker is"
    assert config.telemetry.mqtt.enabled
    assert config.telemetry.device_name == f"demo-{os.getpid()}"


def test_demo_keeps_what_a_file_says_of_the_processing(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'profile = "hearing"\n[array]\nboard = "playstation_eye"\n[beamformer]\nkind = "delay_sum"\nazimuth_deg = -90\n'
        '[mask]\nkind = "wiener"\nfloor_db = -12\n[telemetry.mqtt]\nport = 1999\nusername = "me"\n'
    )
    config = demo_config(SCENE, tmp_path / "out.wav", file, loop=True)
    assert (config.profile, config.beamformer.kind, config.mask.kind) == ("hearing", "delay_sum", "wiener")
    assert config.mask.floor_db == -12
    assert config.array.board == SCENE.facts["board"]
    assert (config.beamformer.steering, config.beamformer.azimuth_deg) == ("track", 0.0)
    assert config.input.loop
    assert (config.telemetry.mqtt.port, config.telemetry.mqtt.username) == (1999, "")
    file.write_text("profil = 'hearing'\n")
    with pytest.raises(ConfigError, match="did you mean profile"):
        demo_config(SCENE, tmp_path / "out.wav", file, loop=False)


# ---- the meter ----


def test_bar_has_eighths_and_stays_in_its_cells():
    assert meter.bar(0.0, 4) == "    "
    assert meter.bar(1.0, 4) == meter.bar(7.0, 4) == "████"
    assert meter.bar(0.5, 4) == "██  "
    assert meter.bar(1 / 32, 4) == "▏   "
    assert all(len(meter.bar(share / 100, 9)) == 9 for share in range(-20, 150))


def test_level_share_and_arrow():
    assert meter.level_share(None) == 0.0
    assert meter.level_share(0.0) == 1.0
    assert meter.level_share(-35.0) == 0.5
    assert [meter.arrow(a) for a in (0, 44, 90, -90, 180, -180, 359)] == ["↑", "↖", "←", "→", "↓", "↓", "↑"]


def test_meter_calls_channels_by_their_role():
    assert meter.channel_names("RMMXR") == ["ref 1", "mic 1", "mic 2", "unused", "ref 2"]


def _shown(payload, roles="MMMM"):
    rich_console = pytest.importorskip("rich.console")
    console = rich_console.Console(width=80, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(meter.view(payload, roles, "mqtt://127.0.0.1:1883/edge/demo/telemetry", 27.0, 3))
    return capture.get()


def test_meter_shows_what_the_telemetry_says_within_80_columns():
    text = _shown(telemetry_payload(make_snapshot()))
    for expected in ("mic 4", "-31.2 dBFS", "listen", "16.2 dB  (+11.2)", "0.30 of 8 ms", "30°", "mvdr, network"):
        assert expected in text
    assert "12 of 27 s" in text
    with_reference = _shown(telemetry_payload(make_snapshot()), "RMMM").splitlines()
    assert "-31.2 dBFS" in next(line for line in with_reference if "ref 1" in line)
    assert "-30.0 dBFS" in next(line for line in with_reference if "mic 2" in line)
    assert all(len(line) <= 80 for line in text.splitlines())


def test_meter_survives_silence_and_unknown_values():
    payload = telemetry_payload(make_snapshot(snr_in_db=None, snr_out_db=None, level_in_dbfs=(float("-inf"),) * 4))
    assert "- dB" in _shown(payload)
    assert "waiting" in _shown(None)


# ---- live ----


def _wiener_config(tmp_path):
    """Not the network: these tests are about the demo, and the classical mask needs no model."""
    file = tmp_path / "wiener.toml"
    file.write_text('[mask]\nkind = "wiener"\n[runtime]\nrealtime_priority = 0\nlock_memory = false\n')
    return file


def _without_broker(monkeypatch):
    from edge.demo import session
    from edge.errors import TelemetryError

    class NoBroker:
        def __init__(self, port):
            raise TelemetryError("the demo's MQTT broker needs the package amqtt, which is not installed")

    monkeypatch.setattr(session, "EmbeddedBroker", NoBroker)


def test_short_demo_without_a_broker_measures_what_came_out(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from edge.demo.picture import draw
    from edge.demo.report import as_text, make_report

    _without_broker(monkeypatch)
    said = []
    config = demo_config(SCENE, tmp_path / "out.wav", _wiener_config(tmp_path), loop=False)
    live = run_live(config, tmp_path, 3.0, False, said.append)
    steps = []
    report = make_report(SCENE, config, live, tmp_path / "out.wav", tell=steps.append)
    assert len(steps) == 4
    summary = report.summary
    assert live.summary.hops == 375
    assert live.hop_ms.shape == (375,)
    assert live.broker.startswith("none: ")
    assert any("amqtt" in note for note in live.notes)
    assert soundfile.info(tmp_path / "out.wav").channels == 2
    if not live.summary.deadline_misses:  # else a machine as busy as that may have fallen back for a while
        assert summary["live_equals_offline"]
    assert summary["latency_ms"]["algorithmic"] == 16.0
    assert summary["latency_ms"]["measured"] == 16.0  # to the sample: beams are relative to the reference's microphone
    assert summary["gain"]["snr_db"] > 3.0
    assert summary["scores"]["asr"]["snr_db"] > summary["scores"]["noisy"]["snr_db"] + 1.0
    json.dumps(summary, allow_nan=False)
    text = as_text(summary)
    assert "SNR, dB (true)" in text
    assert "of 375 late" in text
    heads, snr = (next(line for line in text.splitlines() if word in line) for word in ("gain (listen)", "SNR, dB"))
    assert len(heads) == len(snr)
    assert snr.endswith(f"{summary['gain']['snr_db']:+.2f}")
    draw(tmp_path / "demo.png", SCENE, config, live, report)
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"


def test_without_a_beamformer_the_output_is_the_first_microphone(tmp_path, monkeypatch):
    from edge.demo.report import make_report

    _without_broker(monkeypatch)
    file = tmp_path / "plain.toml"
    file.write_text('[beamformer]\nkind = "none"\n[mask]\nkind = "bypass"\n')
    config = demo_config(SCENE, tmp_path / "out.wav", file, loop=False)
    config = replace(config, input=replace(config.input, realtime=False))
    live = run_live(config, tmp_path, 3.0, False, lambda sentence: None)
    scores = make_report(SCENE, config, live, tmp_path / "out.wav").summary["scores"]
    assert scores["asr"]["si_sdr_db"] == pytest.approx(scores["noisy"]["si_sdr_db"], abs=0.01)


def test_demo_too_short_to_measure_says_why_instead(tmp_path, monkeypatch):
    from edge.demo.report import as_text, make_report

    _without_broker(monkeypatch)
    config = demo_config(SCENE, tmp_path / "out.wav", _wiener_config(tmp_path), loop=False)
    live = run_live(config, tmp_path, 0.1, False, lambda sentence: None)
    summary = make_report(SCENE, config, live, tmp_path / "out.wav").summary
    assert summary["scores"]["listen"]["pesq_wb"] is None
    assert "too short" in summary["why_missing"]["listen.pesq_wb"]
    assert summary["why_missing"]["noisy.snr_db"] == "no speech"
    assert "too short" in as_text(summary)
    json.dumps(summary, allow_nan=False)


def _edge_demo(*arguments):
    return [sys.executable, "-m", "edge", "demo", *arguments]


def test_wrong_arguments_exit_with_2(tmp_path):
    for arguments in (["--seconds", "-1"], ["--out", str(FOLDER / "scene.json")]):
        done = subprocess.run(_edge_demo(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "expected" in done.stderr


@pytest.mark.integration
def test_demo_from_the_command_line_with_telemetry_and_json(tmp_path):
    pytest.importorskip("amqtt")
    port = _free_port()
    config = _wiener_config(tmp_path)
    config.write_text(config.read_text() + f"[telemetry.mqtt]\nport = {port}\n")
    out = tmp_path / "out"
    done = subprocess.run(
        _edge_demo("--json", "--seconds", "3", "--out", str(out), "--config", str(config)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["broker"] == "embedded"
    assert summary["telemetry_messages"] >= 3
    for name in ("out.wav", "noisy.wav", "demo.png", "telemetry.jsonl"):
        assert (out / name).stat().st_size > 0


@pytest.mark.integration
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_demo_beside_a_broker_that_refuses_it_starts_its_own(tmp_path):
    pytest.importorskip("amqtt")
    refusing, said = Mosquitto(tmp_path, "allow_anonymous false"), []
    try:
        config = demo_config(SCENE, tmp_path / "out.wav", _wiener_config(tmp_path), loop=False)
        mqtt = replace(config.telemetry.mqtt, port=refusing.port)
        config = replace(config, telemetry=replace(config.telemetry, mqtt=mqtt))
        live = run_live(config, tmp_path, 2.0, False, said.append)
    finally:
        refusing.kill()
    assert live.broker == "embedded"
    assert live.telemetry
    (note,) = [note for note in live.notes if "broker" in note]
    assert f"127.0.0.1:{refusing.port} refused the connection" in note
    assert note.endswith("the demo starts a broker of its own instead")
    assert note in said


@pytest.mark.integration
def test_interrupt_ends_the_demo_early_with_results(tmp_path):
    pytest.importorskip("amqtt")
    config = _wiener_config(tmp_path)
    config.write_text(config.read_text() + f"[telemetry.mqtt]\nport = {_free_port()}\n")
    out = tmp_path / "out"
    with subprocess.Popen(
        _edge_demo("--headless", "--out", str(out), "--config", str(config)), stdout=subprocess.PIPE, text=True
    ) as demo:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s and '"telemetry"' not in _text(out / "telemetry.jsonl"):
            time.sleep(0.1)
        demo.send_signal(signal.SIGINT)
        printed, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0
    assert "(SIGINT)" in printed
    assert "next: edge enhance" in printed
    assert 0.0 < json.loads((out / "summary.json").read_text())["seconds"] < 26.0


def _text(path):
    return path.read_text() if path.exists() else ""


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
