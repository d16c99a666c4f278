"""The list of array scenes: what varies, one family at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIRS_DB = (-5.0, 0.0, 5.0, 10.0)
RT60S_S = (0.2, 0.4, 0.6)
DIFFUSE_KINDS = ("ambience", "babble", "shaped")


@dataclass(frozen=True)
class SceneSpec:
    """Everything that decides a scene, the recordings aside; the rest is drawn from `seed`."""

    name: str
    family: str
    array: str = "square"
    """a key of ARRAYS_M"""
    seed: int = 0
    """also picks talker and noise in turn, so that neighbouring seeds have different ones"""
    rt60_s: float = 0.3
    sir_db: float | None = 5.0
    """talker to directional noise, power at microphone 0 after the lead-in; None: no such noise"""
    diffuse_db: float | None = 10.0
    """talker to isotropic noise, likewise"""
    diffuse: str = "ambience"
    """what the isotropic field is made of: one of DIFFUSE_KINDS"""
    sensor_db: float | None = 40.0
    """talker to white self-noise of each microphone: 30 to 40 dB is a usual MEMS microphone and a talker at 1.5 m"""
    distance_m: float = 1.5
    room_m: tuple[float, float, float] = (5.2, 6.0, 2.8)
    """mean size of the room; the seed changes it by up to 0.4, 0.4 and 0.2 m"""
    lead_s: float = 1.0
    """noise alone first"""
    speech_s: float = 7.0
    walk_deg: float = 0.0
    """arc that the talker walks to and fro; 0: stands still"""
    walk_m_s: float = 0.7
    dead_mic: int | None = None
    dead_from_s: float = 0.0
    """from here on that microphone is digital zero"""
    gain_spread_db: float = 0.0
    """gains drawn uniformly within plus and minus this, per microphone"""
    position_error_m: float = 0.0
    """each microphone is this far from where the beamformer believes it is, in a random direction"""
    max_order: int = 50
    """of image sources"""

    @property
    def walking(self) -> bool:
        return self.walk_deg != 0.0

    @property
    def snr_db(self) -> float:
        """Talker to all noise together, power at microphone 0 while it lives; infinite without any noise."""
        parts_db = [db for db in (self.sir_db, self.diffuse_db, self.sensor_db) if db is not None]
        noise = sum(10.0 ** (-db / 10.0) for db in parts_db)
        return -10.0 * math.log10(noise) if noise else math.inf


def _circle_m(mics: int, radius_m: float) -> NDArray[np.float64]:
    angle = 2.0 * math.pi * np.arange(mics) / mics
    return np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle), np.zeros(mics)], axis=1)


ARRAYS_M: dict[str, NDArray[np.float64]] = {
    "square": 0.029 * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], np.float64),
    "circle": _circle_m(6, 0.046),
    "line": 0.035 * np.array([[0, 1.5, 0], [0, 0.5, 0], [0, -0.5, 0], [0, -1.5, 0]], np.float64),
}
"""58 mm square, circle of 6 with radius 46 mm, line of 4 at 35 mm"""


def _peers(count: int) -> list[SceneSpec]:
    """Laid out like the rooms that numbers for other beamformers come from: RT60 0.3 s, noise at 0 or 5 dB."""
    return [
        SceneSpec(
            f"peers-{i}-sir{(0, 5)[i % 2]}", "peers", seed=i, sir_db=(0.0, 5.0)[i % 2], diffuse="shaped", sensor_db=None
        )
        for i in range(count)
    ]


def _static() -> list[SceneSpec]:
    specs = []
    for a, array in enumerate(ARRAYS_M):
        for r, rt60_s in enumerate(RT60S_S):
            for k in range(2):
                sir_db = SIRS_DB[(a + r + 2 * k) % 4]
                seed = 100 + 6 * a + 2 * r + k
                name = f"static-{array}-rt{rt60_s:g}-sir{sir_db:g}"
                kind = DIFFUSE_KINDS[(a + r + k) % 3]
                specs.append(SceneSpec(name, "static", array, seed=seed, rt60_s=rt60_s, sir_db=sir_db, diffuse=kind))
    return specs


def _walk() -> list[SceneSpec]:
    rows = (
        ("square", 0.2, 5.0, 75.0, 0.7),
        ("square", 0.3, 0.0, 90.0, 0.5),
        ("square", 0.4, 5.0, 60.0, 1.0),
        ("circle", 0.3, 5.0, 90.0, 0.7),
        ("circle", 0.4, 0.0, 75.0, 0.5),
        ("line", 0.3, 5.0, 60.0, 0.7),
    )
    return [
        SceneSpec(
            f"walk-{array}-rt{rt60_s:g}-sir{sir_db:g}",
            "walk",
            array,
            seed=200 + i,
            rt60_s=rt60_s,
            sir_db=sir_db,
            diffuse=DIFFUSE_KINDS[i % 3],
            walk_deg=walk_deg,
            walk_m_s=walk_m_s,
            max_order=30,
        )
        for i, (array, rt60_s, sir_db, walk_deg, walk_m_s) in enumerate(rows)
    ]


def _dead() -> list[SceneSpec]:
    rows = (("square", 1, 0.0), ("square", 2, 4.5), ("circle", 4, 0.0), ("circle", 1, 4.5), ("line", 3, 0.0))
    specs = [
        SceneSpec(
            f"dead-{array}-mic{mic}-{'start' if from_s == 0 else 'middle'}",
            "dead",
            array,
            seed=300 + i,
            sir_db=(0.0, 5.0)[i % 2],
            diffuse=DIFFUSE_KINDS[i % 3],
            dead_mic=mic,
            dead_from_s=from_s,
        )
        for i, (array, mic, from_s) in enumerate(rows)
    ]
    return [*specs, SceneSpec("dead-square-mic0-middle", "dead", seed=305, dead_mic=0, dead_from_s=4.5)]


def _mismatch() -> list[SceneSpec]:
    return [
        SceneSpec(
            f"gain3dB-{array}-{i}",
            "mismatch",
            array,
            seed=400 + i,
            sir_db=(0.0, 5.0)[i % 2],
            diffuse=DIFFUSE_KINDS[i % 3],
            gain_spread_db=3.0,
        )
        for i, array in enumerate(("square", "square", "circle", "line"))
    ]


def _position() -> list[SceneSpec]:
    return [
        SceneSpec(
            f"moved1cm-{array}-{i}",
            "position",
            array,
            seed=500 + i,
            sir_db=(0.0, 5.0)[i % 2],
            diffuse=DIFFUSE_KINDS[i % 3],
            position_error_m=0.01,
        )
        for i, array in enumerate(("square", "square", "circle", "line"))
    ]


def _direction() -> list[SceneSpec]:
    """Square, RT60 0.4 s, the whole noise at 5 or 0 dB: half from one direction, half from all around."""
    specs = []
    for i in range(6):
        snr_db = (5.0, 0.0)[i % 2]
        part_db = snr_db + 10.0 * math.log10(2.0)
        specs.append(
            SceneSpec(
                f"doa-snr{snr_db:g}-{i // 2}",
                "doa",
                seed=600 + i,
                rt60_s=0.4,
                sir_db=part_db,
                diffuse_db=part_db,
                diffuse=DIFFUSE_KINDS[i // 2],
            )
        )
    return specs


def standard_specs(quick: bool = False) -> list[SceneSpec]:
    """All scenes of the benchmark, or about a quarter of them with every family in it."""
    families = [_peers(10), _static(), _walk(), _dead(), _mismatch(), _position(), _direction()]
    if quick:
        chosen = ((0, 1), (1, 8, 14), (0, 4), (0, 3), (0,), (0,), (0, 1))
        families = [[family[i] for i in which] for family, which in zip(families, chosen, strict=True)]
    return [spec for family in families for spec in family]
