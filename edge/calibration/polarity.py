"""Microphones that are wired the wrong way round: their sound is that of the others times -1."""

from __future__ import annotations

import numpy as np

from edge.calibration.delays import coherence
from edge.calibration.field import F64, LOWEST_HZ, Field
from edge.errors import AudioFileError
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry

LARGEST_PHASE = 1.2
"""rad: over so short a way the cross-spectrum has a positive real part, wherever the sound comes from"""
HIGHEST_HZ = 1000.0
CLEAR = 0.3
"""least mean real part of the coherence of a pair that tells anything"""


def check_polarity(field: Field, geometry: ArrayGeometry, source: str) -> None:
    """Whether all microphones have the same sign. Raises AudioFileError that names those in the minority."""
    alike = _alike(field, geometry)
    sign = _signs(alike)
    for group in np.unique(np.abs(sign)):
        plus, minus = np.flatnonzero(sign == group), np.flatnonzero(sign == -group)
        if not minus.size:
            continue
        odd, rest = (plus, minus) if len(plus) < len(minus) else (minus, plus)
        worst = float(alike[np.ix_(odd, rest)].min())
        why = f"(it hears the opposite of the others, coherence {worst:.2f})"
        remedy = "exchange the two wires or change the sign in the driver; a calibration mends gains and delays alone"
        if len(odd) == len(rest):
            who = f"{_named(odd)} {_verb(odd)} wired the wrong way round, or {_named(rest)}"
            why = f"(they hear the opposite of each other, coherence {worst:.2f})"
        else:
            who = f"{_named(odd)} {_verb(odd)} wired the wrong way round"
            why = why if len(odd) == 1 else why.replace("it hears", "they hear")
        raise AudioFileError(f"{source}: {who} {why}; {remedy}")


def _alike(field: Field, geometry: ArrayGeometry) -> F64:
    """Mean real part of the coherence of each pair where it has to be positive, (mics, mics); 0: not known."""
    measured = coherence(field.cross.sum(axis=0)).real
    positions_m = geometry.positions_m
    distances_m = np.linalg.norm(positions_m[:, None] - positions_m[None], axis=-1)
    highest_hz = LARGEST_PHASE * SPEED_OF_SOUND_M_S / (2.0 * np.pi * np.maximum(distances_m, 1e-6))
    f = field.frequencies_hz
    inside = (f >= LOWEST_HZ) & (f <= np.minimum(highest_hz, HIGHEST_HZ)[:, :, None])
    return np.asarray(np.sum(measured * inside, axis=-1) / np.maximum(inside.sum(axis=-1), 1))


def _signs(alike: F64) -> F64:
    """Per microphone the number of the group of microphones that it can be compared with, negative for the other sign.

    Each microphone is tied to what is compared already by its clearest pair.
    """
    clarity = np.where(np.abs(alike) > CLEAR, np.abs(alike), 0.0)
    sign = np.zeros(len(alike))
    while not sign.all():
        known, unknown = np.flatnonzero(sign), np.flatnonzero(sign == 0.0)
        ties = clarity[np.ix_(known, unknown)]
        if ties.size and ties.max() > 0.0:
            a, b = np.unravel_index(int(ties.argmax()), ties.shape)
            sign[unknown[b]] = sign[known[a]] * np.sign(alike[known[a], unknown[b]])
        else:
            sign[unknown[0]] = np.abs(sign).max() + 1.0
    return sign


def _named(mics: np.ndarray) -> str:
    numbers = " and ".join(filter(None, [", ".join(map(str, mics[:-1])), str(mics[-1])]))
    return f"microphone{'s' * (len(mics) > 1)} {numbers}"


def _verb(mics: np.ndarray) -> str:
    return "are" if len(mics) > 1 else "is"
