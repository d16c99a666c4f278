"""[array] calibration: what the file has to be, what goes before what, and that the pipeline applies it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from signal_path import SQUARE, make_pipeline, plane_wave, run

from edge.config import config_from_dict, load_config
from edge.config.calibration import CalibrationFile, calibration_text, read_calibration, uncalibrated
from edge.config.schema import ArrayConfig, Config, MaskConfig
from edge.errors import ConfigError
from edge.frontend import delay_turn
from edge.geometry import ArrayGeometry
from edge.pipeline import Pipeline
from edge.profiles import PROFILES

FOUND = CalibrationFile(
    gains_db=(0.5, -0.25, 1.0, -1.25),
    delays_us=(10.0, -20.0, 5.0, 5.0),
    gains_uncertainty_db=(0.1,) * 4,
    delays_uncertainty_us=(0.5,) * 4,
    method="direction",
    source='odd "name" \\ with\nlines',
    seconds=30.0,
    date="2026-01-02T03:04:05+00:00",
)


def write(folder: Path, calibration: str, array: str = "") -> Path:
    (folder / "mics.toml").write_text(calibration, encoding="utf-8")
    file = folder / "edge.toml"
    positions = [list(position) for position in SQUARE]
    file.write_text(f'[array]\npositions_m = {positions}\ncalibration = "mics.toml"\n{array}', encoding="utf-8")
    return file


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mics.toml"
    path.write_text(calibration_text(FOUND), encoding="utf-8")
    assert read_calibration(path, 4) == FOUND


def test_a_calibration_in_place_of_a_configuration_is_one_sentence_that_says_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "mics.toml"
    path.write_text(calibration_text(FOUND), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    (only,) = raised.value.problems
    assert "this is a calibration, not a configuration" in only
    assert '[array] calibration = "mics.toml"' in only
    path.write_text("gains_db = [1, 2]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gains_db: unknown key"):  # an [array] that lacks its header
        load_config(path)


def test_the_file_is_found_beside_the_configuration_and_fills_in_gains_and_delays(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, calibration_text(FOUND)))
    assert config.array.gains_db == FOUND.gains_db
    assert config.array.delays_us == FOUND.delays_us
    assert config.array.calibration == str(tmp_path / "mics.toml")
    plain = uncalibrated(config.array)
    assert (plain.calibration, plain.gains_db, plain.delays_us) == ("", (), ())


@pytest.mark.parametrize(
    ("calibration", "array", "words"),
    [
        ("gains_db = [0, 1]", "", "got 2 values for 4 microphones; expected a calibration of this very array"),
        ("gains_db = [0, 0, 0, 0]\ndelays_us = [1]", "", "delays_us: got 1 values for 4 microphones"),
        ("delays_us = [0, 0, 0, 0]", "", "gains_db: missing"),
        ("gains_db = [0, 0, 0, 99]", "", "expected a list of finite numbers from -60 to 60"),
        ("gains_db = [0, 0, 0, 0]\ngain = 1", "", "unknown key"),
        ("gains_db = [", "", "not valid TOML"),
        ("gains_db = [0, 0, 0, 0]", "gains_db = [1, 1, 1, 1]", "array.gains_db: given together with array.calibration"),
        ("gains_db = [0, 0, 0, 0]", "delays_us = [1, 1, 1, 1]", "array.delays_us: given together with"),
    ],
)
def test_one_sentence_for_each_thing_that_is_wrong(tmp_path: Path, calibration: str, array: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^.*$") as raised:
        load_config(write(tmp_path, calibration, array))
    assert words in str(raised.value)
    assert len(raised.value.problems) == 1


def test_a_calibration_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, "")
    (tmp_path / "mics.toml").unlink()
    with pytest.raises(ConfigError, match=r"array\.calibration: .*mics\.toml: no such calibration file"):
        load_config(file)
    assert load_config(file, {"array.calibration": ""}).array.gains_db == ()


def test_delays_of_another_number_than_the_microphones_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"array\.delays_us: got 1 delays for 2 microphones"):
        config_from_dict({"array": {"positions_m": [[0, 0, 0], [0, 0, 0.05]], "delays_us": [3]}})


def test_no_delay_costs_nothing() -> None:
    assert delay_turn((), PROFILES["assistant"]) is None
    assert delay_turn((0.0, 0.0), PROFILES["assistant"]) is None
    assert np.all(make_pipeline().front.calibration_turn == 1.0)


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_the_pipeline_undoes_gains_and_delays(profile: str) -> None:
    """Microphones that are late and too loud, corrected, give the beam of perfect ones."""
    rng = np.random.default_rng(1)
    late_us, loud_db = np.array([30.0, -30.0, 0.0, 12.0]), np.array([3.0, 0.0, -2.0, 1.0])
    geometry = ArrayGeometry(SQUARE)
    perfect, _ = plane_wave(geometry, 90.0, 0.0, 8192, 16000, np.random.default_rng(5))

    class Late:
        @staticmethod
        def steering_delays_s(azimuth_deg, elevation_deg):
            return geometry.steering_delays_s(azimuth_deg, elevation_deg) + late_us * 1e-6

    captured, _ = plane_wave(Late, 90.0, 0.0, 8192, 16000, np.random.default_rng(5))
    captured = captured * 10 ** (loud_db / 20)
    captured += 1e-6 * rng.standard_normal(captured.shape)

    def beam(x: np.ndarray, **calibration: tuple[float, ...]) -> np.ndarray:
        config = Config(
            profile=profile,
            array=ArrayConfig(positions_m=SQUARE, roles="MMMM", **calibration),
            mask=MaskConfig(kind="bypass"),
        )
        pipeline = Pipeline(config, geometry)
        pipeline.set_beamformer("delay_sum")
        return run(pipeline, x)[2000:, 1]

    wanted = beam(perfect)
    wrong = beam(captured) - wanted
    mended = beam(captured, gains_db=tuple(-loud_db), delays_us=tuple(-late_us)) - wanted
    level = np.mean(wanted**2)
    assert np.mean(wrong**2) > 0.03 * level
    assert np.mean(mended**2) < 1e-4 * level
