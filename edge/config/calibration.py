"""The file that `edge calibrate` writes and `[array] calibration` names: what is applied to each microphone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from edge.config.schema import DELAY_LIMIT_US, GAIN_LIMIT_DB, ArrayConfig
from edge.decoding import Choice, Decoder, Range, read_toml
from edge.errors import ConfigError

METHODS = ("diffuse", "direction", "signal")
"""diffuse: ambient noise from everywhere; direction: any sound from a known direction; signal: the test signal"""


@dataclass(frozen=True)
class CalibrationFile:
    """Corrections, one number per microphone in the order of array.positions_m, and how they were found."""

    gains_db: Annotated[tuple[float, ...], Range(-GAIN_LIMIT_DB, GAIN_LIMIT_DB)]
    """gain to apply"""
    delays_us: Annotated[tuple[float, ...], Range(-DELAY_LIMIT_US, DELAY_LIMIT_US)] = ()
    """delay to apply, negative for a microphone that is late; empty when delays could not be measured"""
    gains_uncertainty_db: tuple[float, ...] = ()
    """one standard deviation"""
    delays_uncertainty_us: tuple[float, ...] = ()
    """one standard deviation"""
    reference: str = "mean"
    """what stays as it is: the mean of all microphones, or "microphone N" """
    method: Annotated[str, Choice(*METHODS)] = "diffuse"
    source: str = ""
    """file or device of the recording"""
    seconds: Annotated[float, Range(0, 1e6)] = 0.0
    """length of the recording"""
    date: str = ""
    """when it was measured, ISO 8601"""


def is_calibration(table: Mapping[str, Any]) -> bool:
    """Whether a table of TOML is laid out like the file of `edge calibrate`."""
    names = {field.name for field in fields(CalibrationFile)}
    # gains and delays alone may also be an [array] without its header
    return "gains_db" in table and set(table) <= names and not set(table) <= {"gains_db", "delays_us"}


def uncalibrated(array: ArrayConfig) -> ArrayConfig:
    """The same array with neither gains nor delays."""
    return replace(array, calibration="", gains_db=(), delays_us=())


def read_calibration(path: Path, mics: int) -> CalibrationFile:
    """Decode and check a calibration for `mics` microphones. Raises ConfigError with every problem."""
    decoder = Decoder()
    found = decoder.decode(CalibrationFile, read_toml(path, "calibration file"))
    problems = decoder.problems
    for name in ("gains_db", "delays_us"):
        values = getattr(found, name)
        if name not in decoder.bad and len(values) != mics and (values or name == "gains_db"):
            problems.append(
                f"{name}: got {len(values)} values for {mics} microphone{'s' * (mics > 1)}; expected a calibration "
                "of this very array: run edge calibrate again"
            )
    if problems:
        raise ConfigError(problems, str(path))
    return found


def calibration_text(found: CalibrationFile) -> str:
    """The file as TOML, with a word on each key."""
    lines = [
        "# Calibration of a microphone array, measured by `edge calibrate`.",
        '# It is applied by a configuration with  [array] calibration = "<this file>"  and holds for that array alone.',
        f'method = "{found.method}"',
        f'source = "{_escaped(found.source)}"',
        f"seconds = {found.seconds:.1f}",
        f'date = "{found.date}"',
        f'reference = "{found.reference}"',
        "# gain that is applied to each microphone, in the order of array.positions_m, and its standard deviation",
        f"gains_db = {_numbers(found.gains_db, 3)}",
        f"gains_uncertainty_db = {_numbers(found.gains_uncertainty_db, 3)}",
        "# delay that is applied (negative: the microphone was late); empty: could not be measured",
        f"delays_us = {_numbers(found.delays_us, 2)}",
        f"delays_uncertainty_us = {_numbers(found.delays_uncertainty_us, 2)}",
    ]
    return "\n".join(lines) + "\n"


def _numbers(values: tuple[float, ...], digits: int) -> str:
    return "[" + ", ".join(f"{value + 0.0:.{digits}f}" for value in values) + "]"


def _escaped(text: str) -> str:
    """A basic string of TOML: quotes, backslashes and control characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 65536 else "?" for c in escaped)
