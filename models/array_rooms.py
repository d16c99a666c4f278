"""Rooms with a microphone array in them: random arrays and places, impulse responses from image sources and a tail.

The first ECHO_S of a response are image sources of a shoebox (Allen and Berkley 1979). What follows are plane waves
that come at random times from random directions, with the energy that the same room has by then (Eyring's decay): a
tail that is diffuse at the array. High frequencies decay sooner. Everything is band limited, delays are exact to a
fraction of a sample.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.boards import board_names, load_board
from edge.geometry import SPEED_OF_SOUND_M_S, apart_deg, unit_vector
from models.data import RATE_HZ
from models.rooms import EARLY_S, FADE_S

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PLACES, NOISES, FIELDS = 2, 2, 4
"""talker before and after he has moved, directional noises, diffuse fields (independent of each other)"""
SOURCES = PLACES + NOISES + FIELDS
LONGEST_S = 0.6
ECHO_S = 0.08
WAVES_PER_S = 20_000
"""arrivals in a diffuse tail: more than one per sample sound like noise"""
OVERSAMPLED = 8
"""grid on which arrivals are put down, shared by two neighbours, before the rate is brought down"""
CROSSOVER_HZ = 2000.0


@dataclass(frozen=True)
class ArrayRoom:
    """One array at one place in one room. Source order: talker at either place, directional noises, diffuse fields."""

    positions_m: F64
    """(mics, 3) where the beamformer believes the microphones to be"""
    responses: F32
    """(SOURCES, mics, taps), gain errors in them, a dead microphone zero. The talker's direct sound is about 1"""
    arrival: NDArray[np.int32]
    """(PLACES, mics) sample of the talker's direct sound"""
    azimuth_deg: F64
    """(PLACES,) true direction of the talker"""
    rt60_s: float

    @property
    def mics(self) -> int:
        return len(self.positions_m)

    @property
    def alive(self) -> NDArray[np.bool_]:
        return self.responses[0].any(axis=1)

    def early(self) -> F32:
        """(PLACES, mics, taps) responses of the talker cut EARLY_S after the direct sound, faded out over FADE_S."""
        after = np.arange(self.responses.shape[2]) - self.arrival[..., None]
        ramp = np.clip((after / RATE_HZ - EARLY_S) / FADE_S, 0.0, 1.0)
        return (self.responses[:PLACES] * (0.5 + 0.5 * np.cos(np.pi * ramp))).astype(np.float32)


# ---- arrays ----


@functools.lru_cache(maxsize=1)
def preset_arrays() -> tuple[F64, ...]:
    """Positions of every shipped board with two microphones or more."""
    found = (np.array(load_board(name).positions_m) for name in board_names())
    return tuple(positions for positions in found if len(positions) > 1)


