"""The least gain of the listen output: a number, or what suits the mask in use."""

from __future__ import annotations

import numpy as np
import pytest
from signal_path import MONO, make_pipeline, run

from edge.config import config_from_dict
from edge.enhancers.factory import least_gain_db
from edge.errors import ConfigError
from edge.mask.factory import make_estimator
from edge.profiles import PROFILES
from edge.runtime.mask_swap import MaskSwap

FILES = {"input": {"kind": "file", "path": "recording"}, "output": {"kind": "null"}}


@pytest.mark.parametrize(("kind", "floor_db"), [("network", -60.0), ("wiener", -24.0), ("spectral_subtraction", -24.0)])
def test_auto_is_lower_behind_a_network_than_behind_a_classical_mask(kind: str, floor_db: float) -> None:
    assert config_from_dict(FILES | {"mask": {"kind": kind}}).gain_floor_db == floor_db
    assert config_from_dict(FILES | {"mask": {"kind": kind, "floor_db": "auto"}}).gain_floor_db == floor_db
    assert config_from_dict(FILES | {"mask": {"kind": kind, "floor_db": -7}}).gain_floor_db == -7.0


def test_auto_is_higher_where_a_beam_has_taken_noise_away_already() -> None:
    board = {"array": {"board": "respeaker_4mic_square"}}
    config = config_from_dict(FILES | board)
    assert config.gain_floor_db == least_gain_db("blstm", config) == -30.0
    pipeline = make_pipeline(mask="network")
    assert pipeline.gain_floor_db == -30.0
    # without a beam it is one microphone that is heard, however many there are
    assert config_from_dict(FILES | board | {"beamformer": {"kind": "none"}}).gain_floor_db == -60.0
    pipeline.set_beamformer("none")
    assert pipeline.gain_floor_db == -60.0


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


class Shut:
    """A mask that lets nothing through."""

    latency_samples = 0

    def __init__(self, bins: int) -> None:
        self.presence = np.zeros(bins, np.float32)

    def step(self, spectrum: np.ndarray, gain: np.ndarray) -> None:
        gain[:] = 0.0

    def reset(self) -> None:
        pass


@pytest.mark.parametrize(("old", "new", "ends_db"), [("wiener", "network", -60.0), ("network", "wiener", -24.0)])
@pytest.mark.parametrize("faded", [True, False])
def test_the_background_does_not_jump_when_the_mask_is_another(old: str, new: str, ends_db: float, faded: bool) -> None:
    """Neither where it is faded in nor where the overload ladder puts it in at once."""
    pipeline = make_pipeline(MONO, mask="bypass")
    bins = pipeline.profile.bins
    pipeline.set_mask(Shut(bins), old)
    block, out = np.zeros((pipeline.hop_samples, 1), np.float32), np.zeros((pipeline.hop_samples, 2), np.float32)
    swap, levels_db = MaskSwap(pipeline, Shut(bins), new, None), []
    for hop in range(120):
        if hop == 30 and faded:
            swap.begin(pipeline)
        if hop == 30 and not faded:
            pipeline.set_mask(swap.estimator, new)
        if faded and hop > 30 and swap.done and pipeline.mask_kind == old:
            swap.finish(pipeline)
        pipeline.process(block, out)
        levels_db.append(20.0 * np.log10(np.median(pipeline.applied_gain)))
    assert levels_db[29] == pytest.approx(-60.0 if old == "network" else -24.0, abs=0.01)
    assert levels_db[-1] == pytest.approx(ends_db, abs=0.01)
    assert np.abs(np.diff(levels_db[20:])).max() < 3.3  # 400 dB a second
