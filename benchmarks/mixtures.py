"""Known mixtures of evaluation speech and noise, on one microphone or on four in a simulated room."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.geometry import ArrayGeometry, unit_vector

RATE_HZ = 16000
REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_DATA = REPOSITORY.parent / "shared" / "data" / "eval"

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Mixture:
    """Speech and noise kept apart; their sum is what the microphones hear."""

    name: str
    speech: F32
    """float32 (samples, mics)"""
    noise: F32
    """float32 (samples, mics), at 0 dB against the speech at the first microphone"""
    azimuth_deg: float
    elevation_deg: float

    def at_snr(self, snr_db: float, speech_dbfs: float = -30.0) -> tuple[F32, F32]:
        """(speech, noise) with the wanted power ratio at the first microphone over the whole file."""
        gain = 10 ** (speech_dbfs / 20) / rms(self.speech[:, 0])
        return self.speech * gain, self.noise * (gain * 10 ** (-snr_db / 20))


def rms(x: F32) -> np.float32:
    return np.sqrt(np.mean(x.astype(np.float64) ** 2)).astype(np.float32)


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder with speech/ and noise/ (default: %(default)s)"
    )


def skip_without(folder: Path, parts: tuple[str, ...] = ("speech", "noise")) -> None:
    """End with one sentence and exit code 0 when the evaluation data is not there: a folder, and in it `parts`, each
    with something in it.
    """
    if not all((folder / name).is_dir() and any((folder / name).iterdir()) for name in (".", *parts)):
        inside = f", expected sounds in its {' and '.join(f'{name}/' for name in parts)}" if parts else ""
        print(f"skipped: no evaluation data at {folder}{inside}", file=sys.stderr)
        sys.exit(0)


def load_mono(path: Path) -> F32:
    data, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    if rate_hz != RATE_HZ:
        raise ValueError(f"{path.name} has {rate_hz} Hz, expected {RATE_HZ} Hz")
    return data[:, 0]


def talkers(data: Path) -> list[tuple[str, list[Path]]]:
    """(talker, files) of speech/, sorted: by the manifest's speaker, or one talker per file without a manifest."""
    manifest = data / "manifest.jsonl"
    groups: dict[str, list[Path]] = {}
    if manifest.is_file():
        for line in manifest.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["kind"] == "speech":
                groups.setdefault(entry["speaker"] or entry["file"], []).append(data / entry["file"])
    else:
        groups = {path.stem: [path] for path in sorted((data / "speech").glob("*.flac"))}
    return sorted(groups.items())


def continuous_speech(paths: list[Path], samples: int) -> F32:
    """Utterances of one talker at equal level with pauses of 0.4 s, repeated to the wanted length."""
    pause = np.zeros(int(0.4 * RATE_HZ), np.float32)
    parts: list[F32] = [pause]
    while sum(part.size for part in parts) < samples:
        for path in paths:
            utterance = load_mono(path)
            parts += [utterance / max(rms(utterance), np.float32(1e-6)), pause]
    return np.concatenate(parts)[:samples]


def looped(noise: F32, samples: int, rng: np.random.Generator) -> F32:
    return np.take(noise, np.arange(samples) + int(rng.integers(noise.size)), mode="wrap")


def mono_mixtures(data: Path, count: int, duration_s: float, seed: int) -> Iterator[Mixture]:
    """`count` pairs of another talker and another noise each, shape (samples, 1)."""
    rng = np.random.default_rng(seed)
    samples = int(duration_s * RATE_HZ)
    people, noises = talkers(data), sorted((data / "noise").glob("*.flac"))
    people = [people[i] for i in rng.permutation(len(people))]
    for i in range(count):
        talker, paths = people[i % len(people)]
        noise_path = noises[i % len(noises)]
        speech = continuous_speech(paths, samples)
        noise = looped(load_mono(noise_path), samples, rng)
        noise = noise * (rms(speech) / max(rms(noise), np.float32(1e-9)))
        yield Mixture(f"{talker} in {noise_path.stem}", speech[:, None], noise[:, None], 0.0, 0.0)


def room_mixtures(
    data: Path, geometry: ArrayGeometry, count: int, duration_s: float, seed: int, rt60_s: float = 0.3
) -> Iterator[Mixture]:
    """The same on an array in a simulated room: the noise from one direction and, 3 dB below it, from six others.

    Needs pyroomacoustics (extra: development).
    """
    import pyroomacoustics

    rng = np.random.default_rng(seed)
    room_m, centre_m = np.array([6.2, 5.1, 2.7]), np.array([2.9, 2.3, 0.9])
    absorption, max_order = pyroomacoustics.inverse_sabine(rt60_s, list(room_m))
    for mono in mono_mixtures(data, count, duration_s, seed):
        azimuth_deg, elevation_deg = float(rng.uniform(-180, 180)), float(rng.uniform(-5, 20))
        room = pyroomacoustics.ShoeBox(
            list(room_m), fs=RATE_HZ, materials=pyroomacoustics.Material(absorption), max_order=min(max_order, 25)
        )
        room.add_microphone_array((geometry.positions_m - geometry.centroid_m + centre_m).T)
        room.add_source(centre_m + 1.3 * unit_vector(azimuth_deg, elevation_deg), signal=mono.speech[:, 0])
        away_deg = azimuth_deg + float(rng.uniform(60, 300))
        for i in range(7):
            direction_deg = away_deg + i * 360.0 / 7
            noise = mono.noise[:, 0] if i == 0 else np.roll(mono.noise[:, 0], int(rng.integers(mono.noise.size)))
            gain = 1.0 if i == 0 else float(np.sqrt(0.5 / 6))
            distance_m = 1.5 if i == 0 else 2.0
            room.add_source(centre_m + distance_m * unit_vector(direction_deg, 10.0), signal=gain * noise)
        images = np.asarray(room.simulate(return_premix=True), dtype=np.float32)[:, :, : len(mono.speech)]
        speech, noise = images[0].T, images[1:].sum(axis=0).T
        noise *= rms(speech[:, 0]) / rms(noise[:, 0])
        yield Mixture(mono.name, np.ascontiguousarray(speech), np.ascontiguousarray(noise), azimuth_deg, elevation_deg)
