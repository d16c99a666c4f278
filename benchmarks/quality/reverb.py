"""Late reverberation: what is left of it, in simulated rooms.

Early and late part of the talker (50 ms after the direct path, benchmarks.array.rooms) are known apart. The gains and
weights found from what the microphones hear are applied to each part alone (edge.quality.shadow), so the ratio of their
energies in the output is exact. SRMR looks at the outputs themselves.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.array import rooms
from benchmarks.array.specs import ARRAYS_M
from benchmarks.mixtures import RATE_HZ, continuous_speech, load_mono, looped, rms, talkers
from benchmarks.quality import peers
from benchmarks.quality.bench import Bench, Options, Row, bench
from benchmarks.quality.cache import digest
from edge.pipeline import Pipeline
from edge.quality import metrics
from edge.quality.shadow import run_with_components

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

RT60S_S = (0.3, 0.4, 0.5, 0.6, 0.8)
ROOMS = 4
"""per RT60"""
SPEECH_S = 7.0
SPEECH_DBFS = -28.0
NOISE_DB = 20.0
SEED = 2000
WANTED = ("pesq", "estoi", "srmr")
MIC, ONE, SQUARE, SQUARE_ASR, PEER = (
    "mic 0",
    "ours int8, one microphone",
    "ours int8, square",
    "ours asr, square",
    "dtln",
)


@dataclass(frozen=True)
class Room:
    """One talker in one room."""

    rt60_s: float
    number: int
    """decides, with the RT60, everything else"""


def all_rooms(limit: int | None = None) -> list[Room]:
    """An RT60 after the other in turn."""
    return [Room(rt60_s, number) for number in range(ROOMS) for rt60_s in RT60S_S][:limit]


def responses(room: Room) -> tuple[F64, F64, float]:
    """Responses (mics, taps) from a talker to the square, their early part, his distance in m. By pyroomacoustics."""
    rng = np.random.default_rng((SEED, round(room.rt60_s * 100), room.number))
    size_m = rng.uniform([4.5, 4.5, 2.5], [7.5, 7.0, 3.2])
    centre_m = np.array([*(size_m[:2] * rng.uniform(0.35, 0.65, 2)), rng.uniform(0.8, 1.4)])
    reach_m = np.min(np.minimum(centre_m[:2], size_m[:2] - centre_m[:2])) - 0.3
    distance_m = min(rng.uniform(1.0, 2.5), reach_m)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    talker_m = centre_m + np.array([distance_m * np.cos(angle), distance_m * np.sin(angle), 0.3])
    there = rooms.Room(size_m, room.rt60_s, centre_m + ARRAYS_M["square"], RATE_HZ, max_order=80)
    whole = there.responses(talker_m[None])
    early = rooms.early_part(whole, there.responses(talker_m[None], max_order=0), RATE_HZ)
    return whole[0], early[0], float(distance_m)


def measured_rt60_s(response: F64) -> float:
    """From the decay between -5 and -25 dB of the backward integral (Schroeder 1965), of (taps,)."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    level_db = 10.0 * np.log10(np.maximum(left / left[0], 1e-12))
    inside = np.flatnonzero((level_db <= -5.0) & (level_db >= -25.0))
    slope_db_s = np.polyfit(inside / RATE_HZ, level_db[inside], 1)[0]
    return float(-60.0 / slope_db_s)


def _parts(options: Options, room: Room) -> tuple[dict[str, F32], dict[str, float]]:
    """early, late and noise (samples, mics), kept in the cache of scores; distance and measured RT60."""
    people = talkers(options.data)
    noises = sorted((options.data / "noise").glob("*.flac"))
    number = RT60S_S.index(room.rt60_s) * ROOMS + room.number
    rng = np.random.default_rng((SEED, 1, number))
    speech = continuous_speech(people[number * 7 % len(people)][1], round(SPEECH_S * RATE_HZ)).astype(np.float64)
    folder = options.cache.parent / "quality-rooms" if options.cache else None
    path = folder / f"{digest(repr(room), 'revision 1')}.npz" if folder else None
    if path and path.is_file():
        with np.load(path) as kept:
            whole, early, distance_m = kept["whole"], kept["early"], float(kept["distance_m"])
    else:
        whole, early, distance_m = responses(room)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, whole=whole, early=early, distance_m=distance_m)
    images = {"early": rooms.propagate(speech, early), "late": rooms.propagate(speech, whole - early)}
    sound = load_mono(noises[number * 5 % len(noises)])
    waves = np.stack([looped(sound, speech.size, rng) for _ in range(rooms.DIRECTIONS)]).astype(np.float64)
    field = rooms.isotropic_field(waves, ARRAYS_M["square"], RATE_HZ)
    heard = rms((images["early"] + images["late"])[:, 0].astype(np.float32))
    scale = 10.0 ** (SPEECH_DBFS / 20.0) / heard
    images["noise"] = field * (heard / rms(field[:, 0].astype(np.float32)) * 10.0 ** (-NOISE_DB / 20.0))
    about = {"distance_m": distance_m, "measured_rt60_s": measured_rt60_s(whole[0])}
    return {name: (part * scale).astype(np.float32) for name, part in images.items()}, about


def _ratio_db(parts: dict[str, F32]) -> float:
    return float(metrics.power_ratio_db(parts["early"], parts["late"]))


def _ours(pipeline: Pipeline, parts: dict[str, F32]) -> dict[str, tuple[F32, float]]:
    """listen and asr: output and early-to-late ratio in it."""
    pipeline.reset()
    result = run_with_components(pipeline, parts)
    made = {"listen": result.listen, "asr": result.asr}
    return {name: (result.output[:, i], _ratio_db(made[name])) for i, name in enumerate(pipeline.outputs)}


def _rows(tools: Bench, parts: dict[str, F32]) -> list[Row]:
    reference = parts["early"][:, 0].copy()
    heard: F32 = np.sum([part[:, 0] for part in parts.values()], axis=0, dtype=np.float32)
    before_db = _ratio_db({name: part[:, 0] for name, part in parts.items()})
    mono = _ours(tools.mono("int8"), {name: part[:, :1] for name, part in parts.items()})
    square = _ours(tools.array(ARRAYS_M["square"], "int8"), parts)
    outputs: dict[str, tuple[F32, float]] = {
        MIC: (heard, before_db),
        ONE: mono["listen"],
        SQUARE: square["listen"],
        SQUARE_ASR: square["asr"],
    }
    rows = []
    for name, (sound, ratio_db) in outputs.items():
        score = tools.scorer.output(reference, np.ascontiguousarray(sound), wanted=WANTED)
        rows.append({"system": name, "early_late_db": ratio_db, "gain_db": ratio_db - before_db, **score})
    if peer := tools.peers.get(PEER):
        made = functools.partial(peers.enhance, peer)
        rows.append({"system": PEER, **tools.scorer.made(reference, heard, peer.identity, made, wanted=WANTED)})
    return rows


def score(options: Options, room: Room) -> list[Row]:
    """Rows of the room without noise and with noise from all around 20 dB below the speech."""
    tools = bench(options)
    parts, about = _parts(options, room)
    quiet = {name: part for name, part in parts.items() if name != "noise"}
    about = {"rt60_s": room.rt60_s, "room": room.number, **about}
    return [
        {**about, "noise": noise, **row}
        for noise, heard in (("none", quiet), ("20 dB", parts))
        for row in _rows(tools, heard)
    ]
