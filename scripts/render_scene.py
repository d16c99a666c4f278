"""Render the scene of `edge demo`: a free TTS voice, a vacuum cleaner and diffuse noise in a room, on four microphones.

Everything is made from scratch and seeded, so the same versions of flite and pyroomacoustics give the same files.
Needs pyroomacoustics (pip install 'mic-edge[development]') and flite (apt install flite).

Usage: python scripts/render_scene.py [FOLDER]        default: edge/demo/scene
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from edge.boards import load_board
from edge.geometry import ArrayGeometry, unit_vector

RATE_HZ = 16000
SEED = 20240607
DURATION_S = 27.0
SNR_DB = 4.0
DIFFUSE_BELOW_DIRECTIONAL_DB = 4.0
SELF_NOISE_DBFS = -72.0
SPEECH_DBFS = -26.0
EARLY_S = 0.05

BOARD = "respeaker_4mic_square"
ROOM_M = (6.2, 5.1, 2.7)
RT60_S = 0.28
ARRAY_M = (2.9, 2.3, 0.9)
TALKER = {"azimuth_deg": 40.0, "elevation_deg": 8.0, "distance_m": 1.3}
VACUUM = {"azimuth_deg": -65.0, "elevation_deg": -12.0, "distance_m": 1.7}
DIFFUSE_SOURCES = 32

VOICE = "rms"
VOICE_LICENCE = (
    "flite voice cmu_us_rms, Copyright (c) 1999-2016 Language Technologies Institute, Carnegie Mellon University; "
    "free to use, modify and distribute for any purpose (SPDX MIT-Festival)"
)
SENTENCES: tuple[tuple[float, str], ...] = (
    (1.2, "Good morning. You are listening to four microphones on a small board."),
    (0.8, "Somebody is vacuuming on the right, and the room is not quiet either."),
    (0.7, "The beam looks at my voice, and turns a deaf ear to the machine."),
    (0.9, "What is left of the noise, a small neural network removes."),
    (0.7, "All of this takes sixteen milliseconds."),
)
"""pause before, in seconds, and what is said"""

Mono = NDArray[np.float64]


def speak(text: str) -> Mono:
    """One sentence by flite, float64 (samples,) at 16 kHz."""
    if shutil.which("flite") is None:
        sys.exit("render_scene: flite is not installed; run: apt install flite")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", VOICE, "-t", text, "-o", str(path)], check=True, stdin=subprocess.DEVNULL)
        speech, rate_hz = soundfile.read(path)
    if rate_hz != RATE_HZ:
        sys.exit(f"render_scene: flite spoke at {rate_hz} Hz, expected {RATE_HZ} Hz")
    return np.asarray(speech)


def talker() -> tuple[Mono, list[dict[str, object]]]:
    """The dry voice over the whole scene, and who said what when."""
    voice = np.zeros(int(DURATION_S * RATE_HZ))
    said: list[dict[str, object]] = []
    free = 0
    for pause_s, text in SENTENCES:
        sentence = speak(text)
        start = free + int(pause_s * RATE_HZ)
        free = start + sentence.size
        if free > voice.size - RATE_HZ // 2:
            sys.exit(f"render_scene: {DURATION_S} s are too short for: {text}")
        voice[start:free] += sentence
        said.append({"start_s": round(start / RATE_HZ, 3), "end_s": round(free / RATE_HZ, 3), "text": text})
    # the vocoder rumbles below 80 Hz and is 8 dB darker above 800 Hz than the average voice (Byrne et al. 1994)
    voice = signal.sosfilt(signal.butter(2, 80, "highpass", fs=RATE_HZ, output="sos"), voice)
    treble = signal.sosfilt(signal.butter(1, 800, "highpass", fs=RATE_HZ, output="sos"), voice)
    return voice + (10 ** (8 / 20) - 1) * treble, said


def vacuum_cleaner(rng: np.random.Generator) -> Mono:
    """A universal motor with its harmonics and blade tone, and turbulent air, whose speed wanders with the load."""
    n = int(DURATION_S * RATE_HZ)
    load = signal.sosfiltfilt(signal.butter(2, 0.5, fs=RATE_HZ, output="sos"), rng.standard_normal(n))
    load /= np.abs(load).max()
    turn_hz = 117.0 * (1.0 + 0.03 * load)
    phase = 2.0 * np.pi * np.cumsum(turn_hz) / RATE_HZ
    motor = np.zeros(n)
    for order in range(1, 60):
        level = order**-0.9 * (3.0 if order % 9 == 0 else 1.0) * rng.uniform(0.5, 1.5)
        motor += level * np.cos(order * phase + rng.uniform(0, 2 * np.pi)) * (order * turn_hz < RATE_HZ / 2)
    air = signal.sosfilt(signal.butter(1, [180, 1600], "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal(n))
    air *= 1.0 + 0.25 * load
    stroke = 1.0 + 0.15 * np.sin(2.0 * np.pi * 0.6 * np.arange(n) / RATE_HZ)
    return (0.5 * motor / motor.std() + air / air.std()) * stroke


def room_noise(rng: np.random.Generator) -> Mono:
    """One of many independent sources of ventilation and street: noise falling 6 dB per octave above 250 Hz."""
    return signal.sosfilt(
        signal.butter(1, [60, 250], "bandpass", fs=RATE_HZ, output="sos"),
        rng.standard_normal(int(DURATION_S * RATE_HZ)),
    )


def place(azimuth_deg: float, elevation_deg: float, distance_m: float) -> NDArray[np.float64]:
    return np.asarray(ARRAY_M) + distance_m * unit_vector(azimuth_deg, elevation_deg)


def diffuse_places(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Spread over the walls, floor and ceiling: directions on a Fibonacci sphere, followed until a wall is near."""
    golden = np.pi * (3.0 - np.sqrt(5.0))
    turn = rng.uniform(0.0, 2.0 * np.pi)
    places = []
    for i in range(DIFFUSE_SOURCES):
        elevation = np.degrees(np.arcsin(1.0 - (2.0 * i + 1.0) / DIFFUSE_SOURCES))
        direction = unit_vector(float(np.degrees(golden * i + turn)), float(elevation))
        with np.errstate(divide="ignore"):
            to_wall = np.where(direction > 0, np.subtract(ROOM_M, ARRAY_M) / direction, -np.array(ARRAY_M) / direction)
        places.append(np.asarray(ARRAY_M) + 0.95 * float(to_wall.min()) * direction)
    return places


