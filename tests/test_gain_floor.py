"""The least gain of the listen output: a number, or what suits the mask in use."""

from __future__ import annotations

import numpy as np
import pytest
from signal_path import MONO, make_pipeline, run

from edge.config import config_from_dict
from edge.errors import ConfigError
from edge.mask.factory import make_estimator
from edge.profiles import PROFILES

FILES = {"input": {"kind": "file", "path": "recording"}, "output": {"kind": "null"}}


@pytest.mark.parametrize(("kind", "floor_db"), [("network", -60.0), ("wiener", -24.0), ("spectral_subtraction", -24.0)])
def test_auto_is_lower_behind_a_network_than_behind_a_classical_mask(kind: str, floor_db: float) -> None:
    assert config_from_dict(FILES | {"mask": {"kind": kind}}).gain_floor_db == floor_db
    assert config_from_dict(FILES | {"mask": {"kind": kind, "floor_db": "auto"}}).gain_floor_db == floor_db
    assert config_from_dict(FILES | {"mask": {"kind": kind, "floor_db": -7}}).gain_floor_db == -7.0


def test_auto_is_higher_where_a_beam_has_taken_noise_away_already() -> None:
    config = config_from_dict(FILES | {"array": {"board": "respeaker_4mic_square"}})
    assert config.gain_floor_db == -30.0
    assert make_pipeline(mask="network").gain_floor_db == -30.0


@pytest.mark.parametrize("value", ["-24", "Auto", -121.0, 1, True, [-3.0], float("nan")])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"mask\.floor_db: .* expected a finite number from -120 to 0 or auto"):
        config_from_dict(FILES | {"mask": {"floor_db": value}})


def test_auto_goes_with_the_mask_and_a_number_stays() -> None:
    for given, after in (("auto", -24.0), (-40.0, -40.0)):
        pipeline = make_pipeline(MONO, mask="network", floor_db=given)
        before = pipeline.gain_floor_db
        assert before == (-60.0 if given == "auto" else given)
        config = config_from_dict(FILES | {"mask": {"kind": "wiener"}})
        pipeline.set_mask(make_estimator("wiener", config.mask, PROFILES["assistant"], 1), "wiener")
        assert pipeline.gain_floor_db == after
        pipeline.set_gain_floor_db("auto")
        assert pipeline.gain_floor_db == -24.0


def test_a_network_takes_steady_noise_further_down_than_24_db() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal((64000, 1))
    level_db = {}
    for floor_db in ("auto", -24.0):
        y = run(make_pipeline(MONO, mask="network", floor_db=floor_db, outputs=("listen",)), noise)[32000:]
        level_db[floor_db] = 10.0 * np.log10(np.mean(np.square(y)) / np.mean(np.square(noise)))
    assert level_db[-24.0] > -25.0
    assert level_db["auto"] < level_db[-24.0] - 6.0
