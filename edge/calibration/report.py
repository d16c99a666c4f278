"""Before and after a calibration, as numbers and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edge.calibration.effect import BeamEffect, beam_effects
from edge.calibration.field import F64
from edge.calibration.measure import Deviation, Measurement
from edge.config.schema import Config

_WHEN = ("before", "after", "perfect")
DRAWS = 16
"""of errors as large as the uncertainty, over which the beams after a calibration are averaged"""


def report(measurement: Measurement, config: Config, kinds: Sequence[str]) -> dict[str, Any]:
    """Everything that is known about a measurement, JSON-ready."""
    found, sd = measurement.found, measurement.uncertainty
    ideal = Deviation(np.zeros_like(found.gains_db), np.zeros_like(found.delays_us))
    return {
        "method": measurement.method,
        "applied_gains_db": (-found.gains_db).tolist(),
        "gains_uncertainty_db": sd.gains_db.tolist(),
        "applied_delays_us": (-found.delays_us).tolist(),
        "delays_uncertainty_us": sd.delays_us.tolist(),
        "delays_not_measured_because": measurement.without_delays or None,
        "field_misfit": measurement.misfit,
        "before": _mismatch(found),
        "repeats_within": _mismatch(measurement.repeats),
        "doubts": list(measurement.doubts),
        "beams": [{"kind": kind} | _beams(config, kind, found, sd, ideal) for kind in kinds],
    }


def _beams(config: Config, kind: str, found: Deviation, sd: Deviation, ideal: Deviation) -> dict[str, Any]:
    """Before, after and perfect. After: the mean over errors drawn from the uncertainty, since what is really left
    is not known, and how well a measurement repeats says nothing about what bends all of it alike."""
    rng = np.random.default_rng(0)
    draws = [
        Deviation(
            sd.gains_db * rng.standard_normal(sd.gains_db.shape), sd.delays_us * rng.standard_normal(sd.delays_us.shape)
        )
        for _ in range(DRAWS)
    ]
    before, perfect, *left = beam_effects(config, kind, (found, ideal, *draws))
    after = BeamEffect(*np.mean([(e.look_gain_db, e.directivity_db) for e in left], axis=0).tolist())
    return dict(zip(_WHEN, map(asdict, (before, after, perfect)), strict=True))


def _mismatch(deviation: Deviation) -> dict[str, float | None]:
    gains_db, delays_us = deviation.gains_db, deviation.delays_us
    return {
        "gain_spread_db": _spread(gains_db),
        "gain_mismatch_db": _rms(gains_db),
        "delay_spread_us": _spread(delays_us),
        "delay_mismatch_us": _rms(delays_us),
    }


def _spread(values: F64) -> float | None:
    return float(values.max() - values.min()) if values.size else None


def _rms(values: F64) -> float | None:
    """Root mean square difference from the mean of all microphones."""
    return float(np.sqrt(np.mean((values - values.mean()) ** 2))) if values.size else None


def as_text(numbers: dict[str, Any]) -> str:
    """The dictionary of report() for a terminal."""
    gains, delays = numbers["applied_gains_db"], numbers["applied_delays_us"]
    lines = [f"{'':<24}{'gain applied, dB':>22}{'delay applied, us':>24}"]
    for mic, gain_db in enumerate(gains):
        line = f"microphone {mic:<13}{gain_db + 0.0:+12.2f} +- {numbers['gains_uncertainty_db'][mic]:5.2f}"
        if delays:
            line += f"{delays[mic] + 0.0:+14.1f} +- {numbers['delays_uncertainty_us'][mic]:4.1f}"
        lines.append(line)
    if why := numbers["delays_not_measured_because"]:
        lines.append(f"delays were not measured: {why}")
    lines += [f"doubtful: {doubt}" for doubt in numbers["doubts"]]
    lines.append(f"{'':<40}{'before':>9}{'repeats within':>16}")
    for key, name in (
        ("gain_spread_db", "gain, loudest to quietest, dB"),
        ("gain_mismatch_db", "gain, rms mismatch, dB"),
        ("delay_spread_us", "delay, latest to earliest, us"),
        ("delay_mismatch_us", "delay, rms mismatch, us"),
    ):
        before, within = numbers["before"][key], numbers["repeats_within"][key]
        if before is not None:
            lines.append(f"{name:<40}{before:9.2f}{within:16.2f}")
    lines.append(f"{'':<40}{'before':>9}{'after':>9}")
    for beam in numbers["beams"]:
        for key, name in (("look_gain_db", "gain for the talker, dB"), ("directivity_db", "directivity, dB")):
            before, after, perfect = (round(beam[when][key], 2) + 0.0 for when in _WHEN)
            lines.append(f"{beam['kind'] + ', ' + name:<40}{before:9.2f}{after:9.2f}  of {perfect:.2f}")
    lines.append(
        "repeats within: one half of the recording, corrected by what the other half says; after: with errors as large "
        "as +- says; beams: mean of 300 to 4000 Hz"
    )
    return "\n".join(lines)
