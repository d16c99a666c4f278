"""Seeded scenes on a microphone array in a simulated room, speech and noise kept apart.

    scene = make_scene(standard_specs()[0], data_dir)

Recordings come from the evaluation data (speech/ and noise/ of `data_dir`), rooms from benchmarks.array.rooms. A
rendered scene is kept on disk under a key of everything that it is made of, so that the next run only reads it.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.array import rooms
from benchmarks.array.angles import azimuth_error_deg
from benchmarks.array.specs import ARRAYS_M, SceneSpec, standard_specs
from benchmarks.mixtures import DEFAULT_DATA, RATE_HZ, continuous_speech, load_mono, looped, talkers
from edge.geometry import ArrayGeometry, unit_vector

__all__ = ["ARRAYS_M", "Scene", "SceneSpec", "Sounds", "make_scene", "make_scenes", "render", "standard_specs"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SPEECH_DBFS = -30.0
"""of the talker at microphone 0 after the lead-in"""
PLACE_DEG = 2.0
"""step of a walk: at an array of a few centimetres the direct paths of neighbouring places then stay in phase"""
STAND_S = 1.0
"""a walking talker stands this long at either end"""
TRACK_HOP = 128
"""samples per entry of a direction track"""


@dataclass(frozen=True)
class Sounds:
    """What a scene is made of, mono at RATE_HZ."""

    speech: F32
    """(samples,) the talker, from the end of the lead-in on"""
    noise: F32
    """(any,) of the directional source, looped"""
    diffuse: F64
    """(rooms.DIRECTIONS, samples of the whole scene) independent of each other"""


@dataclass(frozen=True)
class Scene:
    """What the microphones hear and what of it is whose. Sample n is the same moment in all arrays."""

    spec: SceneSpec
    geometry: ArrayGeometry
    """where the beamformer believes the microphones to be"""
    speech: F32
    """(samples, mics) the talker with all reverberation, gains and dead microphones in it"""
    noise: F32
    """(samples, mics) everything else, likewise"""
    early: F32
    """(samples,) the first 50 ms of the talker's image at microphone 0, as if that microphone never died"""
    direct: F32
    """(samples,) the direct path alone, likewise"""
    azimuth_track_deg: F64
    """(hops of TRACK_HOP,) true direction of the talker from the middle of the array"""
    elevation_track_deg: F64
    noise_azimuth_deg: float
    """true direction of the directional noise"""
    lead_samples: int

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def dead_mic(self) -> int | None:
        return self.spec.dead_mic

    @cached_property
    def mix(self) -> F32:
        """(samples, mics): exactly speech + noise."""
        return self.speech + self.noise

    @property
    def azimuth_deg(self) -> float:
        """True direction at the start; all the time, unless the talker walks."""
        return float(self.azimuth_track_deg[0])

    @property
    def elevation_deg(self) -> float:
        return float(self.elevation_track_deg[0])

    def direction_at(self, sample: int) -> tuple[float, float]:
        """True (azimuth, elevation) in degrees at a sample."""
        hop = min(sample // TRACK_HOP, len(self.azimuth_track_deg) - 1)
        return float(self.azimuth_track_deg[hop]), float(self.elevation_track_deg[hop])


# ---- rendering ----


def _walk_angle(spec: SceneSpec, samples: int, lead: int) -> F64:
    """(samples,) how far along the arc, in degrees: stands, walks to the end, stands, walks back."""
    walk_s = np.radians(spec.walk_deg) * spec.distance_m / spec.walk_m_s
    corners_s = np.cumsum([0.0, STAND_S, walk_s, STAND_S, walk_s])
    t = ((np.arange(samples) - lead) / RATE_HZ).clip(0.0) % corners_s[-1]
    return np.interp(t, corners_s, [0.0, 0.0, spec.walk_deg, spec.walk_deg, 0.0])


def _draw_directions(spec: SceneSpec, geometry: ArrayGeometry, rng: np.random.Generator) -> tuple[float, float]:
    """Azimuths of talker (start of the walk) and noise, the noise at least 45 degrees from all of the walk."""
    path = np.linspace(0.0, spec.walk_deg, 7)
    for _ in range(1000):
        talker, noise = rng.uniform(-180.0, 180.0, 2)
        if azimuth_error_deg(geometry, talker + path, noise).min() >= 45.0:
            return float(talker), float(noise)
    raise ValueError(f"{spec.name}: no room for a noise beside a walk of {spec.walk_deg} degrees")


def _scaled(part: F64, speech_power: float, ratio_db: float, lead: int) -> F64:
    power = float(np.mean(part[lead:, 0] ** 2))
    return part * np.sqrt(speech_power / max(power, 1e-30) * 10.0 ** (-ratio_db / 10.0))


def render(spec: SceneSpec, sounds: Sounds) -> Scene:
    """The scene of `spec` with these sounds; pure, everything else follows from the seed. Needs pyroomacoustics."""
    rng = np.random.default_rng(spec.seed)
    geometry = ArrayGeometry(ARRAYS_M[spec.array])
    mics = geometry.mics
    lead, samples = round(spec.lead_s * RATE_HZ), sounds.diffuse.shape[1]
    size_m = np.array(spec.room_m) + rng.uniform(-0.4, 0.4, 3) * [1.0, 1.0, 0.5]
    centre_m = np.array([size_m[0] / 2, size_m[1] / 2, 1.0]) + rng.uniform(-0.2, 0.2, 3) * [1.0, 1.0, 0.5]
    talker_deg, noise_deg = _draw_directions(spec, geometry, rng)
    talker_up_deg, noise_up_deg = rng.uniform(0.0, 15.0, 2)
    noise_m = rng.uniform(1.4, 1.9)
    offset = rng.standard_normal((mics, 3))
    offset *= spec.position_error_m / np.linalg.norm(offset, axis=1, keepdims=True)
    gains = 10.0 ** (rng.uniform(-spec.gain_spread_db, spec.gain_spread_db, mics) / 20.0)
    microphones_m = geometry.positions_m - geometry.centroid_m + offset
    room = rooms.Room(size_m, spec.rt60_s, centre_m + microphones_m, RATE_HZ, spec.max_order)

    speech = np.zeros(samples)
    speech[lead : lead + sounds.speech.size] = sounds.speech
    along_deg = _walk_angle(spec, samples, lead) if spec.walking else np.zeros(samples)
    places = round(abs(spec.walk_deg) / PLACE_DEG) + 1
    arc_deg = talker_deg + np.linspace(0.0, spec.walk_deg, places)
    towards = np.array([unit_vector(a, talker_up_deg) for a in arc_deg])
    talker_m = centre_m + spec.distance_m * towards
    responses = room.responses(talker_m)
    direct = room.responses(talker_m, max_order=0)
    early = rooms.early_part(responses[:, :1], direct[:, :1], RATE_HZ)
    place = along_deg * ((places - 1) / spec.walk_deg) if spec.walking else np.zeros(samples)
    image, early_image, direct_image = (
        rooms.propagate_moving(speech, place, h) for h in (responses, early, direct[:, :1])
    )

    power = float(np.mean(image[lead:, 0] ** 2))
    noise = np.zeros((samples, mics))
    if spec.sir_db is not None:
        source = looped(sounds.noise, samples, rng).astype(np.float64)
        place_m = centre_m + noise_m * unit_vector(noise_deg, noise_up_deg)
        noise += _scaled(rooms.propagate(source, room.responses(place_m[None])[0]), power, spec.sir_db, lead)
    if spec.diffuse_db is not None:
        field = rooms.isotropic_field(sounds.diffuse, microphones_m, RATE_HZ)
        noise += _scaled(field, power, spec.diffuse_db, lead)
    scale = 10.0 ** (SPEECH_DBFS / 20.0) / np.sqrt(power)
    image, noise = image * gains, noise * gains
    if spec.sensor_db is not None:
        noise += rng.standard_normal(noise.shape) * np.sqrt(power * 10.0 ** (-spec.sensor_db / 10.0))
    if spec.dead_mic is not None:
        for part in (image, noise):
            part[round(spec.dead_from_s * RATE_HZ) :, spec.dead_mic] = 0.0
    azimuth_deg = (talker_deg + along_deg[::TRACK_HOP] + 180.0) % 360.0 - 180.0
    return Scene(
        spec,
        geometry,
        speech=(image * scale).astype(np.float32),
        noise=(noise * scale).astype(np.float32),
        early=(early_image[:, 0] * gains[0] * scale).astype(np.float32),
        direct=(direct_image[:, 0] * gains[0] * scale).astype(np.float32),
        azimuth_track_deg=azimuth_deg,
        elevation_track_deg=np.full(azimuth_deg.size, float(talker_up_deg)),
        noise_azimuth_deg=(noise_deg + 180.0) % 360.0 - 180.0,
        lead_samples=lead,
    )


# ---- recordings ----


def _diffuse_sources(spec: SceneSpec, ambience: F32, others: F32, samples: int, rng: np.random.Generator) -> F64:
    """Independent sounds (DIRECTIONS, samples) of the kind that `spec` names, from a noise and from other talkers."""
    count = rooms.DIRECTIONS
    if spec.diffuse == "shaped":
        frame = others[: others.size // 512 * 512].reshape(-1, 512)
        spectrum = np.sqrt(np.mean(np.abs(np.fft.rfft(frame * np.hanning(512), axis=1)) ** 2, axis=0))
        f = np.linspace(0.0, 1.0, samples // 2 + 1)
        shape = np.interp(f, np.linspace(0.0, 1.0, spectrum.size), spectrum)
        return np.fft.irfft(np.fft.rfft(rng.standard_normal((count, samples)), axis=1) * shape, samples, axis=1)
    material = others if spec.diffuse == "babble" else ambience
    return np.stack([looped(material, samples, rng) for _ in range(count)]).astype(np.float64)


def _recordings(spec: SceneSpec, data_dir: Path) -> tuple[list[Path], Path, Path, list[Path]]:
    """Files of talker, directional noise, ambience and other talkers, in turn by seed."""
    people = [paths for _, paths in talkers(data_dir) if sum(p.stat().st_size for p in paths) > 40_000]
    noises = sorted((data_dir / "noise").glob("*.flac"))
    # strides without a common factor with the counts give neighbouring seeds other talkers and noises
    talker = people[spec.seed * 11 % len(people)]
    others = [path for i in range(1, 17) for path in people[(spec.seed * 11 + i) % len(people)][:1]]
    ambiences = [p for p in noises if p.stem.rpartition("__")[2].startswith(("berlin", "blanket", "speech_commands"))]
    return talker, noises[spec.seed * 5 % len(noises)], ambiences[spec.seed % len(ambiences)], others


def _load_sounds(spec: SceneSpec, talker: list[Path], noise: Path, ambience: Path, others: list[Path]) -> Sounds:
    rng = np.random.default_rng((spec.seed, 1))
    samples = round((spec.lead_s + spec.speech_s) * RATE_HZ)
    speech = continuous_speech(talker, round((spec.speech_s + 0.4) * RATE_HZ))[round(0.4 * RATE_HZ) :]
    babble = continuous_speech(others, 40 * RATE_HZ)
    return Sounds(speech, load_mono(noise), _diffuse_sources(spec, load_mono(ambience), babble, samples, rng))


# ---- cache ----


def default_cache() -> Path:
    """Folder of rendered scenes: `mic-edge/array-scenes` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mic-edge" / "array-scenes"


def _key(spec: SceneSpec, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode())
    digest.update(ARRAYS_M[spec.array].tobytes())
    for path in (*files, Path(__file__), Path(rooms.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


_ARRAYS = ("speech", "noise", "early", "direct", "azimuth_track_deg", "elevation_track_deg")


def make_scene(spec: SceneSpec, data_dir: Path | str = DEFAULT_DATA, cache_dir: Path | str | None = None) -> Scene:
    """The scene of `spec` from the recordings in `data_dir`, from the cache where it was rendered before.

    data_dir: folder with speech/ and noise/ of 16 kHz files. cache_dir: default `default_cache()`.
    """
    data_dir, cache = Path(data_dir), Path(cache_dir) if cache_dir else default_cache()
    talker, noise, ambience, others = _recordings(spec, data_dir)
    path = cache / f"{_key(spec, (*talker, noise, ambience, *others))}.npz"
    if path.is_file():
        with np.load(path) as kept:
            arrays = {name: kept[name] for name in _ARRAYS}
            noise_deg, lead = float(kept["noise_azimuth_deg"]), int(kept["lead_samples"])
        return Scene(
            spec, ArrayGeometry(ARRAYS_M[spec.array]), noise_azimuth_deg=noise_deg, lead_samples=lead, **arrays
        )
    scene = render(spec, _load_sounds(spec, talker, noise, ambience, others))
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
    arrays = {name: getattr(scene, name) for name in _ARRAYS}
    np.savez(part, noise_azimuth_deg=scene.noise_azimuth_deg, lead_samples=scene.lead_samples, **arrays)
    part.replace(path)
    return scene


def make_scenes(
    chosen: Sequence[SceneSpec],
    data_dir: Path | str = DEFAULT_DATA,
    cache_dir: Path | str | None = None,
    processes: int = 2,
) -> Iterator[Scene]:
    """Scenes in the order of `chosen`, rendered by `processes` at a time where the cache has none."""
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        waiting = [pool.submit(_warm, spec, data_dir, cache_dir) for spec in chosen]
        for spec, done in zip(chosen, waiting, strict=True):
            done.result()
            yield make_scene(spec, data_dir, cache_dir)


def _warm(spec: SceneSpec, data_dir: Path | str, cache_dir: Path | str | None) -> None:
    make_scene(spec, data_dir, cache_dir)
