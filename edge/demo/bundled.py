"""The scene that ships with the demo. How it was made: scripts/render_scene.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.errors import AudioFileError

FOLDER = Path(__file__).resolve().parent / "scene"
MIX = FOLDER / "mix.flac"

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What the microphones hear, what of it is speech, and where the talker stands."""

    facts: dict[str, Any]
    """scene.json: board, positions, room, directions, seed, sentences, licences"""
    rate_hz: int
    speech: F32
    """float32 (samples, mics): the talker with all reverberation"""
    noise: F32
    """float32 (samples, mics); mix.flac is exactly speech + noise"""
    reference: F32
    """float32 (samples,): the talker's direct sound and reflections within 50 ms at the first microphone, which is what
    outputs are measured against: beams are relative to it"""

    @property
    def samples(self) -> int:
        return len(self.speech)

    @property
    def azimuth_deg(self) -> float:
        return float(self.facts["talker"]["azimuth_deg"])

    @property
    def elevation_deg(self) -> float:
        return float(self.facts["talker"]["elevation_deg"])

    @property
    def active(self) -> NDArray[np.bool_]:
        """Where a sentence is being spoken, bool (samples,)."""
        spoken = np.zeros(self.samples, dtype=bool)
        for sentence in self.facts["sentences"]:
            start, end = (int(float(sentence[key]) * self.rate_hz) for key in ("start_s", "end_s"))
            spoken[start:end] = True
        return spoken


def load_scene(folder: Path = FOLDER) -> Scene:
    """Read the bundled scene. Raises AudioFileError if a file is missing or damaged."""
    try:
        facts = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
        mix, speech, reference = (_read(folder / f"{name}.flac") for name in ("mix", "speech", "reference"))
    except (OSError, ValueError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"the demo's scene in {folder} is incomplete ({error}); install mic-edge again") from error
    return Scene(facts, int(facts["rate_hz"]), speech, mix - speech, reference[:, 0])


def _read(path: Path) -> F32:
    data: F32 = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return data