def make_room(geometry: ArrayGeometry) -> object:
    """The room with the microphones of `geometry`."""
    try:
        import pyroomacoustics
    except ImportError:
        sys.exit("render_scene: pyroomacoustics is not installed; run: pip install 'mic-edge[development]'")
    absorption, max_order = pyroomacoustics.inverse_sabine(RT60_S, list(ROOM_M))
    room = pyroomacoustics.ShoeBox(
        list(ROOM_M),
        fs=RATE_HZ,
        materials=pyroomacoustics.Material(absorption),
        max_order=max_order,
        air_absorption=True,
    )
    centred = geometry.positions_m - geometry.centroid_m
    room.add_microphone_array((centred + np.asarray(ARRAY_M)).T)
    return room


def early(rir: Mono) -> Mono:
    """Direct sound and what follows within EARLY_S, faded out over 5 ms."""
    end = int(np.argmax(np.abs(rir))) + int(EARLY_S * RATE_HZ)
    fade = int(0.005 * RATE_HZ)
    kept = rir[: end + fade].copy()
    kept[end:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(kept.size - end) / fade)
    return kept


def level(x: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(x**2)))


def render(folder: Path) -> dict[str, object]:
    """Write mix.flac, speech.flac (both 4 channels), reference.flac (1 channel) and scene.json to `folder`."""
    board = load_board(BOARD)
    geometry = ArrayGeometry(board.positions_m)
    rng = np.random.default_rng(SEED)
    voice, said = talker()
    sources = [voice, vacuum_cleaner(rng), *(room_noise(rng) for _ in range(DIFFUSE_SOURCES))]
    places = [place(**TALKER), place(**VACUUM), *diffuse_places(rng)]
    room = make_room(geometry)
    for where, what in zip(places, sources, strict=True):
        room.add_source(where, signal=what)  # type: ignore[attr-defined]
    n = voice.size
    images = np.asarray(room.simulate(return_premix=True))[:, :, :n]  # type: ignore[attr-defined]
    speech, vacuum, diffuse = images[0], images[1], images[2:].sum(axis=0)
    reference = signal.fftconvolve(voice, early(room.rir[0][0]))[:n]  # type: ignore[attr-defined]

    spoken = np.zeros(n, dtype=bool)
    for sentence in said:
        spoken[int(sentence["start_s"] * RATE_HZ) : int(sentence["end_s"] * RATE_HZ)] = True  # type: ignore[operator]
    gain = 10 ** (SPEECH_DBFS / 20) / level(speech[0, spoken])
    speech, reference = speech * gain, reference * gain
    noise = vacuum / level(vacuum[0]) + diffuse / level(diffuse[0]) * 10 ** (-DIFFUSE_BELOW_DIRECTIONAL_DB / 20)
    noise *= 10 ** ((SPEECH_DBFS - SNR_DB) / 20) / level(noise[0])
    noise += rng.standard_normal(noise.shape) * 10 ** (SELF_NOISE_DBFS / 20)

    # quantise the components, not the mixture: mix - speech is then the noise to the last bit
    speech16 = np.round(speech.T * 32767).astype(np.int16)
    noise16 = np.round(noise.T * 32767).astype(np.int16)
    mix = speech16.astype(np.int32) + noise16
    if np.abs(mix).max() > 32767:
        sys.exit("render_scene: the mixture clips; lower SPEECH_DBFS")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("mix", mix.astype(np.int16)),
        ("speech", speech16),
        ("reference", np.round(reference * 32767).astype(np.int16)),
    ):
        soundfile.write(folder / f"{name}.flac", data, RATE_HZ, subtype="PCM_16", compression_level=1.0)
    facts = {
        "description": "A talker and a vacuum cleaner in a room with diffuse noise, on a square of four microphones",
        "board": BOARD,
        "rate_hz": RATE_HZ,
        "duration_s": DURATION_S,
        "positions_m": geometry.positions_m.tolist(),
        "room_m": ROOM_M,
        "rt60_s": RT60_S,
        "rt60_measured_s": round(float(np.mean(room.measure_rt60()[:, 0])), 3),  # type: ignore[attr-defined]
        "array_m": ARRAY_M,
        "talker": TALKER,
        "vacuum_cleaner": VACUUM,
        "diffuse_sources": DIFFUSE_SOURCES,
        "diffuse_below_directional_db": DIFFUSE_BELOW_DIRECTIONAL_DB,
        "self_noise_dbfs": SELF_NOISE_DBFS,
        "snr_mic0_db": SNR_DB,
        "snr_definition": "reverberant speech over its sentences to all noise, at the first microphone",
        "reference": (
            "speech at the first microphone, which beams are relative to, "
            f"direct sound and reflections within {EARLY_S * 1000:.0f} ms"
        ),
        "seed": SEED,
        "sentences": said,
        "voice_licence": VOICE_LICENCE,
        "licence": "Apache-2.0; noises synthesised by scripts/render_scene.py, no recording of anybody is in here",
    }
    (folder / "scene.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parent.parent / "edge" / "demo" / "scene"
    parser.add_argument("folder", nargs="?", type=Path, default=here)
    folder = parser.parse_args().folder
    facts = render(folder)
    sizes = {p.name: f"{p.stat().st_size / 1024:.0f} KiB" for p in sorted(folder.iterdir())}
    print(f"wrote {folder}: {sizes}; RT60 {facts['rt60_measured_s']} s")


if __name__ == "__main__":
    main()
