"""Patterns and gains of beamformers against their closed forms, and `edge pattern`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signal_path import SQUARE, run
from sound_fields import noise_field, sphere

from edge.cli.main import main
from edge.config import config_from_dict, load_config
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry, unit_vector
from edge.kinds import BEAMFORMER_KINDS
from edge.pipeline import build_pipeline
from edge.quality.pattern import (
    directivity_index_db,
    pattern_of,
    response,
    starting_beamformer,
    starting_weights,
    steering,
    white_noise_gain_db,
)

SPACING_M = 0.03
LINE = [(0.0, SPACING_M * index, 0.0) for index in (-1.5, -0.5, 0.5, 1.5)]


def config_for(positions, **beamformer):
    return config_from_dict(
        {"array": {"positions_m": [list(p) for p in positions]}, "mask": {"kind": "bypass"}, "beamformer": beamformer}
    )


def pattern(positions, kind, azimuth_deg=0.0, elevation_deg=0.0, **beamformer):
    made, f = starting_beamformer(config_for(positions, **beamformer), kind)
    weights = starting_weights(made, azimuth_deg, elevation_deg)
    return pattern_of(kind, weights, f, ArrayGeometry(positions), azimuth_deg, elevation_deg)


@pytest.mark.parametrize("azimuth_deg", [0.0, 35.0, 90.0])
def test_delay_and_sum_of_a_line_has_the_known_pattern(azimuth_deg: float) -> None:
    """|sin(M x) / (M sin x)| with x = pi f d (sin a - sin a0) / c."""
    found = pattern(LINE, "delay_sum", azimuth_deg)
    sines = np.sin(np.radians(found.azimuths_deg)) - np.sin(np.radians(azimuth_deg))
    x = np.pi * found.frequencies_hz[:, None] * SPACING_M * sines / SPEED_OF_SOUND_M_S + 1e-12
    expected_db = 20.0 * np.log10(np.maximum(np.abs(np.sin(4 * x) / (4 * np.sin(x))), 1e-3))
    strong = expected_db > -40.0
    np.testing.assert_allclose(found.response_db[strong], expected_db[strong], atol=0.02)
    assert np.all(found.response_db[~strong] < -38.0)
    np.testing.assert_allclose(found.look_gain_db, 0.0, atol=1e-4)


@pytest.mark.parametrize("positions", [LINE, SQUARE, SQUARE[:2]])
def test_delay_and_sum_gains_the_number_of_microphones_over_their_own_noise(positions) -> None:
    found = pattern(positions, "delay_sum", 20.0)
    np.testing.assert_allclose(found.white_noise_gain_db, 10.0 * np.log10(len(positions)), atol=1e-4)


def test_delay_and_sum_of_a_pair_has_the_known_directivity() -> None:
    """Broadside: 2 / (1 + sinc(2 f d / c))."""
    found = pattern([(0, 0.04, 0), (0, -0.04, 0)], "delay_sum", 0.0)
    coherence = np.sinc(2.0 * found.frequencies_hz * 0.08 / SPEED_OF_SOUND_M_S)
    np.testing.assert_allclose(found.directivity_index_db, 10.0 * np.log10(2.0 / (1.0 + coherence)), atol=1e-4)


@pytest.mark.parametrize("mics", [2, 3])
def test_superdirective_endfire_reaches_mics_squared_at_low_frequency(mics: int) -> None:
    """Weights C^-1 d without loading: 20 log10(mics) dB, 6.02 for two (Uzkov 1946)."""
    geometry = ArrayGeometry([(0.02 * index, 0.0, 0.0) for index in range(mics)])
    f = np.array([400.0, 600.0])
    look = steering(geometry, f, 0.0)
    coherence = geometry.diffuse_coherence(f)
    weights = np.stack([np.linalg.solve(coherence[:, :, b], look[:, b]) for b in range(len(f))], axis=1)
    found_db = directivity_index_db(weights, look, coherence)
    np.testing.assert_allclose(found_db, 20.0 * np.log10(mics), atol=0.1)
    assert np.all(white_noise_gain_db(weights, look) < -5.0)


@pytest.mark.parametrize("kind", [kind for kind in BEAMFORMER_KINDS if kind not in ("none", "delay_sum")])
def test_the_projects_own_beams_gain_more_than_delay_and_sum_and_less_than_theory_allows(kind: str) -> None:
    pair = [(0.03, 0.0, 0.0), (-0.03, 0.0, 0.0)]
    found, plain = pattern(pair, kind, 0.0), pattern(pair, "delay_sum", 0.0)
    low = (found.frequencies_hz > 400.0) & (found.frequencies_hz < 1500.0)
    more_db = found.directivity_index_db[low] - plain.directivity_index_db[low]
    assert np.all(more_db > (2.0 if kind == "superdirective" else 0.3))
    assert np.all(found.directivity_index_db <= 20.0 * np.log10(2.0) + 0.01)
    assert np.all(found.white_noise_gain_db <= 10.0 * np.log10(2.0) + 0.01)
    np.testing.assert_allclose(found.look_gain_db, 0.0, atol=0.05)
    if kind == "superdirective":
        assert np.all(found.directivity_index_db[low] > 5.2)


def test_directivity_is_the_mean_over_all_directions() -> None:
    geometry, f = ArrayGeometry(SQUARE), np.array([500.0, 2000.0, 5000.0])
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))
    look = steering(geometry, f, 0.0)
    power = [
        np.abs(response(weights, steering(geometry, f, np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z))))) ** 2
        for x, y, z in sphere(1500)
    ]
    expected_db = 10.0 * np.log10(np.abs(response(weights, look)) ** 2 / np.mean(power, axis=0))
    np.testing.assert_allclose(
        directivity_index_db(weights, look, geometry.diffuse_coherence(f)), expected_db, atol=0.05
    )


# ---- the command ----


def test_the_command_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "pattern.png"
    assert main(["pattern", "--board", "respeaker_4mic_square", "--azimuth", "30", "--out", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "respeaker_4mic_square: 4 microphones, look 30 deg" in out
    for kind in BEAMFORMER_KINDS:
        assert (f"  {kind} " in out) == (kind != "none")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert 20_000 < picture.stat().st_size < 300_000


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["pattern", "--board", "respeaker_4mic_square", "--kind", "delay_sum", "--elevation", "10", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["azimuth_deg"], found["elevation_deg"]) == (0.0, 10.0)
    assert found["spatial_aliasing_hz"] == pytest.approx(2994, abs=1)
    (only,) = found["patterns"]
    assert only["kind"] == "delay_sum"
    assert len(only["frequencies_hz"]) == len(only["white_noise_gain_db"]) == len(only["response_db"]) == 256
    assert len(only["response_db"][0]) == len(only["azimuths_deg"])
    assert max(only["white_noise_gain_db"]) == pytest.approx(6.02, abs=0.01)


def test_the_picture_ends_at_0_db_and_before_half_the_rate(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    from edge.quality import pattern_picture

    kinds = [kind for kind in BEAMFORMER_KINDS if kind != "none"]
    config = config_from_dict({"array": {"positions_m": [list(p) for p in SQUARE]}})
    geometry = ArrayGeometry(SQUARE)
    found = []
    for kind in kinds:
        beamformer, f = starting_beamformer(config, kind)
        found.append(pattern_of(kind, starting_weights(beamformer, 0.0, 0.0), f, geometry, 0.0, 0.0))
    figures: list[Figure] = []
    init = Figure.__init__

    def keep(self: Figure, *args: object, **kwargs: object) -> None:
        init(self, *args, **kwargs)
        figures.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "__init__", keep)
        pattern_picture.draw(tmp_path / "p.png", found, geometry, "title")
    axes = [a for part in figures[0].subfigs for a in part.axes]
    maps = [a for a in axes if a.get_title("left") in kinds]
    assert len(maps) == len(kinds)
    for a in maps:
        mesh = a.collections[0]
        assert mesh.get_clim() == (-30.0, 0.0)
        assert mesh.get_array().max() <= 0.0
    (gain,) = (a for a in axes if a.get_title("left") == "White-noise gain")
    curves = [line for line in gain.lines if line.get_label() in kinds]
    assert all(line.get_xdata()[-1] < 8000.0 for line in curves)
    assert len({line.get_linestyle() for line in curves if line.get_label() != "mvdr"}) == len(kinds) - 1
    for i, one in enumerate(curves):
        for other in curves[:i]:
            assert np.linalg.norm(np.subtract(to_rgb(one.get_color()), to_rgb(other.get_color()))) > 0.5


def test_after_a_recording_its_direction_and_missing_microphones_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's scene, its last microphone without sound."""
    from edge.demo.bundled import MIX

    board = ["--board", "respeaker_4mic_square", "--kind", "delay_sum"]
    assert main(["pattern", *board, "--azimuth", "-90", "--after", str(MIX)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("mvdr after mix.flac: looks at "))
    looked_deg = float(lines[at].split("looks at ")[1].split(" deg")[0])
    assert abs(looked_deg - 40.0) < 8.0, "where the talker is, not where it started"
    assert lines[at + 1] == "  all microphones are in use"

    samples = soundfile.read(MIX, dtype="float32")[0][: 8 * 16000]
    samples[:, 3] = 0.0
    soundfile.write(tmp_path / "dead.wav", samples, 16000)
    assert main(["pattern", *board, "--after", str(tmp_path / "dead.wav")]) == 0
    assert "  microphone 3 (channel 3) is dead: digital zero; going on with 3\n" in capsys.readouterr().out
    assert main(["pattern", *board, "--after", str(tmp_path / "dead.wav"), "--json"]) == 0
    start, learnt = json.loads(capsys.readouterr().out)["patterns"]
    assert (start["left_out"], len(learnt["left_out"])) == ([], 1)


def test_after_a_recording_the_weights_are_those_in_use_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zero = np.zeros(4)
    noise = noise_field(SQUARE, unit_vector(150.0), 3.0, np.random.default_rng(1), zero, zero, -40.0)
    recording, file = tmp_path / "noise.wav", tmp_path / "edge.toml"
    soundfile.write(recording, noise, 16000, "FLOAT")
    positions = [list(position) for position in SQUARE]
    file.write_text(f'[array]\npositions_m = {positions}\n[mask]\nkind = "wiener"\n', encoding="utf-8")
    arguments = ["pattern", "--config", str(file), "--kind", "mvdr", "--after", str(recording), "--json"]
    assert main(arguments) == 0
    start, learnt = json.loads(capsys.readouterr().out)["patterns"]
    assert (start["kind"], learnt["kind"]) == ("mvdr", "mvdr after noise.wav")
    pipeline = build_pipeline(load_config(file))
    run(pipeline, noise.astype(np.float32))
    look = (pipeline.azimuth_deg, pipeline.elevation_deg)
    assert (learnt["azimuth_deg"], learnt["elevation_deg"]) == pytest.approx(look, abs=1e-3)
    expected = pattern_of("x", pipeline.weights, pipeline.frequencies_hz, ArrayGeometry(SQUARE), *look)
    np.testing.assert_allclose(learnt["white_noise_gain_db"], expected.white_noise_gain_db, atol=0.01)
    np.testing.assert_allclose(learnt["response_db"], expected.response_db, atol=0.02)
    assert np.abs(np.subtract(learnt["response_db"], start["response_db"])).max() > 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "no array; expected --config FILE or --board NAME"),
        (["--board", "respeaker_2mic", "--azimuth", "400"], 2, "--azimuth is 400, expected from -360 to 360 degrees"),
        (["--board", "respeaker_2mic", "--elevation", "nan"], 2, "--elevation is nan"),
        (["--board", "nothing"], 3, 'no board preset "nothing"'),
        (["--config", "nothing.toml"], 3, "no such configuration file"),
        (["--board", "respeaker_2mic", "--after", "nothing.wav"], 6, "there is no such file"),
        (["--board", "respeaker_2mic", "--after", "mono.wav"], 6, "mono.wav has 1 channel, expected 2 (roles MM)"),
    ],
)
def test_bad_input_is_one_sentence(arguments, code, words, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("mono.wav", np.zeros(1600), 16000)
    assert main(["pattern", *arguments]) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("out", ["picture.jpg", "no/such/folder/picture.png", ""])
def test_a_picture_that_cannot_be_written_is_wrong_usage(out, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["pattern", "--board", "respeaker_2mic", "--out", out])
    assert stopped.value.code == 2
    assert "argument --out: " in capsys.readouterr().err


def test_one_microphone_makes_no_beam(capsys, tmp_path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("", encoding="utf-8")
    assert main(["pattern", "--config", str(file)]) == 3
    assert "one microphone makes no beam" in capsys.readouterr().err
