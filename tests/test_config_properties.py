"""Whatever a TOML file can hold, loading ends in a Config or in a ConfigError, and never in anything else."""

from __future__ import annotations

import datetime
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.boards import Board
from edge.config import Config, config_from_dict
from edge.decoding import Choice, Decoder, Range, keys
from edge.errors import ConfigError
from edge.geometry import position_problems

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(-100, 100000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.just(datetime.datetime(2026, 1, 2, 3, 4, 5)),
    st.just(datetime.time(1, 2)),
    st.just(10**400),
)
toml_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [key.path for key in keys(Config)]
SECTIONS = sorted({path.rpartition(".")[0] for path in KEYS if "." in path})


def put(table: dict[str, Any], path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        below = table.setdefault(section, {})
        if not isinstance(below, dict):
            return
        table = below
    table[name] = value


def plausible(path: str) -> st.SearchStrategy[Any]:
    """Values near what the key wants, so that the rules between keys are reached as well."""
    key = next(key for key in keys(Config) if key.path == path)
    near: list[st.SearchStrategy[Any]] = [toml_values]
    for constraint in key.constraints:
        if isinstance(constraint, Choice):
            near.append(st.sampled_from(constraint.values))
            near.append(st.lists(st.sampled_from(constraint.values), max_size=3))
        if isinstance(constraint, Range):
            low, high = math.ceil(constraint.low), math.floor(constraint.high)
            near.append(st.integers(low - 1, high + 1))
            near.append(st.floats(constraint.low, constraint.high))
    if path == "array.positions_m":
        coordinate = st.one_of(st.floats(-0.1, 0.1), st.just(math.nan), st.integers(-2, 2))
        near.append(st.lists(st.lists(coordinate, min_size=3, max_size=3), max_size=4))
    if path == "array.roles":
        near.append(st.text("MRXQ", max_size=6))
    if path == "array.board":
        near.append(st.sampled_from(["kinect_v1", "kinect", "absent.toml", "/"]))
    if path.endswith("device"):
        near.append(st.sampled_from(["hw:1,0", "hw:CARD=a", "default", ""]))
    return st.one_of(near)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from(KEYS), max_size=6)):
        put(table, path, draw(plausible(path)))
    if draw(st.booleans()):
        put(table, draw(st.sampled_from([*SECTIONS, "x", "array.boar", "mask.mask"])), draw(toml_values))
    return table


def problems_or_config(table: dict[str, Any]) -> tuple[tuple[str, ...], Config | None]:
    try:
        return (), config_from_dict(table)
    except ConfigError as error:
        return error.problems, None


def check(table: dict[str, Any]) -> None:
    problems, config = problems_or_config(table)
    assert bool(problems) == (config is None)
    for problem in problems:
        assert "\n" not in problem
        assert ": " in problem
        assert len(problem) < 700
    if config is not None:
        assert not position_problems(config.array.positions_m)
        assert config.array.roles.count("M") == len(config.array.positions_m)
        assert config.input.rate_hz >= 16000


@SETTINGS
@given(tables())
def test_tables_near_a_configuration(table: dict[str, Any]) -> None:
    check(table)


@SETTINGS
@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["array", "mask", "profile"]), toml_values, max_size=4))
def test_tables_of_anything(table: dict[str, Any]) -> None:
    check(table)


@SETTINGS
@given(toml_values)
def test_board_files_of_anything(value: Any) -> None:
    decoder = Decoder()
    board = decoder.decode(Board, value if isinstance(value, dict) else {"positions_m": value, "roles": value})
    assert isinstance(board, Board)
    assert decoder.problems


@SETTINGS
@given(st.one_of(toml_values, st.lists(st.lists(scalars, min_size=3, max_size=3), min_size=1, max_size=3)))
def test_positions_of_anything(value: Any) -> None:
    for problem in position_problems(value):
        assert "\n" not in problem


@SETTINGS
@given(st.sampled_from(KEYS), toml_values)
def test_one_key_at_a_time(path: str, value: Any) -> None:
    table: dict[str, Any] = {}
    put(table, path, value)
    check(table)