def random_array(rng: np.random.Generator) -> F64:
    """Positions (mics, 3) in metres around their centre, turned by any angle about the vertical.

    A preset in 30 %, else 2 to 8 microphones on a circle, a line, a rectangle or anywhere, 3 to 20 cm across.
    """
    kind = rng.random()
    mics, across = int(rng.integers(2, 9)), float(np.exp(rng.uniform(np.log(0.03), np.log(0.20))))
    if kind < 0.30:
        presets = preset_arrays()
        positions = presets[int(rng.integers(len(presets)))].copy()
    elif kind < 0.50 and mics > 2:
        angle = 2.0 * np.pi * np.arange(mics) / mics
        positions = 0.5 * across * np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)
        if mics > 4 and rng.random() < 0.5:
            positions[0] = 0.0  # one in the middle
    elif kind < 0.65:
        along = np.linspace(-0.5, 0.5, mics) if rng.random() < 0.7 else np.sort(rng.uniform(-0.5, 0.5, mics))
        positions = np.stack([across * _apart(along, 0.012 / across), np.zeros(mics), np.zeros(mics)], axis=1)
    elif kind < 0.80:
        half = 0.5 * across * np.array([1.0, rng.uniform(0.4, 1.0)]) / math.sqrt(2.0)
        corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * half
        positions = np.column_stack([corners, np.zeros(4)])
    else:
        flat = np.array([1.0, 1.0, 0.0 if rng.random() < 0.5 else 0.5])
        positions = _scattered(rng, mics, 0.5 * across * flat)
    turn = rng.uniform(-np.pi, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    positions = positions @ rotation.T
    return positions - positions.mean(axis=0)


def _apart(along: F64, least: float) -> F64:
    """Rising numbers moved on where they are nearer to each other than `least`."""
    out = along.copy()
    for i in range(1, len(out)):
        out[i] = max(out[i], out[i - 1] + least)
    return out


def _scattered(rng: np.random.Generator, mics: int, half_m: F64) -> F64:
    """Places in a box, 12 mm or more from each other as long as they fit."""
    chosen: list[F64] = []
    for attempt in range(1000):
        place = rng.uniform(-1.0, 1.0, 3) * half_m
        if attempt > 900 or all(np.linalg.norm(place - other) > 0.012 for other in chosen):
            chosen.append(place)
        if len(chosen) == mics:
            break
    return np.array(chosen)


# ---- responses ----


def render(arrivals_s: F64, low: F64, high: F64, taps: int) -> F64:
    """Sum of band-limited impulses: times (waves,) and amplitudes below and above CROSSOVER_HZ into (taps,)."""
    import scipy.fft

    grid = taps * OVERSAMPLED
    where = arrivals_s * (RATE_HZ * OVERSAMPLED)
    first = where.astype(np.int64)
    inside = (first >= 0) & (first < grid - 1)
    first, part = first[inside], (where - first)[inside]
    index = np.concatenate([first, first + 1])
    spectra = []
    for amplitude in (low[inside], high[inside]):
        shared = np.concatenate([amplitude * (1.0 - part), amplitude * part])
        spectra.append(scipy.fft.rfft(np.bincount(index, shared, grid).astype(np.float32))[: taps // 2 + 1])
    hz = np.arange(taps // 2 + 1) * (RATE_HZ / taps)
    keep_low = 1.0 / (1.0 + (hz / CROSSOVER_HZ) ** 2)
    edge = np.clip((0.5 * RATE_HZ - hz) / 300.0, 0.0, 1.0)
    return scipy.fft.irfft((spectra[0] * keep_low + spectra[1] * (1.0 - keep_low)) * edge, taps)


@dataclass(frozen=True)
class Shoebox:
    """A room: size (3,) in metres, reverberation times at low and at high frequencies."""

    size_m: F64
    rt60_s: float
    rt60_high_s: float

    @property
    def volume_m3(self) -> float:
        return float(np.prod(self.size_m))

    def images(self, source_m: F64) -> tuple[F64, F64]:
        """Image sources that may be heard within ECHO_S: places (images, 3), amplitudes that reflections leave."""
        reach = SPEED_OF_SOUND_M_S * ECHO_S
        counts = [int(reach / length) + 1 for length in self.size_m]
        axes, bounces = [], []
        for axis, count in enumerate(counts):
            index = np.arange(-count, count + 1)
            odd = index % 2 != 0
            axes.append(index * self.size_m[axis] + np.where(odd, self.size_m[axis] - source_m[axis], source_m[axis]))
            bounces.append(np.abs(index))
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        walls = np.add.reduce(np.meshgrid(*bounces, indexing="ij")).reshape(-1)
        x, y, z = self.size_m
        surface_m2 = 2.0 * (x * y + x * z + y * z)
        absorption = 1.0 - math.exp(-0.161 * self.volume_m3 / (surface_m2 * self.rt60_s))
        return places, math.sqrt(1.0 - absorption) ** walls

    def responses(self, rng: np.random.Generator, source_m: F64, mics_m: F64, taps: int) -> F64:
        """(mics, taps) from a source; amplitude 1 / distance."""
        places, amplitude = self.images(source_m)
        # walls are never quite flat: images slightly out of place, the direct one apart
        places = places + rng.uniform(-0.05, 0.05, places.shape) * (amplitude < 1.0)[:, None]
        tail_s, tail, directions = self.tail(rng, ECHO_S, taps)
        tail = tail * math.sqrt(4.0 * math.pi * SPEED_OF_SOUND_M_S / (self.volume_m3 * WAVES_PER_S))
        out = np.zeros((len(mics_m), taps))
        for m, mic_m in enumerate(mics_m):
            distance = np.linalg.norm(places - mic_m, axis=1)
            heard = distance < SPEED_OF_SOUND_M_S * ECHO_S
            seconds = np.concatenate(
                [distance[heard] / SPEED_OF_SOUND_M_S, tail_s - directions @ (mic_m - mics_m[0]) / SPEED_OF_SOUND_M_S]
            )
            low = np.concatenate([amplitude[heard] / distance[heard], tail])
            out[m] = render(seconds, low, low * self._high(seconds), taps)
        return out

    def field(self, rng: np.random.Generator, mics_m: F64, taps: int) -> F64:
        """(mics, taps) from a source so far away that only its reverberation arrives, from all directions alike."""
        seconds, amplitude, directions = self.tail(rng, 0.0, taps)
        out = np.zeros((len(mics_m), taps))
        for m, mic_m in enumerate(mics_m):
            at = seconds + 0.002 - directions @ (mic_m - mics_m.mean(axis=0)) / SPEED_OF_SOUND_M_S
            out[m] = render(at, amplitude, amplitude * self._high(seconds), taps)
        return out

    def tail(self, rng: np.random.Generator, from_s: float, taps: int) -> tuple[F64, F64, F64]:
        """Plane waves at random times from `from_s` on: times, amplitudes that decay, directions (waves, 3)."""
        span_s = taps / RATE_HZ - from_s
        count = max(int(span_s * WAVES_PER_S), 1)
        seconds = from_s + rng.random(count) * span_s
        directions = rng.standard_normal((count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return seconds, rng.standard_normal(count) * 10.0 ** (-3.0 * seconds / self.rt60_s), directions

    def _high(self, seconds: F64) -> F64:
        return 10.0 ** (-3.0 * np.maximum(seconds, 0.0) * (1.0 / self.rt60_high_s - 1.0 / self.rt60_s))


# ---- a random room ----


def _place(rng: np.random.Generator, size_m: F64, centre_m: F64, near_m: float, far_m: float) -> tuple[F64, float]:
    """(place, azimuth in degrees) somewhere in the room, at a height like that of the array or above it."""
    for attempt in range(200):
        azimuth_deg = float(rng.uniform(-180.0, 180.0))
        elevation_deg = float(np.clip(rng.normal(8.0, 10.0), -15.0, 35.0))
        distance_m = rng.uniform(near_m, far_m) * (1.0 if attempt < 100 else 0.5)
        place = centre_m + distance_m * unit_vector(azimuth_deg, elevation_deg)
        if np.all(place > 0.2) and np.all(place < size_m - 0.2):
            break
    return np.clip(place, 0.2, size_m - 0.2), azimuth_deg


def make_room(rng: np.random.Generator) -> ArrayRoom:
    """A random array in a random room, RT60 0.15 to 0.8 s, talker 0.5 to 4 m away; a function of `rng` alone."""
    believed_m = random_array(rng)
    mics = len(believed_m)
    size_m = rng.uniform([3.0, 2.6, 2.3], [9.0, 7.0, 3.5])
    rt60_s = float(rng.uniform(0.15, 0.8))
    room = Shoebox(size_m, rt60_s, rt60_s * float(rng.uniform(0.5, 0.95)))
    centre_m = rng.uniform([0.6, 0.6, 0.6], np.minimum(size_m - [0.6, 0.6, 0.8], [9.0, 9.0, 1.6]))
    error = rng.standard_normal((mics, 3))
    error *= rng.uniform(0.0, 0.003) / np.linalg.norm(error, axis=1, keepdims=True)
    mics_m = centre_m + believed_m + error
    gains = 10.0 ** (rng.uniform(-2.0, 2.0, mics) / 20.0) if rng.random() < 0.8 else np.ones(mics)
    if rng.random() < 0.03 and mics > 2:
        gains[int(rng.integers(mics))] = 0.0
    taps = 64 * math.ceil(min(LONGEST_S, 0.05 + rt60_s) * RATE_HZ / 64)

    talker_m, azimuth_deg = _place(rng, size_m, centre_m, 0.5, 4.0)
    offset_m = talker_m - centre_m
    turn_deg = float(rng.uniform(6.0, 15.0) * rng.choice([-1.0, 1.0]))
    turn = math.radians(turn_deg)
    across_m = np.array([-offset_m[1], offset_m[0], 0.0])
    upright_m = np.array([0.0, 0.0, offset_m[2]])
    moved_m = centre_m + upright_m + (offset_m - upright_m) * math.cos(turn) + across_m * math.sin(turn)
    talkers_m = [talker_m, np.clip(moved_m, 0.15, size_m - 0.15)]
    noises_m = []
    for _ in range(NOISES):
        for _ in range(50):
            noise_m, noise_deg = _place(rng, size_m, centre_m, 0.7, 5.0)
            if apart_deg(noise_deg, azimuth_deg) > 30.0:
                break
        noises_m.append(noise_m)
    responses = np.array(
        [room.responses(rng, place, mics_m, taps) for place in (*talkers_m, *noises_m)]
        + [room.field(rng, mics_m, taps) for _ in range(FIELDS)]
    )
    distances_m = np.array([np.linalg.norm(mics_m - place, axis=1) for place in talkers_m])
    responses[:PLACES] *= distances_m.mean()
    for source in range(PLACES, SOURCES):
        responses[source] /= math.sqrt(float(np.mean(np.sum(responses[source] ** 2, axis=1)))) + 1e-9
    arrival = np.round(distances_m / SPEED_OF_SOUND_M_S * RATE_HZ).astype(np.int32)
    angles = [math.degrees(math.atan2(*(place - centre_m)[1::-1])) for place in talkers_m]
    return ArrayRoom(believed_m, (responses * gains[:, None]).astype(np.float32), arrival, np.array(angles), rt60_s)
