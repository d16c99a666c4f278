"""Array geometry: axes, signs, what follows for a far source, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.config.schema import ArrayConfig
from edge.errors import ConfigError
from edge.geometry import (
    SPEED_OF_SOUND_M_S,
    ArrayGeometry,
    geometry_from_config,
    position_problems,
    unit_vector,
)

SQUARE = [[0.029, 0.029, 0.0], [-0.029, 0.029, 0.0], [-0.029, -0.029, 0.0], [0.029, -0.029, 0.0]]
SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)

positions = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 8), st.just(3)),
    elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 3)),
    unique=False,
).filter(lambda p: not position_problems(p))
azimuths = st.floats(-360, 360)
elevations = st.floats(-90, 90)


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "expected"),
    [
        (0, 0, [1, 0, 0]),  # forward
        (90, 0, [0, 1, 0]),  # left: counter-clockwise seen from above
        (180, 0, [-1, 0, 0]),
        (-90, 0, [0, -1, 0]),
        (270, 0, [0, -1, 0]),
        (0, 90, [0, 0, 1]),  # up
        (33, -90, [0, 0, -1]),
        (45, 0, [math.sqrt(0.5), math.sqrt(0.5), 0]),
        (0, 60, [0.5, 0, math.sqrt(0.75)]),
    ],
)
def test_axes(azimuth_deg: float, elevation_deg: float, expected: list[float]) -> None:
    np.testing.assert_allclose(unit_vector(azimuth_deg, elevation_deg), expected, atol=1e-12)


def test_the_microphone_nearer_to_the_source_hears_first() -> None:
    front_and_back = ArrayGeometry([[0.1, 0, 0], [-0.1, 0, 0]])
    np.testing.assert_allclose(front_and_back.steering_delays_s(0), [-0.1 / 343.0, 0.1 / 343.0])
    np.testing.assert_allclose(front_and_back.steering_delays_s(180), [0.1 / 343.0, -0.1 / 343.0])
    left_and_right = ArrayGeometry([[0, 0.1, 0], [0, -0.1, 0]])
    assert left_and_right.steering_delays_s(90)[0] < 0 < left_and_right.steering_delays_s(90)[1]
    low_and_high = ArrayGeometry([[0, 0, 0], [0, 0, 0.1]])
    assert low_and_high.steering_delays_s(0, 90)[1] < 0 < low_and_high.steering_delays_s(0, 90)[0]


@SETTINGS
@given(positions, azimuths, elevations)
def test_delays_are_those_of_a_distant_point(p: np.ndarray, azimuth_deg: float, elevation_deg: float) -> None:
    geometry = ArrayGeometry(p)
    source = p.mean(axis=0) + 1e5 * unit_vector(azimuth_deg, elevation_deg)
    distance = np.array([math.dist(source, mic) for mic in p])
    slow = (distance - math.dist(source, p.mean(axis=0))) / SPEED_OF_SOUND_M_S
    np.testing.assert_allclose(geometry.steering_delays_s(azimuth_deg, elevation_deg), slow, atol=1e-8)


@SETTINGS
@given(positions, azimuths, elevations)
def test_invariants_of_delays(p: np.ndarray, azimuth_deg: float, elevation_deg: float) -> None:
    geometry = ArrayGeometry(p)
    delays = geometry.steering_delays_s(azimuth_deg, elevation_deg)
    assert delays.shape == (len(p),)
    assert delays.dtype == np.float64
    assert abs(delays.sum()) < 1e-15 * len(p)
    assert np.ptp(delays) * 16000 <= geometry.max_delay_samples(16000) + 1e-9
    moved = ArrayGeometry(p + np.array([0.4, -0.2, 1.0]))
    np.testing.assert_allclose(moved.steering_delays_s(azimuth_deg, elevation_deg), delays, atol=1e-12)
    turned = ArrayGeometry(p @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]))  # 90 degrees counter-clockwise
    np.testing.assert_allclose(turned.steering_delays_s(azimuth_deg + 90, elevation_deg), delays, atol=1e-12)
    np.testing.assert_allclose(geometry.steering_delays_s(azimuth_deg + 180, -elevation_deg), -delays, atol=1e-12)


@SETTINGS
@given(positions)
def test_sizes_against_a_slow_reference(p: np.ndarray) -> None:
    geometry = ArrayGeometry(p)
    distances = [math.dist(a, b) for a, b in itertools.combinations(p, 2)] or [0.0]
    assert geometry.aperture_m == pytest.approx(max(distances))
    assert geometry.min_spacing_m == pytest.approx(min(distances))
    assert geometry.max_delay_samples(48000) == pytest.approx(max(distances) / 343.0 * 48000)


def test_the_largest_delay_is_reached_along_the_longest_side() -> None:
    geometry = ArrayGeometry(SQUARE)
    spans = [np.ptp(geometry.steering_delays_s(a)) * 16000 for a in range(0, 360, 5)]
    assert max(spans) == pytest.approx(geometry.max_delay_samples(16000))
    assert geometry.max_delay_samples(16000) == pytest.approx(0.058 * math.sqrt(2) / 343 * 16000)


def test_spatial_aliasing() -> None:
    assert ArrayGeometry(SQUARE).spatial_aliasing_hz == pytest.approx(343.0 / (2 * 0.058))
    assert ArrayGeometry([[0, 0, 0]]).spatial_aliasing_hz == math.inf
    # what the number means: at twice the frequency the end-fire directions of a pair cannot be told apart
    pair = ArrayGeometry([[0.025, 0, 0], [-0.025, 0, 0]])
    f = pair.spatial_aliasing_hz
    phases = [np.exp(2j * np.pi * f * np.diff(pair.steering_delays_s(a))) for a in (0, 180)]
    np.testing.assert_allclose(phases[0], phases[1], atol=1e-12)


@pytest.mark.parametrize(
    ("p", "dimensions", "words"),
    [
        ([[0.2, 0.1, 0]], 0, "no direction"),
        ([[0, 0.05, 0], [0, -0.05, 0]], 1, "along y"),
        ([[0.05, 0, 0], [-0.05, 0, 0], [0.01, 0, 0]], 1, "left from right"),
        ([[0, 0.05, 0], [0, -0.05, 0], [0, 0.02, 0]], 1, "front from back"),
        ([[0, 0, 0.05], [0, 0, 0.1]], 1, "one azimuth from another"),
        ([[0, 0, 0], [0.05, 0.05, 0]], 1, "[0.71, 0.71, 0]"),
        (SQUARE, 2, "above and below"),
        ([[0, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], 2, "front and back"),
        ([[0, 0, 0], [0.1, 0, 0], [0, 0, 0.1]], 2, "left and right"),
        ([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], 3, ""),
    ],
)
def test_what_an_array_cannot_tell(p: list, dimensions: int, words: str) -> None:
    geometry = ArrayGeometry(p)
    assert geometry.dimensions == dimensions
    assert geometry.is_linear == (dimensions == 1)
    assert geometry.is_planar == (dimensions == 2)
    assert words in geometry.ambiguity
    assert bool(words) == bool(geometry.ambiguity)
    assert np.linalg.norm(geometry.axis) == pytest.approx(1.0)


def test_the_ambiguity_is_real() -> None:
    line = ArrayGeometry([[0, 0.06, 0], [0, -0.02, 0], [0, -0.05, 0]])
    np.testing.assert_allclose(line.steering_delays_s(30), line.steering_delays_s(150), atol=1e-15)
    plane = ArrayGeometry(SQUARE)
    np.testing.assert_allclose(plane.steering_delays_s(30, 40), plane.steering_delays_s(30, -40), atol=1e-15)
    assert not np.allclose(plane.steering_delays_s(30), plane.steering_delays_s(150), atol=1e-6)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([], ["no microphone; expected one [x, y, z] in metres per microphone"]),
        (
            [[0.0, 1.0]],
            ["positions of shape (1, 2), expected one [x, y, z] in metres per microphone, shape (mics, 3)"],
        ),
        (
            [[0, 0, 0], [1]],
            ["positions have to be one [x, y, z] in metres per microphone, three numbers each"],
        ),
        (
            [[0, 0, math.nan], [math.inf, 0, 0], [0.1, 0, 0]],
            [
                "microphone 0 has a coordinate that is not a finite number",
                "microphone 1 has a coordinate that is not a finite number",
            ],
        ),
        (
            [[0, 0, 0], [0.1, 0, 0], [0, 0, 0.0001], [0.1, 0, 0]],
            [
                "microphones 0 and 2 coincide at [0, 0, 0]; expected different places, at least 1 mm apart",
                "microphones 1 and 3 coincide at [0.1, 0, 0]; expected different places, at least 1 mm apart",
            ],
        ),
        (
            [[29, 29, 0], [-29, -29, 0]],
            [
                "microphones 0 and 1 are 82.02 m apart, expected at most 2 m; positions are in metres: divide by 1000 "
                "if these are millimetres"
            ],
        ),
    ],
)
def test_what_is_refused(p: list, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        ArrayGeometry(p)
    assert list(caught.value.problems) == expected
    assert caught.value.source == "array geometry"


def test_huge_numbers_are_no_crash() -> None:
    assert position_problems([[1e308, 0, 0], [-1e308, 0, 0]])
    assert position_problems([[10**400, 0, 0]])


def test_immutable_and_comparable() -> None:
    source = np.array(SQUARE)
    geometry = ArrayGeometry(source)
    source[0, 0] = 9.0
    assert geometry.positions_m[0, 0] == 0.029
    with pytest.raises(ValueError, match="read-only"):
        geometry.positions_m[0, 0] = 1.0
    assert geometry == ArrayGeometry(SQUARE)
    assert hash(geometry) == hash(ArrayGeometry(SQUARE))
    assert geometry != ArrayGeometry(SQUARE[:3])
    assert eval(repr(geometry)) == geometry


def test_from_a_configuration() -> None:
    array = ArrayConfig(positions_m=tuple((x, y, z) for x, y, z in SQUARE), roles="MMMM")
    assert geometry_from_config(array) == ArrayGeometry(SQUARE)
